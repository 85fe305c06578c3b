"""Which layers leave holes in what a unit reads: dilated windows, strides wider than kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from scotoma.sweep import Other
from scotoma.sweep.pull import steps_of
from scotoma.sweep.support import behind, support
from scotoma.sweep.sweep import arrows
from scotoma.trace.index_map import WindowMap
from scotoma.trace.reading import AxisRead, Flow, Mapped, Reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.loader.model import Operator
    from scotoma.sweep.support import Support
    from scotoma.sweep.sweep import Arrows
    from scotoma.trace.geometry import Geometry

    Mask = NDArray[np.bool_]


def sparse_layers(geometry: Geometry, tensor: str) -> list[Operator]:
    """Return the layers on the local path to a tensor whose windows have or leave gaps.

    That is, dilation with a kernel of several taps, or a stride wider than the window.
    """
    sparse = _sparse(geometry)
    if not sparse:
        return []
    there = behind(geometry, [tensor])
    return list(dict.fromkeys(operator for name, operator in sparse.items() if name in there))


def _sparse(geometry: Geometry) -> dict[str, Operator]:
    """Return the operators whose windows have or leave gaps, by the name of what they make."""
    if ("sparse",) not in geometry.kept:
        known = arrows(geometry, local=True)
        geometry.kept["sparse",] = {
            name: flow.operator
            for name, flow in geometry.flows.items()
            if flow.operator is not None
            and not (len(flow.readings) == 1 and known[name][0][0][1] == ())
            and _reads_sparsely(flow)
        }
    found: dict[str, Operator] = geometry.kept["sparse",]
    return found


def _reads_sparsely(flow: Flow) -> bool:
    for reading in flow.readings:
        for read in reading.axes or ():
            window = read.map if isinstance(read, Mapped) else None
            if isinstance(window, WindowMap) and _is_sparse(window):
                return True
    return False


def _is_sparse(window: WindowMap) -> bool:
    if window.transposed:
        return False
    return (window.dilation > 1 and window.kernel > 1) or window.stride > _extent(window)


def _extent(window: WindowMap) -> int:
    return (window.kernel - 1) * window.dilation + 1


def reading_unlike(geometry: Geometry, tensors: Sequence[str]) -> list[str]:
    """Return the tensors but for those that read the image just as an earlier one does.

    Two tensors do so if the same windows lead to both from the same tensor.
    """
    if len(tensors) < 2:
        return list(tensors)
    known, kinds = arrows(geometry, local=True), dict[str, int]()
    met: dict[object, int] = {}
    for name in geometry.flows:
        used = known[name][0]
        if len(used) == 1 and used[0][1] == ():
            kinds[name] = kinds[used[0][0].tensor]
            continue
        told = used and all(steps is not None for _, steps in used)
        key = tuple((kinds[reading.tensor], steps) for reading, steps in used) if told else name
        kinds[name] = met.setdefault(key, len(met))
    first: dict[int, str] = {}
    for name in tensors:
        first.setdefault(kinds[name], name)
    return list(first.values())


def without_gaps(geometry: Geometry, layer: Operator) -> Other:
    """Return what is other where the windows of a layer read all that they span."""
    known = arrows(geometry, local=True)
    found: dict[str, Arrows] = {}
    for name, operator in _sparse(geometry).items():
        if operator is layer:
            used, total = known[name]
            filled, layout = [_filled(r) for r, _ in used], geometry.flows[name].layout
            found[name] = [(reading, steps_of(reading, layout)) for reading in filled], total
    return Other(found, {})


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
    geometry: Geometry, tensor: str, base: Support, layers: Sequence[Operator], dead: Mask | None
) -> list[Operator]:
    """Return the layers but for whose gaps the central unit of a map would read more of its box.

    Parameters
    ----------
    base
        What that unit reads.
    """
    missing = ~base.mask[base.box]
    if dead is not None:
        missing &= ~dead[base.box]
    found = []
    for layer in layers:
        dense = support(geometry, tensor, other=without_gaps(geometry, layer))
        if dense is not None and (dense.mask[base.box] & missing).any():
            found.append(layer)
    return found
