"""Compares input sizes: what the model leaves unread, uneven or off centre at each, best first.

Facts along each axis follow for every size from arithmetic on the windows; the most promising
sizes are resolved, traced and swept as well, as many as a budget allows. A square image stays
square while both its axes are alike; otherwise each axis has its own best sizes, and what is
compared combines them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

from scotoma.errors import UsageError
from scotoma.evidence.strided import strided_layers
from scotoma.sizes.candidates import Arithmetic, AxisFacts, Candidate
from scotoma.sizes.explore import Explorer
from scotoma.sizes.merit import Problem, merit, problems
from scotoma.sizes.ranges import axis_limits, distance, wanted_size

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.sizes.ranges import LeftOut, Limits, Size

BUDGET = 100_000
"""Operators that are followed at all sizes together, larger images counting more."""
SHARES = 4
"""So many budgets are shared by the sizes to be deployed."""
MAX_DEPLOYED = 64
"""Sizes to be deployed at most."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """A size that the model is to run at."""

    candidate: Candidate
    problems: tuple[Problem, ...]
    better: Candidate | None
    """The best size around it, the nearest of several; None where none is better."""


@dataclass(frozen=True, slots=True)
class Survey:
    """The input sizes that were compared."""

    current: Size
    around: Size
    candidates: tuple[Candidate, ...]
    """The best first; the current size is among them."""
    strided: frozenset[str] = frozenset()
    """The strided layers on the image's path."""
    axes: tuple[tuple[AxisFacts, ...], ...] = ()
    """By axis of the image, what arithmetic says of each size along it, the smallest first."""
    combined: bool = False
    """Whether the axes are not alike, so that their best lengths were combined."""
    left_out: tuple[LeftOut, ...] = ()
    """Sizes that were not compared, because nobody should choose them."""
    deployed: tuple[Deployed, ...] = ()


def survey(
    facts: Facts,
    *,
    around: Sequence[int] | None = None,
    limits: Sequence[Limits] | None = None,
    deploy: Iterable[Sequence[int]] = (),
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    budget: int | None = BUDGET,
) -> Survey:
    """Compare input sizes of a model.

    Parameters
    ----------
    facts
        The model at its current size.
    around
        The wanted size, one number or one per spatial axis: of equally good sizes the nearest
        comes first. None: the current size.
    limits
        Smallest and largest size, of all axes or of each; None: `ranges.REACH` below and above
        the wanted one.
    deploy
        Sizes that the model is to run at. Each is examined, and the best one around it is found.
    input_shapes
        Shapes that the caller gave to inputs, by name; the examined input's own gets other sizes.
    budget
        How many operators may be looked at, and as many again around each of the first `SHARES`
        sizes to be deployed, less where there are more of them; None: every size is examined.

    Raises
    ------
    UsageError
        If the numbers do not fit the image, or there would be too many sizes.
    """
    current = facts.image_size
    if facts.geometry is None:
        return Survey(current, current, ())
    wanted = wanted_size(current, around)
    reach = axis_limits(wanted, limits)
    targets = _targets(current, deploy)
    reaches = [axis_limits(size) for size in targets]
    lengths = [
        {n for each in (reach, *reaches) for n in range(each[axis][0], each[axis][1] + 1)}
        | {size[axis] for size in (current, *targets)}
        for axis in range(len(current))
    ]
    arithmetic = Arithmetic(facts, lengths)
    explorer = Explorer(facts, arithmetic, input_shapes or {}, budget)
    sizes = explorer.sizes(wanted, reach)
    explorer.examine_all(sizes, wanted)
    found = [explorer.known(size) for size in dict.fromkeys([*sizes, current])]
    marked = [replace(c, current=True) if c.size == current else c for c in found]
    strided = frozenset(layer.operator.name for layer in strided_layers(facts))
    share = inf if budget is None else budget * min(1, SHARES / max(1, len(targets)))
    order = {operator.name: place for place, operator in enumerate(facts.operators)}
    return Survey(
        current,
        wanted,
        tuple(
            sorted(
                marked,
                key=lambda c: (
                    # Nobody should choose what most likely is refused.
                    explorer.doubtful(c.size),
                    *merit(c),
                    *distance(c.size, wanted),
                ),
            )
        ),
        strided,
        tuple(
            tuple(known[n] for n in range(low, high + 1))
            for known, (low, high) in zip(arithmetic.axes, reach, strict=True)
        ),
        len(explorer.units(wanted, reach)) > 1,
        tuple(explorer.left_out(wanted, reach)),
        tuple(
            _deployed(explorer, size, each, share, strided, order)
            for size, each in zip(targets, reaches, strict=True)
        ),
    )


def _targets(current: Size, deploy: Iterable[Sequence[int]]) -> list[Size]:
    """Return the sizes to be deployed, each once."""
    targets = list(dict.fromkeys(wanted_size(current, size) for size in deploy))
    if len(targets) > MAX_DEPLOYED:
        raise UsageError(f"{len(targets)} sizes to be deployed are more than {MAX_DEPLOYED}")
    return targets


def _deployed(
    explorer: Explorer,
    size: Size,
    limits: Sequence[Limits],
    budget: float,
    strided: frozenset[str],
    order: Mapping[str, int],
) -> Deployed:
    """Return a size that the model is to run at, and the best one around it."""
    candidate = explorer.examined(size, free=True)
    explorer.budget = budget
    best = explorer.best(size, limits)
    better = best if best is not None and merit(best) < merit(candidate) else None
    return Deployed(candidate, problems(candidate, strided, order), better)
