"""Normalisations by the mean and the deviation of the tensor itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from scotoma.adjoint.registry import NoAdjointError, rule
from scotoma.adjoint.rules.normalization import normalized

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Site

EPSILON = 1e-18
"""Square of what onnxruntime adds to the deviation where the operator has no epsilon."""


def _standardized(site: Site, data: str, epsilon: float) -> tuple[str, str]:
    """Standardise the rows of a matrix once more; return them and 1 / deviation of each."""
    axes = site.ints([1])
    centred = site.emit("Sub", data, site.emit("ReduceMean", data, axes, keepdims=1))
    squares = site.emit("Mul", centred, centred)
    variance = site.emit("ReduceMean", squares, axes, keepdims=1)
    deviation = site.emit("Sqrt", site.emit("Add", variance, site.number(epsilon)))
    inverse = site.emit("Reciprocal", deviation)
    return site.emit("Mul", centred, inverse), inverse


def _affine(site: Site, rows: int, epsilon: float) -> Gradients:
    """Go back over a standardisation of rows, and a scale and a bias behind it.

    The scale, with as many elements as the bias, belongs to channels or to groups of channels.
    """
    shape, grad = site.shape(), site.grad()
    if 0 in shape:
        raise NoAdjointError("its input is empty")
    flat = [rows, math.prod(shape) // rows]
    unit, inverse = _standardized(site, site.reshape(site.input(), flat), epsilon)
    count = math.prod(site.shape(1))
    apart = [shape[0], count, math.prod(shape[1:]) // count]
    grad = site.reshape(grad, apart)
    found: list[str | None] = [None, None, None]
    if site.wants(1):
        each = site.emit("Mul", grad, site.reshape(unit, apart))
        found[1] = site.emit("ReduceSum", each, site.ints([0, 2]), keepdims=0)
    if site.wants(2):
        found[2] = site.emit("ReduceSum", grad, site.ints([0, 2]), keepdims=0)
    if site.wants(0):
        scale = site.reshape(site.input(1), [count, 1])
        scaled = site.reshape(site.emit("Mul", grad, scale), flat)
        data = site.emit("Mul", normalized(site, scaled, unit, [1]), inverse)
        found[0] = site.reshape(data, shape)
    return found


@rule("InstanceNormalization")
def instance_normalization(site: Site) -> Gradients:
    """Standardise every channel of every image by itself."""
    shape = site.shape()
    return _affine(site, math.prod(shape[:2]), site.real("epsilon", 1e-5))


@rule("GroupNormalization")
def group_normalization(site: Site) -> Gradients:
    """Standardise groups of channels; before opset 21 they share scale and bias, too."""
    groups = site.integer("num_groups", 0)
    if groups < 1 or site.shape()[1] % groups:
        raise NoAdjointError("its channels do not fall into its groups")
    return _affine(site, site.shape()[0] * groups, site.real("epsilon", 1e-5))


@rule("MeanVarianceNormalization")
def mean_variance_normalization(site: Site) -> Gradients:
    """Standardise over axes, by default all but the channels."""
    shape = site.shape()
    axes = [site.axis(axis, len(shape)) for axis in site.integers("axes") or (0, 2, 3)]
    others = [axis for axis in range(len(shape)) if axis not in axes]
    order = [*others, *sorted(set(axes))]
    rows = math.prod(shape[axis] for axis in others)
    flat = [rows, math.prod(shape) // max(rows, 1)]
    unit, inverse = _standardized(site, _gathered(site, site.input(), order, flat), EPSILON)
    grad = _gathered(site, site.grad(), order, flat)
    data = site.emit("Mul", normalized(site, grad, unit, [1]), inverse)
    data = site.reshape(data, [shape[axis] for axis in order])
    back = [order.index(axis) for axis in range(len(shape))]
    return [site.emit("Transpose", data, perm=back) if order != sorted(order) else data]


def _gathered(site: Site, tensor: str, order: Sequence[int], flat: Sequence[int]) -> str:
    """Make the axes that are standardised over the columns of a matrix."""
    if list(order) != sorted(order):
        tensor = site.emit("Transpose", tensor, perm=list(order))
    return site.reshape(tensor, flat)
