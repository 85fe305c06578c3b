"""The feature maps of a network: which they are, which come last, what pads them from outside."""

from __future__ import annotations

from collections.abc import Container
from math import prod
from typing import TYPE_CHECKING

from scotoma.trace.layout import tracked_sizes
from scotoma.trace.reading import Mapped

if TYPE_CHECKING:
    from scotoma.trace.geometry import Geometry

COPIES = frozenset({"Cast", "DequantizeLinear", "Identity", "QuantizeLinear", "Transpose"})
"""Operators that leave the cells of a map as and, along the axes of the image, where they are."""


def feature_maps(geometry: Geometry) -> frozenset[str]:
    """Return the tensors that are feature maps: local, of several cells, with the image's axes."""
    found = []
    of_cells: dict[int, bool] = {}
    for name, flow in geometry.flows.items():
        if not flow.local or "\0" in name:
            continue
        key = id(flow.layout)
        if key not in of_cells:
            several = prod(tracked_sizes(flow.layout)) > 1
            of_cells[key] = several and None not in geometry.axes_of(flow.layout)
        if of_cells[key]:
            found.append(name)
    return frozenset(found)


def heads_among(geometry: Geometry, maps: Container[str]) -> tuple[str, ...]:
    """Return the tensors among some feature maps that lead to an output and to no other one."""
    flows = geometry.flows
    outputs = geometry.outputs()
    inner: set[str] = set()
    heads = []
    for name in reversed(tuple(flows)):
        if name not in geometry.needed:
            continue
        known = name in maps
        if known and (name not in inner or name in outputs):
            heads.append(name)
        if known or name in inner:
            inner.update([r.tensor for r in flows[name].readings if not r.whole])
    return tuple(reversed(heads))


def uncopied(geometry: Geometry, tensor: str) -> str:
    """Return the tensor whose cells a tensor holds: before casts, quantisation, transposition.

    Zeros stay zeros on the way, and every cell keeps its place along the axes of the image.
    """
    while (flow := geometry.flows.get(tensor)) is not None:
        producer = flow.operator
        if producer is None or producer.domain or producer.op_type not in COPIES:
            break
        tensor = producer.inputs[0]
    return tensor


def padding_in_front(geometry: Geometry, tensor: str, label: int) -> tuple[int, int]:
    """Return the padding, begin and end, that a Pad or a Concat adds just before a layer.

    Copies of the padded map (`uncopied`) may stand between the two.

    Parameters
    ----------
    tensor
        Input of the layer.
    label
        Axis of the image, 0 for H.
    """
    tensor = uncopied(geometry, tensor)
    flow = geometry.flows.get(tensor)
    producer = flow.operator if flow is not None else None
    if flow is None or producer is None or producer.domain:
        return 0, 0
    axes = geometry.spatial_axes(tensor) if producer.op_type in {"Pad", "Concat"} else None
    if axes is None:
        return 0, 0
    for reading in flow.readings:
        reads = reading.axes or ()
        place = axes[label] if label < len(axes) else len(reads)
        mapped = reads[place] if place < len(reads) else None
        if isinstance(mapped, Mapped) and 2 * mapped.map.size_in > mapped.map.size_out:
            begin = mapped.map.begin
            end = mapped.map.size_out - mapped.map.size_in - begin
            return (begin, end) if begin >= 0 and end >= 0 else (0, 0)
    return 0, 0
