"""Dead pixels: their share, and the rows and columns that are dead throughout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.metrics.maps import Mask

    Ranges = tuple[tuple[int, int], ...]


def dead_pixel_fraction(dead: npt.ArrayLike) -> float | None:
    """Return the share of True cells, 0 to 1; None for an empty map.

    Examples
    --------
    >>> dead_pixel_fraction([[False, True], [True, True]])
    0.75
    """
    mask = np.asarray(dead, dtype=bool)
    return int(np.count_nonzero(mask)) / mask.size if mask.size else None


def dead_ranges(dead: npt.ArrayLike, probed: npt.ArrayLike | None = None) -> tuple[Ranges, Ranges]:
    """Return the rows and the columns that are dead throughout, as (first, last) index ranges.

    Parameters
    ----------
    dead
        Boolean map, True where a pixel is dead. Columns run along the last axis, rows along the
        one before it.
    probed
        Boolean map, True where it is known whether a pixel is dead; None: everywhere. A row then
        counts where some of its pixels are known and all of these are dead.

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
    >>> dead_ranges([[True, False], [True, False]], [[True, True], [False, False]])
    ((), ((0, 0),))
    """
    mask = np.asarray(dead, dtype=bool)
    if mask.size == 0:
        return (), ()
    known = None if probed is None else np.asarray(probed, dtype=bool)
    return _dead_along(mask, known, axis=-2), _dead_along(mask, known, axis=-1)


def _dead_along(mask: Mask, known: Mask | None, axis: int) -> Ranges:
    if mask.ndim < -axis:
        return ()
    kept = mask.ndim + axis
    others = tuple(other for other in range(mask.ndim) if other != kept)
    if known is None:
        line = mask.all(axis=others)
    else:
        line = (mask | ~known).all(axis=others) & known.any(axis=others)
    steps = np.diff(np.concatenate(([False], line, [False])).astype(np.int8))
    starts = np.flatnonzero(steps == 1).tolist()
    stops = np.flatnonzero(steps == -1).tolist()
    return tuple((first, stop - 1) for first, stop in zip(starts, stops, strict=True))
