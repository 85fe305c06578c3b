"""The part of a model before the tensor that a preview cuts it at: many pixels in one pass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from scotoma import adjoint
from scotoma.errors import MeasurementError
from scotoma.measure import planning
from scotoma.measure.boxes import Boxes
from scotoma.measure.plan import Plan, Variants
from scotoma.measure.prober import Prober
from scotoma.measure.tail import Cells
from scotoma.measure.trials import box_mismatch

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from scotoma.facts import Facts
    from scotoma.measure.cut import Cut
    from scotoma.measure.session import Session
    from scotoma.measure.setup import Setup
    from scotoma.measure.subject import Subject
    from scotoma.measure.tail import Tail

    Array = npt.NDArray[Any]
    Numbers = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]


class _Session:
    """The part of the model before the cut; runs like a session."""

    def __init__(self, facts: Facts, tensor: str) -> None:
        made = adjoint.build(facts.resolution, [tensor], [])
        self._runner = adjoint.Runner(made, threads=1)
        self._tensor = tensor

    def run(self, feed: Mapping[str, Array]) -> list[Array]:
        """Return the cut tensor."""
        return [self._runner.forward(feed).targets[self._tensor]]


def before(facts: Facts, setup: Setup, cut: Cut) -> Subject:
    """Return the same inputs with the cut tensor for a target."""
    session = cast("Session", _Session(facts, cut.tensor))
    answers = tuple(session.run(baseline.feed) for baseline in setup.subject.baselines[:1])
    if answers[0][0].shape != facts.shape(cut.tensor):
        raise MeasurementError(f"no hybrid map: '{cut.tensor}' has another shape when it is run")
    missing = (None,) * (len(setup.subject.baselines) - 1)
    return replace(setup.subject, session=session, answers=(*answers, *missing))


def planned(setup: Setup, head: Subject, cut: Cut, dead: Mask | None, seed: int) -> Plan:
    """Return the passes of the part before the cut.

    Raises
    ------
    MeasurementError
        If pixels do not answer together as they do alone.
    """
    chosen = planning.make(
        head.lattice,
        resolution="full",
        reaches=[[reach] for reach in cut.reach],
        walk=None,
        skipped=dead,
        variants=Variants(len(head.baselines), setup.channels, setup.signs),
        seed=seed,
    )
    boxes = Boxes((cut.reach,))
    if (why := box_mismatch(Prober(head, boxes), boxes, chosen)) is not None:
        raise MeasurementError(f"no hybrid map: up to '{cut.tensor}' {why}")
    return chosen


@dataclass(slots=True, eq=False)
class Moved:
    """What was seen behind the cut when pixels moved; grows input by input and pass by pass."""

    responses: Numbers
    """Influence, (inputs, *places)."""
    done: npt.NDArray[np.int64]
    """Inputs that each place has been moved on, shape of the places."""
    changed: Mask
    """Places that changed the cut tensor on some input."""
    planned: int
    """Passes that there will have been in the end."""
    passes: int = 0
    interrupted: bool = False
    """Ctrl-C ended it early."""

    @property
    def inputs(self) -> int:
        """Inputs that count: those on which every place was moved, or else the first."""
        return max(1, int(self.done.min()))

    @property
    def known(self) -> Mask:
        """Places that were moved on all of these inputs."""
        return np.asarray(self.done >= self.inputs)


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """A model that was cut."""

    head: Subject
    tail: Tail
    dead: Mask | None
    """Places that no plan holds, because their influence is known to be zero; None: none."""


def move(setup: Setup, chosen: Plan, parts: Parts, until: float | None) -> Moved:
    """Move every place of a plan on every input; Ctrl-C ends it, and what is known is kept.

    Parameters
    ----------
    until
        When it must be done, in seconds of `time.perf_counter`; None: no matter when.

    Raises
    ------
    MeasurementError
        If a number is not finite, or there is not enough time.
    """
    head, tail = parts.head, parts.tail
    places, inputs = head.lattice.shape, len(head.baselines)
    done = np.zeros(places, np.int64)
    if parts.dead is not None:
        done[parts.dead] = inputs
    responses = np.zeros((inputs, *places))
    found = Moved(responses, done, np.zeros(places, bool), chosen.passes)
    try:
        for number in range(inputs):
            cells = Cells(tail, tail.by_cell(setup, number))
            _move_on(head, chosen, cells, number, found, until)
    except KeyboardInterrupt:
        if not found.passes:
            raise
        found.interrupted = True
    if not np.isfinite(found.responses).all():
        raise MeasurementError(
            f"'{tail.cut.tensor}' is not finite once pixels are perturbed: try a smaller delta"
        )
    return found


def _move_on(
    head: Subject, chosen: Plan, cells: Cells, number: int, found: Moved, until: float | None
) -> None:
    """Move every place on one input."""
    prober = Prober(head, None)
    before = head.answer(number)[0]
    span = abs(head.extremes[number].span)
    began = perf_counter()
    for index in range(len(chosen)):
        unit = chosen.unit(index)
        at = np.ix_(*unit.positions)
        values, touched, low, passes = [], np.zeros((), bool), before, 0
        for probe in (item for item in chosen.probes(index) if item.input == number):
            after = prober.run_alone(number, unit, probe)[0]
            passes += 1
            if probe.sign < 0:
                low = after
                continue
            influence, seen = cells.influence(before=low, after=after, at=unit.positions)
            values.append(influence / span)
            touched = touched | seen
        found.responses[number][at] = np.mean(values, axis=0)
        found.changed[at] |= touched
        found.done[at] += 1
        found.passes += passes
        if index == 0 and number == 0:
            _require_time(until, (perf_counter() - began) * len(chosen) * len(found.responses))


def _require_time(until: float | None, seconds: float) -> None:
    if until is not None and perf_counter() + seconds > until:
        raise MeasurementError(
            f"no hybrid map: it would take about {seconds:.0f} s, more than the budget leaves"
        )
