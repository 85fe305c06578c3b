"""Makes the plan of a measurement, and tries out what of the graph's claims it may rely on."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from scotoma.measure import planning
from scotoma.measure.boxes import Boxes
from scotoma.measure.plan import Plan, Variants
from scotoma.measure.prober import Prober
from scotoma.measure.reach import reaches
from scotoma.measure.trials import SLOW_PASS, batch_size, box_mismatch, moves_together

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.facts import Facts
    from scotoma.measure.options import MeasureOptions
    from scotoma.measure.reach import Reach
    from scotoma.measure.setup import Setup

    Reaches = tuple[tuple[Reach, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Campaign:
    """A plan, and what was found out before it is run."""

    plan: Plan
    boxes: Boxes | None
    """Where answers of units with several places are read."""
    batch: int
    """Inputs per call of onnxruntime."""
    dead: npt.NDArray[np.bool_] | None
    """Places that are structurally dead, and moved nothing when perturbed together."""
    passes: int
    """Spent on them."""
    notes: tuple[str, ...]

    @property
    def several(self) -> bool:
        """Units hold several places."""
        return self.boxes is not None


def campaign(facts: Facts, setup: Setup, options: MeasureOptions) -> Campaign:
    """Return the plan of a measurement, ready to run.

    All structurally dead places are perturbed together, once on each input and in each direction.
    Where something moves, the graph's claims are not relied on any further, and the places are
    perturbed like all others. Places are perturbed together only if they answer as they do alone.
    """
    subject = setup.subject
    notes: list[str] = []
    dead = None if setup.dead is None else subject.lattice.tiles(setup.dead)
    passes = 0
    trusted = dead is not None
    if dead is not None and dead.any():
        passes = len(subject.baselines) * len(setup.signs)
        if moves_together(subject, setup.signs, dead):
            trusted = False
            notes.append(
                f"contradiction: {int(dead.sum()):,} places that the graph does not connect to the"
                " target changed it when they were perturbed together"
            )
    skipped = dead if trusted and dead is not None and dead.any() else None
    reach = _reach(facts, setup) if trusted and options.multiplex else None
    chosen = _plan(setup, options, skipped, reach)
    boxes = None
    if chosen.palette is not None and reach is not None:
        boxes = Boxes(reach)
        if (why := box_mismatch(Prober(subject, boxes), boxes, chosen)) is not None:
            notes.append(f"pixels were perturbed one at a time: {why}")
            boxes = None
            chosen = _plan(setup, options, skipped, None)
    batch = _batch(facts, setup, Prober(subject, boxes), chosen)
    return Campaign(chosen, boxes, batch, skipped, passes, tuple(notes))


def _plan(
    setup: Setup,
    options: MeasureOptions,
    skipped: npt.NDArray[np.bool_] | None,
    reach: Reaches | None,
) -> Plan:
    return planning.make(
        setup.subject.lattice,
        resolution=options.resolution,
        reaches=None if reach is None else list(zip(*reach, strict=True)),
        # Of tiles nobody knows which of their pixels the graph gives least weight.
        walk=None if setup.structural is None or setup.tile > 1 else setup.structural.walk,
        skipped=skipped,
        variants=Variants(len(setup.subject.baselines), setup.channels, setup.signs),
        seed=options.seed,
    )


def _reach(facts: Facts, setup: Setup) -> Reaches | None:
    """Return the reach of every place, by target tensor and axis of the image."""
    if facts.geometry is None or not setup.functional.additive:
        return None
    found = []
    for tensor, answer in zip(setup.target.tensors, setup.subject.answer(0), strict=True):
        along = reaches(facts.geometry, tensor)
        # What onnxruntime made must have the shape that the graph was followed with.
        if along is None or answer.shape != facts.shape(tensor):
            return None
        found.append(tuple(reach.of_tiles(setup.subject.lattice.patch) for reach in along))
    return tuple(found)


def _batch(facts: Facts, setup: Setup, prober: Prober, chosen: Plan) -> int:
    """Return the inputs per call: several where the file leaves the batch open and it pays."""
    name = setup.subject.name
    shapes = [value.shape for value in facts.model.main.inputs if value.name == name]
    if not any(shape and not isinstance(shape[0], int) for shape in shapes) or not len(chosen):
        return 1
    index = len(chosen) // 2
    prober.respond(chosen, [index])  # the first run allocates
    start = perf_counter()
    prober.respond(chosen, [index])
    slow = perf_counter() - start > SLOW_PASS * chosen.cost(index)
    return 1 if slow else batch_size(setup.subject)
