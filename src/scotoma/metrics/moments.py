"""Where the weight of a map lies and how far it spreads: centroid, radius and width."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from scotoma.metrics.maps import finite_map, marginal

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.metrics.maps import Map

WIDTH_SHARE = 0.9545
"""What a normal distribution holds within two standard deviations of its mean."""
ROUNDING = 1e-9
"""Cells whose distances from the centroid differ by less, in pixels, are equally far."""


def centroid_offset(values: npt.ArrayLike, axis: int = -1) -> float | None:
    """Return how far the centre of mass lies from the middle of the map along an axis, in pixels.

    Positive towards the end of the axis (down, right); 0 where both sides balance, at most half
    the length of the axis. None where a map has no such axis, no weight or a negative one.

    Examples
    --------
    >>> centroid_offset([[0, 0, 1], [0, 0, 1]]), centroid_offset([[1, 0], [1, 2]], axis=-2)
    (1.0, 0.25)
    """
    line = _line(values, axis)
    if line is None:
        return None
    half = len(line) // 2
    # Pairs of cells that mirror each other: exactly 0 where they are equal.
    arms = np.arange(len(line) - 1, len(line) - 1 - 2 * half, -2) / 2
    pulls = (line[::-1][:half] - line[:half]) * arms
    return float(pulls.sum() / line.sum())


def effective_radius(values: npt.ArrayLike, axis: int = -1) -> float | None:
    """Return the square root of the second moment about the centroid along an axis, in pixels.

    The standard deviation of the place of a randomly chosen unit of influence: 0 where one row or
    column holds everything, length/√12 (nearly) for an even map. On the map of one unit of a
    feature map this is the effective receptive field of Luo et al. (NeurIPS 2016); ``n``
    convolutions of equal weights ``k`` wide give ``sqrt(n (k² - 1) / 12)``.

    Examples
    --------
    >>> effective_radius([1, 2, 1]) ** 2, effective_radius([[0, 3, 0], [0, 4, 0]])
    (0.5000000000000001, 0.0)
    """
    line = _line(values, axis)
    if line is None:
        return None
    away = np.arange(len(line)) - _centroid(line)
    return math.sqrt(float((line * away**2).sum() / line.sum()))


def effective_width(values: npt.ArrayLike, axis: int = -1) -> float | None:
    """Return the width in pixels that holds 95.45 % of the weight along an axis.

    ``2 h + 1``, where ``h`` is the smallest distance from the centroid within which at least that
    share lies: 1 where one row or column holds everything, at most twice the length of the axis.
    A normal distribution has four standard deviations.

    Examples
    --------
    Five 3x3 convolutions of ones: 11 pixels are read, but 9 of them hold 95 % of the weight.

    >>> effective_width([1, 5, 15, 30, 45, 51, 45, 30, 15, 5, 1])
    9.0
    """
    line = _line(values, axis)
    if line is None:
        return None
    return 2 * half_width(line) + 1


def half_width(line: Map) -> float:
    """Return the distance from the centroid within which 95.45 % of a line's weight lies."""
    away = np.abs(np.arange(len(line)) - _centroid(line))
    order = np.argsort(away, kind="stable")
    held = np.cumsum(line[order])
    last = int(np.searchsorted(held, WIDTH_SHARE * held[-1] * (1 - ROUNDING)))
    reach = float(away[order[min(last, len(line) - 1)]])
    return round(reach * 2) / 2 if abs(reach * 2 - round(reach * 2)) < ROUNDING else reach


def _centroid(line: Map) -> float:
    return float((np.arange(len(line)) * line).sum() / line.sum())


def _line(values: npt.ArrayLike, axis: int) -> Map | None:
    """Return the map's sums along an axis counted from the end; None where that has no meaning."""
    grid = finite_map(values)
    if grid is None or grid.ndim < -axis:
        return None
    return marginal(grid, grid.ndim + axis)
