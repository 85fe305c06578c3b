"""Compares the measured influence maps of two models."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from scotoma.errors import UsageError
from scotoma.measure.agreement import agree
from scotoma.measure.method import measure
from scotoma.measure.setup import prepare
from scotoma.measure.summary import Summary, summarise

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.measure.influence import Influence
    from scotoma.measure.options import MeasureOptions
    from scotoma.report.contract.diff import InfluenceDifferenceDocument, MeasuredSideDocument


def compare_influence(
    old: Facts,
    new: Facts,
    options: MeasureOptions,
    data: tuple[bytes | None, bytes | None] = (None, None),
) -> tuple[InfluenceDifferenceDocument | None, list[str]]:
    """Measure both models with the same inputs and the same step, and compare the maps.

    The step is the larger of those that would be chosen for each, so that a quantised network
    does not answer with rounding alone. Unless another method is asked for, both are perturbed:
    gradients are to be had of one of them only, perhaps. A time limit is for each.

    Parameters
    ----------
    data
        The files themselves, of models that are none.

    Returns
    -------
    tuple
        The difference, None where there is none to take, and what a reader must know of it.

    Raises
    ------
    scotoma.errors.MeasurementError
        If one of the models cannot be measured.
    """
    if old.image_size != new.image_size:
        return None, ["the influence maps are not compared: the inputs are not of one size"]
    method = "perturb" if options.method == "auto" else options.method
    asked = [replace(options, method=method, data=item) for item in data]
    notes: list[str] = []
    if options.delta is None:
        setups = [prepare(facts, item) for facts, item in zip((old, new), asked, strict=True)]
        step = max(setup.step for setup in setups)
        difference = setups[0].difference
        try:
            together = [replace(item, delta=step, difference=difference) for item in asked]
            first, second = _measured(old, together[0]), _measured(new, together[1])
        except UsageError as error:
            notes.append(f"each model has a step of its own: {error}")
            first, second = _measured(old, asked[0]), _measured(new, asked[1])
    else:
        first, second = _measured(old, asked[0]), _measured(new, asked[1])
    return _difference(first, second), notes


def _measured(facts: Facts, options: MeasureOptions) -> Influence:
    """Measure one model; half a measurement is none to compare, so that Ctrl-C ends all."""
    found = measure(facts, options)
    if found.interrupted:
        raise KeyboardInterrupt
    return found


def _difference(old: Influence, new: Influence) -> InfluenceDifferenceDocument:
    both = old.probed & new.probed
    found = agree(
        old.values, new.values, probed=both, reference_dead=old.dead, measured_dead=new.dead
    )
    return {
        "old": _side(old, summarise(old)),
        "new": _side(new, summarise(new)),
        "compared_pixels": int(both.sum()),
        "correlation": found.correlation,
        "rank_correlation": found.rank_correlation,
        "relative_error": found.relative_error,
        "max_relative_error": found.max_relative_error,
        "newly_dead": int(np.count_nonzero(both & new.dead & ~old.dead)),
        "revived": int(np.count_nonzero(both & old.dead & ~new.dead)),
    }


def _side(influence: Influence, summary: Summary) -> MeasuredSideDocument:
    return {
        "target": list(influence.target.tensors),
        "passes": influence.work.passes,
        "complete": influence.complete,
        "delta": influence.steps[0],
        "figures": {key: figure.value for key, figure in summary.figures.items()},
    }
