"""Reductions along axes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from scotoma.adjoint.registry import rule
from scotoma.adjoint.rules.activation import positive

if TYPE_CHECKING:
    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Site


def reduced_axes(site: Site) -> tuple[int, ...]:
    """Return the axes that a reduction is taken over, in order."""
    rank = len(site.shape())
    axes = site.integers("axes")
    if axes is None and site.has(1):
        axes = tuple(site.known(1).ravel().tolist())
    if not axes:
        return () if site.integer("noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(sorted({site.axis(axis, rank) for axis in axes}))


def kept(site: Site, tensor: str) -> str:
    """Give a reduced tensor back the axes that it lost, with length 1."""
    axes = reduced_axes(site)
    shape = [1 if axis in axes else size for axis, size in enumerate(site.shape())]
    return tensor if tuple(shape) == site.out_shape() else site.reshape(tensor, shape)


def _scaled(site: Site, factor: str) -> Gradients:
    """Spread the gradient over the input, times a factor of the input's shape."""
    return [site.emit("Mul", kept(site, site.grad()), factor)]


@rule("ReduceSum")
def reduce_sum(site: Site) -> Gradients:
    """Every cell gets the gradient."""
    return [site.expand(kept(site, site.grad()), site.shape())]


@rule("ReduceMean")
def reduce_mean(site: Site) -> Gradients:
    """Every cell gets its share of the gradient."""
    count = math.prod(site.shape()[axis] for axis in reduced_axes(site))
    grad = site.emit("Mul", kept(site, site.grad()), site.number(1 / max(count, 1)))
    return [site.expand(grad, site.shape())]


@rule("ReduceMax", "ReduceMin")
def reduce_extreme(site: Site) -> Gradients:
    """Share the gradient among the cells that hold the extreme."""
    mask = site.mask(site.emit("Equal", site.input(), kept(site, site.output())))
    axes = reduced_axes(site)
    if not axes:
        return [site.grad()]
    count = site.emit("ReduceSum", mask, site.ints(axes), keepdims=1)
    return [site.emit("Mul", mask, site.emit("Div", kept(site, site.grad()), count))]


@rule("ReduceProd")
def reduce_product(site: Site) -> Gradients:
    """Y / x. Where one cell alone is 0, it gets the product of the others."""
    x, axes = site.input(), reduced_axes(site)
    if not axes:
        return [site.grad()]
    zero = site.emit("Sub", site.number(1), site.mask(site.cast(x, bool)))
    safe = site.emit("Add", x, zero)
    product = site.emit("ReduceProd", safe, site.ints(axes), keepdims=1)
    zeros = site.emit("ReduceSum", zero, site.ints(axes), keepdims=1)
    # A cell counts where no other one is 0.
    others = site.emit("Sub", zeros, zero)
    counts = site.emit("Sub", site.number(1), site.mask(site.cast(others, bool)))
    factor = site.emit("Mul", site.emit("Div", product, safe), counts)
    return _scaled(site, factor)


@rule("ReduceSumSquare")
def reduce_sum_square(site: Site) -> Gradients:
    """2 x."""
    return _scaled(site, site.emit("Mul", site.input(), site.number(2)))


@rule("ReduceL1")
def reduce_l1(site: Site) -> Gradients:
    """Return the signs."""
    x = site.input()
    below = positive(site, site.emit("Neg", x))
    return _scaled(site, site.emit("Sub", positive(site, x), below))


@rule("ReduceL2")
def reduce_l2(site: Site) -> Gradients:
    """X / y, and 0 where y is 0."""
    y = kept(site, site.output())
    zero = site.emit("Sub", site.number(1), site.mask(site.cast(y, bool)))
    return _scaled(site, site.emit("Div", site.input(), site.emit("Add", y, zero)))


@rule("ReduceLogSum")
def reduce_log_sum(site: Site) -> Gradients:
    """exp(-y)."""
    factor = site.emit("Exp", site.emit("Neg", site.output()))
    grad = kept(site, site.emit("Mul", site.grad(), factor))
    return [site.expand(grad, site.shape())]


@rule("ReduceLogSumExp")
def reduce_log_sum_exp(site: Site) -> Gradients:
    """exp(x - y)."""
    apart = site.emit("Sub", site.input(), kept(site, site.output()))
    return _scaled(site, site.emit("Exp", apart))
