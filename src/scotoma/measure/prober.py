"""Runs units of a plan: perturbs places on every input and takes the functional of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
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

    def __init__(self, unit: Unit, probes: tuple[Probe, ...]) -> None:
        self.unit = unit
        self.probes = probes
        size = prod(map(len, unit.positions)) if unit.kind == PIXELS else 1
        self.moved = np.zeros(size, bool)
        self.last = np.zeros(size)
        self._values: dict[int, list[npt.NDArray[np.float64]]] = {}

    def take(self, number: int, influence: npt.NDArray[np.float64]) -> None:
        """Keep the influence of the places on one input."""
        self.last = influence
        self._values.setdefault(number, []).append(influence)

    def response(self) -> Response:
        """Return the mean over the channels, and what moved."""
        values = [np.mean(of_channels, axis=0) for of_channels in self._values.values()]
        return Response(np.stack(values), self.moved)


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
        self._buffers: dict[int, Array] = {}

    def respond(self, plan: Plan, indices: Sequence[int]) -> list[Response]:
        """Perturb the places of some units; the result of each depends on nothing else.

        Raises
        ------
        MeasurementError
            If an answer is not finite, or changes its shape.
        """
        asked = [_Asked(plan.unit(index), tuple(plan.probes(index))) for index in indices]
        regions = {
            (at, channel): self.subject.region(one.unit, channel)
            for at, one in enumerate(asked)
            for channel in dict.fromkeys(probe.channel for probe in one.probes)
        }
        for number in range(plan.variants.inputs):
            rows = [
                (at, probe)
                for at, one in enumerate(asked)
                for probe in one.probes
                if probe.input == number
            ]
            before = self.subject.answer(number)
            answers: list[list[Array]] = []
            for start in range(0, len(rows), self.batch):
                part = rows[start : start + self.batch]
                answers += self._call(
                    number, [(regions[at, probe.channel], probe.sign) for at, probe in part]
                )
            low = before
            for (at, probe), answer in zip(rows, answers, strict=True):
                _require_shapes(before, answer)
                if probe.sign < 0:
                    low = answer
                    continue
                start_from = low if len(plan.variants.signs) > 1 else before
                asked[at].take(number, self._influence(asked[at].unit, number, start_from, answer))
                self._mark(asked[at], before, start_from, answer)
        return [one.response() for one in asked]

    def run_alone(self, number: int, unit: Unit, probe: Probe) -> list[Array]:
        """Return the target tensors for one perturbed input."""
        return self._call(number, [(self.subject.region(unit, probe.channel), probe.sign)])[0]

    def _call(self, number: int, rows: Sequence[tuple[Region, int]]) -> list[list[Array]]:
        """Return the target tensors for every perturbed input; at most a batch of them."""
        subject = self.subject
        baseline, extremes = subject.baseline(number), subject.extremes[number]
        buffer = self._buffer(number)
        places: list[Region] = []
        for row, (region, sign) in enumerate(rows):
            place = region if self.batch == 1 else (slice(row, row + 1), *region[1:])
            buffer[place] = (extremes.high if sign > 0 else extremes.low)[region]
            places.append(place)
        answer = subject.session.run({**subject.baselines[number].feed, subject.name: buffer})
        for place, (region, _) in zip(places, rows, strict=True):
            buffer[place] = baseline[region]
        if self.batch == 1:
            return [answer]
        return [[array[row : row + 1] for array in answer] for row in range(len(rows))]

    def _buffer(self, number: int) -> Array:
        """Return a copy of an input that may be written to, repeated for a batch."""
        buffer = self._buffers.get(number)
        if buffer is None:
            baseline = self.subject.baseline(number)
            if sum(held.nbytes for held in self._buffers.values()) > MOST_HELD:
                self._buffers.clear()
            buffer = np.repeat(baseline, self.batch, axis=0) if self.batch > 1 else baseline.copy()
            self._buffers[number] = buffer
        return buffer

    def _mark(
        self, asked: _Asked, baseline: Sequence[Array], low: Sequence[Array], high: Sequence[Array]
    ) -> None:
        """Mark the places of a unit that moved something.

        Where the functional changed something moved; only where it did not, bits are compared.
        """
        asked.moved |= asked.last > 0
        if asked.moved.all():
            return
        for answer in (high,) if low is baseline else (low, high):
            if self._reads_boxes(asked.unit) and self._boxes is not None:
                asked.moved |= self._boxes.moved(baseline, answer, asked.unit.positions)
            else:
                asked.moved |= not same_bits(baseline, answer)

    def _influence(
        self, unit: Unit, number: int, before: Sequence[Array], after: Sequence[Array]
    ) -> npt.NDArray[np.float64]:
        functional = self.subject.functionals[number]
        if self._reads_boxes(unit) and self._boxes is not None:
            changes = self._boxes.responses(functional, before, after, unit.positions)
        else:
            changes = np.array([functional.change(before, after)])
        influence: npt.NDArray[np.float64] = changes / abs(self.subject.extremes[number].span)
        if not np.isfinite(influence).all():
            first = 0 if unit.kind != PIXELS else int(np.flatnonzero(~np.isfinite(influence))[0])
            where = ", ".join(map(str, unit.places[first].tolist()))
            what = "pixel" if unit.kind == PIXELS else unit.kind.removesuffix("s")
            raise MeasurementError(
                f"the target is not finite once {what} ({where}) is perturbed: try a smaller delta"
            )
        return influence

    @staticmethod
    def _reads_boxes(unit: Unit) -> bool:
        """Tell whether the unit has several places, or could have: then it is read in boxes."""
        return unit.kind == PIXELS and any(len(positions) > 1 for positions in unit.positions)


def _require_shapes(before: Sequence[Array], after: Sequence[Array]) -> None:
    for old, new in zip(before, after, strict=True):
        if old.shape != new.shape:
            raise MeasurementError(
                f"the shape of a target tensor depends on the values of the input ({old.shape},"
                f" then {new.shape}): measure another tensor"
            )
