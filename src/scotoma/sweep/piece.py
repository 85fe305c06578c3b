"""What arrives at a tensor in a sweep: an array, or the lines whose product it is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import is_
from typing import TYPE_CHECKING

import numpy as np

from scotoma.sweep.along import Semiring
from scotoma.sweep.pull import most_taps, pull, pull_steps

if TYPE_CHECKING:
    from scotoma.sweep.along import Array
    from scotoma.sweep.pull import Steps
    from scotoma.trace.layout import Layout
    from scotoma.trace.reading import Reading

    Lines = tuple[Array, ...]
    """One line per axis; the array is their outer product."""

LARGE = 2.0**512
"""A path count above this is scaled down, with the exponent kept beside it."""
EXACT = 2.0**53
"""Up to here counts are exact in float64, so that it does not matter how they are added."""


class Piece:
    """An array that arrives at a tensor.

    Before any branches join it is a product of lines, one per axis, over which windows slide much
    faster.
    """

    __slots__ = ("_array", "exponent", "figure", "lines")

    def __init__(
        self,
        array: Array | None,
        exponent: int = 0,
        figure: float | None = None,
        lines: Lines = (),
    ) -> None:
        self._array = array
        self.exponent = exponent
        """The values are to be multiplied by ``2 ** exponent``."""
        self.figure = figure
        """Of counts a bound that no value exceeds, of a walk the sum; None: not known yet."""
        self.lines = lines
        """Empty: the array itself is kept."""

    @classmethod
    def constant(cls, shape: tuple[int, ...], value: float | bool) -> Piece:
        """Return an array of one value: True, or a count."""
        kind = bool if value is True else np.float64
        if not shape or value > EXACT:
            return cls(np.full(shape, value, kind))
        first, *others = shape
        lines = np.full(first, value, kind), *(np.ones(size, kind) for size in others)
        return cls(None, 0, float(value), lines)

    @classmethod
    def of(cls, start: Array | Piece) -> Piece:
        """Return the piece that a sweep starts with."""
        if isinstance(start, Piece):
            return start
        full = start.dtype == bool and start.all()
        return cls.constant(start.shape, value=True) if full else cls(start)

    @property
    def array(self) -> Array:
        """The array itself."""
        if self._array is None:
            self._array = reduce(np.multiply.outer, self.lines)
        return self._array

    @property
    def is_full(self) -> bool:
        """Whether no value is 0 or False."""
        return all(line.all() for line in self.lines or (self.array,))

    def sum(self) -> float:
        """Return the sum of a walk's array."""
        if self.figure is None:
            self.figure = float(np.add.reduce(self.array, axis=None))
        return self.figure

    def scale_down(self) -> None:
        """Scale a count array down where it grows out of range."""
        if self.figure is not None and self.figure <= LARGE:
            return
        peak = float(self.array.max(initial=0.0))
        if peak > LARGE:
            shift = int(np.frexp(peak)[1])
            self._array, self.exponent = np.ldexp(self.array, -shift), self.exponent + shift
            self.lines, peak = (), 1.0
        self.figure = peak

    def through(self, steps: Steps, semiring: Semiring) -> Piece:
        """Return what a count's or a reachability's array says of the tensor behind some maps."""
        bound = None
        if semiring is Semiring.COUNT and self.figure is not None:
            bound = self.figure
            for _, slide in steps:
                bound *= most_taps(slide)
        if self.lines and (semiring is Semiring.REACH or (bound is not None and bound <= EXACT)):
            lines = list(self.lines)
            for position, slide in steps:
                lines[position] = pull_steps(((0, slide),), lines[position], semiring)
            return Piece(None, self.exponent, bound, tuple(lines))
        return Piece(pull_steps(steps, self.array, semiring), self.exponent, bound)


def add(pieces: dict[str, Piece], name: str, piece: Piece, semiring: Semiring) -> None:
    """Add a contribution to what arrived at a tensor, aligning exponents."""
    old = pieces.get(name)
    if old is None:
        pieces[name] = piece
    elif semiring is Semiring.REACH:
        if not (old.lines and piece.lines and all(map(is_, old.lines, piece.lines))):
            pieces[name] = Piece(old.array | piece.array)
    else:
        pieces[name] = _sum(old, piece, semiring)


def _sum(old: Piece, piece: Piece, semiring: Semiring) -> Piece:
    """Return the sum of two contributions."""
    top, bound = old.exponent, None
    known = semiring is Semiring.COUNT and old.exponent == piece.exponent
    if known and old.figure is not None and piece.figure is not None:
        bound = old.figure + piece.figure
    one, two = old.array, piece.array
    if old.exponent != piece.exponent:
        top = max(old.exponent, piece.exponent)
        if old.exponent != top:
            one = np.ldexp(one, old.exponent - top)
        if piece.exponent != top:
            two = np.ldexp(two, piece.exponent - top)
    return Piece(one + two, top, bound)


def pulled_pieces(
    readings: list[tuple[Reading, Steps | None]],
    total: int,
    layout: Layout,
    piece: Piece,
    semiring: Semiring,
) -> Iterator[tuple[str, Piece]]:
    """Yield what an array says of every tensor that is read, with the tensor's name.

    Parameters
    ----------
    readings
        The readings that count, with what they come down to.
    total
        The sum of their shares.
    layout
        Of the array's tensor.
    """
    for reading, steps in readings:
        if steps is not None and semiring is not Semiring.WALK:
            yield reading.tensor, piece.through(steps, semiring)
            continue
        given = piece.array
        if semiring is Semiring.WALK and reading.share is not None and reading.share != total:
            given = given * (reading.share / total)
        if steps is None:
            pulled = pull(reading, layout, given, semiring)
        else:
            pulled = pull_steps(steps, given, semiring)
        yield reading.tensor, Piece(pulled, piece.exponent)
