"""Reads the answers to places that were perturbed together: each from the cells it can reach.

The cells that can depend on a place form a box, and boxes of places in one unit never meet, so
that every answer is what it would be alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.measure.functional import Functional
    from scotoma.measure.reach import Reach

    Array = npt.NDArray[Any]
    Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Where the answers to the places of a lattice are to be read."""

    reaches: tuple[tuple[Reach, ...], ...]
    """By target tensor and axis of the image; by place of the lattice."""

    def responses(
        self,
        functional: Functional,
        before: Sequence[Array],
        after: Sequence[Array],
        positions: Sequence[Ints],
    ) -> npt.NDArray[np.float64]:
        """Return the functional of the change in the box of each place, row-major."""
        total = np.zeros(tuple(map(len, positions)))
        for along, old, new in zip(self.reaches, before, after, strict=True):
            total += in_boxes(np.add, functional.summand(old, new), along, positions)
        return np.asarray(functional.finish(total)).ravel()

    def moved(
        self, baseline: Sequence[Array], answer: Sequence[Array], positions: Sequence[Ints]
    ) -> npt.NDArray[np.bool_]:
        """Return for each place whether any bit in its box changed, row-major."""
        found = np.zeros(tuple(map(len, positions)), bool)
        for along, old, new in zip(self.reaches, baseline, answer, strict=True):
            changed = bits(old) != bits(new)
            found |= in_boxes(np.logical_or, changed, along, positions)
        return found.ravel()

    def mask(self, tensor: int, shape: tuple[int, ...], place: Sequence[int]) -> Array:
        """Return which elements of a target tensor lie in the box of one place."""
        inside = np.ones(shape, bool)
        for reach, position in zip(self.reaches[tensor], place, strict=True):
            sizes = [1] * len(shape)
            sizes[reach.axis] = -1
            cells = np.arange(shape[reach.axis])
            along = (cells >= reach.low[position]) & (cells <= reach.high[position])
            inside &= along.reshape(sizes)
        return inside


def bits(array: Array) -> Array:
    """Return an array's bits as whole numbers, so that -0 differs from 0 and NaN from nothing."""
    return array.view(f"u{array.dtype.itemsize}") if array.dtype.kind == "f" else array


def same_bits(one: Sequence[Array], other: Sequence[Array]) -> bool:
    """Tell whether two answers are the same, bit for bit."""
    return all(
        a.shape == b.shape and np.array_equal(_words(a), _words(b))
        for a, b in zip(one, other, strict=True)
    )


def _words(array: Array) -> Array:
    """Return the bits of an array in words that are quick to compare."""
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return flat.view(np.uint64) if flat.size % 8 == 0 else flat


def in_boxes(
    ufunc: np.ufunc, values: Array, along: Sequence[Reach], positions: Sequence[Ints]
) -> Array:
    """Reduce an array over the box of every place; shape: places along each axis of the image."""
    spatial = [reach.axis for reach in along]
    others = tuple(axis for axis in range(values.ndim) if axis not in spatial)
    cells = np.asarray(ufunc.reduce(values, axis=others)) if others else values
    order = sorted(spatial)
    cells = cells.transpose([order.index(axis) for axis in spatial])
    for axis, (reach, places) in enumerate(zip(along, positions, strict=True)):
        cells = _in_intervals(ufunc, cells, axis, reach.low[places], reach.high[places] + 1)
    return cells


def _in_intervals(ufunc: np.ufunc, cells: Array, axis: int, start: Ints, stop: Ints) -> Array:
    """Reduce an array along one axis over half-open intervals, the empty ones to zero."""
    size = cells.shape[axis]
    real = start < stop
    edge = np.zeros((*cells.shape[:axis], 1, *cells.shape[axis + 1 :]), cells.dtype)
    padded = np.concatenate([cells, edge], axis=axis)  # so that an interval may end at the end
    edges = np.stack([np.where(real, start, size), np.where(real, stop, size)], axis=-1).ravel()
    pick: tuple[Any, ...] = (slice(None),) * axis
    reduced = ufunc.reduceat(padded, edges, axis=axis)[(*pick, slice(None, None, 2))]
    reduced[(*pick, ~real)] = 0
    return np.asarray(reduced)
