"""RoiAlign: averages of bilinear samples in regions of a map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scotoma.adjoint.interpolation import LONGEST
from scotoma.adjoint.registry import NoAdjointError, rule

if TYPE_CHECKING:
    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Site


@rule("RoiAlign")
def roi_align(site: Site) -> Gradients:
    """Multiply by the weights of rows and of columns of every region, transposed.

    Takes memory for regions x channels x output rows x columns of the map.
    """
    if site.text("mode", "avg") != "avg":
        raise NoAdjointError("it takes the maximum of its samples")
    if site.wants(1):
        raise NoAdjointError("its regions depend on what the gradient is taken of")
    samples = site.integer("sampling_ratio", 0)
    if not 0 < samples <= 64:
        raise NoAdjointError("its number of samples depends on the regions")
    images, channels, height, width = site.shape()
    regions, _, rows, columns = site.out_shape()
    if 0 in (images, channels, height, width, regions):
        raise NoAdjointError("its map is empty, or it has no regions")
    if max(images, height, width, rows, columns) * samples > LONGEST:
        raise NoAdjointError("an axis of it is too long to list")
    across = _weights(site, 0, width, columns, samples)
    across = site.reshape(across, [regions, 1, columns, width])
    grad = site.emit("MatMul", site.grad(), across)
    grad = site.emit("Transpose", grad, perm=[0, 2, 1, 3])
    grad = site.reshape(grad, [regions * rows, channels * width])
    # Rows of other images count nothing.
    here = site.number(np.arange(images).reshape(-1, 1, 1, 1))
    image = site.reshape(site.input(2), [1, regions, 1, 1])
    chosen = site.mask(site.emit("Equal", here, image))
    down = site.emit("Mul", _weights(site, 1, height, rows, samples), chosen)
    down = site.reshape(down, [images, regions * rows, height])
    down = site.emit("Transpose", down, perm=[0, 2, 1])
    found = site.reshape(site.emit("MatMul", down, grad), [images, height, channels, width])
    return [site.emit("Transpose", found, perm=[0, 2, 1, 3])]


def _weights(site: Site, axis: int, size: int, bins: int, samples: int) -> str:
    """Return how much each bin reads of each cell along an axis: (regions, bins, cells)."""
    old = "output_half_pixel" if site.version < 16 else "half_pixel"
    transformation = site.text("coordinate_transformation_mode", old)
    if transformation not in ("half_pixel", "output_half_pixel"):
        raise NoAdjointError(f"its coordinates ({transformation}) are not known")
    scale = site.number(site.real("spatial_scale", 1.0))
    start, end = (site.emit("Mul", _coordinate(site, axis + 2 * side), scale) for side in (0, 1))
    length = site.emit("Sub", end, start)
    if transformation == "half_pixel":
        start = site.emit("Sub", start, site.number(0.5))
    else:
        length = site.emit("Max", length, site.number(1))
    # Samples lie in the middle of equal parts of a region.
    shares = (np.arange(bins * samples) + 0.5).reshape(1, -1, 1) / (bins * samples)
    places = site.emit("Add", start, site.emit("Mul", length, site.number(shares)))
    low = site.emit("GreaterOrEqual", places, site.number(-1))
    inside = site.mask(site.emit("And", low, site.emit("LessOrEqual", places, site.number(size))))
    places = site.emit("Clip", places, site.number(0), site.number(size - 1))
    cells = site.number(np.arange(size).reshape(1, 1, -1))
    apart = site.emit("Abs", site.emit("Sub", places, cells))
    weights = site.emit("Max", site.emit("Sub", site.number(1), apart), site.number(0))
    weights = site.emit("Mul", weights, inside)
    regions = site.shape(1)[0]
    weights = site.reshape(weights, [regions, bins, samples, size])
    return site.emit("ReduceMean", weights, site.ints([2]), keepdims=0)


def _coordinate(site: Site, column: int) -> str:
    """Return one coordinate of all regions: (regions, 1, 1)."""
    found = site.emit("Gather", site.input(1), site.ints([column]), axis=1)
    return site.reshape(found, [site.shape(1)[0], 1, 1])
