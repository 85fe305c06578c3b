"""Figures that sum up a map over the input grid: centre, corners, edges, halves and dead pixels.

The same formulas serve the static walk map and every measured map. A map has one axis per spatial
axis of the input: ``(H, W)`` for images, ``(W,)`` for signals, ``(D, H, W)`` for volumes.

The blocks: ``b = max(1, round(min(shape) / 32))`` cells is the depth of the border (Python's
`round`: ties go to the even number); along each axis the central block has ``c = b`` cells where
``length - b`` is even and ``c = b + 1`` otherwise, so that it is exactly centred.

Every ratio is dimensionless, 1 where both parts weigh the same, 0 where only the denominator
weighs, and None where it is not defined: an empty map, a denominator of zero, values that are not
finite, or an axis that the map does not have.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    Ranges = tuple[tuple[int, int], ...]

BORDER_SHARE = 32
"""The border is one cell deep for every 32 cells of the shorter axis, and at least one."""


def centre_mean(values: npt.ArrayLike) -> float | None:
    """Return the mean over the central block, in the map's own unit; None for an empty map.

    Examples
    --------
    >>> centre_mean([[0, 0, 0], [0, 9, 0], [0, 0, 0]])
    9.0
    >>> centre_mean([[0, 0, 0, 0], [0, 1, 3, 0], [0, 5, 7, 0], [0, 0, 0, 0]])
    4.0
    """
    grid = _grid(values)
    if grid is None:
        return None
    depth = _depth(grid.shape)
    return _mean_of_blocks(grid, [tuple(_middle(length, depth) for length in grid.shape)])


def corner_mean(values: npt.ArrayLike) -> float | None:
    """Return the mean over the corner blocks of ``b`` cells per axis (both ends of a 1-D map).

    Examples
    --------
    >>> corner_mean([[1, 9, 2], [9, 9, 9], [3, 9, 4]])
    2.5
    """
    grid = _grid(values)
    if grid is None:
        return None
    depth = _depth(grid.shape)
    return _mean_of_blocks(grid, itertools.product(*(_ends(n, depth) for n in grid.shape)))


def edge_mean(values: npt.ArrayLike) -> float | None:
    """Return the mean over the blocks at the middle of each side, ``b`` deep and ``c`` wide.

    In three dimensions a side is a face of the volume; in one it is an end of the signal, so that
    edge and corner are the same there.

    Examples
    --------
    >>> edge_mean([[9, 1, 9], [2, 9, 3], [9, 4, 9]])
    2.5
    """
    grid = _grid(values)
    if grid is None:
        return None
    depth = _depth(grid.shape)
    middles = tuple(_middle(length, depth) for length in grid.shape)
    blocks = [
        (*middles[:axis], end, *middles[axis + 1 :])
        for axis, length in enumerate(grid.shape)
        for end in _ends(length, depth)
    ]
    return _mean_of_blocks(grid, blocks)


def corner_over_centre(values: npt.ArrayLike) -> float | None:
    """Return the mean of the corner blocks over the mean of the central block.

    Examples
    --------
    One 3x3 convolution of ones with valid padding: the corner is read once, the centre 9 times.

    >>> corner_over_centre([[1, 2, 3, 2, 1], [2, 4, 6, 4, 2], [3, 6, 9, 6, 3], [2, 4, 6, 4, 2],
    ...                     [1, 2, 3, 2, 1]]) == 1 / 9
    True
    >>> corner_over_centre([[1, 1, 1], [1, 0, 1], [1, 1, 1]]) is None
    True
    """
    return _ratio(corner_mean(values), centre_mean(values))


def edge_over_centre(values: npt.ArrayLike) -> float | None:
    """Return the mean at the middles of the sides over the mean of the central block.

    Examples
    --------
    >>> edge_over_centre([[0, 1, 0], [1, 4, 1], [0, 1, 0]])
    0.25
    """
    return _ratio(edge_mean(values), centre_mean(values))


def left_right_ratio(values: npt.ArrayLike) -> float | None:
    """Return the sum of the left half of the columns over the right half.

    A middle column counts half to each. Columns run along the last axis of the map.

    Examples
    --------
    >>> left_right_ratio([[3, 1], [3, 1]])
    3.0
    >>> left_right_ratio([[3, 2, 1]])
    2.0
    """
    return _halves(values, axis=-1)


def top_bottom_ratio(values: npt.ArrayLike) -> float | None:
    """Return the sum of the upper half of the rows over the lower half; None for a 1-D map.

    A middle row counts half to each. Rows run along the last axis but one of the map.

    Examples
    --------
    >>> top_bottom_ratio([[3, 3], [1, 1]])
    3.0
    >>> top_bottom_ratio([1, 2]) is None
    True
    """
    return _halves(values, axis=-2)


def dead_pixel_fraction(dead: npt.ArrayLike) -> float | None:
    """Return the share of True cells, 0 to 1; None for an empty map.

    Examples
    --------
    >>> dead_pixel_fraction([[False, True], [True, True]])
    0.75
    """
    mask = np.asarray(dead, dtype=bool)
    return int(np.count_nonzero(mask)) / mask.size if mask.size else None


def dead_ranges(dead: npt.ArrayLike) -> tuple[Ranges, Ranges]:
    """Return the rows and the columns that are dead throughout, as (first, last) index ranges.

    Parameters
    ----------
    dead
        Boolean map, True where a pixel is dead. Columns run along the last axis, rows along the
        one before it.

    Returns
    -------
    tuple
        Ranges of rows, ranges of columns; both ends belong to a range. No rows for a 1-D map.

    Examples
    --------
    >>> dead_ranges([[False, True, True, False, True], [False, True, True, False, True]])
    ((), ((1, 2), (4, 4)))
    >>> dead_ranges([[False, False], [True, True]])
    (((1, 1),), ())
    """
    mask = np.asarray(dead, dtype=bool)
    if mask.size == 0:
        return (), ()
    return _dead_along(mask, axis=-2), _dead_along(mask, axis=-1)


def _dead_along(mask: npt.NDArray[np.bool_], axis: int) -> Ranges:
    if mask.ndim < -axis:
        return ()
    kept = mask.ndim + axis
    line = mask.all(axis=tuple(other for other in range(mask.ndim) if other != kept))
    steps = np.diff(np.concatenate(([False], line, [False])).astype(np.int8))
    starts = np.flatnonzero(steps == 1).tolist()
    stops = np.flatnonzero(steps == -1).tolist()
    return tuple((first, stop - 1) for first, stop in zip(starts, stops, strict=True))


def _halves(values: npt.ArrayLike, axis: int) -> float | None:
    grid = _grid(values)
    if grid is None or grid.ndim < -axis:
        return None
    kept = grid.ndim + axis
    with np.errstate(over="ignore", invalid="ignore"):
        line = grid.sum(axis=tuple(other for other in range(grid.ndim) if other != kept))
    if not np.isfinite(line).all():
        return None
    half, odd = divmod(line.shape[0], 2)
    middle = [float(line[half]) / 2] if odd else []
    # fsum rounds once whatever the order, so that a mirror-symmetric map gives exactly 1.
    first = _exact_sum([*line[:half].tolist(), *middle])
    second = _exact_sum([*line[line.shape[0] - half :].tolist(), *middle])
    return _ratio(first, second)


def _exact_sum(numbers: list[float]) -> float:
    try:
        return math.fsum(numbers)
    except OverflowError:
        return math.inf


def _grid(values: npt.ArrayLike) -> npt.NDArray[np.float64] | None:
    grid = np.ascontiguousarray(values, dtype=np.float64)
    return grid if grid.size and np.ndim(values) else None


def _depth(shape: tuple[int, ...]) -> int:
    return max(1, round(min(shape) / BORDER_SHARE))


def _middle(length: int, depth: int) -> slice:
    width = depth if (length - depth) % 2 == 0 else depth + 1
    first = (length - width) // 2
    return slice(first, first + width)


def _ends(length: int, depth: int) -> tuple[slice, slice]:
    return slice(0, depth), slice(length - depth, length)


def _mean_of_blocks(
    grid: npt.NDArray[np.float64], blocks: Iterable[tuple[slice, ...]]
) -> float | None:
    # Blocks of one kind hold equally many cells, so the mean of their means is the mean of all.
    with np.errstate(over="ignore", invalid="ignore"):
        means = [float(grid[block].mean()) for block in blocks]
    if not all(math.isfinite(mean) for mean in means):
        return None
    mean = _exact_sum(means) / len(means)
    return mean if math.isfinite(mean) else None


def _ratio(numerator: float | None, denominator: float | None) -> float | None:
    if numerator is None or not denominator:
        return None
    ratio = numerator / denominator
    return ratio if math.isfinite(ratio) else None
