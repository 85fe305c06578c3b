"""Operators that onnxruntime's optimiser makes of several, such as a product and an activation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scotoma.adjoint.registry import NoAdjointError, rule
from scotoma.adjoint.rules.activation import gelu_exact, gelu_tanh, positive, two_slopes
from scotoma.adjoint.rules.convolution import by_bias, by_data, by_weight
from scotoma.adjoint.rules.matrix import of_gemm, of_matmul
from scotoma.adjoint.rules.normalization import by_mean_square, epsilon, normalized

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Shape, Site

    Slope = Callable[[Site, str, Sequence[float]], str]


def _sigmoid(site: Site, y: str, _: Sequence[float]) -> str:
    return site.emit("Mul", y, site.emit("Sub", site.number(1), y))


def _tanh(site: Site, y: str, _: Sequence[float]) -> str:
    return site.emit("Sub", site.number(1), site.emit("Mul", y, y))


def _clip(site: Site, y: str, bounds: Sequence[float]) -> str:
    least, greatest = bounds
    above = site.emit("Sub", y, site.number(least))
    return positive(site, site.emit("Mul", above, site.emit("Sub", site.number(greatest), y)))


def _hard_sigmoid(site: Site, y: str, numbers: Sequence[float]) -> str:
    return site.emit("Mul", _clip(site, y, (0, 1)), site.number(numbers[0]))


SLOPES: dict[str, Slope] = {
    "Relu": lambda site, y, _: positive(site, y),
    "LeakyRelu": lambda site, y, numbers: two_slopes(site, y, numbers[0]),
    "Sigmoid": _sigmoid,
    "Tanh": _tanh,
    "Clip": _clip,
    "HardSigmoid": _hard_sigmoid,
}
"""Derivatives as functions of the activation's output and of its numbers."""
NUMBERS = {"LeakyRelu": ("alpha",), "HardSigmoid": ("alpha", "beta")}
DEFAULTS = {"LeakyRelu": (0.01,), "HardSigmoid": (0.2, 0.5)}


def before_activation(site: Site, kind: str, numbers: Sequence[float]) -> str:
    """Return the gradient in front of the activation that an operator ends with, if any."""
    if not kind:
        return site.grad()
    if kind not in SLOPES or (kind == "LeakyRelu" and numbers[0] < 0):
        raise NoAdjointError(f"its activation {kind!r} has no rule")
    return site.emit("Mul", site.grad(), SLOPES[kind](site, site.output(), numbers))


def activation_params(site: Site) -> tuple[float, ...]:
    """Return the numbers of a fused convolution's activation."""
    found = site.op.attributes.get("activation_params", ())
    if not isinstance(found, tuple):
        raise NoAdjointError("attribute 'activation_params' is not a list of numbers")
    return tuple(float(number) for number in found)


@rule("FusedConv", domain="com.microsoft")
def conv(site: Site) -> Gradients:
    """Go back over an activation, a sum with another tensor, and a convolution."""
    grad = before_activation(site, site.text("activation", ""), activation_params(site))
    found: list[str | None] = [by_data(site, grad, site.input(1), site.shape(1)), None, None, grad]
    if site.wants(1):
        found[1] = by_weight(site, (site.input(0), site.shape(0)), (grad, site.out_shape()))
    if site.wants(2):
        found[2] = by_bias(site, grad)
    return found


@rule("FusedGemm", domain="com.microsoft")
def gemm(site: Site) -> Gradients:
    """Go back over an activation and a product of matrices."""
    kind = site.text("activation", "")
    defaults = zip(NUMBERS.get(kind, ()), DEFAULTS.get(kind, ()), strict=True)
    numbers = [site.real(f"activation_{name}", default) for name, default in defaults]
    grad = before_activation(site, kind, numbers)
    found: list[str | None] = [*of_gemm(site, grad, site.input(0), site.input(1)), None]
    if site.wants(2):
        each = site.emit("Mul", grad, site.number(site.real("beta", 1.0)))
        found[2] = site.sum_to(each, site.out_shape(), site.shape(2))
    return found


