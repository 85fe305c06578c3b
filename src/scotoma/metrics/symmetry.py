"""How far a map differs from itself turned by half a turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scotoma.metrics.maps import finite_map

if TYPE_CHECKING:
    import numpy.typing as npt


def point_asymmetry(values: npt.ArrayLike, probed: npt.ArrayLike | None = None) -> float | None:
    """Return ``max |M - turned M| / max M``, the map turned by 180° (a signal reversed).

    Dimensionless, 0 to 1: 0 where every pixel weighs as much as the one opposite the centre, 1
    where the strongest pixel is opposite a dead one. None for a map without weight.

    Parameters
    ----------
    probed
        True where the map is known; only pairs of known pixels are compared, so that the figure
        is a lower bound. None where there is no such pair.

    Examples
    --------
    >>> point_asymmetry([[1, 2], [2, 1]]), point_asymmetry([[4, 2], [2, 1]])
    (0.0, 0.75)
    """
    known = None if probed is None else np.asarray(probed, dtype=bool)
    raw = np.asarray(values, dtype=np.float64)
    grid = finite_map(raw if known is None else np.where(known, raw, 0.0))
    if grid is None:
        return None
    gaps = np.abs(grid - np.flip(grid))
    if known is not None:
        pairs = known & np.flip(known)
        if not pairs.any():
            return None
        gaps = gaps[pairs]
    return float(gaps.max() / grid.max())
