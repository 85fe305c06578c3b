"""Functions of one number each: activations, roots, exponentials, roundings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from scotoma.adjoint.registry import NoAdjointError, rule

if TYPE_CHECKING:
    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Site


def slope(*op_types: str, domain: str = "") -> Callable[[Callable[[Site], str]], None]:
    """Register a function that returns the derivative, which the gradient is multiplied by."""

    def register(function: Callable[[Site], str]) -> None:
        def adjoint(site: Site) -> Gradients:
            return [site.emit("Mul", site.grad(), function(site))]

        rule(*op_types, domain=domain)(adjoint)

    return register


def positive(site: Site, tensor: str) -> str:
    """Return 1 where a tensor is above 0, else 0."""
    if site.work.itemsize == 8:
        return site.mask(site.emit("Greater", tensor, site.number(0)))
    # One pass instead of a comparison and a conversion, a third of their time in onnxruntime:
    # max(0, min(1, 2^126 x)). All normal numbers above 0 come out as 1.
    return site.emit("HardSigmoid", tensor, alpha=2.0**126, beta=0.0)


@slope("Relu")
def relu(site: Site) -> str:
    """1 where the output is above 0, else 0."""
    return positive(site, site.output())


def two_slopes(site: Site, tensor: str, below: float, above: float = 1.0) -> str:
    """Return one number where a tensor is above 0 and another elsewhere."""
    if below == 0 and above == 1:
        return positive(site, tensor)
    steps = site.emit("Mul", positive(site, tensor), site.number(above - below))
    return site.emit("Add", steps, site.number(below))


@slope("LeakyRelu")
def leaky_relu(site: Site) -> str:
    """1 above 0, else alpha."""
    alpha = site.real("alpha", 0.01)
    # Where alpha is positive the output has the input's sign, and is often needed anyway.
    return two_slopes(site, site.output() if alpha > 0 else site.input(), alpha)


@rule("PRelu")
def prelu(site: Site) -> Gradients:
    """Use the slope of the channel, or of the cell."""
    grad, data = site.grad(), site.input()
    above = positive(site, data)
    below = site.emit("Sub", site.number(1), above)
    found: list[str | None] = [None, None]
    if site.wants(0):
        factor = site.emit("Add", above, site.emit("Mul", below, site.input(1)))
        found[0] = site.emit("Mul", grad, factor)
    if site.wants(1):
        each = site.emit("Mul", grad, site.emit("Mul", below, data))
        found[1] = site.sum_to(each, site.shape(), site.shape(1))
    return found


@slope("ThresholdedRelu")
def thresholded_relu(site: Site) -> str:
    """1 above alpha, else 0."""
    alpha = site.number(site.real("alpha", 1.0))
    return positive(site, site.emit("Sub", site.input(), alpha))


@rule("Clip")
def clip(site: Site) -> Gradients:
    """1 between the bounds, else 0. The output lies between them just where the input does."""
    if site.wants(1) or site.wants(2):
        raise NoAdjointError("its bounds are not constant")
    return [_between(site, site.grad(), _bound(site, "min", 1), _bound(site, "max", 2))]


def _between(site: Site, grad: str, lower: float | None, upper: float | None) -> str:
    y = site.output()
    factors = []
    if lower is not None:
        factors.append(y if lower == 0 else site.emit("Sub", y, site.number(lower)))
    if upper is not None:
        factors.append(site.emit("Sub", site.number(upper), y))
    if not factors:
        return grad
    # The product of both distances is above 0 only between the bounds.
    inside = factors[0] if len(factors) == 1 else site.emit("Mul", *factors)
    return site.emit("Mul", grad, positive(site, inside))


def _bound(site: Site, name: str, slot: int) -> float | None:
    """Return a bound; None where there is none, or none that a number reaches."""
    if site.version < 11:
        found = site.op.attributes.get(name)
        bound = site.real(name, 0.0) if found is not None else math.inf
    else:
        bound = float(site.known(slot).item()) if site.has(slot) else math.inf
    return bound if abs(bound) < np.finfo(np.float32).max else None


@slope("Sigmoid")
def sigmoid(site: Site) -> str:
    """Return y (1 - y)."""
    y = site.output()
    return site.emit("Mul", y, site.emit("Sub", site.number(1), y))


@slope("Tanh")
def tanh(site: Site) -> str:
    """1 - y²."""
    y = site.output()
    return site.emit("Sub", site.number(1), site.emit("Mul", y, y))


@slope("HardSigmoid")
def hard_sigmoid(site: Site) -> str:
    """Alpha where the output is between 0 and 1, else 0."""
    alpha = site.real("alpha", 0.2)
    y = site.output()
    return site.emit("Mul", _inside(site, y), site.number(alpha))


def _inside(site: Site, tensor: str) -> str:
    """Return 1 where a tensor is between 0 and 1, else 0."""
    rest = site.emit("Sub", site.number(1), tensor)
    return positive(site, site.emit("Mul", tensor, rest))


@slope("HardSwish")
def hard_swish(site: Site) -> str:
    """H + x / 6 between -3 and 3, where h = max(0, min(1, x / 6 + 1 / 2)); else h."""
    x = site.input()
    gate = site.emit("HardSigmoid", x, alpha=1 / 6, beta=0.5)
    ramp = site.emit("Mul", _inside(site, gate), site.emit("Mul", x, site.number(1 / 6)))
    return site.emit("Add", gate, ramp)


@slope("Erf")
def erf(site: Site) -> str:
    """2 / sqrt(pi) exp(-x²)."""
    x = site.input()
    power = site.emit("Exp", site.emit("Neg", site.emit("Mul", x, x)))
    return site.emit("Mul", power, site.number(2 / math.sqrt(math.pi)))


@slope("Gelu")
def gelu(site: Site) -> str:
    """Slope of x P(x), P being the normal distribution or its approximation by a tanh."""
    approximate = site.text("approximate", "none") == "tanh"
    return gelu_tanh(site, site.input()) if approximate else gelu_exact(site, site.input())


@slope("Gelu", domain="com.microsoft")
def microsoft_gelu(site: Site) -> str:
    """Return the slope of the same function in onnxruntime's domain."""
    return gelu_exact(site, site.input())


