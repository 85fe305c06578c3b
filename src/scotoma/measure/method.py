"""Chooses how influence is measured: by gradients, by perturbation, or the one with the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from scotoma.errors import MeasurementError
from scotoma.measure import stimuli
from scotoma.measure.confirm import Confirmed, confirm
from scotoma.measure.gradients import NoGradientError, build_links, gradients
from scotoma.measure.hybrid import hybrid
from scotoma.measure.influence import Influence, Work
from scotoma.measure.options import MeasureOptions
from scotoma.measure.perturb import evidence, perturb, work_of
from scotoma.measure.plan import DEAD, KINDS
from scotoma.measure.setup import Setup, prepare

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.measure.influence import Gradients

    Progress = Callable[[int, int], None]

SHARE = 0.5
"""Share of a stated budget that gradients may take where they are confirmed."""


def measure(
    facts: Facts, options: MeasureOptions | None = None, progress: Progress | None = None
) -> Influence:
    """Measure what each pixel of the examined input does to the target tensors.

    Influence is a change of the functional per unit of input, and the mean over the inputs; see
    `scotoma.measure.gradients.gradients` and `scotoma.measure.perturb.perturb`.

    Parameters
    ----------
    facts
        The model at the shapes that it is to run at, and what the graph alone says of it.
    options
        What to measure; None: the defaults. With the method ``auto`` gradients give the map and
        perturbation confirms it; perturbation alone measures what only it can: a step, patches or
        sampled places that were asked for, quantised networks, and operators without an adjoint.
    progress
        Called with the passes done and the passes expected in all, after every few passes.

    Returns
    -------
    Influence
        The map at the resolution of the input. After Ctrl-C what was measured until then.

    Raises
    ------
    UsageError
        If an option does not fit the model: an unknown tensor, an input file of another size.
    MeasurementError
        If onnxruntime cannot run the model, the model is random and cannot be frozen, its answer
        is not finite, it has no spatial input, nothing could be measured within the limits, or
        the method ``adjoint`` or ``hybrid`` was asked for and gradients cannot answer.
    """
    options = options or MeasureOptions()
    start = perf_counter()
    setup = prepare(facts, options)
    if options.method == "perturb":
        return perturb(facts, setup, options, start, progress)
    if options.method == "hybrid":
        return hybrid(facts, setup, options, start, progress)
    try:
        found = _gradients(facts, setup, options, start)
    except MeasurementError as error:
        if options.method == "adjoint":
            if isinstance(error, NoGradientError):
                raise MeasurementError(f"no map from gradients: {error}") from error
            raise
        return replace(perturb(facts, setup, options, start, progress), reason=str(error))
    if options.method == "adjoint":
        return _influence(facts, setup, options, found, None, start)
    confirmed = confirm(facts, setup, options, found, start, progress)
    return _influence(facts, setup, options, found, confirmed, start)


def _gradients(facts: Facts, setup: Setup, options: MeasureOptions, start: float) -> Gradients:
    """Return the map from gradients.

    Raises
    ------
    NoGradientError
        If it cannot be had, or does not answer what was asked.
    """
    if options.finite:
        raise NoGradientError(f"gradients know no {options.finite}")
    quantiser = stimuli.quantiser(facts)
    if quantiser is not None:
        raise NoGradientError(
            f"'{quantiser.name}' ({quantiser.op_type}) rounds, and the gradient does not see that"
        )
    seconds = options.seconds
    if seconds is not None:
        left = seconds - (perf_counter() - start)
        confirmed = options.method == "auto" and options.budget is not None
        seconds = SHARE * left if confirmed else left
    links = build_links(facts, setup.target.tensors, setup.subject.name)
    return gradients(setup, links, options.seed, seconds)


def _influence(
    facts: Facts,
    setup: Setup,
    options: MeasureOptions,
    found: Gradients,
    confirmed: Confirmed | None,
    start: float,
) -> Influence:
    """Put together a map from gradients and what perturbation said of it."""
    shape = found.linked.shape
    dead = ~found.linked if confirmed is None else confirmed.dead
    notes = [*(setup.notes if confirmed is None else setup.notes_with_step)]
    if confirmed is None:
        work = Work(0, 0, dict.fromkeys((*KINDS, DEAD), 0), multiplexed=False, batch=1)
        notes += _unconfirmed(setup, dead)
    else:
        work = work_of(confirmed.campaign, confirmed.run)
        notes += [*confirmed.notes, *evidence(setup, dead)]
    interrupted = confirmed is not None and confirmed.run.interrupted
    if interrupted:
        notes.append(f"interrupted after {work.passes:,} of {work.planned:,} passes")
    return Influence(
        values=found.responses.mean(axis=0).reshape(shape),
        dead=dead,
        probed=np.ones(shape, bool),
        places=np.argwhere(np.ones(shape, bool)),
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
        samples=shape,
        work=work,
        seconds=perf_counter() - start,
        complete=not interrupted,
        interrupted=interrupted,
        notes=tuple(dict.fromkeys(notes)),
        gradients=found,
        confirmation=None if confirmed is None else confirmed.confirmation,
    )


def _unconfirmed(setup: Setup, dead: np.ndarray) -> list[str]:
    """Say what a map that nothing was perturbed for does not show."""
    notes = []
    if setup.structural is not None and (~dead & setup.structural.dead).any():
        count = int((~dead & setup.structural.dead).sum())
        notes.append(
            f"contradiction: {count:,} pixels that the graph does not connect have a gradient"
        )
    if dead.any():
        notes.append(
            "dead is a pixel without a gradient on any input; that nothing moves when it"
            " is perturbed was not tried"
        )
    return notes
