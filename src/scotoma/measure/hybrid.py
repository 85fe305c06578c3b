"""Previews the map of a large step: exact changes of an early tensor, and a gradient from there on.

The part of the network before the tensor sees the step as it is, with many pixels in one pass; what
the tensor's change does to the target is taken as linear. So kinks before the cut are seen, those
behind it are not: a sample of pixels is perturbed through the whole model to tell the error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from scotoma import adjoint
from scotoma.errors import MeasurementError
from scotoma.measure import cut as cuts
from scotoma.measure import gradients, plan, stimuli
from scotoma.measure.boxes import Boxes, in_boxes
from scotoma.measure.campaign import Campaign
from scotoma.measure.gradients import NoGradientError
from scotoma.measure.influence import Influence, Preview
from scotoma.measure.perturb import carry_out, evidence, maps, work_of
from scotoma.measure.plan import Plan
from scotoma.measure.prober import Prober
from scotoma.measure.reach import Reach
from scotoma.measure.trials import box_mismatch, moves_together

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from scotoma.adjoint import Tape
    from scotoma.facts import Facts
    from scotoma.measure.cut import Cut
    from scotoma.measure.execute import Run
    from scotoma.measure.options import MeasureOptions
    from scotoma.measure.session import Session
    from scotoma.measure.setup import Setup
    from scotoma.measure.subject import Subject

    Array = npt.NDArray[Any]
    Numbers = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]
    Progress = Callable[[int, int], None]

SAMPLE = 48
"""Pixels that are perturbed through the whole model."""


def hybrid(
    facts: Facts,
    setup: Setup,
    options: MeasureOptions,
    start: float,
    progress: Progress | None = None,
) -> Influence:
    """Preview what each pixel does to the target when it is moved by a large step.

    The model is cut at the tensor that `scotoma.measure.cut.choose` finds. The influence of a pixel
    is the change of that tensor times the gradient of the functional by it, over the step; of
    ``l2`` the root of the sum, or for many elements of the mean over random cotangents, of its
    squares. Dead is only what was perturbed through the whole model without moving a bit.

    Parameters
    ----------
    start
        When the measurement began; the budget counts from here.

    Raises
    ------
    MeasurementError
        If there is no tensor to cut at, gradients cannot answer, pixels do not answer together as
        they do alone, or the budget is too small.
    """
    began = perf_counter()
    try:
        linear = _Linear.of(facts, setup, options.seed)
    except NoGradientError as error:
        raise MeasurementError(f"no hybrid map: {error}") from error
    dead, passes, notes = _proven(setup)
    head = _head(facts, setup, linear.cut)
    chosen = _plan(setup, head, linear.cut, dead, options.seed)
    until = None if options.seconds is None else start + options.seconds
    responses, changed = _responses(setup, head, chosen, linear, until)
    seconds = perf_counter() - began
    unchanged = ~changed & (True if dead is None else ~dead)
    if unchanged.any():
        passes += len(setup.subject.baselines) * len(setup.signs)
        if not moves_together(setup.subject, setup.signs, unchanged):
            dead = unchanged if dead is None else dead | unchanged
    ready = _sample(setup, options, dead, passes)
    run = carry_out(ready, setup, options, start, progress)
    preview = _compare(linear, chosen, responses, run, seconds)
    found = _Found(responses, preview, ready, run, notes)
    return _influence(facts, setup, options, found, start)


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """A map by input and place, how far it is off, and the sample that tells that."""

    responses: Numbers
    preview: Preview
    ready: Campaign
    run: Run
    notes: list[str]


@dataclass(frozen=True, slots=True, eq=False)
class _Linear:
    """The part of the model behind the cut, as gradients by the cut tensor."""

    cut: Cut
    runner: adjoint.Runner
    cotangents: int
    random: bool
    seed: int

    @classmethod
    def of(cls, facts: Facts, setup: Setup, seed: int) -> _Linear:
        """Cut the model and build the adjoint of what lies behind.

        Raises
        ------
        NoGradientError
            If there is no cut or no gradient.
        """
        quantiser = stimuli.quantiser(facts)
        if quantiser is not None:
            raise NoGradientError(
                f"'{quantiser.name}' ({quantiser.op_type}) rounds, and gradients do not see that"
            )
        count, random = gradients.directions(setup)
        cut = cuts.choose(facts, setup.target.tensors, setup.subject.lattice, count)
        if cut is None:
            raise NoGradientError(
                "no tensor on the way of all paths to the target lets pixels be moved together in"
                f" {cuts.MOST_PASSES} passes"
            )
        made = gradients.build(facts, setup.target.tensors, cut.tensor)
        return cls(cut, adjoint.Runner(made, threads=1), count, random, seed)

    def by_cell(self, setup: Setup, number: int) -> Numbers:
        """Return the gradients by the cut tensor for one input, (cotangents, *tensor)."""
        tape: Tape = self.runner.forward(setup.subject.baselines[number].feed)
        gradients.require_same(setup, number, tape)
        found = []
        given = gradients.cotangents(setup, number, self.cotangents, self.seed)
        for array in (array for counts, array in given if counts):
            found.append(gradients.back(setup, self.runner, tape, array)[self.cut.tensor][0])
            if not np.isfinite(found[-1]).all():
                raise MeasurementError("no hybrid map: a gradient is not finite")
        return np.stack(found)


class _Head:
    """The part of the model before the cut; runs like a session."""

    def __init__(self, facts: Facts, tensor: str) -> None:
        made = adjoint.build(facts.resolution, [tensor], [])
        self._runner = adjoint.Runner(made, threads=1)
        self._tensor = tensor

    def run(self, feed: Mapping[str, Array]) -> list[Array]:
        """Return the cut tensor."""
        return [self._runner.forward(feed).targets[self._tensor]]


def _head(facts: Facts, setup: Setup, cut: Cut) -> Subject:
    """Return the same inputs with the cut tensor for a target."""
    session = cast("Session", _Head(facts, cut.tensor))
    answers = tuple(session.run(baseline.feed) for baseline in setup.subject.baselines[:1])
    if answers[0][0].shape != facts.shape(cut.tensor):
        raise MeasurementError(f"no hybrid map: '{cut.tensor}' has another shape when it is run")
    missing = (None,) * (len(setup.subject.baselines) - 1)
    return replace(setup.subject, session=session, answers=(*answers, *missing))


def _proven(setup: Setup) -> tuple[Mask | None, int, list[str]]:
    """Perturb what has no path all at once; return it if nothing moves, the passes, what to say."""
    subject, structural = setup.subject, setup.structural
    dead = None if structural is None else subject.lattice.tiles(structural.dead)
    if dead is None or not dead.any():
        return None, 0, []
    passes = len(subject.baselines) * len(setup.signs)
    if not moves_together(subject, setup.signs, dead):
        return dead, passes, []
    said = (
        f"contradiction: {int(dead.sum()):,} places that the graph does not connect to the target"
        " changed it when they were perturbed together"
    )
    return None, passes, [said]


def _plan(setup: Setup, head: Subject, cut: Cut, dead: Mask | None, seed: int) -> Plan:
    """Return the passes of the part before the cut.

    Raises
    ------
    MeasurementError
        If pixels do not answer together as they do alone.
    """
    chosen = plan.make(
        head.lattice,
        resolution="full",
        reaches=[[reach] for reach in cut.reach],
        walk=None,
        skipped=dead,
        variants=plan.Variants(len(head.baselines), setup.channels, setup.signs),
        seed=seed,
    )
    boxes = Boxes((cut.reach,))
    if (why := box_mismatch(Prober(head, boxes), boxes, chosen)) is not None:
        raise MeasurementError(f"no hybrid map: up to '{cut.tensor}' {why}")
    return chosen


def _responses(
    setup: Setup,
    head: Subject,
    chosen: Plan,
    linear: _Linear,
    until: float | None,
) -> tuple[Numbers, Mask]:
    """Return the influence by input and place, and which places changed the cut tensor.

    Raises
    ------
    MeasurementError
        If a number is not finite, or there is not enough time.
    """
    places = head.lattice.shape
    responses: Numbers = np.zeros((len(head.baselines), *places))
    changed = np.zeros(places, bool)
    prober = Prober(head, None)
    for number in range(len(head.baselines)):
        cells = _Cells(linear, linear.by_cell(setup, number))
        before = head.answer(number)[0]
        span = abs(head.extremes[number].span)
        began = perf_counter()
        for index in range(len(chosen)):
            unit = chosen.unit(index)
            at = np.ix_(*unit.positions)
            found, low = [], before
            for probe in (item for item in chosen.probes(index) if item.input == number):
                after = prober.run_alone(number, unit, probe)[0]
                if probe.sign < 0:
                    low = after
                    continue
                influence, touched = cells.influence(before=low, after=after, at=unit.positions)
                found.append(influence / span)
                changed[at] |= touched
            responses[number][at] = np.mean(found, axis=0)
            if index == 0 and number == 0:
                _require_time(until, (perf_counter() - began) * len(chosen) * len(responses))
    if not np.isfinite(responses).all():
        raise MeasurementError(
            f"'{linear.cut.tensor}' is not finite once pixels are perturbed: try a smaller delta"
        )
    return responses.reshape(len(responses), -1), changed


class _Cells:
    """The gradients by the cells of the cut tensor, for one input."""

    def __init__(self, linear: _Linear, by_cell: Array) -> None:
        self._random = linear.random
        spatial = [reach.axis for reach in linear.cut.reach]
        others = [axis for axis in range(by_cell.ndim - 1) if axis not in spatial]
        self._order = (*others, *spatial)
        self._sizes = tuple(by_cell.shape[1 + axis] for axis in spatial)
        self._reach = tuple(
            Reach(axis, reach.low, reach.high) for axis, reach in enumerate(linear.cut.reach)
        )
        moved = np.transpose(by_cell, (0, *(1 + axis for axis in self._order)))
        self._gradients = moved.reshape(len(by_cell), -1, prod(self._sizes))

    def influence(
        self, *, before: Array, after: Array, at: tuple[Array, ...]
    ) -> tuple[Numbers, Mask]:
        """Return the functional of a change by place, and where the tensor changed at all."""
        change = np.subtract(after, before, dtype=np.result_type(after, np.float32))
        stacked = np.transpose(change, self._order).reshape(-1, prod(self._sizes))
        total = np.zeros(tuple(map(len, at)))
        # Channels first: that leaves little to be summed over boxes.
        for sums in np.einsum("kcp,cp->kp", self._gradients, stacked):
            cells = sums.reshape(self._sizes).astype(np.float64)
            total += in_boxes(np.add, cells, self._reach, at) ** 2
        nonzero = (stacked != 0).any(axis=0).reshape(self._sizes)
        touched = in_boxes(np.logical_or, nonzero, self._reach, at)
        return np.sqrt(total / (len(self._gradients) if self._random else 1)), touched


def _require_time(until: float | None, seconds: float) -> None:
    if until is not None and perf_counter() + seconds > until:
        raise MeasurementError(
            f"no hybrid map: it would take about {seconds:.0f} s, more than the budget leaves"
        )


def _sample(setup: Setup, options: MeasureOptions, dead: Mask | None, passes: int) -> Campaign:
    """Return a seeded sample of the places that are not known to be dead, one a pass."""
    lattice = setup.subject.lattice
    live = np.arange(prod(lattice.shape)) if dead is None else np.flatnonzero(~dead)
    keys = np.random.default_rng([options.seed, 2]).permutation(live)[:SAMPLE]
    variants = plan.Variants(len(setup.subject.baselines), setup.channels, setup.signs)
    chosen = Plan(
        lattice=lattice,
        samples=tuple(map(np.arange, lattice.shape)),
        palette=None,
        kinds=np.zeros(len(keys), np.uint8),
        keys=keys,
        variants=variants,
    )
    return Campaign(chosen, None, 1, dead, passes, ())


def _compare(
    linear: _Linear, chosen: Plan, responses: Numbers, run: Run, seconds: float
) -> Preview:
    """Hold the map against what was perturbed through the whole model."""
    lattice = chosen.lattice
    places, measured, moved = run.ledger.places()
    flat = np.ravel_multi_index(tuple(places.T), lattice.shape)
    tried = np.isin(flat, run.plan.keys[: run.done])
    true = measured.mean(axis=0)[tried]
    found = responses.mean(axis=0)[flat[tried]]
    size = float(np.linalg.norm(true))
    varied = len(true) > 1 and np.ptp(true) > 0 and np.ptp(found) > 0
    return Preview(
        cut=linear.cut.tensor,
        passes=chosen.passes,
        cotangents=linear.cotangents,
        random=linear.random,
        sampled=len(true),
        relative_error=float(np.linalg.norm(found - true)) / size if size > 0 else None,
        correlation=float(np.corrcoef(found, true)[0, 1]) if varied else None,
        seconds=seconds,
        moved=int(moved.sum()),
    )


def _influence(
    facts: Facts, setup: Setup, options: MeasureOptions, found: _Found, start: float
) -> Influence:
    """Put together a map and what perturbation said of it."""
    run = found.run
    lattice = setup.subject.lattice
    moved = np.ones(lattice.shape, bool)
    places, _, alive = run.ledger.places()
    moved[tuple(places.T)] = alive
    everywhere = np.argwhere(np.ones(lattice.shape, bool))
    pixels = lattice.middles(everywhere)
    values, dead, probed = maps(lattice.pixels, pixels, found.responses, moved.ravel())
    work = work_of(found.ready, run)
    cut = found.preview.cut
    said = [
        (
            f"this map is a preview: the network behind '{cut}' is taken as linear; --method"
            " perturb measures the step itself"
        ),
        (
            "dead pixels were looked for in the sample, and where nothing before the cut changes:"
            " their share is a lower bound"
        ),
    ]
    if run.interrupted:
        said.append(f"interrupted after {work.passes:,} of {work.planned:,} passes")
    elif run.done < len(found.ready.plan):
        said.append("the budget left time for a part of the sample only")
    return Influence(
        values=values,
        dead=dead,
        probed=probed,
        places=pixels,
        responses=found.responses,
        row_profile=None,
        column_profile=None,
        structural=setup.structural,
        resolution=facts.resolution,
        facts=facts,
        target=setup.target,
        functional=setup.functional,
        options=options,
        baselines=setup.subject.baselines,
        difference=setup.difference,
        steps=(setup.step,) * len(setup.subject.baselines),
        samples=lattice.shape,
        work=work,
        seconds=perf_counter() - start,
        complete=not run.interrupted,
        interrupted=run.interrupted,
        notes=tuple(
            dict.fromkeys([*setup.notes_with_step, *found.notes, *said, *evidence(setup, dead)])
        ),
        preview=found.preview,
    )
