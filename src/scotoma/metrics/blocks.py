"""Means over blocks of a map: its centre, corners, edges and halves, and their ratios."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from scotoma.metrics.maps import as_map, border_depth, exact_sum, marginal, ratio

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    Block = tuple[slice, ...]


def centre_blocks(shape: tuple[int, ...]) -> list[Block]:
    """Return the central block, ``c`` cells wide along each axis."""
    depth = border_depth(shape)
    return [tuple(_middle(length, depth) for length in shape)]


def corner_blocks(shape: tuple[int, ...]) -> list[Block]:
    """Return the blocks of ``b`` cells per axis in the corners."""
    depth = border_depth(shape)
    return list(itertools.product(*(_ends(length, depth) for length in shape)))


def edge_blocks(shape: tuple[int, ...]) -> list[Block]:
    """Return the blocks at the middle of each side, ``b`` deep and ``c`` wide."""
    depth = border_depth(shape)
    middles = tuple(_middle(length, depth) for length in shape)
    return [
        (*middles[:axis], end, *middles[axis + 1 :])
        for axis, length in enumerate(shape)
        for end in _ends(length, depth)
    ]


def centre_mean(values: npt.ArrayLike) -> float | None:
    """Return the mean over the central block, in the map's own unit; None for an empty map.

    Examples
    --------
    >>> centre_mean([[0, 0, 0], [0, 9, 0], [0, 0, 0]])
    9.0
    >>> centre_mean([[0, 0, 0, 0], [0, 1, 3, 0], [0, 5, 7, 0], [0, 0, 0, 0]])
    4.0
    """
    grid = as_map(values)
    if grid is None:
        return None
    return _mean_of_blocks(grid, centre_blocks(grid.shape))


def corner_mean(values: npt.ArrayLike) -> float | None:
    """Return the mean over the corner blocks of ``b`` cells per axis (both ends of a 1-D map).

    Examples
    --------
    >>> corner_mean([[1, 9, 2], [9, 9, 9], [3, 9, 4]])
    2.5
    """
    grid = as_map(values)
    if grid is None:
        return None
    return _mean_of_blocks(grid, corner_blocks(grid.shape))


def edge_mean(values: npt.ArrayLike) -> float | None:
    """Return the mean over the blocks at the middle of each side, ``b`` deep and ``c`` wide.

    In three dimensions a side is a face of the volume; in one it is an end of the signal, so that
    edge and corner are the same there.

    Examples
    --------
    >>> edge_mean([[9, 1, 9], [2, 9, 3], [9, 4, 9]])
    2.5
    """
    grid = as_map(values)
    if grid is None:
        return None
    return _mean_of_blocks(grid, edge_blocks(grid.shape))


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
    return ratio(corner_mean(values), centre_mean(values))


def edge_over_centre(values: npt.ArrayLike) -> float | None:
    """Return the mean at the middles of the sides over the mean of the central block.

    Examples
    --------
    >>> edge_over_centre([[0, 1, 0], [1, 4, 1], [0, 1, 0]])
    0.25
    """
    return ratio(edge_mean(values), centre_mean(values))


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


def _halves(values: npt.ArrayLike, axis: int) -> float | None:
    grid = as_map(values)
    if grid is None or grid.ndim < -axis:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        line = marginal(grid, grid.ndim + axis)
    if not np.isfinite(line).all():
        return None
    half, odd = divmod(line.shape[0], 2)
    middle = [float(line[half]) / 2] if odd else []
    # fsum rounds once whatever the order, so that a mirror-symmetric map gives exactly 1.
    first = exact_sum([*line[:half].tolist(), *middle])
    second = exact_sum([*line[line.shape[0] - half :].tolist(), *middle])
    return ratio(first, second)


def _middle(length: int, depth: int) -> slice:
    width = depth if (length - depth) % 2 == 0 else depth + 1
    first = (length - width) // 2
    return slice(first, first + width)


def _ends(length: int, depth: int) -> tuple[slice, slice]:
    return slice(0, depth), slice(length - depth, length)


def _mean_of_blocks(grid: npt.NDArray[np.float64], blocks: Iterable[Block]) -> float | None:
    # Blocks of one kind hold equally many cells, so the mean of their means is the mean of all.
    with np.errstate(over="ignore", invalid="ignore"):
        means = [float(grid[block].mean()) for block in blocks]
    if not all(math.isfinite(mean) for mean in means):
        return None
    mean = exact_sum(means) / len(means)
    return mean if math.isfinite(mean) else None
