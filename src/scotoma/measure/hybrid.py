"""Previews the map of a large step: exact changes of an early tensor, and a gradient from there on.

The part of the network before the tensor sees the step as it is, with many pixels in one pass; what
the tensor's change does to the target is taken as linear. So kinks before the cut are seen, those
behind it are not: a sample of pixels is perturbed through the whole model to tell the error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from scotoma.errors import MeasurementError
from scotoma.measure import head, plan
from scotoma.measure.assemble import (
    NO_WORK,
    Case,
    Found,
    assemble,
    evidence,
    interruption,
    maps,
    work_of,
)
from scotoma.measure.campaign import Campaign
from scotoma.measure.gradients import NoGradientError
from scotoma.measure.influence import Influence, Preview, Work
from scotoma.measure.perturb import carry_out
from scotoma.measure.plan import Plan
from scotoma.measure.tail import Tail
from scotoma.measure.trials import moves_together

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from scotoma.facts import Facts
    from scotoma.measure.execute import Run
    from scotoma.measure.head import Moved
    from scotoma.measure.options import MeasureOptions
    from scotoma.measure.setup import Setup

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
    squares. Dead is only what was perturbed through the whole model without moving a bit. After
    Ctrl-C it is the map of the inputs that are done, or of the places that are done on the first.

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
    case, began = Case(facts, setup, options, start), perf_counter()
    try:
        tail = Tail.of(facts, setup, options.seed)
    except NoGradientError as error:
        raise MeasurementError(f"no hybrid map: {error}") from error
    proven = _proven(setup)
    subject = head.before(facts, setup, tail.cut)
    chosen = head.planned(setup, subject, tail.cut, proven.dead, options.seed)
    until = None if options.seconds is None else start + options.seconds
    moved = head.move(setup, chosen, head.Parts(subject, tail, proven.dead), until)
    seconds = perf_counter() - began
    checked = _checked(case, moved, proven, progress)
    found = _found(case, tail, moved, checked, proven.notes)
    return replace(assemble(case, found), preview=_compare(tail, moved, checked, seconds))


@dataclass(frozen=True, slots=True, eq=False)
class _Proven:
    """What has no path to the target."""

    dead: Mask | None
    """Places that moved nothing when all were moved together; None: there are none."""
    passes: int
    notes: list[str]


@dataclass(frozen=True, slots=True, eq=False)
class _Checked:
    """What was perturbed through the whole model."""

    ready: Campaign
    run: Run | None
    """None: Ctrl-C came before it."""

    @property
    def work(self) -> Work:
        """What it cost."""
        if self.run is not None:
            return work_of(self.ready, self.run)
        planned = self.ready.passes + self.ready.plan.passes
        return replace(NO_WORK, passes=self.ready.passes, planned=planned)


def _proven(setup: Setup) -> _Proven:
    """Perturb what has no path all at once."""
    subject, structural = setup.subject, setup.structural
    dead = None if structural is None else subject.lattice.tiles(structural.dead)
    if dead is None or not dead.any():
        return _Proven(None, 0, [])
    passes = len(subject.baselines) * len(setup.signs)
    if not moves_together(subject, setup.signs, dead):
        return _Proven(dead, passes, [])
    said = (
        f"contradiction: {int(dead.sum()):,} places that the graph does not connect to the target"
        " changed it when they were perturbed together"
    )
    return _Proven(None, passes, [said])


def _checked(case: Case, moved: Moved, proven: _Proven, progress: Progress | None) -> _Checked:
    """Perturb what seems dead through the whole model, and a sample of the rest."""
    setup, dead, passes = case.setup, proven.dead, proven.passes
    if moved.interrupted:
        return _Checked(_sample(setup, case.options, dead, passes), None)
    unchanged = ~moved.changed & (True if dead is None else ~dead)
    if unchanged.any():
        passes += len(setup.subject.baselines) * len(setup.signs)
        if not moves_together(setup.subject, setup.signs, unchanged):
            dead = unchanged if dead is None else dead | unchanged
    ready = _sample(setup, case.options, dead, passes)
    # There is no journal of the part before the cut, so none of the sample either.
    alone = replace(case.options, journal=None)
    return _Checked(ready, carry_out(ready, setup, alone, case.start, progress))


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


def _compare(tail: Tail, moved: Moved, checked: _Checked, seconds: float) -> Preview:
    """Hold the map against what was perturbed through the whole model."""
    true = found = np.zeros(0)
    alive = 0
    if checked.run is not None:
        pixels, measured, seen = checked.run.ledger.places()
        places = pixels // checked.ready.plan.lattice.patch
        flat = np.ravel_multi_index(tuple(places.T), moved.changed.shape)
        tried = np.isin(flat, checked.ready.plan.keys[: checked.run.done])
        true = measured.mean(axis=0)[tried]
        found = moved.responses.mean(axis=0).ravel()[flat[tried]]
        alive = int(seen.sum())
    size = float(np.linalg.norm(true))
    varied = len(true) > 1 and np.ptp(true) > 0 and np.ptp(found) > 0
    return Preview(
        cut=tail.cut.tensor,
        passes=moved.passes,
        cotangents=tail.cotangents,
        random=tail.random,
        sampled=len(true),
        relative_error=float(np.linalg.norm(found - true)) / size if size > 0 else None,
        correlation=float(np.corrcoef(found, true)[0, 1]) if varied else None,
        seconds=seconds,
        moved=alive,
    )


def _found(case: Case, tail: Tail, moved: Moved, checked: _Checked, notes: list[str]) -> Found:
    """Put together a map and what perturbation said of it."""
    setup, run, cut = case.setup, checked.run, tail.cut.tensor
    lattice, known = setup.subject.lattice, moved.known
    alive = np.ones(lattice.shape, bool)
    if run is not None:
        pixels, _, seen = run.ledger.places()
        alive[tuple((pixels // lattice.patch).T)] = seen
    elif checked.ready.dead is not None:
        alive &= ~checked.ready.dead
    places = lattice.middles(np.argwhere(known))
    responses = moved.responses[: moved.inputs, known]
    values, dead, probed = maps(lattice.pixels, places, responses, alive[known])
    preview = (
        f"this map is a preview: the network behind '{cut}' is taken as linear; --method perturb"
        " measures the step itself"
    )
    said = [preview]
    if run is None:
        said.append(_ended(moved, cut))
    else:
        said.append(
            "dead pixels were looked for in the sample, and where nothing before the cut changes:"
            " their share is a lower bound"
        )
        if run.interrupted:
            said.append(interruption(checked.work))
        elif run.done < len(checked.ready.plan):
            said.append("the budget left time for a part of the sample only")
    return Found(
        values=values,
        dead=dead,
        probed=probed,
        places=places,
        responses=responses,
        samples=lattice.shape,
        work=checked.work,
        interrupted=run is None or run.interrupted,
        notes=[*setup.notes_with_step, *notes, *said, *evidence(setup, dead, moved.inputs)],
    )


def _ended(moved: Moved, cut: str) -> str:
    """Say what the map holds after Ctrl-C."""
    inputs, known = len(moved.responses), moved.known
    if known.all():
        held = f"the map is that of {moved.inputs} of {inputs} inputs"
    else:
        held = f"the map is that of {int(known.sum()):,} of {known.size:,} places on one input"
    return (
        f"interrupted after {moved.passes:,} of {moved.planned:,} passes up to '{cut}': {held},"
        " and no sample tells its error"
    )
