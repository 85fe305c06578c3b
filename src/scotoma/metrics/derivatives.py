"""Derivatives of figures by every pixel of the map: what a wrong pixel does to a figure.

Each takes a map as `finite_map` makes it and an axis counted from the end, and returns an array of
the map's shape; None where the figure has no derivative.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from scotoma.metrics.maps import marginal
from scotoma.metrics.moments import WIDTH_SHARE, half_width

if TYPE_CHECKING:
    from scotoma.metrics.maps import Map


def halves(grid: Map, axis: int) -> Map | None:
    """Return the derivative of the first half's sum over the second's; a middle is in both."""
    length = grid.shape[axis]
    first = np.zeros(length)
    first[: length // 2] = 1
    if length % 2:
        first[length // 2] = 0.5
    line = marginal(grid, grid.ndim + axis)
    above, below = float((line * first).sum()), float((line * first[::-1]).sum())
    if below <= 0:
        return None
    form = [-1 if other == grid.ndim + axis else 1 for other in range(grid.ndim)]
    steps = (first - above / below * first[::-1]) / below
    wide: Map = np.broadcast_to(steps.reshape(form), grid.shape)
    return wide


def centroid(grid: Map, axis: int) -> Map:
    """Return the derivative of the place of the centroid."""
    places, total = _coordinates(grid, axis), float(grid.sum())
    return (places - float((places * grid).sum()) / total) / total


def radius(grid: Map, axis: int) -> Map | None:
    """Return the derivative of the effective radius."""
    places, total = _coordinates(grid, axis), float(grid.sum())
    away: Map = (places - float((places * grid).sum()) / total) ** 2
    square = float((away * grid).sum()) / total
    if square <= 0:
        return None
    step: Map = (away - square) / (2 * math.sqrt(square) * total)
    return step


def width(grid: Map, axis: int) -> Map | None:
    """Return the derivative of the effective width: mass let in, by mass at the ends."""
    line = marginal(grid, grid.ndim + axis)
    middle = float((np.arange(len(line)) * line).sum() / line.sum())
    half = half_width(line)
    ends = [round(middle - half), round(middle + half)]
    density = sum(float(line[end]) for end in ends if 0 <= end < len(line)) / 2
    if density <= 0:
        return None
    inside = np.abs(_coordinates(grid, axis) - middle) <= half
    step: Map = (WIDTH_SHARE - inside.astype(np.float64)) / density
    return step


def _coordinates(grid: Map, axis: int) -> Map:
    form = [-1 if other == grid.ndim + axis else 1 for other in range(grid.ndim)]
    places = np.arange(grid.shape[axis], dtype=np.float64).reshape(form)
    wide: Map = np.broadcast_to(places, grid.shape)
    return wide
