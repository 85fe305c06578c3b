"""Which cells of an input axis each cell of an output axis reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from scotoma.trace.field import Field

if TYPE_CHECKING:
    from scotoma.resolve.window import Window


class Taps(Enum):
    """Which taps of a window a random walk may choose."""

    ALL = "all"
    """Convolutions: a tap on padding absorbs the walk."""
    REAL = "real"
    """Pools that leave padding out."""
    PADDED = "padded"
    """Average pools with count_include_pad: declared padding counts, what lies beyond does not."""


@dataclass(frozen=True, slots=True)
class WindowMap:
    """A sliding window: tap ``t`` of output ``o`` reads ``o*stride - pad_begin + t*dilation``.

    `transposed` exchanges the roles: input ``i`` writes ``i*stride - pad_begin + t*dilation``.
    """

    kernel: int
    stride: int
    dilation: int
    pad_begin: int
    size_in: int
    size_out: int
    transposed: bool = False
    taps: Taps = Taps.ALL
    pad_end: int = 0

    @staticmethod
    def of(window: Window, taps: Taps = Taps.ALL) -> WindowMap:
        """Build the map of a resolved window."""
        return WindowMap(
            window.kernel, window.stride, window.dilation, window.pad_begin,
            window.size_in, window.size_out, window.transposed, taps, window.pad_end,
        )  # fmt: skip

    @staticmethod
    def slice(start: int, step: int, size_in: int, size_out: int) -> WindowMap:
        """Build the map of a slice with a positive step; `start` may be negative (padding)."""
        return WindowMap(1, step, 1, -start, size_in, size_out)

    def field(self, field: Field) -> Field | None:
        """Return the receptive field behind the map, from that of its input."""
        if self.transposed:
            return field.transposed(self.kernel, self.stride, self.dilation, self.pad_begin)
        return field.window(self.kernel, self.stride, self.dilation, self.pad_begin)

    @property
    def rate(self) -> Fraction:
        """Input cells from one output to the next."""
        return Fraction(1, self.stride) if self.transposed else Fraction(self.stride)

    def reads(self, o: int) -> Iterable[int]:
        """Return the input cells that output o reads, those beyond the borders included."""
        if not self.transposed:
            start = o * self.stride - self.pad_begin
            return range(start, start + self.kernel * self.dilation, self.dilation)
        ends = (o + self.pad_begin - t * self.dilation for t in range(self.kernel))
        return (end // self.stride for end in ends if end % self.stride == 0)

    def real_taps(self) -> np.ndarray:
        """Return how many taps of each output fall on real input cells, shape (size_out,)."""
        if self.transposed:
            first = np.arange(self.size_out) + self.pad_begin
            return self._hits(first, -self.dilation)
        return self._in_range(0, self.size_in)

    def padded_taps(self) -> np.ndarray:
        """Return how many taps fall on real cells or declared padding, shape (size_out,)."""
        return self._in_range(-self.pad_begin, self.size_in + self.pad_end)

    def _in_range(self, low: int, high: int) -> np.ndarray:
        """Count the taps of each output with ``low <= index < high``."""
        start = np.arange(self.size_out) * self.stride - self.pad_begin
        below = np.clip(-((start - low) // self.dilation), 0, self.kernel)
        until = np.clip(-((start - high) // self.dilation), 0, self.kernel)
        return until - below

    def _hits(self, first: np.ndarray, step: int) -> np.ndarray:
        """Count, for a transposed window, the taps that meet an input cell of each output."""
        count = np.zeros(self.size_out, np.int64)
        for t in range(min(self.kernel, max(self.size_out + self.pad_begin, 0))):
            i, rest = np.divmod(first + t * step, self.stride)
            count += (rest == 0) & (i >= 0) & (i < self.size_in)
        return count

    @property
    def begin(self) -> int:
        """Output cells before the one that reads input cell 0, where the map is a plain shift."""
        return self.pad_begin

    @property
    def identity(self) -> bool:
        """Every output reads just the input at its own place."""
        return (
            self.kernel == 1
            and self.stride == 1
            and self.pad_begin == 0
            and self.size_in == self.size_out
        )


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """The periodic rule behind a table of taps, away from the borders of the image."""

    period: int
    moved: int
    reads: Callable[[int], Sequence[int]]


@dataclass(frozen=True, slots=True, eq=False)
class TapsMap:
    """An explicit table: output ``outputs[j]`` reads input ``inputs[j]``, for every j."""

    outputs: np.ndarray
    inputs: np.ndarray
    size_in: int
    size_out: int
    pattern: Pattern | None = None
    """None: no rule is known, so neither is the receptive field."""

    @staticmethod
    def of_table(table: np.ndarray, size_in: int, pattern: Pattern | None = None) -> TapsMap:
        """Build the map in which output o reads input ``table[o]``, nothing where that is -1."""
        outputs = np.flatnonzero(table >= 0)
        return TapsMap(outputs, table[outputs], size_in, len(table), pattern or _pattern(table))

    @property
    def rate(self) -> Fraction:
        """Input cells from one output to the next."""
        if self.pattern is None:
            return Fraction(self.size_in, max(self.size_out, 1))
        return Fraction(self.pattern.moved, self.pattern.period)

    @property
    def begin(self) -> int:
        """Output cells before the one that reads input cell 0 by the pattern; 0 if unknown."""
        if self.pattern is None or self.rate != 1:
            return 0
        return -min(self.pattern.reads(0), default=0)

    def reads(self, o: int) -> Iterable[int]:
        """Return the input cells that output o reads."""
        if self.pattern is not None:
            return self.pattern.reads(o)
        return (int(i) for i in self.inputs[self.outputs == o])

    def field(self, field: Field) -> Field | None:
        """Return the receptive field behind the map, from that of its input."""
        if self.pattern is None:
            return None
        p = self.pattern
        times = field.period // np.gcd(field.period, p.moved or 1)
        return field.compose(p.period * int(times), p.moved * int(times), p.reads)

    def real_taps(self) -> np.ndarray:
        """Return how many taps each output has, shape (size_out,)."""
        return np.bincount(self.outputs, minlength=self.size_out)


def _pattern(table: np.ndarray) -> Pattern | None:
    """Find the rule ``table[o + period] == table[o] + moved`` of an increasing table, if any."""
    real = np.flatnonzero(table >= 0)
    if len(real) < 2 or len(table) > 1 << 16:
        return None
    # Borders may deviate (reflection, clamping): the middle half decides.
    low, high = len(table) // 4, len(table) - len(table) // 4
    middle = table[low:high]
    if len(middle) < 2 or (middle < 0).any():
        return None
    for period in range(1, len(middle) // 2 + 1):
        moves = middle[period:] - middle[:-period]
        if moves[0] > 0 and (moves == moves[0]).all():
            moved = int(moves[0])
            base = [int(v) for v in middle[:period]]

            return Pattern(period, moved, partial(_periodic, base, low, moved))
    return None


def _periodic(base: Sequence[int], low: int, moved: int, o: int) -> Sequence[int]:
    """Continue a table that repeats `base`, found at output `low`, `moved` cells on each time."""
    q, phase = divmod(o - low, len(base))
    return (base[phase] + q * moved,)


IndexMap = WindowMap | TapsMap
