"""Quantised convolutions, pools and matrix products, by their twins in real numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scotoma.adjoint.registry import rule
from scotoma.adjoint.rules.convolution import by_data
from scotoma.adjoint.rules.matrix import of_gemm, of_matmul
from scotoma.adjoint.rules.pooling import divided, pooled_indices, shared_out, taps, to_maxima
from scotoma.adjoint.rules.quantised import along, ratio, real, scalar, unsaturated

if TYPE_CHECKING:
    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Shape, Site


def first(site: Site, tensor: str) -> str:
    """Bring the channels of a tensor that has them last to the front."""
    rank = len(site.shape())
    return site.emit("Transpose", tensor, perm=[0, rank - 1, *range(1, rank - 1)])


def last(site: Site, tensor: str) -> str:
    """Bring the channels back to the end."""
    rank = len(site.shape())
    return site.emit("Transpose", tensor, perm=[0, *range(2, rank), 1])


def front(shape: Shape) -> Shape:
    """Return the shape of a tensor whose channels come to the front."""
    return (shape[0], shape[-1], *shape[1:-1])


@rule("QLinearConv")
@rule("QLinearConv", domain="com.microsoft")
def conv(site: Site) -> Gradients:
    """Convolve back with the weight that the numbers stand for, its scales per output channel."""
    site.only(0)
    backwards = site.integer("channels_last", 0) == 1
    grad = unsaturated(site)
    grad = first(site, grad) if backwards else grad
    grad = by_data(site, grad, real(site, 3), site.shape(3))
    grad = last(site, grad) if backwards else grad
    return [site.emit("Mul", grad, ratio(site, 1, 6))]


@rule("ConvInteger")
def conv_integer(site: Site) -> Gradients:
    """Convolve back with the weight less its zero point."""
    site.only(0, 2, 3)
    weight, shape = site.input(1), site.shape(1)
    if site.has(3):
        weight = site.emit("Sub", weight, along(site, 3, shape, 0))
    return [by_data(site, site.grad(), weight, shape)]


def by_columns(site: Site, slot: int, rank: int, *, rows: bool = False) -> list[int]:
    """Return the shape that lays a scale or zero point over the rows or columns of a factor."""
    given = site.shape(slot)
    if site.elements(given) == 1:
        return []
    if len(given) == rank:
        return list(given)
    return [*given, 1] if rows else list(given)


def factor(site: Site, slot: int, scale: int | None, zero: int, *, rows: bool = False) -> str:
    """Return what a factor of a product stands for; None for a scale of 1."""
    rank, value = len(site.shape(slot)), site.input(slot)
    if site.has(zero):
        shape = by_columns(site, zero, rank, rows=rows)
        value = site.emit("Sub", value, site.reshape(site.input(zero), shape))
    return value if scale is None else scaled(site, value, scale, rank, rows=rows)


def scaled(site: Site, value: str, scale: int, rank: int, *, rows: bool = False) -> str:
    """Multiply a factor, or its gradient, by its scales."""
    shape = by_columns(site, scale, rank, rows=rows)
    return site.emit("Mul", value, site.reshape(site.input(scale), shape))


@rule("MatMulInteger")
def matmul_integer(site: Site) -> Gradients:
    """Multiply back with the factors less their zero points."""
    a = factor(site, 0, None, 2, rows=True), site.shape(0)
    b = factor(site, 1, None, 3), site.shape(1)
    return of_matmul(site, (site.grad(), site.out_shape()), a, b)


@rule("MatMulIntegerToFloat", domain="com.microsoft")
def matmul_to_float(site: Site) -> Gradients:
    """Multiply back with what the factors stand for."""
    a = factor(site, 0, 2, 4), site.shape(0)
    b = factor(site, 1, 3, 5), site.shape(1)
    grads = of_matmul(site, (site.grad(), site.out_shape()), a, b)
    return [scaled(site, grad, slot + 2, len(site.shape(slot))) for slot, grad in enumerate(grads)]


@rule("DynamicQuantizeMatMul", domain="com.microsoft")
def matmul_quantizing(site: Site) -> Gradients:
    """Multiply back with the second factor, the only one that comes quantised."""
    site.only(0)
    a = site.input(0), site.shape(0)
    b = factor(site, 1, 2, 3), site.shape(1)
    return [of_matmul(site, (site.grad(), site.out_shape()), a, b)[0]]


@rule("QLinearMatMul")
def matmul(site: Site) -> Gradients:
    """Multiply back with what the factors stand for."""
    a = factor(site, 0, 1, 2, rows=True), site.shape(0)
    b = factor(site, 3, 4, 5), site.shape(3)
    grad = site.emit("Div", unsaturated(site), scalar(site, 6))
    to_a, to_b = of_matmul(site, (grad, site.out_shape()), a, b)
    return [
        scaled(site, to_a, 1, len(a[1]), rows=True), None, None, scaled(site, to_b, 4, len(b[1])),
    ]  # fmt: skip


@rule("QGemm", domain="com.microsoft")
def gemm(site: Site) -> Gradients:
    """Multiply back with what the factors stand for; without an output scale it makes reals."""
    site.only(0)
    grad = site.grad()
    if site.has(7):
        grad = site.emit("Div", unsaturated(site), scalar(site, 7))
    b = factor(site, 3, 4, 5, rows=site.integer("transB", 0) == 1)
    to_a, _ = of_gemm(site, grad, real(site, 0), b)
    return [site.emit("Mul", to_a, scalar(site, 1))]


@rule("QLinearAveragePool", domain="com.microsoft")
def average_pool(site: Site) -> Gradients:
    """Share every gradient among the cells of its window."""
    backwards = site.integer("channels_last", 0) == 1
    grad, out = unsaturated(site), site.out_shape()
    if backwards:
        grad, out = first(site, grad), front(out)
    counts = [taps(window, padded=window.count_include_pad) for window in site.windows]
    grad = shared_out(site, divided(site, grad, counts), out, site.windows)
    grad = last(site, grad) if backwards else grad
    return [site.emit("Mul", grad, ratio(site, 1, 3))]


@rule("QLinearGlobalAveragePool", domain="com.microsoft")
def global_average_pool(site: Site) -> Gradients:
    """Share every gradient among all cells."""
    shape = site.shape()
    spatial = shape[1:-1] if site.integer("channels_last", 0) else shape[2:]
    share = site.emit("Mul", ratio(site, 1, 3), site.number(1 / max(site.elements(spatial), 1)))
    return [site.expand(site.emit("Mul", unsaturated(site), share), shape)]


@rule("NhwcMaxPool", domain="com.microsoft")
def max_pool(site: Site) -> Gradients:
    """Add every gradient to the cell that the maximum came from; of equal ones the first."""
    indices = pooled_indices(site, first(site, site.input()))
    shapes = front(site.shape()), front(site.out_shape())
    grad = to_maxima(site, first(site, site.grad()), indices, shapes, site.windows)
    return [last(site, grad)]
