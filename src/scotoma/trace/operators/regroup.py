"""Operators that move cells without reading more than one: reshapes, transposes, shuffles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scotoma.loader.model import Operator
from scotoma.trace.index_map import TapsMap
from scotoma.trace.layout import Axis, Grid, collapsed, is_tracked, of_grid, regroup, tracked_sizes
from scotoma.trace.reading import AxisRead, Flow, Mapped, Mixed, Reading, Same
from scotoma.trace.tracer import (
    CannotTellError,
    Tracer,
    axis_grid,
    int_attribute,
    ints_attribute,
    str_attribute,
)


def regrouped(tracer: Tracer, operator: Operator, data: str, shape: Sequence[int]) -> Flow:
    """Return the flow of a row-major reshape."""
    layout = tracer.layout(data)
    out = regroup(layout, shape)
    if out is None:
        raise CannotTellError("it cuts through an axis of the image")
    if tracked_sizes(out) == () and tracked_sizes(layout) != ():
        raise CannotTellError("it loses an axis of the image")
    return tracer.flow(operator, out, [Reading(data, layout, None, share=1)])


def permuted(tracer: Tracer, operator: Operator, data: str, permutation: Sequence[int]) -> Flow:
    """Return the flow of a transpose: output axis i is input axis ``permutation[i]``."""
    layout = tracer.layout(data)
    if sorted(permutation) != list(range(len(layout))):
        raise CannotTellError("its permutation does not fit its input")
    place = {old: new for new, old in enumerate(permutation)}
    reads: tuple[AxisRead, ...] = tuple(Same(place[i]) for i in range(len(layout)))
    out = tuple(layout[i] for i in permutation)
    return tracer.flow(operator, out, [Reading(data, layout, reads, share=1)])


def reshape(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle Reshape, Flatten, Squeeze and Unsqueeze: the output's shape says it all."""
    data, out = operator.inputs[0], operator.outputs[0]
    shape = tracer.shape(out)
    if "com.microsoft.nchwc" in tracer.resolution.model.opsets:
        places = _unblocked(tracer.shape(data), shape)
        if places is not None:
            return {out: _relabelled(tracer, operator, data, places)}
    return {out: regrouped(tracer, operator, data, shape)}


def _unblocked(before: Sequence[int], after: Sequence[int]) -> dict[int, int] | None:
    """Return where the spatial axes go in a reshape that spells out the blocks of channels.

    A blocked tensor is declared (N, C, H, W) and stored (N, C / block, H, W, block). None for
    any other reshape.
    """
    plain, spelt = sorted((tuple(before), tuple(after)), key=len)
    if len(plain) < 3 or len(spelt) != len(plain) + 1 or spelt[-1] not in {8, 16}:
        return None
    if plain != (spelt[0], spelt[1] * spelt[-1], *spelt[2:-1]):
        return None
    return {axis: axis for axis in range(2, len(plain))}


def _relabelled(tracer: Tracer, operator: Operator, data: str, places: dict[int, int]) -> Flow:
    """Return the flow of an operator that keeps some axes and mixes up all others."""
    layout, shape = tracer.layout(data), tracer.shape(operator.outputs[0])
    reads: tuple[AxisRead, ...] = tuple(
        Same(places[i]) if i in places else Mixed() for i in range(len(layout))
    )
    axes = [collapsed(n) for n in shape]
    for old, new in places.items():
        axes[new] = layout[old]
    return tracer.flow(operator, tuple(axes), [Reading(data, layout, reads, share=1)])


