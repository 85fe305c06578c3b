"""Lp norms: as a global pool, and as what a tensor is divided by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scotoma.adjoint.registry import NoAdjointError, rule
from scotoma.adjoint.rules.activation import positive

if TYPE_CHECKING:
    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Site


def _signs(site: Site, data: str) -> str:
    """Return the signs; Sign itself is slow in onnxruntime."""
    below = positive(site, site.emit("Neg", data))
    return site.emit("Sub", positive(site, data), below)


def _inverse(site: Site, tensor: str) -> tuple[str, str]:
    """Return 1 / tensor, and the same with 0 where the tensor is 0."""
    nonzero = site.mask(site.cast(tensor, bool))
    safe = site.emit("Add", tensor, site.emit("Sub", site.number(1), nonzero))
    inverse = site.emit("Reciprocal", safe)
    return inverse, site.emit("Mul", inverse, nonzero)


@rule("GlobalLpPool")
def global_lp_pool(site: Site) -> Gradients:
    """Return dy sign(x) (|x| / y)^(p-1), and 0 where y is 0."""
    p = site.integer("p", 2)
    data = site.input()
    if p == 1:
        return [site.emit("Mul", site.grad(), _signs(site, data))]
    _, inverse = _inverse(site, site.output())
    part = site.emit("Mul", data, inverse)
    if p > 2:
        power = site.emit("Pow", site.emit("Abs", part), site.number(p - 2))
        part = site.emit("Mul", part, power)
    return [site.emit("Mul", part, site.grad())]


@rule("LpNormalization")
def lp_normalization(site: Site) -> Gradients:
    """Return (dy - slope of the norm times the sum of y dy) / norm, for y = x / norm.

    Where the norm is 0, onnxruntime returns 0, and so is the gradient.
    """
    p = site.integer("p", 2)
    if p not in (1, 2):
        raise NoAdjointError(f"its norm of order {p} is not known")
    axis = site.ints([site.axis(site.integer("axis", -1), len(site.shape()))])
    data, grad = site.input(), site.grad()
    norm = site.emit("ReduceL1" if p == 1 else "ReduceL2", data, axis, keepdims=1)
    inverse, scale = _inverse(site, norm)
    unit = site.emit("Mul", data, inverse)
    along = site.emit("ReduceSum", site.emit("Mul", grad, unit), axis, keepdims=1)
    slope = _signs(site, data) if p == 1 else unit
    rest = site.emit("Sub", grad, site.emit("Mul", slope, along))
    return [site.emit("Mul", rest, scale)]
