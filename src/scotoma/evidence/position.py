"""Heads that are blind to position, and how far the zeros beyond the border reach to them.

A head is blind to position if it sums, averages or takes the maximum of the whole map: what it
tells then of a place is what padding has written into the map. A cell is reached if some path
behind it reads a padded zero. A window goes beyond the border along one axis at a time, so that a
cell is reached if its row is or its column is: one mask per axis and map is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from scotoma.sweep.support import behind
from scotoma.sweep.sweep import arrows
from scotoma.trace.index_map import Taps, TapsMap, WindowMap
from scotoma.trace.layout import tracked_sizes, whole_grid
from scotoma.trace.reading import Mapped, Reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.sweep.pull import Steps
    from scotoma.trace.geometry import Geometry

    Mask = NDArray[np.bool_]

_POOLS = frozenset({"AveragePool", "MaxPool", "LpPool", "QLinearAveragePool", "NhwcMaxPool"})
_ORDER_FREE = frozenset(
    {
        "Cast", "Clip", "DequantizeLinear", "Dropout", "Flatten", "Identity", "QuantizeLinear",
        "Relu", "Reshape", "Squeeze", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
"""Operators between the last feature map and its summary that treat all places alike."""
MAX_TAPS = 4096
"""A dilated kernel with more taps is taken to reach everything behind it."""
LOWEST = -1e4
"""A Pad with less than this stands for minus infinity in front of a max pool."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A last feature map with the operators that summarise it."""

    tensor: str
    summaries: tuple[Operator, ...]


def blind_heads(facts: Facts) -> tuple[Head, ...]:
    """Return the heads of a model that is blind to position; empty if some head is not."""
    geometry = facts.geometry
    if geometry is None or not facts.heads:
        return ()
    found = []
    for tensor in facts.heads:
        summaries = _summaries(facts, tensor, geometry.needed)
        if not summaries:
            return ()
        found.append(Head(tensor, summaries))
    return tuple(found)


def _summaries(facts: Facts, tensor: str, needed: frozenset[str]) -> tuple[Operator, ...]:
    """Return the operators that sum a map up; empty where something reads it place by place."""
    outputs = facts.geometry.outputs() if facts.geometry is not None else ()
    waiting, found = [tensor], []
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in outputs:
            return ()
        for consumer in facts.consumers.get(name, ()):
            out = next((o for o in consumer.outputs if o in needed), None)
            if out is None or out in seen:
                continue
            seen.add(out)
            flow = facts.flow(out)
            gone = flow is not None and prod(tracked_sizes(flow.layout)) <= 1
            summary = _is_summary(facts, consumer)
            if summary and gone:
                found.append(consumer)
            elif summary or consumer.op_type in _ORDER_FREE:
                waiting.append(out)
            else:
                return ()
    return tuple(dict.fromkeys(found))


def _is_summary(facts: Facts, operator: Operator) -> bool:
    """Tell whether an operator treats the cells that it reads alike and keeps no place."""
    if operator.op_type.startswith(("Reduce", "Global", "QLinearReduce", "QLinearGlobal")):
        return True
    windows = facts.windows(operator)
    return (
        operator.op_type in _POOLS and bool(windows) and all(w.size_out == 1 for w in windows or ())
    )


def reached_share(facts: Facts, tensor: str) -> Fraction | None:
    """Return the share of a map's cells that some padded zero reaches, None if unknown."""
    geometry = facts.geometry
    masks = _reached_cells(facts, geometry, tensor) if geometry is not None else None
    if masks is None:
        return None
    free = prod(int((~mask).sum()) for mask in masks)
    return 1 - Fraction(free, prod(map(len, masks)))


def _reached_cells(facts: Facts, geometry: Geometry, tensor: str) -> list[Mask] | None:
    """Return which cells padded zeros reach along every axis of the image."""
    masks: dict[str, list[Mask] | None] = {}
    known: _Pushed = {}
    way = arrows(geometry, local=True)
    for name, flow in reversed(behind(geometry, [tensor]).items()):
        used = way[name][0]
        if len(used) == 1 and used[0][1] == ():
            masks[name] = masks.get(used[0][0].tensor)
            continue
        grids = geometry.local_grids(name)
        if grids is None:
            masks[name] = None
            continue
        found = [
            _joined(facts, flow.operator, used, masks, (label, grid.size), known)
            for label, grid in enumerate(grids)
        ]
        complete = [mask for mask in found if mask is not None]
        masks[name] = complete if len(complete) == len(found) else None
    return masks.get(tensor)


