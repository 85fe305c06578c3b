"""Operators that select, pad or assemble cells: Slice, Pad, Split, Concat, ScatterND."""

from __future__ import annotations

from math import prod

import numpy as np

from scotoma.loader.model import Operator
from scotoma.trace.index_map import IndexMap, Pattern, TapsMap, WindowMap
from scotoma.trace.layout import Axis, Grid, collapsed, is_tracked, of_grid
from scotoma.trace.operators.elementwise import join
from scotoma.trace.reading import AxisRead, Flow, Mapped, Mixed, Reading, Same
from scotoma.trace.tracer import (
    MAX_CELLS,
    TOO_LARGE,
    CannotTellError,
    Tracer,
    axis_grid,
    int_attribute,
    ints_attribute,
    map_axes,
    mapped_axis,
    optional_input,
    str_attribute,
)


def select(tracer: Tracer, operator: Operator, data: str, maps: dict[int, IndexMap]) -> Flow:
    """Return the flow of a selection along some axes; unfollowed axes just change their size."""
    layout = tracer.layout(data)
    out: list[Axis] = []
    reads: list[AxisRead] = []
    plain: dict[int, IndexMap] = {}
    for i, axis in enumerate(layout):
        if i in maps and not is_tracked(axis):
            out.append(collapsed(maps[i].size_out))
            reads.append(Mixed())
        else:
            if i in maps:
                plain[i] = maps[i]
            out.append(axis)
            reads.append(Same(i))
    base = map_axes(tracer, operator, data, plain)
    reading = base.readings[0]
    merged = tuple(
        read if isinstance(read, Mixed) else other
        for read, other in zip(reads, reading.axes or (), strict=True)
    )
    axes = tuple(
        o if isinstance(read, Mixed) else b
        for o, b, read in zip(out, base.layout, reads, strict=True)
    )
    return tracer.flow(operator, axes, [Reading(data, layout, merged, share=1)])


