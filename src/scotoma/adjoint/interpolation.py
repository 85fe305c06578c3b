"""What Resize weighs along one axis: which cells every output is the sum of, and how much.

The coordinates of linear and cubic interpolation are exact, so that a weight is zero where the
static sweep says so. Those of the nearest cell, and of a crop, are rounded to single precision
step by step as onnxruntime does it: at a tie that decides which cell is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scotoma.adjoint.registry import NoAdjointError
from scotoma.trace.nearest import TIE, Region, coordinates, copied

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.trace.resample import Resampling

    Cells = NDArray[np.int64]
    Weights = NDArray[np.float64]
    Places = NDArray[np.float32]

LONGEST = 1 << 20
"""Cells of an axis that are still listed."""
MOST = 1 << 22
"""Weights of an axis that are still listed."""


@dataclass(frozen=True, slots=True, eq=False)
class Taps:
    """The cells that the outputs of one axis are weighted sums of; weights may be 0."""

    size_in: int
    cells: Cells
    """Shape (outputs, taps)."""
    weights: Weights
    """Shape (outputs, taps)."""

    @property
    def size_out(self) -> int:
        """How many outputs there are."""
        return len(self.cells)

    def matrix(self) -> Weights:
        """Return the weights as a matrix, outputs × inputs."""
        full = np.zeros((self.size_out, self.size_in))
        np.add.at(full, (np.arange(self.size_out)[:, None], self.cells), self.weights)
        return full

    def turned(self) -> Taps:
        """Return the outputs that every input goes into: the taps of the adjoint."""
        outputs = np.repeat(np.arange(self.size_out), self.cells.shape[1])
        inputs, weights = self.cells.ravel(), self.weights.ravel()
        used = weights != 0
        outputs, inputs, weights = outputs[used], inputs[used], weights[used]
        order = np.argsort(inputs, kind="stable")
        outputs, inputs, weights = outputs[order], inputs[order], weights[order]
        counts = np.bincount(inputs, minlength=self.size_in)
        slots = np.arange(len(inputs)) - np.repeat(np.cumsum(counts) - counts, counts)
        most = int(counts.max(initial=1))
        if most * self.size_in > MOST:
            raise NoAdjointError("a cell of it goes into too many outputs")
        cells = np.zeros((self.size_in, most), np.int64)
        found = np.zeros((self.size_in, most))
        cells[inputs, slots], found[inputs, slots] = outputs, weights
        return Taps(self.size_out, cells, found)


def taps(resampling: Resampling, cubic_coeff_a: float, region: Region | None = None) -> Taps:
    """Return what the outputs of an axis are made of.

    Parameters
    ----------
    resampling
        How the axis is resized.
    cubic_coeff_a
        Parameter of the cubic convolution (Keys 1981).
    region
        What ``tf_crop_and_resize`` crops to; outputs beyond the axis have weights of 0.

    Raises
    ------
    NoAdjointError
        If the transformation is not known, or the axis is too long.
    """
    r = resampling
    if max(r.size_in, r.size_out) > LONGEST:
        raise NoAdjointError("an axis of it is too long to list")
    if r.mode == "nearest":
        found = Taps(
            r.size_in, _nearest(r, _coordinates(r, region))[:, None], np.ones((r.size_out, 1))
        )
    else:
        found = _smooth(r, cubic_coeff_a, region)
    if region is None:
        return found
    # What lies outside gets the extrapolation value.
    places = _coordinates(r, region)
    inside = (places >= 0) & (places <= r.size_in - 1)
    return Taps(r.size_in, found.cells, found.weights * inside[:, None])


def _smooth(r: Resampling, a: float, region: Region | None) -> Taps:
    """Return the taps of linear and cubic interpolation."""
    first, beyond = _exact(r) if region is None else _split(_coordinates(r, region))
    if r.antialias and r.scale < 1:
        return _antialiased(r, a, first, beyond)
    last = r.size_in - 1
    if r.mode == "linear":
        beyond = np.where((first < 0) | (first >= last), 0.0, beyond)
        first = np.clip(first, 0, last)
        cells = np.stack([first, np.minimum(first + 1, last)], 1)
        return Taps(r.size_in, cells, np.stack([1 - beyond, beyond], 1))
    steps = np.arange(-1, 3)
    weights = cubic(steps - beyond[:, None], a)
    return _bounded(r, first[:, None] + steps, weights)


def _antialiased(r: Resampling, a: float, first: Cells, beyond: Weights) -> Taps:
    """Return the taps of a filter that is stretched to the distance of the outputs."""
    scale = float(r.scale)
    reach = int(np.ceil((1 if r.mode == "linear" else 2) / scale)) + 1
    if (2 * reach + 1) * r.size_out > MOST:
        raise NoAdjointError("its filter is too wide to list")
    steps = np.arange(-reach, reach + 1)
    # Exact at the ends of the filter, where a rounding error would leave a weight.
    apart = np.round((steps - beyond[:, None]) * scale, 12)
    weights = np.maximum(1 - np.abs(apart), 0) if r.mode == "linear" else cubic(apart, a)
    weights /= weights.sum(1, keepdims=True)
    return _bounded(r, first[:, None] + steps, weights)


def _bounded(r: Resampling, cells: Cells, weights: Weights) -> Taps:
    """Let the border stand in for the cells outside, or leave those out and weigh the others."""
    last = r.size_in - 1
    if r.exclude_outside:
        weights = np.where((cells < 0) | (cells > last), 0.0, weights)
        weights /= weights.sum(1, keepdims=True)
    return Taps(r.size_in, np.clip(cells, 0, last), weights)


def cubic(apart: Weights, a: float) -> Weights:
    """Return the weight of a cubic convolution at a distance in cells (Keys 1981).

    Examples
    --------
    >>> cubic(np.array([0.0, 1.0, 1.5, 2.0]), -0.75).tolist()
    [1.0, 0.0, -0.09375, 0.0]
    """
    x = np.abs(apart)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    result: Weights = np.where(x <= 1, near, np.where(x < 2, far, 0.0))
    return result


def _exact(r: Resampling) -> tuple[Cells, Weights]:
    """Return the cell at or before each coordinate, and how far beyond it that lies."""
    line = r.line
    if line is None:
        raise NoAdjointError(f"its coordinates ({r.transformation}) are not known")
    slope, offset, unit = line
    if max(abs(slope), abs(offset), unit) > 1 << 40:
        raise NoAdjointError("its scale is no simple fraction")
    first, rest = np.divmod(np.arange(r.size_out, dtype=np.int64) * slope + offset, unit)
    return first, rest / unit


def _split(places: Places) -> tuple[Cells, Weights]:
    first = np.floor(places + TIE)
    beyond = (places - first).astype(np.float64)
    return first.astype(np.int64), np.where(beyond <= TIE, 0.0, beyond)


def _coordinates(r: Resampling, region: Region | None) -> Places:
    """Return the coordinates with the rounding errors of onnxruntime."""
    found = coordinates(r, region)
    if found is None:
        raise NoAdjointError(f"its coordinates ({r.transformation}) are not known")
    return found


def _nearest(r: Resampling, places: Places) -> Cells:
    """Return the cell that each output copies."""
    chosen = copied(r, places)
    if chosen is None:
        raise NoAdjointError(f"its nearest_mode {r.nearest_mode!r} is not known")
    return chosen
