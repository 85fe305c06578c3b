"""Runs units of a plan: perturbs places on every input and takes the functional of the answers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.errors import MeasurementError
from scotoma.measure.boxes import Boxes, same_bits
from scotoma.measure.plan import PIXELS, Plan, Probe, Unit

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.measure.subject import Region, Subject

    Array = npt.NDArray[Any]

MOST_HELD = 2**30
"""Bytes of inputs that are kept for writing."""


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """What one unit gave."""

    values: npt.NDArray[np.float64]
    """Influence per unit of input, (inputs, places), the mean over the channels if each had a
    pass of its own."""
    moved: npt.NDArray[np.bool_]
    """By place: some bit of the target changed on some input."""


class _Asked:
    """A unit with what its passes have given so far."""

    def __init__(self, unit: Unit, regions: Sequence[Region]) -> None:
        self.unit = unit
        self.regions = regions
        """What its passes perturb, one after the other."""
        self.count = unit.count
        self.boxed = unit.kind == PIXELS and any(len(along) > 1 for along in unit.positions)
        """It has several places, or could have: then it is read in boxes."""
        self.moved: npt.NDArray[np.bool_] | bool = False
        self.values: list[list[npt.NDArray[np.float64] | float]] = []
        """By input and pass."""

    def response(self) -> Response:
        """Return the mean over the channels, and what moved."""
        passes = np.array(self.values, np.float64).reshape(len(self.values), -1, self.count)
        alone = passes.shape[1] == 1
        values = passes[:, 0] if alone else np.stack([np.mean(one, axis=0) for one in passes])
        return Response(values, np.full(self.count, self.moved))


class Prober:
    """Answers units of a plan, with buffers of its own: one for each thread.

    Parameters
    ----------
    subject
        The model and its inputs.
    boxes
        Where to read the answers to places that are perturbed together; None: there are none.
    batch
        Inputs per call of onnxruntime; see `scotoma.measure.trials.batch_size`.
    """

    def __init__(self, subject: Subject, boxes: Boxes | None, batch: int = 1) -> None:
        self.subject = subject
        self._boxes = boxes
        self.batch = batch
        self._feeds: dict[int, tuple[dict[str, Array], Array]] = {}

    def respond(self, plan: Plan, indices: Sequence[int]) -> list[Response]:
        """Perturb the places of some units; the result of each depends on nothing else.

        Raises
        ------
        MeasurementError
            If an answer is not finite, or changes its shape.
        """
        asked = []
        for index in indices:
            unit = plan.unit(index)
            regions = [self.subject.region(unit, channel) for channel in plan.channels(index)]
            asked.append(_Asked(unit, regions))
        for number in range(plan.variants.inputs):
            self._respond(asked, number, plan.variants.signs)
        return [one.response() for one in asked]

    def _respond(self, asked: Sequence[_Asked], number: int, signs: Sequence[int]) -> None:
        """Perturb some units on one input."""
        before = self.subject.answer(number)
        for one in asked:
            one.values.append([])
        rows = [(one, region, sign) for one in asked for region in one.regions for sign in signs]
        low = before
        for (one, _, sign), answer in zip(rows, self._answers(number, rows), strict=True):
            _require_shapes(before, answer)
            if sign < 0:
                low = answer
                continue
            influence = self._influence(one, number, low, answer)
            one.values[-1].append(influence)
            self._mark(one, influence, before, low, answer)
            low = before

    def _answers(
        self, number: int, rows: Sequence[tuple[_Asked, Region, int]]
    ) -> Iterator[list[Array]]:
        """Yield the target tensors for every perturbed input."""
        steps = [(region, sign) for _, region, sign in rows]
        if self.batch == 1:
            for region, sign in steps:
                yield self._alone(number, region, sign)
            return
        for start in range(0, len(rows), self.batch):
            yield from self._together(number, steps[start : start + self.batch])

    def run_alone(self, number: int, unit: Unit, probe: Probe) -> list[Array]:
        """Return the target tensors for one perturbed input; only without a batch."""
        return self._alone(number, self.subject.region(unit, probe.channel), probe.sign)

    def _alone(self, number: int, region: Region, sign: int) -> list[Array]:
        """Return the target tensors for one perturbed input."""
        feed, buffer = self._feed(number)
        extremes = self.subject.extremes[number]
        buffer[region] = extremes.at(region, sign)
        answer = self.subject.session.run(feed)
        buffer[region] = self.subject.baseline(number)[region]
        return answer

    def _together(self, number: int, steps: Sequence[tuple[Region, int]]) -> list[list[Array]]:
        """Return the target tensors for every perturbed input; at most a batch of them."""
        feed, buffer = self._feed(number)
        extremes, baseline = self.subject.extremes[number], self.subject.baseline(number)
        places: list[Region] = [
            (slice(row, row + 1), *region[1:]) for row, (region, _) in enumerate(steps)
        ]
        for place, (region, sign) in zip(places, steps, strict=True):
            buffer[place] = extremes.at(region, sign)
        answer = self.subject.session.run(feed)
        for place, (region, _) in zip(places, steps, strict=True):
            buffer[place] = baseline[region]
        return [[array[row : row + 1] for array in answer] for row in range(len(steps))]

    def _feed(self, number: int) -> tuple[dict[str, Array], Array]:
        """Return what is fed, with a copy of an input that may be written to, for a batch."""
        found = self._feeds.get(number)
        if found is None:
            baseline = self.subject.baseline(number)
            if sum(held.nbytes for _, held in self._feeds.values()) > MOST_HELD:
                self._feeds.clear()
            buffer = np.repeat(baseline, self.batch, axis=0) if self.batch > 1 else baseline.copy()
            feed = {**self.subject.baselines[number].feed, self.subject.name: buffer}
            found = self._feeds[number] = feed, buffer
        return found

    def _mark(
        self,
        asked: _Asked,
        influence: npt.NDArray[np.float64] | float,
        baseline: Sequence[Array],
        low: Sequence[Array],
        high: Sequence[Array],
    ) -> None:
        """Mark the places of a unit that moved something.

        Where the functional changed something moved; only where it did not, bits are compared.
        """
        answers = (high,) if low is baseline else (low, high)
        if not asked.boxed or self._boxes is None:
            if not asked.moved:
                changed = influence > 0 or not all(same_bits(baseline, one) for one in answers)
                asked.moved = bool(changed)
            return
        moved = asked.moved | (np.asarray(influence) > 0)
        for answer in answers:
            if not moved.all():
                moved |= self._boxes.moved(baseline, answer, asked.unit.positions)
        asked.moved = moved

    def _influence(
        self, asked: _Asked, number: int, before: Sequence[Array], after: Sequence[Array]
    ) -> npt.NDArray[np.float64] | float:
        """Return the influence of the places on one input; of a single place as a number."""
        functional, span = self.subject.functionals[number], self.subject.extremes[number].span
        if not asked.boxed or self._boxes is None:
            influence = functional.change(before, after) / span
            if not math.isfinite(influence):
                raise _not_finite(asked.unit, 0)
            return influence
        changes = self._boxes.responses(functional, before, after, asked.unit.positions) / span
        wrong = np.flatnonzero(~np.isfinite(changes))
        if len(wrong):
            raise _not_finite(asked.unit, int(wrong[0]))
        return changes


def _not_finite(unit: Unit, place: int) -> MeasurementError:
    where = ", ".join(map(str, unit.places[place].tolist()))
    what = "pixel" if unit.kind == PIXELS else unit.kind.removesuffix("s")
    return MeasurementError(
        f"the target is not finite once {what} ({where}) is perturbed: try a smaller delta"
    )


def _require_shapes(before: Sequence[Array], after: Sequence[Array]) -> None:
    for old, new in zip(before, after, strict=True):
        if old.shape != new.shape:
            raise MeasurementError(
                f"the shape of a target tensor depends on the values of the input ({old.shape},"
                f" then {new.shape}): measure another tensor"
            )
