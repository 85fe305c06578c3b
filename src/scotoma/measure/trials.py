"""Tries out, before a plan is run, what may be relied on: dead pixels, batches, boxes."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from scotoma.errors import MeasurementError
from scotoma.measure.boxes import same_bits
from scotoma.measure.plan import PIXELS, Probe, Unit

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.measure.boxes import Boxes
    from scotoma.measure.plan import Plan
    from scotoma.measure.prober import Prober
    from scotoma.measure.subject import Subject

BATCH = 16
SLOW_PASS = 0.002
"""Seconds; a pass that takes longer gains nothing from a batch on a CPU."""
LARGEST_BATCH = 2**26
"""Bytes of one batch of inputs."""


def moves_together(subject: Subject, signs: tuple[int, ...], places: npt.NDArray[np.bool_]) -> bool:
    """Perturb many places at once, on every input and in every direction.

    Returns
    -------
    bool
        Whether some bit of the target changed.
    """
    axes, rank = subject.examined.spatial_axes, subject.baseline(0).ndim
    pixels = subject.lattice.pixels_of(places)
    mask = np.expand_dims(pixels, tuple(axis for axis in range(rank) if axis not in axes))
    for number, baseline in enumerate(subject.baselines):
        before, extremes = subject.answer(number), subject.extremes[number]
        for sign in signs:
            perturbed = np.where(mask, extremes.at(..., sign), subject.baseline(number))
            feed = {**baseline.feed, subject.name: perturbed}
            if not same_bits(before, subject.session.run(feed)):
                return True
    return False


def batch_size(subject: Subject) -> int:
    """Return how many inputs may and should be run in one call: `BATCH` or 1.

    They may if every row of a batch equals the run of its input alone, bit for bit; they should if
    that is quicker. Only for a single input that leads with a batch axis of size 1.
    """
    baseline, extremes = subject.baseline(0), subject.extremes[0]
    alone_feed = subject.baselines[0].feed
    if baseline.shape[0] != 1 or 0 in subject.examined.spatial_axes or len(alone_feed) != 1:
        return 1
    if baseline.nbytes * BATCH > LARGEST_BATCH:
        return 1
    rows = np.repeat(baseline, BATCH, axis=0)
    sizes = [baseline.shape[axis] for axis in subject.examined.spatial_axes]
    for row in range(BATCH - 2):
        index: list[slice | int] = [slice(None)] * baseline.ndim
        for axis, size in zip(subject.examined.spatial_axes, sizes, strict=True):
            index[axis] = row * (size - 1) // (BATCH - 3)
        rows[(row, *index[1:])] = extremes.high[(0, *index[1:])]
    rows[-1] = extremes.high[0]
    start = perf_counter()
    alone = [subject.session.run({subject.name: rows[row : row + 1]}) for row in range(BATCH)]
    seconds_alone = perf_counter() - start
    try:
        subject.session.run({subject.name: rows})
        start = perf_counter()
        together = subject.session.run({subject.name: rows})
        seconds_together = perf_counter() - start
    except MeasurementError:
        return 1  # the file says "any batch", but an operator inside is made for one
    if any(
        array.shape != (BATCH, *single.shape[1:]) or single.shape[:1] != (1,)
        for array, single in zip(together, alone[0], strict=True)
    ):
        return 1
    same = all(
        same_bits(single, [array[row : row + 1] for array in together])
        for row, single in enumerate(alone)
    )
    return BATCH if same and seconds_together < seconds_alone else 1


def box_mismatch(prober: Prober, boxes: Boxes, plan: Plan) -> str | None:
    """Try a few units: say where an answer is not what it is alone, None where all are.

    For some places of each unit, the cells in the place's box must be the same, bit for bit,
    whether it is perturbed alone or with the others, and no other cell may change.
    """
    before = prober.subject.answer(0)
    pixels = np.flatnonzero(plan.kinds == 0)
    chosen = pixels[[0, len(pixels) // 2, -1]] if len(pixels) else pixels
    for index in dict.fromkeys(chosen.tolist()):
        unit, probe = plan.unit(index), Probe(index, 0, None, 1)
        places = unit.places
        for place in places[[0, len(places) // 2, -1]]:
            alone = Unit(PIXELS, tuple(np.array([position]) for position in place))
            one, many = (prober.run_alone(0, perturbed, probe) for perturbed in (alone, unit))
            for tensor, (old, a, b) in enumerate(zip(before, one, many, strict=True)):
                if not a.shape == b.shape == old.shape:
                    return "the shape of the target depends on the values of the input"
                inside = boxes.mask(tensor, old.shape, place.tolist())
                if not same_bits([a[inside]], [b[inside]]):
                    return "an answer depends on what else is perturbed"
                if not same_bits([a[~inside]], [old[~inside]]):
                    return "a pixel changes cells that the graph does not connect to it"
    return None