def squeeze(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle Squeeze and Unsqueeze axis by axis: followed axes of one cell stay in place."""
    data, out = operator.inputs[0], operator.outputs[0]
    axes = ints_attribute(operator, "axes")
    if axes is None and len(operator.inputs) > 1 and operator.inputs[1]:
        axes = tuple(int(v) for v in tracer.constant(operator.inputs[1], "axes").ravel())
    if axes is None:
        return reshape(tracer, operator)
    layout = tracer.layout(data)
    adding = operator.op_type == "Unsqueeze"
    rank = tracer.rank(out) if adding else len(layout)
    if any(not -rank <= a < rank for a in axes):
        raise CannotTellError("its axes are out of range")
    at = {a % rank for a in axes}
    if not adding:
        if any(is_tracked(layout[a]) for a in at):
            return reshape(tracer, operator)
        kept = [i for i in range(rank) if i not in at]
        place = {old: new for new, old in enumerate(kept)}
        reads: tuple[AxisRead, ...] = tuple(
            Same(place[i]) if i in place else Mixed() for i in range(rank)
        )
        new = tuple(layout[i] for i in kept)
    else:
        kept = [i for i in range(rank) if i not in at]
        if len(kept) != len(layout):
            raise CannotTellError("its axes do not fit its input")
        reads = tuple(Same(i) for i in kept)
        axes_out: list[Axis] = [()] * rank
        for i, axis in zip(kept, layout, strict=True):
            axes_out[i] = axis
        new = tuple(axes_out)
    return {out: tracer.flow(operator, new, [Reading(data, layout, reads, share=1)])}


def transpose(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle Transpose."""
    rank = tracer.rank(operator.inputs[0])
    permutation = ints_attribute(operator, "perm") or tuple(reversed(range(rank)))
    return {operator.outputs[0]: permuted(tracer, operator, operator.inputs[0], permutation)}


def _chain(
    tracer: Tracer,
    operator: Operator,
    middle: Sequence[int],
    permutation: Sequence[int],
) -> dict[str, Flow]:
    """Return the flow of a reshape to `middle`, a transpose, and a reshape to the output."""
    data, out = operator.inputs[0], operator.outputs[0]
    one = tracer.step(operator, "split", regrouped(tracer, operator, data, middle), middle)
    turned = [middle[i] for i in permutation]
    two = tracer.step(operator, "turn", permuted(tracer, operator, one, permutation), turned)
    return {out: regrouped(tracer, operator, two, tracer.shape(out))}


def depth_to_space(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle DepthToSpace in both channel orders."""
    n, c, h, w = _four(tracer, operator)
    b = int_attribute(operator, "blocksize", 1)
    if b < 1 or c % (b * b):
        raise CannotTellError("its block size does not fit its channels")
    if str_attribute(operator, "mode", "DCR") == "CRD":
        return _chain(tracer, operator, (n, c // (b * b), b, b, h, w), (0, 1, 4, 2, 5, 3))
    return _chain(tracer, operator, (n, b, b, c // (b * b), h, w), (0, 3, 4, 1, 5, 2))


def space_to_depth(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle SpaceToDepth."""
    n, c, h, w = _four(tracer, operator)
    b = int_attribute(operator, "blocksize", 1)
    if b < 1 or h % b or w % b:
        raise CannotTellError("its block size does not fit its input")
    return _chain(tracer, operator, (n, c, h // b, b, w // b, b), (0, 3, 5, 1, 2, 4))


def _four(tracer: Tracer, operator: Operator) -> tuple[int, int, int, int]:
    shape = tracer.shape(operator.inputs[0])
    if len(shape) != 4:
        raise CannotTellError("its input has not four axes")
    return shape


def expand(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle Expand: broadcasting to the output's shape."""
    data, out = operator.inputs[0], operator.outputs[0]
    layout, shape = tracer.layout(data), tracer.shape(out)
    sizes = tracer.shape(data)
    shift = len(shape) - len(layout)
    if shift < 0:
        raise CannotTellError("its output has fewer axes than its input")
    axes: list[Axis] = [collapsed(n) for n in shape]
    reads: list[AxisRead] = []
    for i, axis in enumerate(layout):
        if sizes[i] == shape[shift + i]:
            axes[shift + i] = axis
            reads.append(Same(shift + i))
        else:
            reads.append(Mixed())
    return {out: tracer.flow(operator, tuple(axes), [Reading(data, layout, tuple(reads), share=1)])}


def tile(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle Tile: an untracked axis repeats, a followed one starts over."""
    data, out = operator.inputs[0], operator.outputs[0]
    layout, shape, sizes = tracer.layout(data), tracer.shape(out), tracer.shape(data)
    if len(shape) != len(layout):
        raise CannotTellError("its repeats do not fit its input")
    axes: list[Axis] = []
    reads: list[AxisRead] = []
    for i, axis in enumerate(layout):
        if sizes[i] == shape[i]:
            axes.append(axis)
            reads.append(Same(i))
        elif not is_tracked(axis):
            axes.append(collapsed(shape[i]))
            reads.append(Mixed())
        else:
            repeats = shape[i] // sizes[i]
            grid = axis_grid(axis)
            table = TapsMap.of_table(_repeated(sizes[i], repeats), sizes[i])
            note = "the map repeats itself along this axis"
            axes.append(of_grid(Grid(grid.label, shape[i], grid.field, note)))
            reads.append(Mapped(i, table))
    return {out: tracer.flow(operator, tuple(axes), [Reading(data, layout, tuple(reads), share=1)])}


def _repeated(size: int, times: int) -> np.ndarray:
    return np.tile(np.arange(size), times)


HANDLERS = {
    "Reshape": reshape,
    "Flatten": reshape,
    "Squeeze": squeeze,
    "Unsqueeze": squeeze,
    "Transpose": transpose,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
    "Expand": expand,
    "Tile": tile,
}