def _joined(
    facts: Facts,
    operator: Operator | None,
    used: list[tuple[Reading, Steps | None]],
    masks: Mapping[str, list[Mask] | None],
    axis: tuple[int, int],
    known: _Pushed,
) -> Mask | None:
    """Return the cells reached along one axis (its label and its size) of a tensor."""
    label, size = axis
    found: Mask | None = None
    for reading, steps in used:
        before = masks.get(reading.tensor)
        if before is None:
            return None
        if steps == () and len(before[label]) == size:
            found = before[label] if found is None else found | before[label]
            continue
        fitted = _fitted(_step(facts, operator, reading, (label, before[label]), known), size)
        if fitted is None:
            return None
        found = fitted if found is None else found | fitted
    return np.zeros(size, bool) if found is None else found


_Pushed = dict[tuple[WindowMap, bool, bytes], "Mask"]
"""What `pushed` answered: the layers of a network repeat."""


def _step(
    facts: Facts,
    operator: Operator | None,
    reading: Reading,
    before: tuple[int, Mask],
    known: _Pushed,
) -> Mask:
    """Return the cells reached along one axis (its label and the cells before) behind one arrow."""
    label, mask = before
    for axis, read in zip(reading.layout, reading.axes or (), strict=False):
        if not isinstance(read, Mapped):
            continue
        grid = whole_grid(axis)
        if grid is None or grid.label != label:
            continue
        if isinstance(read.map, TapsMap):
            after = np.zeros(read.map.size_out, bool)
            after[read.map.outputs[mask[read.map.inputs]]] = True
            return after
        padded = _pads_with_zeros(facts, operator)
        key = read.map, padded, mask.tobytes()
        if key not in known:
            known[key] = pushed(read.map, mask, padded=padded)
        return known[key]
    return mask


def _pads_with_zeros(facts: Facts, operator: Operator | None) -> bool:
    """Tell whether cells beyond the border stand for numbers that the padding makes up."""
    if operator is None:
        return False
    if operator.op_type == "Pad":
        value = facts.value(operator.inputs[2]) if len(operator.inputs) > 2 else None
        number = operator.attributes.get("value", 0.0)
        if value is not None and value.size:
            number = float(value.ravel()[0])
        mode = operator.attributes.get("mode", "constant")
        return mode == "constant" and isinstance(number, int | float) and number > LOWEST
    return facts.windows(operator) is not None


def pushed(window: WindowMap, mask: Mask, *, padded: bool) -> Mask:
    """Return which outputs of a window read a reached cell or, if `padded`, a padded one.

    Examples
    --------
    >>> pushed(WindowMap(3, 2, 1, 1, 6, 3), np.zeros(6, bool), padded=True).tolist()
    [True, False, False]
    """
    outputs = np.arange(window.size_out)
    after = np.zeros(window.size_out, bool)
    counts = padded and window.taps is not Taps.REAL
    if window.kernel > MAX_TAPS and (window.transposed or window.dilation > 1):
        return ~after
    if not window.transposed and window.dilation == 1:
        start = outputs * window.stride - window.pad_begin
        end = start + window.kernel
        sums = np.concatenate([[0], np.cumsum(mask)])
        low, high = (np.clip(v, 0, window.size_in) for v in (start, end))
        after = sums[high] > sums[low]
        return after | (start < 0) | (end > window.size_in) if counts else after
    for tap in range(window.kernel):
        if window.transposed:
            cells, rest = np.divmod(
                outputs + window.pad_begin - tap * window.dilation, window.stride
            )
            meets = rest == 0
        else:
            cells = outputs * window.stride - window.pad_begin + tap * window.dilation
            meets = np.ones(len(cells), bool)
        inside = (cells >= 0) & (cells < window.size_in)
        after |= meets & inside & mask[np.clip(cells, 0, window.size_in - 1)]
        if counts:
            after |= meets & ~inside
    return after


def _fitted(mask: Mask, size: int) -> Mask | None:
    """Return the reached cells of an axis that was regrouped to another size, None if unknown."""
    if len(mask) == size:
        return mask
    if len(mask) and size % len(mask) == 0:
        return np.repeat(mask, size // len(mask))
    if size and len(mask) % size == 0:
        return np.asarray(mask.reshape(size, -1).any(axis=1))
    return None
