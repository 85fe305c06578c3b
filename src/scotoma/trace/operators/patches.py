"""Overlapping windows as an axis of their own: gathered by a table (unfold), added up by Col2Im."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from scotoma.loader.model import Operator
from scotoma.trace.index_map import IndexMap, TapsMap, WindowMap
from scotoma.trace.layout import collapsed
from scotoma.trace.operators.regroup import permuted, regrouped
from scotoma.trace.reading import AxisRead, Flow, Mapped, Mixed, Reading, Same
from scotoma.trace.tracer import (
    CannotTellError,
    Tracer,
    ints_attribute,
    map_axes,
    mapped_axis,
)


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """A table of cells with two axes that lists windows: one is the position, one the tap."""

    map: IndexMap
    """From a position to all cells of its window."""
    taps: int
    taps_first: bool
    start: int | None
    """First cell of windows that tile the axis without overlap or gap; None for others."""


def windows_of(table: np.ndarray, size: int) -> Windows | None:
    """Return the windows that a table lists, or None if it just rearranges single cells.

    Parameters
    ----------
    table
        Cells, none negative.
    size
        Number of cells of the axis that the table picks from.

    Examples
    --------
    >>> found = windows_of(np.array([[0, 2, 4], [1, 3, 5], [2, 4, 6]]), 7)
    >>> found.taps_first, found.map.kernel, found.map.stride, found.start
    (True, 3, 2, None)
    """
    if table.ndim != 2 or min(table.shape) < 2:
        return None
    steps = (int(table[1, 0] - table[0, 0]), int(table[0, 1] - table[0, 0]))
    start = int(table[0, 0])
    rows, columns = (np.arange(n) * step for n, step in zip(table.shape, steps, strict=True))
    if min(steps) < 1 or not np.array_equal(table, start + rows[:, None] + columns[None, :]):
        return _uneven(table, size)
    taps_first = _taps_first(table.shape, steps)
    tap, position = (0, 1) if taps_first else (1, 0)
    kernel, stride = table.shape[tap], steps[position]
    index_map = WindowMap(kernel, stride, steps[tap], -start, size, table.shape[position])
    apart = steps[tap] == 1 and stride == kernel
    return Windows(index_map, kernel, taps_first, start if apart else None)


def _taps_first(shape: tuple[int, ...], steps: tuple[int, int]) -> bool:
    """Tell which axis of a table is the tap: the one that spans fewer cells.

    But for few long windows, such as those around the blocks of a map: there the longer step
    leads from window to window, and neighbours share less than half of their cells.
    """
    far = int(steps[1] > steps[0])
    near = 1 - far
    if steps[far] > steps[near] and 2 * steps[far] > shape[near] * steps[near]:
        return far == 1
    spans = [(n - 1) * step for n, step in zip(shape, steps, strict=True)]
    return (spans[1], steps[1]) >= (spans[0], steps[0])


def _uneven(table: np.ndarray, size: int) -> Windows | None:
    """Return windows that overlap without a common step, as those of adaptive pooling."""
    if len(np.unique(table)) == table.size:
        return None
    across, along = np.ptp(table, axis=0).max(), np.ptp(table, axis=1).max()
    taps_first = bool(across < along)
    cells = table.T if taps_first else table
    outputs = np.repeat(np.arange(cells.shape[0]), cells.shape[1])
    index_map = TapsMap(outputs, cells.ravel(), size, cells.shape[0])
    return Windows(index_map, cells.shape[1], taps_first, None)


def unfolded(tracer: Tracer, operator: Operator, data: str, axis: int, windows: Windows) -> Flow:
    """Return the flow of a tensor whose axis was replaced by the taps and positions of windows.

    Windows that tile the axis keep every cell in its place. Those that overlap are followed as a
    whole: each place along the taps is taken to read its entire window.
    """
    layout = tracer.layout(data)
    if windows.start is not None:
        return _apart(tracer, operator, data, axis, windows, windows.start)
    place = axis + 1 if windows.taps_first else axis
    grid, read = mapped_axis(layout[axis], axis, windows.map)
    pair = [grid, collapsed(windows.taps)]
    if windows.taps_first:
        pair.reverse()
    reads: list[AxisRead] = [Same(i if i < axis else i + 1) for i in range(len(layout))]
    reads[axis] = Mapped(place, windows.map) if isinstance(read, Mapped) else Mixed()
    out = (*layout[:axis], *pair, *layout[axis + 1 :])
    return tracer.flow(operator, out, [Reading(data, layout, tuple(reads), share=1)])


def _apart(
    tracer: Tracer, operator: Operator, data: str, axis: int, windows: Windows, start: int
) -> Flow:
    """Return the flow of windows that tile the axis: a reshape, then a transpose if taps lead."""
    shape = tracer.shape(data)
    count = windows.map.size_out
    length = windows.taps * count
    maps: dict[int, IndexMap] = {axis: WindowMap.slice(start, 1, shape[axis], length)}
    flat = [*shape[:axis], length, *shape[axis + 1 :]]
    step = tracer.step(operator, f"cells{axis}", map_axes(tracer, operator, data, maps), flat)
    split = [*shape[:axis], count, windows.taps, *shape[axis + 1 :]]
    flow = regrouped(tracer, operator, step, split)
    if not windows.taps_first:
        return flow
    step = tracer.step(operator, f"windows{axis}", flow, split)
    order = list(range(len(split)))
    order[axis], order[axis + 1] = axis + 1, axis
    return permuted(tracer, operator, step, order)


def col2im(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle Col2Im: every window writes its taps, and what meets in a cell is added."""
    data, out = operator.inputs[0], operator.outputs[0]
    sizes = [int(v) for v in tracer.constant(operator.inputs[1], "image shape").ravel()]
    kernel = [int(v) for v in tracer.constant(operator.inputs[2], "block shape").ravel()]
    rank = len(sizes)
    strides = ints_attribute(operator, "strides") or (1,) * rank
    dilations = ints_attribute(operator, "dilations") or (1,) * rank
    pads = ints_attribute(operator, "pads") or (0,) * (2 * rank)
    shape = tracer.shape(data)
    if len(shape) != 3 or not len(kernel) == len(strides) == len(dilations) == rank:
        raise CannotTellError("its parameters do not fit its input")
    if min(*kernel, *strides, *dilations) < 1 or len(pads) != 2 * rank:
        raise CannotTellError("its parameters do not fit its input")
    counts = [
        (n + pads[i] + pads[rank + i] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1
        for i, n in enumerate(sizes)
    ]
    if prod(counts) != shape[2] or shape[1] % prod(kernel):
        raise CannotTellError("its windows do not fit its input")
    channels = shape[1] // prod(kernel)
    if kernel == list(strides) and not any(pads) and max(dilations) == 1:
        return {out: _tiled(tracer, operator, [shape[0], channels], kernel, counts, sizes)}
    middle = [shape[0], shape[1], *counts]
    step = tracer.step(operator, "windows", regrouped(tracer, operator, data, middle), middle)
    maps: dict[int, IndexMap] = {
        2 + i: WindowMap(
            kernel[i], strides[i], dilations[i], pads[i], counts[i], sizes[i], transposed=True
        )
        for i in range(rank)
    }
    flow = map_axes(tracer, operator, step, maps, mixed=[1], out_sizes={1: channels})
    return {out: flow}


def _tiled(
    tracer: Tracer,
    operator: Operator,
    head: list[int],
    kernel: list[int],
    counts: list[int],
    sizes: list[int],
) -> Flow:
    """Return the flow of windows that are laid side by side: every cell keeps its place."""
    rank = len(kernel)
    apart = [*head, *kernel, *counts]
    step = tracer.step(
        operator, "taps", regrouped(tracer, operator, operator.inputs[0], apart), apart
    )
    order = [0, 1, *(axis for i in range(rank) for axis in (2 + rank + i, 2 + i))]
    turned = [apart[i] for i in order]
    step = tracer.step(operator, "turn", permuted(tracer, operator, step, order), turned)
    cells = [n * k for n, k in zip(counts, kernel, strict=True)]
    flow = regrouped(tracer, operator, step, [*head, *cells])
    if cells == sizes:
        return flow
    step = tracer.step(operator, "cells", flow, [*head, *cells])
    maps: dict[int, IndexMap] = {
        2 + i: WindowMap.slice(0, 1, n, m)
        for i, (n, m) in enumerate(zip(cells, sizes, strict=True))
    }
    return map_axes(tracer, operator, step, maps)


HANDLERS = {"Col2Im": col2im}
