"""Matrix products."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scotoma.adjoint.registry import rule

if TYPE_CHECKING:
    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Shape, Site


@rule("Gemm")
def gemm(site: Site) -> Gradients:
    """Y = alpha A B + beta C, A and B transposed or not."""
    beta, grad = site.real("beta", 1.0), site.grad()
    found: list[str | None] = [*of_gemm(site, grad, site.input(0), site.input(1)), None]
    if site.wants(2):
        each = grad if beta == 1 else site.emit("Mul", grad, site.number(beta))
        found[2] = site.sum_to(each, site.out_shape(), site.shape(2))
    return found


def of_gemm(site: Site, grad: str, a: str, b: str) -> tuple[str, str]:
    """Return the gradients of both factors of alpha A B, which attributes say are transposed."""
    alpha = site.real("alpha", 1.0)
    first, second = site.integer("transA", 0), site.integer("transB", 0)
    return (
        site.emit("Gemm", b, grad, alpha=alpha, transA=second, transB=1)
        if first
        else site.emit("Gemm", grad, b, alpha=alpha, transB=1 - second),
        site.emit("Gemm", grad, a, alpha=alpha, transA=1, transB=first)
        if second
        else site.emit("Gemm", a, grad, alpha=alpha, transA=1 - first),
    )


@rule("MatMul")
def matmul(site: Site) -> Gradients:
    """Return dY Bᵀ and Aᵀ dY, summed over what was broadcast; vectors are rows and columns."""
    factors = (site.input(0), site.shape(0)), (site.input(1), site.shape(1))
    return of_matmul(site, (site.grad(), site.out_shape()), *factors)


def of_matmul(
    site: Site, grad: tuple[str, Shape], a: tuple[str, Shape], b: tuple[str, Shape]
) -> tuple[str, str]:
    """Return the gradients of both factors of a product; each tensor comes with its shape."""
    shape_a, shape_b = a[1], b[1]
    full_a = (1, *shape_a) if len(shape_a) == 1 else shape_a
    full_b = (*shape_b, 1) if len(shape_b) == 1 else shape_b
    (each, lead) = grad
    lead = lead[: len(lead) - (len(shape_a) > 1) - (len(shape_b) > 1)]
    rows, columns = full_a[-2], full_b[-1]
    if 1 in (len(shape_a), len(shape_b)):
        each = site.reshape(each, [*lead, rows, columns])
    other_a = turned(site, _full(site, a, full_a), len(full_a))
    other_b = turned(site, _full(site, b, full_b), len(full_b))
    grad_a = site.emit("MatMul", each, other_b)
    grad_b = site.emit("MatMul", other_a, each)
    return (
        _back(site, grad_a, (*lead, rows, full_a[-1]), full_a, shape_a),
        _back(site, grad_b, (*lead, full_b[-2], columns), full_b, shape_b),
    )


def _full(site: Site, factor: tuple[str, Shape], shape: Shape) -> str:
    value, given = factor
    return value if shape == given else site.reshape(value, shape)


def _back(
    site: Site,
    grad: str,
    shape: Shape,
    full: Shape,
    wanted: Shape,
) -> str:
    grad = site.sum_to(grad, shape, full)
    return grad if full == wanted else site.reshape(grad, wanted)


def turned(site: Site, tensor: str, rank: int) -> str:
    """Exchange the last two axes."""
    return site.emit("Transpose", tensor, perm=[*range(rank - 2), rank - 1, rank - 2])
