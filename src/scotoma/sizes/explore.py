"""Finds the input sizes that are worth a look and looks at them, until a budget is spent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, product
from math import inf, isfinite, prod
from typing import TYPE_CHECKING

from scotoma.sizes.candidates import Arithmetic, Candidate
from scotoma.sizes.examine import examine, examined_at, screen
from scotoma.sizes.merit import MEASURED, merit, merit_along
from scotoma.sizes.ranges import LeftOut, distance, together, with_axes

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.sizes.ranges import Limits, Size

SCREENED = 400_000
"""Operators whose sizes alone are followed, at all sizes together."""
CELLS_PER_STEP = 1 << 16
"""So many pixels double the price of an operator."""
COMBINED = 128
"""About so many sizes are made of the best ones along single axes."""
FEW = 4
"""The same, where only the very best one is wanted."""


class Explorer:
    """Examines sizes of a model, each once.

    Parameters
    ----------
    facts
        The model at its current size.
    arithmetic
        What follows for all sizes that may be asked for.
    input_shapes
        Shapes that the caller gave to inputs, by name.
    budget
        How many operators may be looked at; None: as many as there are.
    """

    def __init__(
        self,
        facts: Facts,
        arithmetic: Arithmetic,
        input_shapes: Mapping[str, Sequence[int]],
        budget: float | None,
    ) -> None:
        self._facts = facts
        self._arithmetic = arithmetic
        self._input_shapes = input_shapes
        self.budget = inf if budget is None else budget
        here = facts.image_size
        self._guesses: dict[Size, Candidate] = {}
        self._known = {here: examined_at(facts, facts, self.guess(here))}
        self._screened: dict[Size, bool | None] = {here: self._known[here].accepted}
        self._refused: set[Size] = set()
        """What refused sizes leave when they are divided by the total stride."""
        self._refused_along: set[tuple[int, int]] = set()
        """Total strides with what lengths leave that were refused with the others as now."""

    def guess(self, size: Size) -> Candidate:
        """Return what arithmetic says of a size."""
        if size not in self._guesses:
            self._guesses[size] = self._arithmetic.candidate(size)
        return self._guesses[size]

    def known(self, size: Size) -> Candidate:
        """Return what is known of a size so far."""
        return self._known.get(size) or self.guess(size)

    def examined(self, size: Size, *, free: bool = False) -> Candidate:
        """Return what is known of a size after it was examined, if the budget allows it.

        Parameters
        ----------
        free
            It is not counted, because the caller asked for just this size.
        """
        self.accepts(size)
        if size in self._known:
            return self._known[size]
        steps = len(self._facts.operators)
        pixels = steps * prod(size) / CELLS_PER_STEP
        if not free:
            self.budget -= steps + pixels
            if self.budget < 0:
                return self.guess(size)
        found = examine(self._facts, self.guess(size), self._input_shapes)
        if found.accepted is False and not free:  # then no pixel was followed
            self.budget += pixels
        self._keep(found)
        return found

    def accepts(self, size: Size) -> bool | None:
        """Tell whether the graph accepts a size, as far as that is known without examining it."""
        if size not in self._screened:
            if (len(self._screened) + 1) * len(self._facts.operators) > SCREENED:
                return None
            self._screened[size], found = screen(self._facts, self.guess(size))
            self._guesses[size] = replace(self.guess(size), runs=self._screened[size])
            if found.examined:
                self._keep(found)
        return self._screened[size]

    def _keep(self, found: Candidate) -> None:
        """Take note of what is known of a size now."""
        if found.accepted is False:
            self._refused.add(self._rest(found.size))
        self._known[found.size] = found
        self._screened[found.size] = found.accepted

    def _rest(self, size: Size) -> Size:
        return tuple(n % stride for n, stride in zip(size, self._arithmetic.strides, strict=True))

    def doubtful(self, size: Size) -> bool:
        """Tell whether a size of which nothing is known resembles one that was refused."""
        unknown = size not in self._known and not self._screened.get(size)
        return unknown and self._rest(size) in self._refused

    def in_turn(self, sizes: Iterable[Size]) -> Iterator[Size]:
        """Yield sizes in their order, those that resemble refused ones last.

        What skip connections cannot join at one size they cannot join a total stride further on.
        """
        later = []
        for size in sizes:
            if self.doubtful(size):
                later.append(size)
            else:
                yield size
        yield from later

    def promising(self, sizes: Iterable[Size], wanted: Size) -> list[Size]:
        """Return sizes by what arithmetic says of them, the best first."""
        return sorted(
            sizes, key=lambda size: (*merit(self.guess(size))[1:], *distance(size, wanted))
        )

    def examine_all(self, sizes: Iterable[Size], wanted: Size) -> None:
        """Examine sizes, the most promising first, until the budget is spent.

        What the graph refuses for certain is sorted out first, so that nothing is spent on it.
        """
        sizes = list(sizes)
        for size in sizes:
            self.accepts(size)
        for size in self.in_turn(self.promising(sizes, wanted)):
            self.examined(size)
            if self.budget < 0:
                return

    def best(self, wanted: Size, limits: Sequence[Limits]) -> Candidate | None:
        """Return the best size within limits that the graph accepts, the nearest of several.

        Looks no further than needed, and None if it finds none within the budget.
        """
        found = []
        for size in self.in_turn(self.promising(self.sizes(wanted, limits, FEW), wanted)):
            candidate = self.examined(size)
            if candidate.accepted:
                found.append(candidate)
                # Arithmetic told all but the dead pixels, so that what follows is no better.
                told = merit(self.guess(size))[MEASURED:]
                right = told == merit(candidate)[MEASURED:] and all(map(isfinite, told))
                if right and candidate.dead == candidate.dead_local == 0:
                    break
            if self.budget < 0:
                break
        return min(found, key=lambda c: (*merit(c), *distance(c.size, wanted)), default=None)

    def sizes(self, wanted: Size, limits: Sequence[Limits], combined: int = COMBINED) -> list[Size]:
        """Return the sizes to compare within limits; those that are too small are left out.

        Axes that are equally long and alike stay equally long. Otherwise the best sizes along
        each axis are combined; if that is one size, it stands beside those that were refused.
        """
        groups, units = together(wanted, limits), self.units(wanted, limits)
        if not units:
            return [wanted]
        if len(units) == 1:
            return self._line(units[0], wanted, limits)
        count = max(2, int(combined ** (1 / len(units))))
        columns = [self._best_along(unit, wanted, limits, count) for unit in units]
        found = []
        for lengths in product(*columns):
            size = wanted
            for unit, length in zip(units, lengths, strict=True):
                size = with_axes(size, unit, length)
            found.append(size)
        if len(groups) == 1:
            found += self._line(groups[0], wanted, limits)
        if len(found) == 1:
            lines = (self._line(unit, self._facts.image_size, limits) for unit in units)
            found += (size for line in lines for size in line)
        return list(dict.fromkeys(found))

    def left_out(self, wanted: Size, limits: Sequence[Limits]) -> Iterator[LeftOut]:
        """Yield the lengths that `sizes` leaves out, with the reason."""
        for unit in self.units(wanted, limits):
            low, high = limits[unit[0]]
            known = self._arithmetic.axes[unit[0]]
            for reason, run in groupby(range(low, high + 1), key=lambda n: known[n].too_small):
                if reason is not None:
                    lengths = list(run)
                    yield LeftOut(unit, lengths[0], lengths[-1], reason)

    def units(self, wanted: Size, limits: Sequence[Limits]) -> list[tuple[int, ...]]:
        """Return the axes that move: those that are alike at all sizes together, others alone."""
        found: list[tuple[int, ...]] = []
        for group in together(wanted, limits):
            low, high = limits[group[0]]
            first, *others = (self._arithmetic.axes[axis] for axis in group)
            alike = all(other[n] == first[n] for other in others for n in range(low, high + 1))
            found += [group] if alike else [(axis,) for axis in group]
        return found

    def _line(self, unit: tuple[int, ...], base: Size, limits: Sequence[Limits]) -> list[Size]:
        """Return the sizes that differ along one unit only."""
        low, high = limits[unit[0]]
        axes = [self._arithmetic.axes[axis] for axis in unit]
        return [
            with_axes(base, unit, n)
            for n in range(low, high + 1)
            if not any(axis[n].too_small for axis in axes)
        ]

    def _best_along(
        self, unit: tuple[int, ...], wanted: Size, limits: Sequence[Limits], count: int
    ) -> list[int]:
        """Return the best lengths along a unit that the graph accepts with the others as now."""
        axis = unit[0]
        line = sorted(
            self._line(unit, self._facts.image_size, limits),
            key=lambda size: (
                *merit_along(self.guess(size), axis), abs(size[axis] - wanted[axis]), size[axis],
            ),
        )  # fmt: skip
        stride = self._arithmetic.strides[axis]
        # What one side cannot have, the other most likely cannot have either.
        line.sort(key=lambda size: (stride, size[axis] % stride) in self._refused_along)
        found: list[int] = []
        spare = self.budget / 2  # for the sizes that are made of the best lengths
        for size in self.in_turn(line):
            if found and self.budget < spare:
                break
            accepted = self.accepts(size) or self.examined(size).accepted
            if accepted or (accepted is None and self.budget >= 0):
                found.append(size[axis])
            elif accepted is False:
                self._refused_along.add((stride, size[axis] % stride))
            if len(found) == count:
                break
        return found or [size[axis] for size in line[:count]]
