"""Quantisation, and quantised functions place by place, by their twins in real numbers.

A quantised tensor has the gradient of the numbers that are stored. Rounding counts as the identity
(the straight-through estimator of Bengio, Léonard and Courville 2013), and what is saturated has
no gradient. Scales and zero points are part of the number format and held fixed, also where they
are worked out from the data: rounding apart, the numbers that they stand for do not depend on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scotoma.adjoint.registry import NoAdjointError, rule
from scotoma.adjoint.rules.activation import positive

if TYPE_CHECKING:
    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Shape, Site

RANGES = {"int4": (-8, 7), "uint4": (0, 15), "int2": (-2, 1), "uint2": (0, 3)}
"""Least and greatest numbers of the types that numpy does not know."""


def limits(site: Site) -> tuple[int, int]:
    """Return the least and the greatest number that the operator can make."""
    made = site.made()
    if made is not None and made.kind in "iu":
        return int(np.iinfo(made).min), int(np.iinfo(made).max)
    if made is None or made.name not in RANGES:
        raise NoAdjointError("the range of the numbers that it makes is not known")
    return RANGES[made.name]


def between(site: Site, grad: str, numbers: str, least: float, greatest: float) -> str:
    """Keep a gradient where numbers lie strictly between two others."""
    above = site.emit("Sub", numbers, site.number(least))
    below = site.emit("Sub", site.number(greatest), numbers)
    return site.emit("Mul", grad, positive(site, site.emit("Mul", above, below)))


def unsaturated(site: Site) -> str:
    """Return the output's gradient where its number is at neither end of the range.

    What is at an end without being saturated cannot be told from what is: both count as such.
    """
    return between(site, site.grad(), site.output(), *limits(site))


def along(site: Site, slot: int, shape: Shape, axis: int) -> str:
    """Lay a scale or zero point over a tensor of a shape.

    It is one number, or one per place along the axis, or one per block of places along it.
    """
    given = site.shape(slot)
    value = site.input(slot)
    if site.elements(given) == 1:
        return site.reshape(value, [])
    axis = site.axis(axis, len(shape))
    if len(given) == 1:
        return site.reshape(value, [given[0], *[1] * (len(shape) - axis - 1)])
    if len(given) != len(shape) or given[axis] == shape[axis]:
        return value  # one per row or column, or one per cell
    block = site.integer("block_size", 0) or -(-shape[axis] // given[axis])
    value = site.reshape(value, [*given[: axis + 1], 1, *given[axis + 1 :]])
    value = site.expand(value, [*given[: axis + 1], block, *given[axis + 1 :]])
    value = site.reshape(value, [*given[:axis], given[axis] * block, *given[axis + 1 :]])
    return site.pad(value, [0], [shape[axis] - given[axis] * block], [axis], len(shape))


def real(site: Site, slot: int, *, axis: int = 0, scaled: bool = True) -> str:
    """Return the numbers that a quantised input stands for; its scale and zero point follow it."""
    shape, numbers = site.shape(slot), site.input(slot)
    if site.has(slot + 2):
        numbers = site.emit("Sub", numbers, along(site, slot + 2, shape, axis))
    return site.emit("Mul", numbers, along(site, slot + 1, shape, axis)) if scaled else numbers


def scalar(site: Site, slot: int) -> str:
    """Return a scale that a whole tensor has."""
    if site.elements(site.shape(slot)) != 1:
        raise NoAdjointError(f"its scale {site.op.inputs[slot]!r} is not one number")
    return site.reshape(site.input(slot), [])


def ratio(site: Site, first: int, second: int) -> str:
    """Return how many steps of the output's scale a step of an input's scale is."""
    return site.emit("Div", scalar(site, first), scalar(site, second))


@rule("QuantizeLinear")
@rule("QuantizeLinear", domain="com.microsoft")
def quantize(site: Site) -> Gradients:
    """Divide by the scale, where the number as rounded lies within the range."""
    shape, axis = site.shape(), site.integer("axis", 1)
    scale = along(site, 1, shape, axis)
    number = site.emit("Div", site.input(), scale)
    if site.has(2):
        number = site.emit("Add", number, along(site, 2, shape, axis))
    least, greatest = limits(site)
    grad = between(site, site.grad(), number, least - 0.5, greatest + 0.5)
    return [site.emit("Div", grad, scale)]


@rule("DequantizeLinear")
@rule("DequantizeLinear", domain="com.microsoft")
def dequantize(site: Site) -> Gradients:
    """Multiply by the scale."""
    scale = along(site, 1, site.shape(), site.integer("axis", 1))
    return [site.emit("Mul", site.grad(), scale)]


@rule("DynamicQuantizeLinear")
def dynamic_quantize(site: Site) -> Gradients:
    """Divide by the scale, which is such that nothing is saturated."""
    site.grad_or_none(1)
    site.grad_or_none(2)
    grad = site.grad_or_none(0)
    return [] if grad is None else [site.emit("Div", grad, site.output(1))]


@rule("QLinearAdd", domain="com.microsoft")
def add(site: Site) -> Gradients:
    """Give both operands the gradient in their own steps."""
    grad = unsaturated(site)
    found: list[str | None] = [None] * 4
    for slot in (0, 3):
        if site.wants(slot):
            each = site.emit("Mul", grad, ratio(site, slot + 1, 6))
            found[slot] = site.sum_to(each, site.out_shape(), site.shape(slot))
    return found


@rule("QLinearMul", domain="com.microsoft")
def multiply(site: Site) -> Gradients:
    """Give every factor the gradient times the other one."""
    grad = unsaturated(site)
    found: list[str | None] = [None] * 4
    for slot, other in ((0, 3), (3, 0)):
        if site.wants(slot):
            each = site.emit(
                "Mul", grad, site.emit("Mul", real(site, other), ratio(site, slot + 1, 6))
            )
            found[slot] = site.sum_to(each, site.out_shape(), site.shape(slot))
    return found


@rule("QLinearSigmoid", domain="com.microsoft")
def sigmoid(site: Site) -> Gradients:
    """Return y (1 - y)."""
    y = site.emit("Sigmoid", real(site, 0))
    slope = site.emit("Mul", y, site.emit("Sub", site.number(1), y))
    return [site.emit("Mul", _in_steps(site), slope)]


@rule("QLinearLeakyRelu", domain="com.microsoft")
def leaky_relu(site: Site) -> Gradients:
    """1 above 0, else alpha."""
    alpha = site.real("alpha", 0.01)
    above = site.emit("Mul", positive(site, real(site, 0, scaled=False)), site.number(1 - alpha))
    slope = site.emit("Add", above, site.number(alpha))
    return [site.emit("Mul", _in_steps(site), slope)]


def _in_steps(site: Site) -> str:
    """Return the gradient of a function of one quantised tensor, but for its slope."""
    return site.emit("Mul", unsaturated(site), ratio(site, 1, 3))


@rule("QLinearSoftmax", domain="com.microsoft")
def softmax(site: Site) -> Gradients:
    """Return y (dy - sum of y dy)."""
    shape = site.shape()
    axis = site.axis(site.integer("axis", -1), len(shape))
    data, grad = real(site, 0), _in_steps(site)
    if site.integer("opset", 13) < 13:
        flat = [site.elements(shape[:axis]), site.elements(shape[axis:])]
        data, grad, axis = site.reshape(data, flat), site.reshape(grad, flat), 1
    y = site.emit("Softmax", data, axis=axis)
    each = site.emit("Mul", y, grad)
    total = site.emit("ReduceSum", each, site.ints([axis]), keepdims=1)
    return [site.reshape(site.emit("Sub", each, site.emit("Mul", y, total)), shape)]


@rule("QLinearConcat", domain="com.microsoft")
def concat(site: Site) -> Gradients:
    """Cut the gradient into the pieces."""
    slots = range(2, len(site.op.inputs), 3)
    axis = site.axis(site.integer("axis", 1), len(site.out_shape()))
    sizes = site.ints([site.shape(slot)[axis] for slot in slots])
    pieces = site.emit_many(len(slots), "Split", unsaturated(site), sizes, axis=axis)
    found: list[str | None] = [None] * len(site.op.inputs)
    for slot, piece in zip(slots, pieces, strict=True):
        found[slot] = site.emit("Mul", piece, ratio(site, slot + 1, 0))
    return found


@rule("QLinearWhere", domain="com.microsoft")
def where(site: Site) -> Gradients:
    """Give the operand that was chosen the gradient."""
    grad, chosen = unsaturated(site), site.mask(site.input(0))
    masks = {1: chosen, 4: site.emit("Sub", site.number(1), chosen)}
    found: list[str | None] = [None] * 5
    for slot, mask in masks.items():
        each = site.emit("Mul", site.emit("Mul", grad, mask), ratio(site, slot + 1, 7))
        found[slot] = site.sum_to(each, site.out_shape(), site.shape(slot))
    return found


@rule("QLinearReduceMean", domain="com.microsoft")
def reduce_mean(site: Site) -> Gradients:
    """Every cell gets its share of the gradient."""
    shape = site.shape()
    axes = [site.axis(axis, len(shape)) for axis in site.integers("axes") or range(len(shape))]
    kept = [1 if axis in axes else size for axis, size in enumerate(shape)]
    count = max(site.elements(shape) // max(site.elements(kept), 1), 1)
    grad = site.emit("Mul", site.reshape(_in_steps(site), kept), site.number(1 / count))
    return [site.expand(grad, shape)]
