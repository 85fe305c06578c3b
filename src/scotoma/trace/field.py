"""The receptive field of a grid of cells, exact for every phase of its period, along one axis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import gcd, lcm

MAX_PERIOD = 4096
"""A longer period (chains of odd resize ratios) is given up: the receptive field is unknown."""
MAX_STEPS = 1 << 20
"""Most taps that one composition may look at."""

Interval = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Field:
    """What the cells of an axis read of the input image, borders of the image ignored.

    Cell ``q * period + phase`` reads the input pixels ``first[phase] + q * advance`` to
    ``last[phase] + q * advance``, both included; ``first > last`` marks a phase that reads
    nothing. Without upsampling the period is 1; the phases of an upsampled grid differ.

    Examples
    --------
    >>> pixels = Field.of_pixels()
    >>> stem = pixels.window(kernel=7, stride=2, dilation=1, pad_begin=3)
    >>> stem.size, stem.effective_stride, stem.centre
    (7, Fraction(2, 1), Fraction(0, 1))
    """

    advance: int
    period: int
    first: tuple[int, ...]
    last: tuple[int, ...]

    @staticmethod
    def of_pixels() -> Field:
        """Return the field of the image itself: every cell reads its own pixel."""
        return Field(1, 1, (0,), (0,))

    @property
    def size(self) -> int | None:
        """Receptive field in pixels: the widest of the phases; None if no phase reads anything."""
        if self.period == 1:
            width = self.last[0] - self.first[0] + 1
            return width if width > 0 else None
        widths = [b - a + 1 for a, b in zip(self.first, self.last, strict=True) if b >= a]
        return max(widths, default=None)

    @property
    def effective_stride(self) -> Fraction:
        """Input pixels from one cell to the next."""
        return Fraction(self.advance, self.period)

    @property
    def centre(self) -> Fraction | None:
        """Pixel coordinate of the middle of the first cell's receptive field.

        The mean over the phases of one period, each moved back to cell 0: half-pixel shifts of
        upsampling cancel as they do on the image. Equals the recursion
        ``centre += ((kernel - 1) * dilation / 2 - pad_begin) * stride`` of Araujo et al. (2019).
        """
        if self.period == 1:
            first, last = self.first[0], self.last[0]
            return Fraction(first + last, 2) if last >= first else None
        middles = [
            Fraction(a + b, 2) - self.effective_stride * phase
            for phase, (a, b) in enumerate(zip(self.first, self.last, strict=True))
            if b >= a
        ]
        return sum(middles, Fraction(0)) / len(middles) if middles else None

    def at(self, cell: int) -> Interval:
        """Return the first and last pixel that a cell reads; any integer is a cell."""
        q, phase = divmod(cell, self.period)
        return self.first[phase] + q * self.advance, self.last[phase] + q * self.advance

    def window(self, kernel: int, stride: int, dilation: int, pad_begin: int) -> Field | None:
        """Return the field of a window that slides over these cells; None if out of reach."""
        period = self.period // gcd(self.period, abs(stride))
        ends = (0, (kernel - 1) * dilation) if self._monotone() else None
        if ends is None and kernel * period > MAX_STEPS:
            return None
        offsets = ends or range(0, (kernel - 1) * dilation + 1, dilation)
        return self.compose(
            period, stride * period, lambda o: (o * stride - pad_begin + t for t in offsets)
        )

    def transposed(self, kernel: int, stride: int, dilation: int, pad_begin: int) -> Field | None:
        """Return the field of a window whose cell i writes i*stride - pad_begin + t*dilation."""
        period = self.period * stride
        if period > MAX_PERIOD or period * kernel > MAX_STEPS:
            return None

        def sources(o: int) -> Iterator[int]:
            for t in range(kernel):
                i, rest = divmod(o + pad_begin - t * dilation, stride)
                if rest == 0:
                    yield i

        return self.compose(period, self.period, sources)

    def compose(
        self, period: int, moved: int, reads: Callable[[int], Iterable[int]]
    ) -> Field | None:
        """Return the field of a grid whose cell ``o`` reads the cells ``reads(o)`` of this one.

        Parameters
        ----------
        period
            Cells of the new grid after which the pattern repeats.
        moved
            Cells of this grid that one period of the new grid advances; a multiple of `period`.
        """
        if period > MAX_PERIOD or moved % self.period:
            return None
        first, last = _hulls(lambda o: map(self.at, reads(o)), period)
        return _reduced(self.advance * (moved // self.period), period, first, last)

    def hull(self, other: Field) -> Field | None:
        """Return the smallest field that covers both; None where the effective strides differ."""
        if self == other:
            return self
        if self.effective_stride != other.effective_stride:
            return None
        period = lcm(self.period, other.period)
        if period > MAX_PERIOD:
            return None
        first, last = _hulls(lambda o: (self.at(o), other.at(o)), period)
        return _reduced(self.advance * (period // self.period), period, first, last)

    def around(self, other: Field, size: int) -> Field | None:
        """Return the hull of two fields of different effective strides, exact for `size` cells.

        Beyond them the stride of the wider one goes on, so the caller says so.
        """
        middle = size // 2
        wide = max(self, other, key=lambda f: f.at(middle)[1] - f.at(middle)[0])
        return wide.listed(size, wide.effective_stride, lambda o: (self.at(o), other.at(o)))

    def listed(
        self, size: int, stride: Fraction, spans: Callable[[int], Iterable[Interval]]
    ) -> Field | None:
        """Return a field that lists the intervals of `size` cells, for want of a short period."""
        if not 0 < size <= MAX_PERIOD:
            return None
        first, last = _hulls(spans, size)
        return Field(round(stride * size), size, first, last)

    def of_cells(
        self, size: int, stride: Fraction, reads: Callable[[int], Iterable[int]]
    ) -> Field | None:
        """Return the field of `size` cells of which each reads the cells ``reads(o)`` of this one.

        For patterns whose period is too long to keep; exact for the cells that exist.
        """
        return self.listed(size, stride, lambda o: map(self.at, reads(o)))

    def width(self, cell: int) -> int | None:
        """Return the receptive field of one cell in pixels; None if it reads nothing."""
        first, last = self.at(cell)
        return last - first + 1 if last >= first else None

    def _monotone(self) -> bool:
        """Tell whether later cells never read earlier pixels, so that the end taps decide."""
        if self.period == 1:
            return self.first[0] <= self.last[0]
        if self.advance < 0 or any(a > b for a, b in zip(self.first, self.last, strict=True)):
            return False
        firsts = (*self.first, self.first[0] + self.advance)
        lasts = (*self.last, self.last[0] + self.advance)
        return all(x <= y for s in (firsts, lasts) for x, y in pairwise(s))


def _hulls(
    spans: Callable[[int], Iterable[Interval]], count: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the first and last pixels of the hulls of some intervals; 1 and 0 for nothing."""
    first, last = [], []
    for o in range(count):
        real = [span for span in spans(o) if span[0] <= span[1]]
        first.append(min((a for a, _ in real), default=1))
        last.append(max((b for _, b in real), default=0))
    return tuple(first), tuple(last)


def _reduced(advance: int, period: int, first: tuple[int, ...], last: tuple[int, ...]) -> Field:
    """Build a field with the shortest period that says the same."""
    for divisor in _divisors(period):
        times = period // divisor
        if advance % times:
            continue
        step = advance // times
        if all(
            (first[o] > last[o]) == (first[o - divisor] > last[o - divisor])
            and (
                first[o] > last[o]
                or (first[o] == first[o - divisor] + step and last[o] == last[o - divisor] + step)
            )
            for o in range(divisor, period)
        ):
            return Field(step, divisor, first[:divisor], last[:divisor])
    return Field(advance, period, first, last)


def _divisors(n: int) -> list[int]:
    """Return the proper divisors of n, ascending."""
    return [d for d in range(1, n // 2 + 1) if n % d == 0]
