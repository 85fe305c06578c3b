"""The border of a map against its interior, ring by ring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scotoma.metrics.maps import as_map, border_depth, ratio

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.metrics.maps import Mask


def border_distance(shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Return how many cells lie between each cell and the nearest border, 0 at the border.

    Examples
    --------
    >>> border_distance((3, 4)).tolist()
    [[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """
    distance = np.full(shape, np.iinfo(np.int64).max)
    for axis, length in enumerate(shape):
        steps = np.arange(length)
        line = np.minimum(steps, steps[::-1])
        wide = line.reshape([-1 if other == axis else 1 for other in range(len(shape))])
        distance = np.minimum(distance, wide)
    return distance


def interior_start(shape: tuple[int, ...]) -> int:
    """Return the ring at which the interior begins: a quarter of the shorter axis, at least 1.

    Examples
    --------
    >>> interior_start((28, 40)), interior_start((3, 3))
    (7, 1)
    """
    return max(1, min(shape) // 4)


def interior(shape: tuple[int, ...]) -> Mask:
    """Return which cells are interior: as far from the border as `interior_start`."""
    mask: Mask = border_distance(shape) >= interior_start(shape)
    return mask


def ring_profile(values: npt.ArrayLike) -> tuple[float | None, ...]:
    """Return the mean of every ring over the mean of the interior, the outermost ring first.

    A ring holds the cells at one distance from the border; the last one given is the first of
    the interior. Each ratio is at least 0: 0 where the ring has no weight, 1 where it weighs as
    much as the interior. Empty where there is no interior (an axis shorter than 3).

    Examples
    --------
    One 3x3 convolution of ones with same padding on 4x4: the ring has 4 corners of 4 and 8 edges
    of 6, the interior 9.

    >>> ring_profile([[4, 6, 6, 4], [6, 9, 9, 6], [6, 9, 9, 6], [4, 6, 6, 4]]) == (64 / 108, 1.0)
    True
    """
    grid = as_map(values)
    if grid is None or min(grid.shape) < 3:
        return ()
    distance = border_distance(grid.shape)
    first = interior_start(grid.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        inner = float(grid[distance >= first].mean())
        rings = [float(grid[distance == ring].mean()) for ring in range(first + 1)]
    return tuple(_finite_ratio(ring, inner) for ring in rings)


def border_over_interior(values: npt.ArrayLike) -> float | None:
    """Return the mean of the border, ``b`` cells deep, over the mean of the interior.

    None where there is no interior, or it has no weight.

    Examples
    --------
    >>> border_over_interior([[1, 1, 1], [1, 4, 1], [1, 1, 1]])
    0.25
    """
    grid = as_map(values)
    if grid is None or min(grid.shape) < 3:
        return None
    distance = border_distance(grid.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        outer = float(grid[distance < border_depth(grid.shape)].mean())
        inner = float(grid[distance >= interior_start(grid.shape)].mean())
    return _finite_ratio(outer, inner)


def _finite_ratio(numerator: float, denominator: float) -> float | None:
    if not (np.isfinite(numerator) and np.isfinite(denominator)):
        return None
    return ratio(numerator, denominator)
