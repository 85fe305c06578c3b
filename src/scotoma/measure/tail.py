"""The part of a model behind the tensor that a preview cuts it at, as gradients by that tensor."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma import adjoint
from scotoma.errors import MeasurementError
from scotoma.measure import cut as cuts
from scotoma.measure import directions, gradients, stimuli
from scotoma.measure.boxes import in_boxes
from scotoma.measure.gradients import NoGradientError
from scotoma.measure.reach import Reach

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.adjoint import Tape
    from scotoma.facts import Facts
    from scotoma.measure.cut import Cut
    from scotoma.measure.setup import Setup

    Array = npt.NDArray[Any]
    Numbers = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """The part of the model behind the cut."""

    cut: Cut
    runner: adjoint.Runner
    cotangents: int
    random: bool
    seed: int

    @classmethod
    def of(cls, facts: Facts, setup: Setup, seed: int) -> Tail:
        """Cut the model and build the adjoint of what lies behind.

        Raises
        ------
        NoGradientError
            If there is no cut or no gradient.
        """
        quantiser = stimuli.quantiser(facts)
        if quantiser is not None:
            raise NoGradientError(
                f"'{quantiser.name}' ({quantiser.op_type}) rounds, and gradients do not see that"
            )
        count, random = directions.count(setup)
        cut = cuts.choose(facts, setup.target.tensors, setup.subject.lattice, count)
        if cut is None:
            raise NoGradientError(
                "no tensor on the way of all paths to the target lets pixels be moved together in"
                f" {cuts.MOST_PASSES} passes"
            )
        made = gradients.build(facts, setup.target.tensors, cut.tensor)
        return cls(cut, adjoint.Runner(made, threads=1), count, random, seed)

    def by_cell(self, setup: Setup, number: int) -> Numbers:
        """Return the gradients by the cut tensor for one input, (cotangents, *tensor)."""
        tape: Tape = self.runner.forward(setup.subject.baselines[number].feed)
        gradients.require_same(setup, number, tape)
        found = []
        given = directions.cotangents(setup, number, self.cotangents, self.seed)
        for array in (array for counts, array in given if counts):
            found.append(gradients.back(setup, self.runner, tape, array)[self.cut.tensor][0])
            if not np.isfinite(found[-1]).all():
                raise MeasurementError("no hybrid map: a gradient is not finite")
        return np.stack(found)


class Cells:
    """The gradients by the cells of the cut tensor, for one input."""

    def __init__(self, tail: Tail, by_cell: Array) -> None:
        self._random = tail.random
        spatial = [reach.axis for reach in tail.cut.reach]
        others = [axis for axis in range(by_cell.ndim - 1) if axis not in spatial]
        self._order = (*others, *spatial)
        self._sizes = tuple(by_cell.shape[1 + axis] for axis in spatial)
        self._reach = tuple(
            Reach(axis, reach.low, reach.high) for axis, reach in enumerate(tail.cut.reach)
        )
        moved = np.transpose(by_cell, (0, *(1 + axis for axis in self._order)))
        self._gradients = moved.reshape(len(by_cell), -1, prod(self._sizes))

    def influence(
        self, *, before: Array, after: Array, at: tuple[Array, ...]
    ) -> tuple[Numbers, Mask]:
        """Return the functional of a change by place, and where the tensor changed at all."""
        change = np.subtract(after, before, dtype=np.result_type(after, np.float32))
        stacked = np.transpose(change, self._order).reshape(-1, prod(self._sizes))
        total = np.zeros(tuple(map(len, at)))
        # Channels first: that leaves little to be summed over boxes.
        for sums in np.einsum("kcp,cp->kp", self._gradients, stacked):
            cells = sums.reshape(self._sizes).astype(np.float64)
            total += in_boxes(np.add, cells, self._reach, at) ** 2
        nonzero = (stacked != 0).any(axis=0).reshape(self._sizes)
        touched = in_boxes(np.logical_or, nonzero, self._reach, at)
        return np.sqrt(total / (len(self._gradients) if self._random else 1)), touched
