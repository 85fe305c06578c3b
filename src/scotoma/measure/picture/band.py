"""A line that goes up and down too often to be drawn: its running mean within its envelope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Line = npt.NDArray[np.float64]

MOST_TURNS = 10
"""A line that turns more often than this in an inch is no longer a line to the eye."""
LEAST_STEP = 0.02
"""A turn between smaller steps, relative to the highest value, is not seen."""
WINDOW = 0.2
"""Inches over which mean and envelope are taken: wider than a period that cannot be seen."""


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """What is drawn of such a line; every array has its length."""

    mean: Line
    low: Line
    high: Line


def band(line: Line, inches: float) -> Band | None:
    """Return the band of a line that is drawn over so many inches; None where it needs none.

    Near its ends a window holds what there is of the line.

    Examples
    --------
    >>> found = band(np.array([2.0, 1.0] * 100), 2.0)
    >>> [float(line[50]) for line in (found.low, found.mean.round(3), found.high)]
    [1.0, 1.524, 2.0]
    >>> band(np.array([2.0, 1.0] * 4), 2.0) is None, band(np.arange(200.0), 2.0) is None
    (True, True)
    """
    if not len(line) or not np.isfinite(line).all() or _turns(line) <= MOST_TURNS * inches:
        return None
    reach = max(1, round(WINDOW * len(line) / inches / 2))
    padded = np.pad(line, reach, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    return Band(np.nanmean(windows, -1), np.nanmin(windows, -1), np.nanmax(windows, -1))


def _turns(line: Line) -> int:
    """Return how often a line turns from rising to falling or back, steps too small left out."""
    steps = np.diff(line)
    steps = steps[np.abs(steps) > LEAST_STEP * np.abs(line).max()]
    return int(np.count_nonzero(np.diff(np.sign(steps))))
