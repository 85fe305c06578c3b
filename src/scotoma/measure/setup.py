"""Readies a measurement: the target, a session that repeats itself, the inputs and their steps."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from scotoma import sweep
from scotoma.errors import MeasurementError
from scotoma.measure import functional, inputs, stimuli, target
from scotoma.measure.influence import Structural
from scotoma.measure.plan import Lattice
from scotoma.measure.randomness import settled
from scotoma.measure.session import Session
from scotoma.measure.subject import MOST_HELD, Subject, held, require_finite
from scotoma.measure.tiles import need, structural_in_tiles, tile_of
from scotoma.measure.unit import at_unit, structural_at_unit

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from scotoma.facts import Facts
    from scotoma.measure.functional import Functional
    from scotoma.measure.options import MeasureOptions
    from scotoma.measure.target import Target
    from scotoma.resolve.resolution import InputShape

LARGEST_INPUTS = 2**33
"""Bytes that all inputs together may take."""


@dataclass(frozen=True, slots=True, eq=False)
class Setup:
    """Everything that a plan is run on."""

    target: Target
    functional: Functional
    subject: Subject
    structural: Structural | None
    """What the graph says, in the cells of the map."""
    dead: npt.NDArray[np.bool_] | None
    """Pixels without a path to the target; None where the graph could not be followed."""
    step: float
    difference: str
    channels: int
    """Passes of a place in each direction: its channels if they are perturbed one by one."""
    notes: tuple[str, ...]
    why_step: str
    """How the step was chosen; empty where it was given."""
    tile: int = 1
    """Pixels along each axis that share a cell of the map."""

    @property
    def notes_with_step(self) -> list[str]:
        """What a reader must know where pixels are perturbed."""
        return [*self.notes, *filter(None, [self.why_step])]

    @property
    def signs(self) -> tuple[int, ...]:
        """The directions in which a place is perturbed."""
        return (-1, 1) if self.difference == "central" else (1,)


def prepare(facts: Facts, options: MeasureOptions) -> Setup:
    """Return what a plan is run on.

    Raises
    ------
    UsageError
        If an option does not fit the model.
    MeasurementError
        If the model cannot be measured; see `scotoma.measure.perturb.measure`.
    """
    examined = _examined(facts, options)
    tile = tile_of(facts.image_size)
    aim = target.choose(facts, options)
    if options.unit is not None:
        aim = at_unit(facts, aim, options.unit)
    chosen = functional.choose(options, aim, facts)
    session = Session(facts.resolution, aim, options.data)
    dtypes = session.dtypes()
    if examined.name not in dtypes:
        raise MeasurementError(f"onnxruntime does not know an input '{examined.name}'")
    baselines = inputs.baselines(facts, dtypes, options)
    feed = baselines[0].feed
    require_finite(session.run(feed), aim.tensors)
    session, said = settled(facts.resolution, aim, options, session, feed)
    answers = [session.run(baseline.feed) for baseline in baselines]
    for answer in answers:
        require_finite(answer, aim.tensors)
    step = stimuli.step(facts, baselines, options)
    difference = stimuli.difference(options)
    arrays = [baseline.feed[examined.name] for baseline in baselines]
    channel_axis = stimuli.channel_axis(facts) if options.channels == "each" else None
    whole = sum(array.nbytes for array in arrays) <= MOST_HELD
    subject = Subject(
        session=session,
        examined=examined,
        lattice=Lattice(facts.image_size, options.patch),
        channel_axis=channel_axis,
        baselines=baselines,
        extremes=tuple(
            stimuli.extremes(array, step.size, difference, examined.spatial_axes, whole=whole)
            for array in arrays
        ),
        functionals=tuple(chosen.for_baseline(answer) for answer in answers),
        answers=held(answers),
    )
    structural = _structural(facts, aim)
    dead = None if structural is None else structural.dead
    notes = [*aim.notes, *said, *(note for item in baselines for note in item.notes)]
    if tile > 1:
        notes.append(need(facts.image_size, tile))
        structural = None if structural is None else structural_in_tiles(structural, tile)
    return Setup(
        aim,
        chosen,
        subject,
        structural,
        dead,
        step.size,
        difference,
        1 if channel_axis is None else arrays[0].shape[channel_axis],
        tuple(notes),
        step.why,
        tile,
    )


def _examined(facts: Facts, options: MeasureOptions) -> InputShape:
    """Return the input whose pixels are perturbed."""
    examined = facts.resolution.examined
    if examined is None or not examined.shape or not examined.spatial_axes:
        raise MeasurementError("the model has no spatial input whose pixels could be perturbed")
    if min(examined.shape) < 1:
        shape = "x".join(map(str, examined.shape))
        raise MeasurementError(f"input '{examined.name}' has no pixels at {shape}")
    # Four bytes for an element, as of float32; one more is the input that is written to.
    asked = options.inputs or ("random",)
    count = sum(options.random_inputs if name == "random" else 1 for name in asked)
    taken = 4 * prod(examined.shape) * (count + 1)
    if taken > LARGEST_INPUTS:
        shape = "x".join(map(str, examined.shape))
        raise MeasurementError(
            f"inputs of {shape} would take {taken / 2**30:.1f} GiB, more than"
            f" {LARGEST_INPUTS / 2**30:.0f}: measure fewer --inputs, or at a smaller --size"
        )
    return examined


def _structural(facts: Facts, aim: Target) -> Structural | None:
    """Return what the graph says of the target, None where it could not be followed."""
    geometry = facts.geometry
    if geometry is None:
        return None
    if aim.unit is not None:
        return structural_at_unit(facts, aim)
    tensors = [name for name in aim.tensors if name in geometry.flows]
    if len(tensors) < len(aim.tensors) or any(facts.shape(name) is None for name in tensors):
        return None
    found = sweep.coverage(geometry, tensors)
    return Structural(found.walk, found.dead.mask, found.absorbed_by_padding)
