"""Operators that repeat cells, or blank a triangle of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scotoma.adjoint.registry import rule

if TYPE_CHECKING:
    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Site


@rule("Expand")
def expand(site: Site) -> Gradients:
    """Sum over the copies."""
    return [site.sum_to(site.grad(), site.out_shape(), site.shape())]


@rule("Tile")
def tile(site: Site) -> Gradients:
    """Sum over the copies."""
    shape, out = site.shape(), site.out_shape()
    if 0 in out:
        return [site.zeros(shape)]
    apart: list[int] = []
    copies = []
    for size, wide in zip(shape, out, strict=True):
        if wide != size:
            copies.append(len(apart))
            apart.append(wide // size)
        apart.append(size)
    if not copies:
        return [site.grad()]
    grad = site.reshape(site.grad(), apart)
    return [site.emit("ReduceSum", grad, site.ints(copies), keepdims=0)]


@rule("Trilu")
@rule("Trilu", domain="com.microsoft")
def trilu(site: Site) -> Gradients:
    """Blank the same triangle of the gradient."""
    diagonal = int(site.known(1).item()) if site.has(1) else 0
    upper = site.integer("upper", 1)
    return [site.emit("Trilu", site.grad(), site.constant(diagonal, np.int64), upper=upper)]
