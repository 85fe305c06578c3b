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
from scotoma.measure.subject import Subject, held, require_finite
from scotoma.measure.unit import at_unit, structural_at_unit

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.measure.functional import Functional
    from scotoma.measure.options import MeasureOptions
    from scotoma.measure.target import Target
    from scotoma.resolve.resolution import InputShape

LARGEST_MAP = 2**32
"""Bytes that the maps of a measurement may take."""
BYTES_PER_PIXEL = 64
"""Of the maps and what is made of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Setup:
    """Everything that a plan is run on."""

    target: Target
    functional: Functional
    subject: Subject
    structural: Structural | None
    step: float
    difference: str
    channels: int
    """Passes of a place in each direction: its channels if they are perturbed one by one."""
    notes: tuple[str, ...]
    why_step: str
    """How the step was chosen; empty where it was given."""

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
    examined = _examined(facts)
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
    subject = Subject(
        session=session,
        examined=examined,
        lattice=Lattice(facts.image_size, options.patch),
        channel_axis=channel_axis,
        baselines=baselines,
        extremes=tuple(
            stimuli.extremes(array, step.size, difference, examined.spatial_axes)
            for array in arrays
        ),
        functionals=tuple(chosen.for_baseline(answer) for answer in answers),
        answers=held(answers),
    )
    notes = [*aim.notes, *said, *(note for item in baselines for note in item.notes)]
    return Setup(
        aim,
        chosen,
        subject,
        _structural(facts, aim),
        step.size,
        difference,
        1 if channel_axis is None else arrays[0].shape[channel_axis],
        tuple(notes),
        step.why,
    )


def _examined(facts: Facts) -> InputShape:
    """Return the input whose pixels are perturbed."""
    examined = facts.resolution.examined
    if examined is None or not examined.shape or not examined.spatial_axes:
        raise MeasurementError("the model has no spatial input whose pixels could be perturbed")
    if min(examined.shape) < 1:
        shape = "x".join(map(str, examined.shape))
        raise MeasurementError(f"input '{examined.name}' has no pixels at {shape}")
    need = prod(facts.image_size) * BYTES_PER_PIXEL
    if need > LARGEST_MAP:
        share = (LARGEST_MAP / need) ** (1 / len(facts.image_size))
        size, fits = (
            "x".join(str(max(1, int(length * by))) for length in facts.image_size)
            for by in (1, share)
        )
        raise MeasurementError(
            f"the map of {size} pixels would need {need / 2**30:.1f} GiB, more than"
            f" {LARGEST_MAP / 2**30:.0f}: examine the model at a smaller --size, {fits} at most"
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
