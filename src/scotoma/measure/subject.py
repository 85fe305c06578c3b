"""The model with everything that is fed to it, the same for all threads; read, never written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.errors import MeasurementError
from scotoma.measure.plan import COLUMNS, ROWS

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.measure.functional import Functional
    from scotoma.measure.inputs import Baseline
    from scotoma.measure.plan import Lattice, Unit
    from scotoma.measure.session import Session
    from scotoma.measure.stimuli import Extremes, Shifted
    from scotoma.resolve.resolution import InputShape

    Array = npt.NDArray[Any]
    Region = tuple[slice | int | Array, ...]

MOST_HELD = 2**30
"""Bytes of answers to the baselines that are kept; the others are asked for again."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """The model with everything that is fed to it: the same for all threads."""

    session: Session
    examined: InputShape
    lattice: Lattice
    channel_axis: int | None
    baselines: tuple[Baseline, ...]
    extremes: tuple[Extremes | Shifted, ...]
    functionals: tuple[Functional, ...]
    """By input: the class of a logit is that of the input's answer."""
    answers: tuple[list[Array] | None, ...]
    """Of the unperturbed inputs; None: too large to keep."""

    @property
    def name(self) -> str:
        """The examined input."""
        return self.examined.name

    def baseline(self, number: int) -> Array:
        """Return one input as it is."""
        return self.baselines[number].feed[self.name]

    def answer(self, number: int) -> list[Array]:
        """Return the target tensors for one input as it is."""
        held = self.answers[number]
        return held if held is not None else self.session.run(self.baselines[number].feed)

    def region(self, unit: Unit, channel: int | None) -> Region:
        """Return the elements of the input that a unit perturbs, as an index."""
        index: list[slice | int | Array] = [slice(None)] * self.baseline(0).ndim
        axes = self.examined.spatial_axes
        if unit.kind in (ROWS, COLUMNS):
            axis = len(axes) - (2 if unit.kind == ROWS else 1)
            index[axes[axis]] = self.lattice.span(axis, int(unit.positions[0][0]))
        elif all(len(positions) == 1 for positions in unit.positions):
            for axis, (place,) in enumerate(unit.positions):
                index[axes[axis]] = self.lattice.span(axis, int(place))
        else:
            spread = [self.lattice.spread(a, p) for a, p in enumerate(unit.positions)]
            for axis, positions in zip(axes, np.ix_(*spread), strict=True):
                index[axis] = positions
        if channel is not None and self.channel_axis is not None:
            index[self.channel_axis] = slice(channel, channel + 1)
        return tuple(index)


def require_finite(answer: Sequence[Array], tensors: Sequence[str]) -> None:
    """Refuse an answer to a baseline that is empty or holds a number that is not finite."""
    for name, array in zip(tensors, answer, strict=True):
        if array.size == 0:
            raise MeasurementError(f"'{name}' is empty at this input size")
        if not np.isfinite(array).all():
            raise MeasurementError(f"'{name}' holds NaN or infinity before anything is perturbed")


def held(answers: Sequence[list[Array]]) -> tuple[list[Array] | None, ...]:
    """Return the answers that fit into `MOST_HELD` bytes, None for the others."""
    kept: list[list[Array] | None] = []
    total = 0
    for answer in answers:
        total += sum(array.nbytes for array in answer)
        kept.append(answer if total <= MOST_HELD else None)
    return tuple(kept)
