"""Puts together what any method has found and what it was run on."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from scotoma import metrics
from scotoma.measure.influence import Influence, Work
from scotoma.measure.plan import DEAD, KINDS

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.facts import Facts
    from scotoma.measure.campaign import Campaign
    from scotoma.measure.execute import Run
    from scotoma.measure.options import MeasureOptions
    from scotoma.measure.setup import Setup

    Mask = npt.NDArray[np.bool_]
    Numbers = npt.NDArray[np.float64]

NO_WORK = Work(0, 0, dict.fromkeys((*KINDS, DEAD), 0), multiplexed=False, batch=1)
"""Nothing was perturbed."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """What is measured, and how."""

    facts: Facts
    setup: Setup
    options: MeasureOptions
    start: float
    """When the measurement began, in seconds of `time.perf_counter`."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a method has found; the fields are those of `Influence`."""

    values: Numbers
    dead: Mask
    probed: Mask
    places: npt.NDArray[np.int64]
    responses: Numbers
    """(inputs, places): fewer inputs than there are where the measurement was interrupted."""
    samples: tuple[int, ...]
    work: Work
    interrupted: bool = False
    complete: bool = True
    """Apart from the interruption."""
    notes: list[str] = field(default_factory=list)
    row_profile: Numbers | None = None
    column_profile: Numbers | None = None


def assemble(case: Case, found: Found) -> Influence:
    """Return the result; the time that it took ends here."""
    facts, setup = case.facts, case.setup
    baselines = setup.subject.baselines[: len(found.responses)]
    return Influence(
        values=found.values,
        dead=found.dead,
        probed=found.probed,
        places=found.places,
        responses=found.responses,
        row_profile=found.row_profile,
        column_profile=found.column_profile,
        structural=setup.structural,
        resolution=facts.resolution,
        facts=facts,
        target=setup.target,
        functional=setup.functional,
        options=case.options,
        baselines=baselines,
        difference=setup.difference,
        steps=(setup.step,) * len(baselines),
        samples=found.samples,
        work=found.work,
        seconds=perf_counter() - case.start,
        complete=found.complete and not found.interrupted,
        interrupted=found.interrupted,
        notes=tuple(dict.fromkeys(found.notes)),
        tile=setup.tile,
    )


def work_of(ready: Campaign, run: Run) -> Work:
    """Return what a run has cost."""
    kinds = ready.plan.kinds[: run.done]
    per_kind = {
        kind: sum(map(ready.plan.cost, np.flatnonzero(kinds == number).tolist()))
        for number, kind in enumerate(KINDS)
    }
    return Work(
        passes=run.spent,
        planned=run.total,
        kinds={**per_kind, DEAD: ready.passes},
        multiplexed=ready.several,
        batch=ready.batch,
    )


def interruption(work: Work) -> str:
    """Say that Ctrl-C ended a run."""
    return f"interrupted after {work.passes:,} of {work.planned:,} passes"


def evidence(setup: Setup, dead: Mask, inputs: int | None = None) -> list[str]:
    """Return what to say of pixels that are dead on some inputs though the graph connects them."""
    if setup.structural is None:
        return []
    count = int((dead & ~setup.structural.dead).sum())
    if not count:
        return []
    cell = "pixel" if setup.tile == 1 else "tile"
    said = (
        f"{_counted(count, cell)} more than the graph says changed nothing on"
        f" {_counted(inputs or len(setup.subject.baselines), 'input')}: evidence, not proof, that"
        f" nothing reads {'it' if count == 1 else 'them'}"
    )
    return [said]


def maps(
    shape: tuple[int, ...], pixels: npt.NDArray[np.int64], responses: Numbers, moved: Mask
) -> tuple[Numbers, Mask, Mask]:
    """Return the maps of influence, dead pixels and perturbed pixels."""
    values = np.zeros(shape)
    dead, probed = np.zeros(shape, bool), np.zeros(shape, bool)
    at = tuple(pixels.T)
    values[at] = responses.mean(axis=0)
    dead[at] = ~moved
    probed[at] = True
    if probed.any() and not probed.all():
        values = metrics.fill(values, probed)
    return values, dead, probed


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
