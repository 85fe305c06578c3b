"""Chooses how influence is measured: by gradients, by perturbation, or the one with the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from scotoma.errors import MeasurementError
from scotoma.measure import stimuli
from scotoma.measure.assemble import NO_WORK, Case, Found, assemble, evidence, interruption, work_of
from scotoma.measure.confirm import Confirmed, confirm
from scotoma.measure.gradients import NoGradientError, build_links, gradients
from scotoma.measure.hybrid import hybrid
from scotoma.measure.options import MeasureOptions
from scotoma.measure.perturb import perturb
from scotoma.measure.setup import Setup, prepare

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.measure.influence import Gradients, Influence

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
        if setup.tile > 1:
            raise MeasurementError("a preview is a map of all pixels, which takes too much memory")
        return hybrid(facts, setup, options, start, progress)
    try:
        found = _gradients(facts, setup, options, start)
    except MeasurementError as error:
        if options.method == "adjoint":
            if isinstance(error, NoGradientError):
                raise MeasurementError(f"no map from gradients: {error}") from error
            raise
        measured = perturb(facts, setup, options, start, progress)
        return replace(measured, reason=str(error), notes=(*measured.notes, *_instead(measured)))
    case = Case(facts, setup, options, start)
    if options.method == "adjoint":
        return _influence(case, found, None)
    return _influence(case, found, confirm(facts, setup, options, found, start, progress))


def _gradients(facts: Facts, setup: Setup, options: MeasureOptions, start: float) -> Gradients:
    """Return the map from gradients.

    Raises
    ------
    NoGradientError
        If it cannot be had, or does not answer what was asked.
    """
    if setup.tile > 1:
        raise NoGradientError("gradients give a map of all pixels, which takes too much memory")
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


def _influence(case: Case, found: Gradients, confirmed: Confirmed | None) -> Influence:
    """Put together a map from gradients and what perturbation said of it."""
    setup, shape = case.setup, found.linked.shape
    if confirmed is None:
        dead, work, interrupted = ~found.linked, NO_WORK, False
        notes = [*setup.notes, *_unconfirmed(setup, dead)]
    else:
        dead, work = confirmed.dead, work_of(confirmed.campaign, confirmed.run)
        notes = [*setup.notes_with_step, *confirmed.notes, *evidence(setup, dead)]
        interrupted = confirmed.run.interrupted
        if interrupted:
            notes.append(interruption(work))
    everywhere = np.ones(shape, bool)
    made = Found(
        values=found.responses.mean(axis=0).reshape(shape),
        dead=dead,
        probed=everywhere,
        places=np.argwhere(everywhere),
        responses=found.responses,
        samples=shape,
        work=work,
        interrupted=interrupted,
        notes=notes,
    )
    confirmation = None if confirmed is None else confirmed.confirmation
    return replace(assemble(case, made), gradients=found, confirmation=confirmation)


def _instead(measured: Influence) -> list[str]:
    """Name the preview where a step that was asked for reached a part of the pixels only."""
    options = measured.options
    asked = options.delta is not None and options.resolution is None
    if not asked or measured.full or stimuli.quantiser(measured.facts) is not None:
        return []
    return ["--method hybrid previews this step at every pixel, and says how far it is off"]


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
