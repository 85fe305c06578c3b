"""What all figures share: a map as an array, exact sums, ratios, the depth of the border."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    Map = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

BORDER_SHARE = 32
"""The border is one cell deep for every 32 cells of the shorter axis, and at least one."""


def as_map(values: npt.ArrayLike) -> Map | None:
    """Return values as a float64 array; None for an empty map and for a single number."""
    grid = np.ascontiguousarray(values, dtype=np.float64)
    return grid if grid.size and np.ndim(values) else None


def finite_map(values: npt.ArrayLike) -> Map | None:
    """Return a map divided by a power of two so that its largest value lies between 0.5 and 1.

    None where it is empty, holds a number that is not finite or a negative one, or only zeros: a
    share of its sum is then not defined.
    """
    grid = as_map(values)
    if grid is None or not np.isfinite(grid).all() or grid.min() < 0:
        return None
    top = float(grid.max())
    return np.ldexp(grid, -math.frexp(top)[1]) if top > 0 else None


def marginal(grid: Map, axis: int) -> Map:
    """Return the sums over all axes but one: a line along this axis."""
    line: Map = grid.sum(axis=tuple(other for other in range(grid.ndim) if other != axis))
    return line


def exact_sum(numbers: Iterable[float]) -> float:
    """Return the sum rounded once, whatever the order; infinity where it leaves float64."""
    try:
        return math.fsum(numbers)
    except OverflowError:
        return math.inf


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    """Return a quotient; None where a part is unknown, the denominator 0 or the quotient huge."""
    if numerator is None or not denominator:
        return None
    quotient = numerator / denominator
    return quotient if math.isfinite(quotient) else None


def border_depth(shape: tuple[int, ...]) -> int:
    """Return the depth ``b`` of the border in cells.

    Examples
    --------
    >>> border_depth((10, 10)), border_depth((224, 320))
    (1, 7)
    """
    return max(1, round(min(shape) / BORDER_SHARE))
