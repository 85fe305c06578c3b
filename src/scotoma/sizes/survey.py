"""Compares input sizes: what the model leaves unread, uneven or off centre at each, best first.

Per-axis facts of every size come from arithmetic on the windows; the most promising sizes are
resolved, traced and swept as well, as many as a budget allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf, prod
from typing import TYPE_CHECKING

from scotoma.errors import UsageError
from scotoma.evidence.strided import strided_layers
from scotoma.sizes.candidates import Candidate, by_arithmetic, examine, examined_at

if TYPE_CHECKING:
    from scotoma.facts import Facts

    Size = tuple[int, ...]

REACH = 64
"""Pixels below and above the wanted size that are compared unless a range is given."""
MAX_SIZES = 1025
"""A range of more sizes is refused."""
BUDGET = 100_000
"""Operators that are followed at all sizes together, larger images counting more."""
CELLS_PER_STEP = 1 << 16
"""So many pixels double the price of an operator."""


@dataclass(frozen=True, slots=True)
class Survey:
    """The input sizes that were compared."""

    current: Size
    around: Size
    candidates: tuple[Candidate, ...]
    """The best first; the current size is among them."""
    strided: frozenset[str] = field(default_factory=frozenset)
    """The strided layers on the image's path."""


def survey(
    facts: Facts,
    *,
    around: Sequence[int] | None = None,
    limits: tuple[int, int] | None = None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    budget: int | None = BUDGET,
) -> Survey:
    """Compare input sizes of a model.

    A square image stays square. Otherwise, and with the time axis of a clip or the depth of a
    volume, the axes keep their differences; see `sizes_around`.

    Parameters
    ----------
    facts
        The model at its current size.
    around
        The wanted size, one number or one per spatial axis: of equally good sizes the nearest
        comes first. None: the current size.
    limits
        Smallest and largest size; None: `REACH` below and above the wanted one.
    input_shapes
        Shapes that the caller gave to inputs, by name; the examined input's own gets other sizes.
    budget
        How many operators may be looked at; None: every size is examined.

    Raises
    ------
    UsageError
        If the numbers do not fit the image, or there would be too many sizes or none.
    """
    current = facts.image_size
    if facts.geometry is None:
        return Survey(current, current, ())
    wanted = _wanted(current, around)
    sizes = sizes_around(wanted, limits)
    guesses = {c.size: c for c in by_arithmetic(facts, [*sizes, current])}
    guesses[current] = examined_at(facts, facts, guesses[current])

    def nearness(candidate: Candidate) -> tuple[float, ...]:
        distances = (abs(a - b) for a, b in zip(candidate.size, wanted, strict=True))
        return (max(distances), *candidate.size)

    left = inf if budget is None else budget
    for guess in sorted(guesses.values(), key=lambda c: (*_merit(c), *nearness(c))):
        if guess.size == current:
            continue
        left -= len(facts.operators) * (1 + prod(guess.size) / CELLS_PER_STEP)
        if left < 0:
            break
        guesses[guess.size] = examine(facts, guess, input_shapes or {})
    guesses[current] = replace(guesses[current], current=True)
    ranked = sorted(guesses.values(), key=lambda c: (*_merit(c), *nearness(c)))
    strided = frozenset(layer.operator.name for layer in strided_layers(facts))
    return Survey(current, wanted, tuple(ranked), strided)


def sizes_around(wanted: Size, limits: tuple[int, int] | None = None) -> list[Size]:
    """Return the sizes to compare: all axes move together.

    Of three axes and more only those move that are as long as the last one: the plane.

    Parameters
    ----------
    wanted
        One number per spatial axis.
    limits
        Smallest and largest size of the first axis that moves; None: `REACH` below and above.

    Raises
    ------
    UsageError
        If there are more than `MAX_SIZES`, or none.

    Examples
    --------
    >>> sizes_around((480, 640), (479, 481))
    [(479, 639), (480, 640), (481, 641)]
    >>> sizes_around((16, 112, 112), (112, 113))
    [(16, 112, 112), (16, 113, 113)]
    """
    moving = _moving(wanted)
    start = wanted[moving.index(True)]
    low, high = (max(1, start - REACH), start + REACH) if limits is None else limits
    if high - low + 1 > MAX_SIZES:
        raise UsageError(f"{low} to {high} are more than {MAX_SIZES} sizes")
    moved = (
        tuple(n + step if moves else n for n, moves in zip(wanted, moving, strict=True))
        for step in range(low - start, high - start + 1)
    )
    found = [size for size in moved if min(size) > 0]
    if not found:
        raise UsageError(f"there is no size from {low} to {high} around {_times(wanted)}")
    return found


def _merit(candidate: Candidate) -> tuple[float, ...]:
    """Return a sort key, the best size first: what is lost counts more than what is crooked."""
    accepted = candidate.accepted
    group = 1 if accepted is None else 0 if accepted else 2
    uneven, phantoms = candidate.uneven, candidate.phantoms
    offset = candidate.centre_offset
    return (
        group,
        not all(axis.fits for axis in candidate.axes),
        inf if candidate.dead_local is None else candidate.dead_local,
        inf if candidate.dead is None else candidate.dead,
        inf if phantoms is None else len(phantoms),
        inf if uneven is None else len(uneven),
        inf if offset is None else float(abs(offset)),
    )


def _wanted(current: Size, around: Sequence[int] | None) -> Size:
    """Return the wanted size of every axis; one number stands for all that move."""
    if around is None:
        return current
    if len(around) == 1:
        moves = [True] * len(current) if len(current) < 3 else _moving(current)
        return tuple(around[0] if m else n for n, m in zip(current, moves, strict=True))
    if len(around) != len(current):
        raise UsageError(
            f"{_times(around)} gives {len(around)} numbers, the image has {len(current)} axes"
        )
    return tuple(around)


def _moving(size: Size) -> list[bool]:
    return [len(size) < 3 or n == size[-1] for n in size]


def _times(size: Sequence[int]) -> str:
    return "x".join(map(str, size))
