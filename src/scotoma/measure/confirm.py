"""Confirms a map from gradients: perturbs its suspects, the border and a sample of the pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from scotoma.measure.agreement import Agreement, agree
from scotoma.measure.campaign import Campaign, campaign
from scotoma.measure.influence import Confirmation
from scotoma.measure.perturb import carry_out
from scotoma.measure.trials import moves_together

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from scotoma.facts import Facts
    from scotoma.measure.execute import Run
    from scotoma.measure.influence import Gradients
    from scotoma.measure.options import MeasureOptions
    from scotoma.measure.plan import Plan
    from scotoma.measure.setup import Setup

    Mask = npt.NDArray[np.bool_]
    Progress = Callable[[int, int], None]

SECONDS = 1.0
"""What perturbation may take where neither a budget nor passes are given."""
JOBS = 2
"""Threads that run passes, unless more are asked for; the answers are the same bits."""
LEAST_PLACES = 8
"""About so many places are perturbed even if that takes longer."""
DISAGREES = 0.25
"""A median relative error above this, and above three times the error of the cotangents, is said
in a note."""


@dataclass(frozen=True, slots=True, eq=False)
class Confirmed:
    """What perturbation found beside a map from gradients."""

    confirmation: Confirmation
    dead: Mask
    """Without a gradient, perturbed, and unmoved bit for bit on every input."""
    campaign: Campaign
    run: Run
    notes: tuple[str, ...]


def confirm(
    facts: Facts,
    setup: Setup,
    options: MeasureOptions,
    found: Gradients,
    start: float,
    progress: Progress | None = None,
) -> Confirmed:
    """Perturb what is suspect about a map from gradients, and a sample of the rest.

    All pixels without a gradient are perturbed together, on every input and in each direction;
    where that moves something, one by one and before all others. Then come the pixels of the
    blocks that the figures compare, of the outermost ring and of the interior, side by side, for
    as long as there is time: many in one pass where no cell of the target sees two.

    Parameters
    ----------
    found
        The map.
    start
        When the measurement began; a budget that was asked for counts from here.

    Raises
    ------
    MeasurementError
        As `scotoma.measure.perturb.perturb`.
    """
    ready, notes = _ready(facts, setup, options, found)
    seconds = _seconds(setup, options, ready, start)
    limited = replace(options, budget=seconds, jobs=max(options.jobs, JOBS))
    run = carry_out(ready, setup, limited, perf_counter(), progress)
    places, responses, moved = run.ledger.places()
    at = tuple(places.T)
    shape = found.linked.shape
    values, unmoved, probed = np.zeros(shape), np.zeros(shape, bool), np.zeros(shape, bool)
    values[at], unmoved[at], probed[at] = responses.mean(axis=0), ~moved, True
    reference = found.responses.mean(axis=0).reshape(shape)
    agreement = agree(
        reference, values, probed=probed, reference_dead=~found.linked, measured_dead=unmoved
    )
    confirmation = _confirmation(reference, values, probed, agreement)
    error = confirmation.median_relative_error
    if error is not None and error > max(DISAGREES, 3 * found.error):
        notes.append(
            f"gradients and perturbation disagree (median relative error {error:.2f}): the model"
            " has steps or kinks at the size of the step; --method perturb gives the map of the"
            " step"
        )
    left = int((~found.linked & ~probed).sum())
    if left:
        notes.append(f"{left:,} pixels without a gradient were not perturbed one by one")
    return Confirmed(confirmation, unmoved & ~found.linked, ready, run, tuple(notes))


def _ready(
    facts: Facts, setup: Setup, options: MeasureOptions, found: Gradients
) -> tuple[Campaign, list[str]]:
    """Return what is to be perturbed: suspects first; and what to say of it."""
    ready = campaign(facts, setup, options)
    notes = list(ready.notes)
    suspects = ~found.linked
    if ready.dead is not None:
        suspects &= ~ready.dead
    if not suspects.any():
        return ready if ready.several else replace(ready, plan=_places(ready.plan, ())), notes
    passes = ready.passes + len(setup.subject.baselines) * len(setup.signs)
    if moves_together(setup.subject, setup.signs, suspects):
        first = np.flatnonzero(suspects)
        plan = ready.plan if ready.several else _places(ready.plan, first)
        return replace(ready, plan=plan, passes=passes), notes
    dead = suspects if ready.dead is None else suspects | ready.dead
    plan = ready.plan if ready.several else _places(ready.plan, (), dead)
    return replace(ready, plan=plan, passes=passes, dead=dead), notes


def _places(plan: Plan, first: npt.ArrayLike, dead: Mask | None = None) -> Plan:
    """Return the plan without whole rows and columns and dead places, some places before all."""
    keys = plan.keys[plan.kinds == 0]
    if tuple(map(len, plan.samples)) == plan.lattice.shape:
        keys = np.concatenate([np.asarray(first, np.int64), keys])
        _, once = np.unique(keys, return_index=True)
        keys = keys[np.sort(once)]
        if dead is not None:
            keys = keys[~dead.ravel()[keys]]
    return replace(plan, keys=keys, kinds=np.zeros(len(keys), np.uint8))


def _seconds(setup: Setup, options: MeasureOptions, ready: Campaign, start: float) -> float | None:
    """Return the time for perturbation; None: as long as the passes last."""
    left = None
    if options.budget is not None:
        left = max(options.budget - (perf_counter() - start), 1e-3)
        if options.confirmation is None:
            return left
    if options.passes is not None or not len(ready.plan):
        return left
    before = perf_counter()
    setup.subject.session.run(setup.subject.baselines[0].feed)
    one = perf_counter() - before
    wanted = SECONDS if options.confirmation is None else options.confirmation
    enough = max(wanted, LEAST_PLACES * ready.plan.cost(0) * one / max(options.jobs, JOBS))
    return enough if left is None else min(enough, left)


def _confirmation(
    reference: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    probed: Mask,
    agreement: Agreement,
) -> Confirmation:
    compared = probed & (reference > 0) & (values > 0)
    first, second = reference[compared], values[compared]
    errors = np.abs(first - second) / np.maximum(first, second)
    any_compared = bool(len(errors))
    return Confirmation(
        probed=probed,
        compared=len(errors),
        correlation=agreement.correlation,
        median_relative_error=float(np.median(errors)) if any_compared else None,
        max_relative_error=float(errors.max()) if any_compared else None,
        scale=float(second.mean() / first.mean()) if any_compared else None,
        moved=agreement.contradictions,
        moved_pixels=agreement.contradicting,
        unmoved=agreement.unmoved,
        unmoved_pixels=agreement.unmoved_pixels,
    )