def gelu_exact(site: Site, x: str) -> str:
    """P(x) + x p(x), p being the normal density."""
    # ORT has one quick operator for x P(x / sqrt 2), but none for P alone.
    inner = site.emit("Erf", site.emit("Mul", x, site.number(math.sqrt(0.5))))
    share = site.emit("Add", site.emit("Mul", inner, site.number(0.5)), site.number(0.5))
    half = site.emit("Mul", site.emit("Mul", x, x), site.number(-0.5))
    density = site.emit("Mul", site.emit("Exp", half), site.number(1 / math.sqrt(2 * math.pi)))
    return site.emit("Add", share, site.emit("Mul", x, density))


def gelu_tanh(site: Site, x: str) -> str:
    """Slope of x (1 + tanh(c (x + a x³))) / 2."""
    a, c = 0.044715, math.sqrt(2 / math.pi)
    square = site.emit("Mul", x, x)
    cubic = site.emit("Add", site.emit("Mul", square, site.number(a * c)), site.number(c))
    t = site.emit("Tanh", site.emit("Mul", x, cubic))
    steep = site.emit("Add", site.emit("Mul", square, site.number(3 * a * c)), site.number(c))
    bend = site.emit("Mul", site.emit("Sub", site.number(1), site.emit("Mul", t, t)), steep)
    total = site.emit("Add", site.emit("Add", t, site.number(1)), site.emit("Mul", x, bend))
    return site.emit("Mul", total, site.number(0.5))


def swish_slope(site: Site, alpha: float) -> str:
    """Slope of x s with s = sigmoid(alpha x): s + alpha x s (1 - s)."""
    x = site.input()
    inner = x if alpha == 1 else site.emit("Mul", x, site.number(alpha))
    s = site.emit("Sigmoid", inner)
    ramp = site.emit("Mul", inner, site.emit("Sub", site.number(1), s))
    return site.emit("Mul", s, site.emit("Add", ramp, site.number(1)))


@slope("Swish")
def swish(site: Site) -> str:
    """Return the slope of x sigmoid(alpha x)."""
    return swish_slope(site, site.real("alpha", 1.0))


@slope("QuickGelu", domain="com.microsoft")
def quick_gelu(site: Site) -> str:
    """Return the slope of x sigmoid(alpha x), which approximates Gelu."""
    return swish_slope(site, site.real("alpha", 1.702))


@slope("Mish")
def mish(site: Site) -> str:
    """Slope of x t with t = tanh(softplus(x)): t + x (1 - t²) sigmoid(x)."""
    x = site.input()
    t = site.emit("Tanh", site.emit("Softplus", x))
    bend = site.emit("Sub", site.number(1), site.emit("Mul", t, t))
    ramp = site.emit("Mul", site.emit("Mul", x, bend), site.emit("Sigmoid", x))
    return site.emit("Add", t, ramp)


@slope("Softplus")
def softplus(site: Site) -> str:
    """Return the sigmoid of the input."""
    return site.emit("Sigmoid", site.input())


@slope("Softsign")
def softsign(site: Site) -> str:
    """1 / (1 + |x|)²."""
    wide = site.emit("Add", site.emit("Abs", site.input()), site.number(1))
    return site.emit("Reciprocal", site.emit("Mul", wide, wide))


def bent(site: Site, scale: float, offset: float, above: float) -> str:
    """Return scale y + offset where the output y is below 0, and another number above."""
    y = site.output()
    below = site.emit("Min", y, site.number(0))
    if scale != 1:
        below = site.emit("Mul", below, site.number(scale))
    if offset == above:
        return site.emit("Add", below, site.number(offset))
    return site.emit("Add", below, two_slopes(site, y, offset, above))