def slice_(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle Slice with constant parameters."""
    data = operator.inputs[0]
    shape = tracer.shape(data)
    starts, ends, axes, steps = _slice_parameters(tracer, operator)
    maps: dict[int, IndexMap] = {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step == 0 or not -len(shape) <= axis < len(shape):
            raise CannotTellError("its parameters do not fit its input")
        size = shape[axis]
        cells = range(*slice(start, end if end > -(1 << 62) else None, step).indices(size))
        if cells != range(size):
            maps[axis % len(shape)] = _range_map(cells, size)
    return {operator.outputs[0]: select(tracer, operator, data, maps)}


def _range_map(cells: range, size: int) -> IndexMap:
    if cells.step > 0:
        return WindowMap.slice(cells.start, cells.step, size, len(cells))
    return TapsMap.of_table(np.array(cells, np.int64), size, _stepping(cells.start, cells.step))


def _stepping(start: int, step: int) -> Pattern:
    return Pattern(1, step, lambda o: (start + o * step,))


def _slice_parameters(
    tracer: Tracer, operator: Operator
) -> tuple[list[int], list[int], list[int], list[int]]:
    if "starts" in operator.attributes:
        starts = list(ints_attribute(operator, "starts") or ())
        ends = list(ints_attribute(operator, "ends") or ())
        axes = list(ints_attribute(operator, "axes") or range(len(starts)))
        return starts, ends, axes, [1] * len(starts)

    def read(slot: int, what: str) -> list[int]:
        return [int(v) for v in tracer.constant(operator.inputs[slot], what).ravel()]

    starts, ends = read(1, "starts"), read(2, "ends")
    axes = read(3, "axes") if optional_input(operator, 3) else list(range(len(starts)))
    steps = read(4, "steps") if optional_input(operator, 4) else [1] * len(starts)
    return starts, ends, axes, steps


def split(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle Split."""
    data = operator.inputs[0]
    shape = tracer.shape(data)
    axis = int_attribute(operator, "axis", 0) % max(len(shape), 1)
    flows: dict[str, Flow] = {}
    start = 0
    for name in operator.outputs:
        if not name:
            raise CannotTellError("an output without a name hides where the next part starts")
        size = tracer.shape(name)[axis]
        maps: dict[int, IndexMap] = {axis: WindowMap.slice(start, 1, shape[axis], size)}
        flows[name] = select(tracer, operator, data, maps)
        start += size
    return flows


def pad(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle Pad in all modes; negative pads crop."""
    data = operator.inputs[0]
    shape = tracer.shape(data)
    begins, ends = pads_of(tracer, operator, len(shape))
    mode = str_attribute(operator, "mode", "constant")
    maps: dict[int, IndexMap] = {}
    for axis, size in enumerate(shape):
        begin, end = begins[axis], ends[axis]
        if begin or end:
            maps[axis] = _pad_map(begin, end, size, mode)
    return {operator.outputs[0]: select(tracer, operator, data, maps)}


def pads_of(tracer: Tracer, operator: Operator, rank: int) -> tuple[list[int], list[int]]:
    """Return the begin and end pads of every axis of a Pad."""
    pads = ints_attribute(operator, "pads") or ints_attribute(operator, "paddings")
    if pads is None:
        pads = tuple(int(v) for v in tracer.constant(operator.inputs[1], "pads").ravel())
    axes = list(range(rank))
    if name := optional_input(operator, 3):
        axes = [int(v) % rank for v in tracer.constant(name, "axes").ravel()]
    if len(pads) != 2 * len(axes):
        raise CannotTellError("its pads do not fit its input")
    begins, ends = [0] * rank, [0] * rank
    for i, axis in enumerate(axes):
        begins[axis], ends[axis] = pads[i], pads[len(axes) + i]
    return begins, ends


def _pad_map(begin: int, end: int, size: int, mode: str) -> IndexMap:
    """Return the map of a pad along one axis; crops come first, then the padding."""
    out = size + begin + end
    plain = WindowMap.slice(-begin, 1, size, out)
    if mode == "constant" or (begin <= 0 and end <= 0):
        return plain
    low, high = max(-begin, 0), size - max(-end, 0)
    length = high - low
    if length <= 0:
        raise CannotTellError("it pads an empty tensor")
    if out > MAX_CELLS:
        raise CannotTellError(TOO_LARGE)
    place = np.arange(out) - max(begin, 0)
    if mode == "edge":
        place = np.clip(place, 0, length - 1)
    elif mode == "wrap":
        place %= length
    elif mode == "reflect":
        turn = max(2 * (length - 1), 1)
        place = np.abs((place + length - 1) % turn - (length - 1)) if length > 1 else place * 0
    else:
        raise CannotTellError(f"its mode '{mode}' is not known")
    return TapsMap.of_table(place + low, size, _stepping(-begin, 1))


def concat(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle Concat, along channels or along an axis of the image."""
    return _concat(tracer, operator, [n for n in operator.inputs if n])


def quantized_concat(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle com.microsoft QLinearConcat: scale and zero point, then three inputs a tensor."""
    return _concat(tracer, operator, list(operator.inputs[2::3]))


def _concat(tracer: Tracer, operator: Operator, tensors: list[str]) -> dict[str, Flow]:
    out = operator.outputs[0]
    rank = tracer.rank(out)
    axis = int_attribute(operator, "axis", 1) % max(rank, 1)
    sizes = [tracer.shape(t)[axis] for t in tensors]
    live = [t for t in tensors if tracer.depends(t)]
    layout, _ = join(tracer, live, rank)
    followed = any(is_tracked(tracer.layout(t)[axis]) for t in live)
    shape = tracer.shape(out)
    axes = list(layout)
    axes[axis] = collapsed(shape[axis])
    if followed:
        axes[axis] = of_grid(_assembled(tracer, tensors, sizes, axis, shape[axis]))
    readings: list[Reading] = []
    start = 0
    for tensor, size in zip(tensors, sizes, strict=True):
        if tracer.depends(tensor) and size:
            own = tracer.layout(tensor)
            reads: list[AxisRead] = [Same(i) for i in range(rank)]
            reads[axis] = Mixed()
            if followed:
                reads[axis] = Mapped(axis, WindowMap(1, 1, 1, start, size, shape[axis]))
            share = None if followed else size
            readings.append(Reading(tensor, own, tuple(reads), share=share))
        start += size
    return {out: tracer.flow(operator, tuple(axes), readings)}


def _assembled(tracer: Tracer, tensors: list[str], sizes: list[int], axis: int, total: int) -> Grid:
    """Return the grid of a concatenation along a followed axis.

    Where one part makes up most of it (a circular pad), its cells are the interior cells.
    """
    start = 0
    for tensor, size in zip(tensors, sizes, strict=True):
        if 2 * size > total and tracer.depends(tensor):
            grid = axis_grid(tracer.layout(tensor)[axis])
            field = grid.field.window(1, 1, 1, start) if grid.field is not None else None
            note = grid.note or "assembled from parts: exact inside the largest one"
            return Grid(grid.label, total, field, note)
        start += size
    return Grid(None, total, None, "assembled from parts of several origins")


def scatter_nd(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle ScatterND whose constant indices are all combinations of some cells per axis.

    Every place may then come from the data; those written may come from the updates.
    """
    data, indices_name, updates = operator.inputs[:3]
    out = operator.outputs[0]
    indices = tracer.constant(indices_name, "indices")
    shape = tracer.shape(data)
    depth = indices.shape[-1] if indices.ndim else 0
    blocks = tracer.shape(updates)[: indices.ndim - 1]
    if not 0 < depth <= len(shape) or indices.size == 0:
        raise CannotTellError("its indices do not fit its input")
    cells = _regular(indices.reshape(-1, depth), shape)
    if cells is None or any(b != 1 for b in blocks[: max(len(blocks) - depth, 0)]):
        raise CannotTellError("it scatters to places without a simple pattern")
    if len(tracer.shape(updates)) != len(shape):
        raise CannotTellError("its updates are laid out differently")
    live = [data] if tracer.depends(data) else []
    if tracer.depends(updates):
        live.append(_written(tracer, operator, updates, cells))
    layout, readings = join(tracer, live, len(shape))
    axes = tuple(
        axis if is_tracked(axis) else collapsed(n) for axis, n in zip(layout, shape, strict=True)
    )
    return {out: tracer.flow(operator, axes, readings)}


def _written(tracer: Tracer, operator: Operator, updates: str, cells: list[list[int]]) -> str:
    """Return the updates moved to the cells that they are written to, as a step."""
    layout, shape = tracer.layout(updates), tracer.shape(operator.outputs[0])
    out: list[Axis] = []
    reads: list[AxisRead] = []
    for i, (axis, size) in enumerate(zip(layout, shape, strict=True)):
        axis_cells = cells[i] if i < len(cells) else list(range(size))
        if len(axis_cells) != tracer.shape(updates)[i]:
            raise CannotTellError("its updates do not fit its indices")
        if is_tracked(axis):
            new, read = mapped_axis(axis, i, _writing(axis_cells, size))
        else:
            new, read = collapsed(size), Mixed()
        out.append(new)
        reads.append(read)
    reading = Reading(updates, layout, tuple(reads), share=1)
    return tracer.step(operator, "written", tracer.flow(operator, tuple(out), [reading]), shape)


def _writing(cells: list[int], size: int) -> IndexMap:
    """Return the map of an axis of `size` cells whose cell ``cells[j]`` reads cell j."""
    step = cells[1] - cells[0] if len(cells) > 1 else 1
    if cells != list(range(cells[0], cells[0] + len(cells) * step, step)):
        table = np.full(size, -1)
        table[cells] = np.arange(len(cells))
        return TapsMap.of_table(table, len(cells))
    if step == 1:
        return WindowMap(1, 1, 1, cells[0], len(cells), size)
    return WindowMap(1, step, 1, -cells[0], len(cells), size, transposed=True)


def _regular(rows: np.ndarray, shape: tuple[int, ...]) -> list[list[int]] | None:
    """Return the cells per axis if the index rows are all their combinations, in order."""
    if ((rows < 0) | (rows >= np.array(shape[: rows.shape[1]]))).any():
        return None
    cells = [np.unique(rows[:, a]).tolist() for a in range(rows.shape[1])]
    if len(rows) != prod(map(len, cells)):
        return None
    expected = np.stack(np.meshgrid(*cells, indexing="ij"), axis=-1).reshape(-1, rows.shape[1])
    return cells if np.array_equal(rows, expected) else None


HANDLERS = {
    "Slice": slice_,
    "Split": split,
    "Pad": pad,
    "com.microsoft:Pad": pad,
    "Concat": concat,
    "com.microsoft:QLinearConcat": quantized_concat,
    "ScatterND": scatter_nd,
}
