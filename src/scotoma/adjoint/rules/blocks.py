"""DepthToSpace and SpaceToDepth, which move cells between channels and places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scotoma.adjoint.registry import NoAdjointError, rule

if TYPE_CHECKING:
    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Site


@rule("DepthToSpace")
def depth_to_space(site: Site) -> Gradients:
    """Move the cells of every block back into the channels."""
    size, mode = site.integer("blocksize", 0), site.text("mode", "DCR")
    if mode == "DCR":
        return [site.emit("SpaceToDepth", site.grad(), blocksize=size)]
    if mode != "CRD":
        raise NoAdjointError(f"its mode {mode!r} is not known")
    batch, channels, height, width = site.shape()
    apart = [batch, channels // size**2, height, size, width, size]
    grad = site.reshape(site.grad(), apart)
    grad = site.emit("Transpose", grad, perm=[0, 1, 3, 5, 2, 4])
    return [site.reshape(grad, site.shape())]


@rule("SpaceToDepth")
def space_to_depth(site: Site) -> Gradients:
    """Move the cells back to their places."""
    size = site.integer("blocksize", 0)
    return [site.emit("DepthToSpace", site.grad(), blocksize=size, mode="DCR")]