@slope("Elu")
def elu(site: Site) -> str:
    """Y + alpha below 0, else 1."""
    alpha = site.real("alpha", 1.0)
    if alpha <= 0:
        raise NoAdjointError("its alpha is not positive")
    return bent(site, 1.0, alpha, 1.0)


@slope("Selu")
def selu(site: Site) -> str:
    """Y + alpha gamma below 0, else gamma."""
    alpha = site.real("alpha", 1.6732632423543772)
    gamma = site.real("gamma", 1.0507009873554805)
    if min(alpha, gamma) <= 0:
        raise NoAdjointError("its alpha or gamma is not positive")
    return bent(site, 1.0, alpha * gamma, gamma)


@slope("Celu")
def celu(site: Site) -> str:
    """Y / alpha + 1 below 0, else 1."""
    alpha = site.real("alpha", 1.0)
    if alpha <= 0:
        raise NoAdjointError("its alpha is not positive")
    return bent(site, 1 / alpha, 1.0, 1.0)


@slope("Shrink")
def shrink(site: Site) -> str:
    """1 beyond lambd on either side, else 0."""
    lambd = site.number(site.real("lambd", 0.5))
    return positive(site, site.emit("Sub", site.emit("Abs", site.input()), lambd))


@slope("Abs")
def absolute(site: Site) -> str:
    """Return the sign."""
    x = site.input()
    below = positive(site, site.emit("Neg", x))
    return site.emit("Sub", positive(site, x), below)


@rule("Neg")
def negative(site: Site) -> Gradients:
    """Return the gradient with the other sign."""
    return [site.emit("Neg", site.grad())]


@slope("Exp")
def exponential(site: Site) -> str:
    """Return the output."""
    return site.output()


@rule("Log")
def logarithm(site: Site) -> Gradients:
    """1 / x."""
    return [site.emit("Div", site.grad(), site.input())]


@rule("Sqrt")
def square_root(site: Site) -> Gradients:
    """1 / (2 y); at 0, where the slope is infinite, it counts as 0 lest all pixels be NaN."""
    y = site.output()
    nonzero = site.mask(site.cast(y, bool))
    safe = site.emit("Add", y, site.emit("Sub", site.number(1), nonzero))
    half = site.emit("Mul", nonzero, site.number(0.5))
    return [site.emit("Mul", site.grad(), site.emit("Div", half, safe))]


@slope("Reciprocal")
def reciprocal(site: Site) -> str:
    """-y²."""
    y = site.output()
    return site.emit("Neg", site.emit("Mul", y, y))


@slope("Sin")
def sine(site: Site) -> str:
    """Return cos x."""
    return site.emit("Cos", site.input())


@slope("Cos")
def cosine(site: Site) -> str:
    """-sin x."""
    return site.emit("Neg", site.emit("Sin", site.input()))


@slope("Tan")
def tangent(site: Site) -> str:
    """1 + y²."""
    y = site.output()
    return site.emit("Add", site.emit("Mul", y, y), site.number(1))


@slope("Sinh")
def hyperbolic_sine(site: Site) -> str:
    """Return cosh x."""
    return site.emit("Cosh", site.input())


@slope("Cosh")
def hyperbolic_cosine(site: Site) -> str:
    """Return sinh x."""
    return site.emit("Sinh", site.input())


def _squares(site: Site, factor: float, offset: float) -> str:
    x = site.input()
    square = site.emit("Mul", x, x)
    if factor != 1:
        square = site.emit("Mul", square, site.number(factor))
    return site.emit("Add", square, site.number(offset))


@slope("Asin")
def arc_sine(site: Site) -> str:
    """1 / sqrt(1 - x²)."""
    return site.emit("Reciprocal", site.emit("Sqrt", _squares(site, -1, 1)))


@slope("Acos")
def arc_cosine(site: Site) -> str:
    """-1 / sqrt(1 - x²)."""
    return site.emit("Neg", site.emit("Reciprocal", site.emit("Sqrt", _squares(site, -1, 1))))


@slope("Atan")
def arc_tangent(site: Site) -> str:
    """1 / (1 + x²)."""
    return site.emit("Reciprocal", _squares(site, 1, 1))


@slope("Asinh")
def area_sine(site: Site) -> str:
    """1 / sqrt(x² + 1)."""
    return site.emit("Reciprocal", site.emit("Sqrt", _squares(site, 1, 1)))


@slope("Acosh")
def area_cosine(site: Site) -> str:
    """1 / sqrt(x² - 1)."""
    return site.emit("Reciprocal", site.emit("Sqrt", _squares(site, 1, -1)))


@slope("Atanh")
def area_tangent(site: Site) -> str:
    """1 / (1 - x²)."""
    return site.emit("Reciprocal", _squares(site, -1, 1))
