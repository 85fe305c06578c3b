"""Figures that sum up a map over the input grid: border, halves, spread, ripple, dead pixels.

The same formulas serve the static walk map and every measured map. A map has one axis per spatial
axis of the input: ``(H, W)`` for images, ``(W,)`` for signals, ``(D, H, W)`` for volumes. Axes are
counted from the end: -1 are the columns, -2 the rows.

The blocks: ``b = max(1, round(min(shape) / 32))`` cells is the depth of the border (Python's
`round`: ties go to the even number); along each axis the central block has ``c = b`` cells where
``length - b`` is even and ``c = b + 1`` otherwise, so that it is exactly centred.

Every ratio is dimensionless, 1 where both parts weigh the same, 0 where only the denominator
weighs, and None where it is not defined: an empty map, a denominator of zero, values that are not
finite, or an axis that the map does not have.
"""

from __future__ import annotations

from scotoma.metrics.blocks import (
    centre_mean,
    corner_mean,
    corner_over_centre,
    edge_mean,
    edge_over_centre,
    left_right_ratio,
    top_bottom_ratio,
)
from scotoma.metrics.border import border_over_interior, ring_profile
from scotoma.metrics.dead import dead_pixel_fraction, dead_ranges
from scotoma.metrics.estimates import Figure, Sample, fraction, input_error
from scotoma.metrics.figures import figures, ring_figures
from scotoma.metrics.moments import centroid_offset, effective_radius, effective_width
from scotoma.metrics.ripples import Ripple, ripple, strongest
from scotoma.metrics.sampling import Partition, fill
from scotoma.metrics.symmetry import point_asymmetry

__all__ = [
    "Figure",
    "Partition",
    "Ripple",
    "Sample",
    "border_over_interior",
    "centre_mean",
    "centroid_offset",
    "corner_mean",
    "corner_over_centre",
    "dead_pixel_fraction",
    "dead_ranges",
    "edge_mean",
    "edge_over_centre",
    "effective_radius",
    "effective_width",
    "figures",
    "fill",
    "fraction",
    "input_error",
    "left_right_ratio",
    "point_asymmetry",
    "ring_figures",
    "ring_profile",
    "ripple",
    "strongest",
    "top_bottom_ratio",
]
