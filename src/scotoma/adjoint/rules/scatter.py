"""Operators that write cells at places told by an index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scotoma.adjoint.registry import NoAdjointError, rule
from scotoma.adjoint.rules.gather import whole

if TYPE_CHECKING:
    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Site


def reduction(site: Site) -> str:
    """Return what happens to a cell that is written to: ``none``, it is replaced, or ``add``."""
    found = site.text("reduction", "none")
    if found not in ("none", "add"):
        raise NoAdjointError(f"its reduction {found!r} is neither 'none' nor 'add'")
    return found


@rule("Scatter", "ScatterElements")
def scatter_elements(site: Site) -> Gradients:
    """Give what was written the gradient of its cell, and zero to what was replaced."""
    grad, axis, replaced = site.grad(), site.integer("axis", 0), reduction(site) == "none"
    found: list[str | None] = [None, None, None]
    if site.wants(0):
        found[0] = grad
        if replaced:
            zeros = site.zeros(site.shape(1))
            found[0] = site.emit("ScatterElements", grad, site.raw(1), zeros, axis=axis)
    if site.wants(2):
        found[2] = site.emit("GatherElements", grad, site.raw(1), axis=axis)
    return found


@rule("ScatterND")
def scatter_nd(site: Site) -> Gradients:
    """Give what was written the gradient of its cells, and zero to what was replaced."""
    grad, indices, replaced = site.grad(), whole(site, 1), reduction(site) == "none"
    found: list[str | None] = [None, None, None]
    if site.wants(0):
        found[0] = grad
        if replaced:
            found[0] = site.emit("ScatterND", grad, indices, site.zeros(site.shape(2)))
    if site.wants(2):
        found[2] = site.emit("GatherND", grad, indices)
    return found
