"""Cells that downscaling and cropping leave unread, and the pixels that are lost by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from scotoma.sweep import Semiring
from scotoma.sweep.pull import pull
from scotoma.sweep.support import axes_of_array, behind
from scotoma.sweep.sweep import run
from scotoma.trace.index_map import TapsMap
from scotoma.trace.layout import axis_of, tracked_sizes
from scotoma.trace.reading import Flow, Mapped, Reading, used_readings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.sweep import Loss
    from scotoma.trace.geometry import Geometry

    Mask = NDArray[np.bool_]

SELECTIONS = frozenset({"Slice", "Pad", "Split", "Gather", "GatherND"})
"""Operators that keep some cells and drop the others."""
RESIZES = frozenset({"Resize", "Upsample"})


@dataclass(frozen=True, slots=True, eq=False)
class Resized:
    """What a Resize or Upsample reads of its input along one axis of the image."""

    label: int
    size_in: int
    size_out: int
    read: Mask
    """Which cells it reads; shape (size_in,)."""
    covered: Fraction
    """Cells from the begin of the axis to where its output grid ends."""

    @property
    def beyond(self) -> Mask:
        """Cells left unread because their middle lies behind the end of the output grid."""
        middles = np.arange(self.size_in) * 2 + 1
        outside = middles * self.covered.denominator > 2 * self.covered.numerator
        return np.asarray(~self.read & outside)

    @property
    def skipped(self) -> Mask:
        """Cells left unread inside the output grid."""
        return np.asarray(~self.read & ~self.beyond)


def resized_axes(geometry: Geometry, operator: Operator) -> list[Resized]:
    """Return what a resize reads along each axis of the image that it makes smaller."""
    flow = geometry.flows.get(operator.outputs[0])
    if operator.op_type not in RESIZES or flow is None or not flow.readings:
        return []
    reading = flow.readings[0]
    found = []
    for label in range(geometry.rank):
        axis = axis_of(reading.layout, label)
        read = (reading.axes or ())[axis] if axis is not None and reading.axes else None
        if not isinstance(read, Mapped) or not isinstance(read.map, TapsMap):
            continue
        if read.map.size_out < read.map.size_in:
            cells = np.zeros(read.map.size_in, bool)
            cells[read.map.inputs] = True
            covered = read.map.size_out * read.map.rate
            found.append(Resized(label, read.map.size_in, read.map.size_out, cells, covered))
    return found


def readers(geometry: Geometry, tensors: Sequence[str]) -> dict[str, list[tuple[Flow, Reading]]]:
    """Return who reads a tensor on a local path to some tensors, by the tensor's name."""
    found: dict[str, list[tuple[Flow, Reading]]] = {}
    for flow in behind(geometry, tensors).values():
        for reading in used_readings(flow, geometry.flows, local=True):
            found.setdefault(reading.tensor, []).append((flow, reading))
    return found


def unread_cells(geometry: Geometry, tensor: str, read_by: Sequence[tuple[Flow, Reading]]) -> Mask:
    """Return the cells of a tensor that none of its readers reads."""
    unread = np.ones(tracked_sizes(geometry.flows[tensor].layout), bool)
    for flow, reading in read_by:
        full = np.ones(tracked_sizes(flow.layout), bool)
        unread &= ~pull(reading, flow.layout, full, Semiring.REACH).astype(bool)
    return unread


def spread(geometry: Geometry, tensor: str, label: int, cells: Mask) -> Mask:
    """Return the cells of a map whose place along one axis of the image is among some."""
    flow, axis = geometry.flows[tensor], axis_of(geometry.flows[tensor].layout, label)
    digits = axes_of_array(flow)
    shape = [1] * len(digits)
    if axis is None:
        return np.zeros(tracked_sizes(flow.layout), bool)
    shape[digits.index(axis)] = len(cells)
    return np.broadcast_to(cells.reshape(shape), tracked_sizes(flow.layout))


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """An operator that cuts pixels off which nothing else reads."""

    operator: Operator
    tensor: str
    """The tensor of which it keeps a part."""
    pixels: Mask
    """The pixels that are lost by it; shape: the spatial sizes of the input."""


def crops(geometry: Geometry, losses: Sequence[Loss], dead: Mask) -> list[Crop]:
    """Return which of the operators that lose pixels do so by cutting, one entry for each.

    Parameters
    ----------
    losses
        All operators that lose pixels.
    dead
        The pixels that no local path connects to an output.
    """
    found: dict[str, Crop] = {}
    for loss in losses:
        pixels: Mask | None = None
        if loss.operator.op_type in SELECTIONS and not loss.operator.domain:
            pixels = loss.pixels
        elif loss.operator.op_type in RESIZES:
            pixels = _beyond_grid(geometry, loss, dead)
        if pixels is None or not pixels.any():
            continue
        name = loss.operator.name
        if name in found:
            pixels = pixels | found[name].pixels
        found[name] = Crop(loss.operator, loss.tensor, pixels)
    return list(found.values())


def _beyond_grid(geometry: Geometry, loss: Loss, dead: Mask) -> Mask | None:
    """Return the dead pixels behind the cells that lie beyond the output grid of a resize."""
    cells = np.zeros(tracked_sizes(geometry.flows[loss.tensor].layout), bool)
    for axis in resized_axes(geometry, loss.operator):
        cells = cells | spread(geometry, loss.tensor, axis.label, axis.beyond)
    if not cells.any():
        return None
    below = run(geometry, {loss.tensor: cells}, Semiring.REACH, local=True)
    return np.asarray(below.values.astype(bool) & dead)


def crops_of(facts: Facts) -> list[Crop]:
    """Return the operators by which a model crops its input."""
    dead = facts.dead(local=True)
    if facts.geometry is None or dead is None:
        return []
    return crops(facts.geometry, facts.losses(), dead.mask)
