"""Operators that pick cells by a table of indices: Gather and GatherND."""

from __future__ import annotations

import numpy as np

from scotoma.loader.model import Operator
from scotoma.trace.index_map import IndexMap, TapsMap, WindowMap
from scotoma.trace.operators.patches import unfolded, windows_of
from scotoma.trace.operators.regroup import regrouped
from scotoma.trace.operators.selection import select
from scotoma.trace.reading import AxisRead, Flow, Mixed, Reading, Same
from scotoma.trace.tracer import CannotTellError, Tracer, everything, int_attribute


def gather(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle Gather with constant indices."""
    data, out = operator.inputs[0], operator.outputs[0]
    if not tracer.depends(data):
        return everything(tracer, operator)
    shape = tracer.shape(data)
    axis = int_attribute(operator, "axis", 0) % max(len(shape), 1)
    indices = tracer.constant(operator.inputs[1], "indices")
    return {out: _gathered(tracer, operator, data, axis, indices)}


def gather_nd(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle GatherND whose constant indices address the first axes, one table an axis."""
    data, out = operator.inputs[0], operator.outputs[0]
    if not tracer.depends(data):
        return everything(tracer, operator)
    indices = tracer.constant(operator.inputs[1], "indices")
    if int_attribute(operator, "batch_dims", 0) or indices.ndim == 0:
        raise CannotTellError("it gathers in batches")
    depth = indices.shape[-1]
    tables = [indices[..., 0]] if depth == 1 else _separated(indices, depth)
    if tables is None or depth > tracer.rank(data):
        raise CannotTellError("it gathers along several axes at once")
    # From the last axis on: the places of those before it do not move.
    flow, shape = tracer.flows[data], list(tracer.shape(data))
    for axis in reversed(range(depth)):
        flow = _gathered(tracer, operator, data, axis, tables[axis])
        shape[axis : axis + 1] = tables[axis].shape
        data = tracer.step(operator, f"axis{axis}", flow, shape)
    return {out: flow}


def _separated(indices: np.ndarray, depth: int) -> list[np.ndarray] | None:
    """Return one table per axis where the indices are all their combinations, in order."""
    lead = indices.ndim - 1
    if indices.size == 0:
        return None
    tables = []
    first = 0
    for axis in range(depth):
        part = indices[..., axis]
        own = [i for i in range(lead) if np.ptp(part, axis=i).any()]
        # An axis along which nothing changes belongs to the table before it.
        until = max(own, default=first) + 1 if axis < depth - 1 else lead
        if (own and own[0] < first) or until > lead:
            return None
        place = tuple(slice(None) if first <= i < until else 0 for i in range(lead))
        tables.append(part[place])
        first = until
    return tables


def _counted(indices: np.ndarray, size: int) -> np.ndarray:
    """Return indices counted from the start; CannotTellError if one is out of range."""
    table = np.where(indices < 0, indices + size, indices).astype(np.int64)
    if table.size and not ((table >= 0) & (table < size)).all():
        raise CannotTellError("its indices are out of range")
    return table


def _map(indices: np.ndarray, size: int) -> IndexMap:
    """Return the map of a table of cells, as a slice where it is one."""
    table = _counted(indices, size).ravel()
    if len(table) == 1:
        return WindowMap.slice(int(table[0]), 1, size, 1)
    steps = np.diff(table)
    if len(table) and (steps == steps[0]).all() and steps[0] > 0:
        return WindowMap.slice(int(table[0]), int(steps[0]), size, len(table))
    return TapsMap.of_table(table, size)


def _gathered(
    tracer: Tracer, operator: Operator, data: str, axis: int, indices: np.ndarray
) -> Flow:
    """Return the flow of a selection along one axis; the indices may have any rank."""
    size = tracer.shape(data)[axis]
    table = _counted(indices, size)
    windows = windows_of(table, size)
    if windows is not None:
        return unfolded(tracer, operator, data, axis, windows)
    flow = select(tracer, operator, data, {axis: _map(table, size)})
    if table.ndim == 1:
        return flow
    # An index array of another rank: the selected axis is reshaped into the array's axes.
    layout = tracer.layout(data)
    flat = [*tracer.shape(data)[:axis], table.size, *tracer.shape(data)[axis + 1 :]]
    step = tracer.step(operator, f"gather{axis}", flow, flat)
    if table.ndim == 0:
        reads: list[AxisRead] = [*(Same(i) for i in range(axis)), Mixed()]
        reads += [Same(i - 1) for i in range(axis + 1, len(layout))]
        out = flow.layout[:axis] + flow.layout[axis + 1 :]
        return tracer.flow(operator, out, [Reading(step, flow.layout, tuple(reads), share=1)])
    shape = tracer.shape(data)
    return regrouped(tracer, operator, step, [*shape[:axis], *table.shape, *shape[axis + 1 :]])


HANDLERS = {"Gather": gather, "GatherND": gather_nd}
