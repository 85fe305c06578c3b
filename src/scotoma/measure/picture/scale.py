"""Colour scales, and maps reduced to the pixels that a picture has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Map = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

LOG_FROM = 300.0
"""Largest over smallest positive value from which a logarithmic scale is used."""
PEAKS = 0.002
"""Share of the values that a linear scale leaves out at the top, where they stand far above."""
FEW = 1000
"""Values below which none is left out."""
TINY = 1e-280
"""Least upper end of a scale: matplotlib widens shorter ones."""
LOG_ALSO_FROM = 30.0
"""The same beside a map with a logarithmic scale."""
LOG_DECADES = 6
"""Decades below the largest value that a logarithmic scale shows."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The range of values that colours stand for."""

    low: float
    high: float
    log: bool
    clipped: bool
    """Some live values lie below the range."""
    peaks: bool = False
    """A few live values lie above it."""

    def norm(self) -> Any:
        """Return it as matplotlib wants it."""
        from matplotlib.colors import LogNorm, Normalize  # noqa: PLC0415  slow to import

        return LogNorm(self.low, self.high) if self.log else Normalize(self.low, self.high)


def wants_log(*maps: Map) -> tuple[bool, ...]:
    """Return for each of some maps whether it needs a logarithmic scale.

    One map that spans so much that a linear scale would hide most gives all of them one, but for
    those that span little: their scale would have no marks.

    Examples
    --------
    >>> wants_log(np.array([1.0, 1000.0]), np.array([1.0, 50.0]), np.array([1.0, 3.0]))
    (True, True, False)
    >>> wants_log(np.array([0.0, 5.0, 100.0]))
    (False,)
    """
    spans = [_decades(values) for values in maps]
    wide = max(spans, default=0.0) > np.log10(LOG_FROM)
    return tuple(bool(wide and span > np.log10(LOG_ALSO_FROM)) for span in spans)


def _decades(values: Map) -> float:
    positive = values[values > 0]
    if not positive.size:
        return 0.0
    # Subtracted as logarithms: the quotient of a subnormal number would leave float64.
    return float(np.log10(positive.max()) - np.log10(positive.min()))


def scale(values: Map, *, log: bool) -> Scale:
    """Return the scale of some live values.

    Examples
    --------
    >>> scale(np.array([2.0, 8.0]), log=False)
    Scale(low=0.0, high=8.0, log=False, clipped=False, peaks=False)
    >>> scale(np.array([1e-9, 1e3]), log=True)
    Scale(low=0.001, high=1000.0, log=True, clipped=True, peaks=False)
    """
    positive = values[values > 0]
    if not positive.size:
        return Scale(0.0, 1.0, log=False, clipped=False)
    top, least = max(float(positive.max()), TINY), float(positive.min())
    if not log or least >= top or top == TINY:
        usual = float(np.quantile(positive, 1 - PEAKS)) if positive.size >= FEW else top
        peaks = top > 1.3 * usual
        return Scale(0.0, usual if peaks else top, log=False, clipped=False, peaks=peaks)
    low = max(least, TINY, top * 10.0**-LOG_DECADES)
    return Scale(low, top, log=True, clipped=least < low or positive.size < values.size)


def factors(shape: Sequence[int], dots: Sequence[float]) -> tuple[int, ...]:
    """Return how many pixels along each axis share a cell of the picture.

    Examples
    --------
    >>> factors((224, 2000), (500, 500))
    (1, 4)
    """
    return tuple(
        max(1, -(-length // max(1, int(room)))) for length, room in zip(shape, dots, strict=True)
    )


def mean_of_cells(values: Map, hidden: Mask, by: Sequence[int]) -> tuple[Map, Mask]:
    """Return the mean over the visible pixels of each cell, and which cells have none.

    Examples
    --------
    >>> mean_of_cells(np.array([1.0, 3.0, 5.0]), np.array([False, False, True]), [2])
    (array([2., 0.]), array([False,  True]))
    """
    counts = _sums((~hidden).astype(np.float64), by)
    sums = _sums(np.where(hidden, 0.0, values), by)
    return np.divide(sums, counts, out=np.zeros(sums.shape), where=counts > 0), counts == 0


def any_of_cells(mask: Mask, by: Sequence[int]) -> Mask:
    """Return the cells that hold a True pixel: a single dead row stays visible."""
    found: Mask = _sums(mask.astype(np.float64), by) > 0
    return found


def _sums(values: Map, by: Sequence[int]) -> Map:
    for axis, step in enumerate(by):
        if step > 1:
            starts = np.arange(0, values.shape[axis], step)
            values = np.add.reduceat(values, starts, axis=axis)
    return values
