"""The set of cells that is really read: by one unit of a feature map, and around a resize.

A receptive field is the hull of what a unit reads; dilated windows and strides that are wider than
their kernels leave holes in it. The sets are exact: one boolean sweep from a one-hot start (an
interval or a mask per axis would be wrong for graphs with branches).
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from scotoma.sweep.pull import Semiring, pull
from scotoma.sweep.sweep import run
from scotoma.trace.index_map import TapsMap, WindowMap
from scotoma.trace.layout import axis_of, tracked_sizes
from scotoma.trace.reading import AxisRead, Flow, Mapped, Reading, used_readings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.load.model import Operator
    from scotoma.sweep import Loss
    from scotoma.trace.geometry import Geometry

    Mask = NDArray[np.bool_]

SELECTIONS = frozenset({"Slice", "Pad", "Split", "Gather", "GatherND"})
"""Operators that keep some cells and drop the others."""
RESIZES = frozenset({"Resize", "Upsample"})


@dataclass(frozen=True, slots=True, eq=False)
class Support:
    """The pixels that one unit of a feature map reads."""

    cell: tuple[int, ...]
    """The unit's place, one number per axis of the image."""
    mask: Mask
    """True where a pixel is read; shape: the spatial sizes of the input."""

    @property
    def box(self) -> tuple[slice, ...]:
        """The smallest box of pixels that holds them all; empty slices where nothing is read."""
        return tuple(
            slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)
            for axis in range(self.mask.ndim)
            for places in [np.flatnonzero(self.along(axis))]
        )

    @property
    def extent(self) -> tuple[int, ...]:
        """Sizes of the box: the unit's receptive field, cut off at the image's borders."""
        return tuple(s.stop - s.start for s in self.box)

    def along(self, axis: int) -> Mask:
        """Return which places along one axis are read at all."""
        others = tuple(other for other in range(self.mask.ndim) if other != axis)
        return np.asarray(self.mask.any(axis=others))

    def density(self, dead: Mask | None = None) -> Fraction:
        """Return the share of the box that is read, exact.

        Parameters
        ----------
        dead
            Pixels that are left out, since no unit at all reads them.
        """
        inside = self.mask[self.box]
        alive = inside if dead is None else inside[~dead[self.box]]
        return Fraction(int(alive.sum()), alive.size) if alive.size else Fraction(1)


def support(geometry: Geometry, tensor: str, cell: Sequence[int] | None = None) -> Support | None:
    """Return the pixels that one unit of a feature map reads along local paths.

    Parameters
    ----------
    cell
        Place of the unit, one number per axis of the image; None: the central one, ``size // 2``.

    Returns
    -------
    Support or None
        None where the tensor is not a map with the image's axes in place.
    """
    flow, axes = geometry.flows.get(tensor), geometry.spatial_axes(tensor)
    if flow is None or axes is None:
        return None
    sizes = tracked_sizes(flow.layout)
    digits = _digits(flow)
    place: list[int | slice] = [slice(None)] * len(digits)
    chosen = []
    for label, axis in enumerate(axes):
        position = digits.index(axis)
        at = sizes[position] // 2 if cell is None else cell[label]
        place[position] = at
        chosen.append(at)
    start = np.zeros(sizes, bool)
    start[tuple(place)] = True
    swept = run(geometry, {tensor: start}, Semiring.REACH, local=True)
    return Support(tuple(chosen), swept.values.astype(bool))


def _digits(flow: Flow) -> list[int]:
    """Return the axis of the tensor that each axis of its array in a sweep belongs to."""
    return [i for i, axis in enumerate(flow.layout) for d in axis if d.grid is not None]


def behind(geometry: Geometry, tensors: Sequence[str]) -> dict[str, Flow]:
    """Return the flows on the local paths from the image to some tensors, the last ones first."""
    needed = set(tensors)
    found: dict[str, Flow] = {}
    for name in reversed(tuple(geometry.flows)):
        if name in needed:
            flow = found[name] = geometry.flows[name]
            needed.update(r.tensor for r in used_readings(flow, geometry.flows, local=True))
    return found


def sparse_layers(geometry: Geometry, tensor: str) -> list[Operator]:
    """Return the layers on the local path to a tensor whose windows have or leave gaps.

    That is, dilation with a kernel of several taps, or a stride wider than the window.
    """
    found = [
        flow.operator
        for flow in reversed(behind(geometry, [tensor]).values())
        if flow.operator is not None
        and any(_is_sparse(m) for r in flow.readings for m in window_maps(r))
    ]
    return list(dict.fromkeys(found))


def window_maps(reading: Reading) -> Iterator[WindowMap]:
    """Yield the sliding windows through which a reading goes."""
    for read in reading.axes or ():
        if isinstance(read, Mapped) and isinstance(read.map, WindowMap):
            yield read.map


def _is_sparse(window: WindowMap) -> bool:
    if window.transposed:
        return False
    return (window.dilation > 1 and window.kernel > 1) or window.stride > _extent(window)


def _extent(window: WindowMap) -> int:
    return (window.kernel - 1) * window.dilation + 1


def without_gaps(geometry: Geometry, names: Container[str]) -> Geometry:
    """Return the geometry in which the windows of some operators read all that they span."""
    flows = {
        name: replace(flow, readings=tuple(map(_filled, flow.readings)))
        if flow.operator is not None and flow.operator.name in names
        else flow
        for name, flow in geometry.flows.items()
    }
    return replace(geometry, flows=flows)


def _filled(reading: Reading) -> Reading:
    def fill(read: AxisRead) -> AxisRead:
        if isinstance(read, Mapped) and isinstance(read.map, WindowMap) and _is_sparse(read.map):
            kernel = max(_extent(read.map), read.map.stride)
            return Mapped(read.out, replace(read.map, kernel=kernel, dilation=1))
        return read

    return (
        reading if reading.axes is None else replace(reading, axes=tuple(map(fill, reading.axes)))
    )


def gap_makers(
    geometry: Geometry, tensor: str, layers: Sequence[Operator], dead: Mask | None
) -> list[Operator]:
    """Return the layers but for whose gaps the central unit of a map would read more of its box."""
    base = support(geometry, tensor)
    if base is None:
        return []
    missing = ~base.mask[base.box]
    if dead is not None:
        missing &= ~dead[base.box]
    found = []
    for layer in layers:
        dense = support(without_gaps(geometry, {layer.name}), tensor)
        if dense is not None and (dense.mask[base.box] & missing).any():
            found.append(layer)
    return found


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
    digits = _digits(flow)
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
