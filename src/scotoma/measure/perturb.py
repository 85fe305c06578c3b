"""Measures influence by perturbation: moves pixels and records how the target tensors change."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np

from scotoma.errors import MeasurementError
from scotoma.measure import journal
from scotoma.measure.assemble import Case, Found, assemble, evidence, interruption, maps, work_of
from scotoma.measure.boxes import same_bits
from scotoma.measure.campaign import Campaign, campaign
from scotoma.measure.execute import Limits, Run
from scotoma.measure.ledger import Ledger
from scotoma.measure.plan import COLUMNS, ROWS
from scotoma.measure.prober import Prober
from scotoma.measure.tiles import TiledLedger, line_in_tiles

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.measure.influence import Influence
    from scotoma.measure.options import MeasureOptions
    from scotoma.measure.setup import Setup

    Progress = Callable[[int, int], None]


def perturb(
    facts: Facts,
    setup: Setup,
    options: MeasureOptions,
    start: float,
    progress: Progress | None = None,
) -> Influence:
    """Measure what each pixel does to the target by moving it.

    The influence of a pixel is the functional of the target's change over the step that the pixel
    was moved by, and the mean over the inputs: ``change(F(x - d), F(x + d)) / 2 d`` or
    ``change(F(x), F(x + d)) / d``. Sums are taken in float64. A pixel is dead if on every input
    and in every direction the target stays the same bit for bit.

    Parameters
    ----------
    setup
        What to run it on.
    start
        When the measurement began, in seconds of `time.perf_counter`: the budget counts from here.
    progress
        Called with the passes done and the passes expected in all, after every few passes.

    Raises
    ------
    MeasurementError
        If an answer is not finite, the model drifts, or nothing could be measured within the
        limits.
    """
    ready = campaign(facts, setup, options)
    run = carry_out(ready, setup, options, start, progress)
    return _influence(Case(facts, setup, options, start), ready, run)


def carry_out(
    ready: Campaign,
    setup: Setup,
    options: MeasureOptions,
    start: float,
    progress: Progress | None,
) -> Run:
    """Run a plan within the limits, from the journal on if there is one to go on from.

    Raises
    ------
    MeasurementError
        If an answer is not finite, or the same input no longer gives the same output at the end.
    """
    chosen, subject = ready.plan, setup.subject
    ledger = Ledger(subject.lattice, len(subject.baselines))
    if setup.tile > 1:
        ledger = TiledLedger(subject.lattice, len(subject.baselines), setup.tile)
    if ready.dead is not None:
        ledger.add_dead(ready.dead)
    budget = options.seconds
    run = Run(
        plan=chosen,
        probers=[Prober(subject, ready.boxes, ready.batch) for _ in range(options.jobs)],
        limits=Limits(None if budget is None else start + budget, options.passes),
        ledger=ledger,
        progress=progress,
        total=ready.passes + chosen.passes,
        spent=ready.passes,
    )
    opened = None
    if options.journal is not None:
        digest = _digest(ready, setup, options)
        if options.resume and options.journal.exists():
            opened, responses = journal.resume(options.journal, chosen, digest)
            for index, response in enumerate(responses):
                ledger.add(chosen.unit(index), response)
            run.done = len(responses)
            run.spent += sum(map(chosen.cost, range(run.done)))
        else:
            opened = journal.begin(options.journal, digest)
        run.journal = opened
    with opened or nullcontext():
        run.go()
    if not same_bits(subject.answer(0), subject.session.run(subject.baselines[0].feed)):
        raise MeasurementError(
            "the model drifts: the same input gave another output after the measurement than before"
        )
    return run


def _digest(ready: Campaign, setup: Setup, options: MeasureOptions) -> str:
    """Return what a journal must agree with: plan, model, inputs, steps and functional."""
    subject = setup.subject
    aim = (setup.target.tensors, setup.target.unit)
    texts = (setup.functional.name, *aim, setup.step, setup.difference)
    state = hashlib.sha256()
    for number, baseline in enumerate(subject.baselines):
        for name in sorted(baseline.feed):
            state.update(np.ascontiguousarray(baseline.feed[name]).tobytes())
        for array in subject.answer(number):
            state.update(np.ascontiguousarray(array).tobytes())
    more = (options.channels, ready.boxes is not None, subject.session.version)
    return ready.plan.digest(repr(texts).encode(), repr(more).encode(), state.digest())


def _influence(case: Case, ready: Campaign, run: Run) -> Influence:
    """Put together what a run has found."""
    setup, stated = case.setup, case.options.resolution is not None
    pixels, responses, moved = run.ledger.places()
    if not len(pixels) and not run.interrupted and run.done == 0:
        raise MeasurementError(
            "nothing could be measured within the limits: one pixel takes"
            f" {ready.plan.cost(0)} passes; allow more with --budget or --passes"
        )
    values, dead, probed = maps(run.ledger.shape, pixels, responses, moved)
    unfinished = run.done < len(ready.plan)
    notes = [*setup.notes_with_step, *ready.notes]
    work = work_of(ready, run)
    if run.interrupted:
        notes.append(interruption(work))
    elif unfinished and stated:
        notes.append(f"the limit was reached after {run.spent:,} of {run.total:,} passes")
    if not probed.all() or (unfinished and setup.tile > 1):
        notes.append(_sampled(setup, int(probed.sum()), probed.size))
    found = Found(
        values=values,
        dead=dead,
        probed=probed,
        places=pixels,
        responses=responses,
        samples=tuple(map(len, ready.plan.samples)),
        work=work,
        interrupted=run.interrupted,
        complete=not (unfinished and stated),
        notes=[*notes, *evidence(setup, dead)],
        row_profile=line_in_tiles(run.ledger.profile(ROWS), setup.tile),
        column_profile=line_in_tiles(run.ledger.profile(COLUMNS), setup.tile),
    )
    return assemble(case, found)


def _sampled(setup: Setup, count: int, cells: int) -> str:
    patch = setup.subject.lattice.patch
    if setup.tile > 1:
        return (
            f"pixels were perturbed in {count:,} of {cells:,} tiles: in the map each tile shows the"
            " nearest of them, and dead figures count these alone"
        )
    what = f"{count:,} of {cells:,} pixels were"
    if patch > 1:
        what = f"{count:,} patches of {patch} pixels along each axis were"
    return (
        f"{what} perturbed: in the map each pixel shows the nearest of them, and dead figures count"
        " these alone"
    )
