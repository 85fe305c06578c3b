"""Even grids of samples over the pixels: the centre pixel of every cell."""

from __future__ import annotations

from math import prod

import numpy as np
import numpy.typing as npt


def centres(length: int, count: int) -> npt.NDArray[np.int64]:
    """Return the centres of `count` even cells of an axis, the first of two middle pixels.

    Examples
    --------
    >>> centres(10, 3).tolist()
    [1, 4, 7]
    >>> centres(2, 5).tolist()
    [0, 1]
    """
    count = min(count, length)
    edges = np.arange(count + 1) * length // count
    return (edges[:-1] + edges[1:] - 1) // 2


def coarse_to_fine(shape: tuple[int, ...], seed: int) -> npt.NDArray[np.int64]:
    """Return all cells of a grid as flat indices, spread evenly from the first ones on.

    Every level halves the sides of the strata; a stratum without a sample gets a random one of
    its cells. So each level is a jittered grid: one sample in each stratum, uniform in it. More
    cells than `MOST_SHUFFLED` come row by row.

    Examples
    --------
    >>> order = coarse_to_fine((4, 4), 0)
    >>> sorted(order.tolist()) == list(range(16))
    True
    >>> sorted(2 * (cell // 8) + cell % 4 // 2 for cell in order[:4].tolist())
    [0, 1, 2, 3]
    """
    size = prod(shape)
    if size > MOST_SHUFFLED:
        return np.arange(size)
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(size)
    backwards = np.arange(size)[::-1]
    level = np.full(size, LEVELS, np.int8)
    places = np.unravel_index(shuffled, shape)
    side = float(max(shape, default=1))
    for number in range(LEVELS):
        stratum = np.zeros(size, np.int64)
        strata = 1
        for place, length in zip(places, shape, strict=True):
            count = max(1, round(length / side))
            stratum = stratum * count + place * count // length
            strata *= count
        if strata >= min(size, MOST_STRATA):
            break
        # The first of a stratum in the shuffled order is its sample on every finer level too.
        first = np.full(strata, -1)
        first[stratum[::-1]] = backwards  # of several the last one written stays
        first = first[first >= 0]
        level[first] = np.minimum(level[first], number)
        side /= 2
    return shuffled[np.argsort(level, kind="stable")]


LEVELS = 30
MOST_SHUFFLED = 1 << 22
MOST_STRATA = 1 << 18
"""From this many strata on the cells that are left follow in random order."""