@rule("FusedMatMul", "TransposeMatMul", domain="com.microsoft")
def matmul(site: Site) -> Gradients:
    """Y = alpha A B, A and B transposed or not, also along the axes in front."""
    alpha = site.real("alpha", 1.0)
    grad = site.grad() if alpha == 1 else site.emit("Mul", site.grad(), site.number(alpha))
    orders = [_order(site, slot, letter) for slot, letter in enumerate("AB")]
    factors = [_factor(site, slot, order) for slot, order in enumerate(orders)]
    found = of_matmul(site, (grad, site.out_shape()), factors[0], factors[1])
    return [
        site.emit("Transpose", each, perm=[order.index(axis) for axis in range(len(order))])
        if order != sorted(order)
        else each
        for each, order in zip(found, orders, strict=True)
    ]


def _order(site: Site, slot: int, letter: str) -> list[int]:
    """Return which axis of a factor stands at each axis of what is multiplied."""
    order = list(range(len(site.shape(slot))))
    if site.integer(f"transBatch{letter}", 0) and len(order) > 2:
        order = [*order[1:-1], 0, order[-1]]
    if site.integer(f"trans{letter}", 0) and len(order) > 1:
        order[-2:] = order[:-3:-1]
    return order


def _factor(site: Site, slot: int, order: list[int]) -> tuple[str, Shape]:
    value, shape = site.input(slot), site.shape(slot)
    if order == sorted(order):
        return value, shape
    return site.emit("Transpose", value, perm=order), tuple(shape[axis] for axis in order)


@rule("BiasGelu", "FastGelu", domain="com.microsoft")
def gelu_of_sum(site: Site) -> Gradients:
    """Return the slope of Gelu at the sum with the bias, if there is one."""
    total = site.emit("Add", site.input(0), site.input(1)) if site.has(1) else site.input(0)
    slope = gelu_exact if site.op.op_type == "BiasGelu" else gelu_tanh
    grad = site.emit("Mul", site.grad(), slope(site, total))
    return [grad, site.sum_to(grad, site.out_shape(), site.shape(1)) if site.wants(1) else None]


@rule("SkipLayerNormalization", "SkipSimplifiedLayerNormalization", domain="com.microsoft")
def skip_normalization(site: Site) -> Gradients:
    """Normalise a sum once more; the sum itself may be an output, too."""
    shape = site.shape()
    simplified = site.op.op_type.startswith("SkipS")
    bias = 3 if simplified else 4
    added = [slot for slot in (1, bias) if site.has(slot)]
    data = site.emit("Sum", site.input(0), *(site.input(slot) for slot in added))
    above, grad = site.grad_or_none(3), site.grad_or_none(0)
    found: list[str | None] = [None] * 5
    if grad is None:
        total = above
    else:
        scaled, last = site.emit("Mul", grad, site.input(2)), [len(shape) - 1]
        tiny = epsilon(site, 1e-12)
        if simplified:
            total, unit = by_mean_square(site, data, scaled, last, tiny)
        else:
            total, unit = by_deviation(site, data, scaled, last, tiny)
            if site.wants(3):
                found[3] = site.sum_to(grad, shape, site.shape(3))
        total = total if above is None else site.emit("Add", total, above)
        if site.wants(2):
            found[2] = site.sum_to(site.emit("Mul", grad, unit), shape, site.shape(2))
    for slot in (0, *added):
        if total is not None and site.wants(slot):
            found[slot] = site.sum_to(total, shape, site.shape(slot))
    return found


def by_deviation(site: Site, data: str, grad: str, axes: list[int], tiny: str) -> tuple[str, str]:
    """Return the gradient of what is standardised, and its standardised values."""
    over = site.ints(axes)
    centred = site.emit("Sub", data, site.emit("ReduceMean", data, over, keepdims=1))
    variance = site.emit("ReduceMean", site.emit("Mul", centred, centred), over, keepdims=1)
    deviation = site.emit("Sqrt", site.emit("Add", variance, tiny))
    unit = site.emit("Div", centred, deviation)
    return site.emit("Div", normalized(site, grad, unit, axes), deviation), unit
