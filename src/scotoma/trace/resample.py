"""The taps of Resize and Upsample along one axis, from exact coordinates.

Coordinates follow the ONNX operator specification of Resize; every transformation is a rational
line ``(slope * output + offset) / unit`` in integers, so that zero weights are exact. Which cell is
nearest is taken from `scotoma.trace.nearest`: there a rounding decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm
from typing import TYPE_CHECKING

import numpy as np

from scotoma.trace.index_map import Pattern, TapsMap
from scotoma.trace.nearest import coordinates, copied

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Cells = NDArray[np.int64]

MAX_OUTPUTS = 1 << 16
MAX_DENOMINATOR = 1 << 12
"""A float scale is taken for the simplest fraction it can mean."""


@dataclass(frozen=True, slots=True)
class Resampling:
    """How one axis is resized."""

    size_in: int
    size_out: int
    scale: Fraction
    """Output cells per input cell."""
    mode: str
    """``nearest``, ``linear`` or ``cubic``."""
    transformation: str
    nearest_mode: str = "round_prefer_floor"
    antialias: bool = False
    exclude_outside: bool = False

    @property
    def line(self) -> tuple[int, int, int] | None:
        """The input coordinate of output o is ``(slope*o + offset) / unit``; None: not known."""
        inverse = 1 / self.scale
        half = Fraction(1, 2)
        slope, offset = inverse, Fraction(0)
        match self.transformation:
            case "half_pixel":
                offset = half * inverse - half
            case "pytorch_half_pixel":
                if self.size_out > 1:
                    offset = half * inverse - half
                else:
                    slope = Fraction(0)
            case "half_pixel_symmetric":
                adjustment = Fraction(self.size_out) / (self.scale * self.size_in)
                offset = Fraction(self.size_in, 2) * (1 - adjustment) + half * inverse - half
            case "align_corners":
                slope = (
                    Fraction(self.size_in - 1, self.size_out - 1)
                    if self.size_out > 1
                    else Fraction(0)
                )
            case "asymmetric":
                pass
            case "tf_half_pixel_for_nn":
                offset = half * inverse
            case _:
                return None
        unit = lcm(slope.denominator, offset.denominator)
        return int(slope * unit), int(offset * unit), unit

    @property
    def shift(self) -> Fraction | None:
        """Offset of the sampled coordinates from those of aligned pixel edges, in input cells.

        Zero for half_pixel; the mean over the output cells for align_corners, which is zero too.
        """
        if (line := self.line) is None:
            return None
        slope, offset, unit = line
        middle = Fraction(self.size_out - 1, 2)
        here = Fraction(slope, unit) * middle + Fraction(offset, unit)
        if self.transformation in {"align_corners", "half_pixel_symmetric"}:
            return here - Fraction(self.size_in - 1, 2)
        ideal = (middle + Fraction(1, 2)) / self.scale - Fraction(1, 2)
        return here - ideal

    @property
    def mean_shift(self) -> Fraction | None:
        """How far the cells that are read lie beyond the place of the output, in input cells.

        The mean over one period of the pattern (over all outputs where it is longer), borders
        ignored; positive: content is read too far towards the end and moves towards the begin.
        For nearest it is that of the chosen cells, for all other modes that of the coordinates.
        """
        if self.mode != "nearest" or (line := self.line) is None:
            return self.shift
        slope, offset, unit = line
        if self.transformation in {"align_corners", "half_pixel_symmetric"}:
            count = self.size_out
        else:
            count = min(unit // gcd(slope, unit) if slope else 1, self.size_out)
        count = min(count, MAX_OUTPUTS)
        # What rounding adds to the coordinates, on top of where they lie.
        read = sum(_rounded(slope * o + offset, unit, self.nearest_mode) for o in range(count))
        exact = Fraction(slope * count * (count - 1) // 2 + offset * count, unit)
        shift = self.shift
        return None if shift is None else shift + (read - exact) / count


def simplest(scale: float, size_in: int, size_out: int) -> Fraction:
    """Return the fraction that a float32 scale stands for.

    Examples
    --------
    >>> simplest(1.7142857313156128, 7, 12)
    Fraction(12, 7)
    """
    exact = Fraction(scale)
    by_sizes = Fraction(size_out, size_in)
    if np.float32(float(by_sizes)) == np.float32(scale):
        return by_sizes
    guess = exact.limit_denominator(MAX_DENOMINATOR)
    return guess if np.float32(float(guess)) == np.float32(scale) else exact


def taps(resampling: Resampling) -> TapsMap | None:
    """Return the map of a resize along one axis; None where it cannot be told."""
    line = resampling.line
    if line is None or resampling.size_out > MAX_OUTPUTS or max(line) > 1 << 40:
        return None
    table = _table(resampling, line)
    if table is None:
        return None
    slope, _, unit = line
    common = gcd(slope, unit) if slope else unit
    pattern = (
        Pattern(unit // common, slope // common, lambda o: _read(resampling, line, o, clamp=False))
        if slope
        else None
    )
    return TapsMap(*table, resampling.size_in, resampling.size_out, pattern)


def _table(r: Resampling, line: tuple[int, int, int]) -> tuple[Cells, Cells] | None:
    """Return outputs and the cells that they read, pair by pair; None where that is unknown."""
    if r.mode == "nearest":
        places = coordinates(r)
        cells = None if places is None else copied(r, places)
        return None if cells is None else (np.arange(r.size_out), cells)
    rows: list[int] = []
    columns: list[int] = []
    for o in range(r.size_out):
        for i in _read(r, line, o, clamp=True):
            rows.append(o)
            columns.append(i)
    return np.array(rows, np.int64), np.array(columns, np.int64)


def _read(r: Resampling, line: tuple[int, int, int], o: int, *, clamp: bool) -> Sequence[int]:
    """Return the input cells that output o reads with a weight other than zero."""
    slope, offset, unit = line
    x = slope * o + offset
    last = r.size_in - 1
    if r.antialias and r.mode != "nearest" and r.scale < 1:
        return _antialiased(r, Fraction(x, unit), clamp=clamp)
    if r.mode == "nearest":
        return (_rounded(x, unit, r.nearest_mode),)  # the rule behind the table, without its ties
    if r.mode == "linear":
        if clamp:
            x = min(max(x, 0), last * unit)
        i, rest = divmod(x, unit)
        return (i, i + 1) if rest else (i,)
    i, rest = divmod(x, unit)
    cells = range(i - 1, i + 3) if rest else range(i, i + 1)
    if not clamp:
        return cells
    if r.exclude_outside:
        return [c for c in cells if 0 <= c <= last]
    return [min(max(c, 0), last) for c in cells]


def _antialiased(r: Resampling, x: Fraction, *, clamp: bool) -> Sequence[int]:
    """Return the cells under a filter stretched by the scale; the border stands in for outside."""
    support = (1 if r.mode == "linear" else 2) / r.scale
    low, high = x - support, x + support
    cells: Sequence[int] = range(low.__floor__() + 1, high.__ceil__())
    if r.mode == "cubic":
        # The cubic filter is zero half-way to its ends.
        cells = [c for c in cells if abs(c - x) * r.scale != 1]
    if not clamp:
        return cells
    last = r.size_in - 1
    if r.exclude_outside:
        return [c for c in cells if 0 <= c <= last]
    return [min(max(c, 0), last) for c in cells]


def _rounded(x: int, unit: int, mode: str) -> int:
    """Round ``x / unit`` as Resize's nearest_mode says."""
    match mode:
        case "floor":
            return x // unit
        case "ceil":
            return -(-x // unit)
        case "round_prefer_ceil":
            return (2 * x + unit) // (2 * unit)
        case _:
            return -((-2 * x + unit) // (2 * unit))
