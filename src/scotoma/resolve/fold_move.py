"""Constant folding of operators that make, move, join or pick cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scotoma.loader.tensors import StoredTensor
from scotoma.resolve.shapes_move import axes_of, pads_of, reshaped, slices, split_sizes
from scotoma.resolve.step import Step, UnknownError, read_small

Array = NDArray[Any]


def identity(step: Step, value: Array, *_others: Array | None) -> list[Array]:
    """Fold Identity and Dropout; the mask of a Dropout that does nothing is all true."""
    return [value, np.ones(value.shape, bool)] if step.version >= 12 else [value]


def reshape(step: Step, value: Array, *target: Array) -> Array:
    """Fold Reshape."""
    wanted = step.whole(1) if target else step.integers("shape") or ()
    return value.reshape(reshaped(value.shape, wanted, keep=step.integer("allowzero", 0) == 0))


def transpose(step: Step, value: Array) -> Array:
    """Fold Transpose."""
    return value.transpose(step.integers("perm"))


def flatten(step: Step, value: Array) -> Array:
    """Fold Flatten."""
    axis = step.axis(step.integer("axis", 1), value.ndim, end=True)
    rows = int(np.prod(value.shape[:axis], dtype=np.int64))
    return value.reshape(rows, value.size // rows if rows else 0)


def squeeze(step: Step, value: Array, *_axes: Array) -> Array:
    """Fold Squeeze."""
    return np.squeeze(value, axes_of(step, 13))


def unsqueeze(step: Step, value: Array, *_axes: Array) -> Array:
    """Fold Unsqueeze."""
    return np.expand_dims(value, axes_of(step, 13) or ())


def concat(step: Step, *values: Array) -> Array:
    """Fold Concat."""
    return np.concatenate(values, step.integer("axis", 1 if step.version < 4 else 0))


def slice_op(step: Step, value: Array, *_limits: Array | None) -> Array:
    """Fold Slice."""
    cut = [slice(None)] * value.ndim
    for axis, begin, end, by in slices(step, value.shape):
        cut[axis] = slice(begin, None if end < 0 else end, by)
    return value[tuple(cut)]


def split(step: Step, value: Array, *_sizes: Array | None) -> list[Array]:
    """Fold Split."""
    axis = step.axis(step.integer("axis", 0), value.ndim)
    ends = np.cumsum(split_sizes(step, value.shape, axis))[:-1]
    return list(np.split(value, ends, axis))


def pad(step: Step, value: Array, *others: Array | None) -> Array:
    """Fold Pad: crop by negative padding first, then pad."""
    pads = pads_of(step, value.shape)
    cut = tuple(
        slice(max(-begin, 0), size - max(-end, 0))
        for size, (begin, end) in zip(value.shape, pads, strict=True)
    )
    around = [(max(begin, 0), max(end, 0)) for begin, end in pads]
    mode = step.text("mode", "constant")
    if mode != "constant":
        kind = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}[mode]
        return np.pad(value[cut], around, mode=kind)  # type: ignore[call-overload,no-any-return]
    fill = others[1] if len(others) > 1 else step.attributes.get("value", 0)
    number = 0 if fill is None else np.asarray(fill).item()
    return np.pad(value[cut], around, constant_values=number)


def expand(step: Step, value: Array, _target: Array) -> Array:
    """Fold Expand."""
    return np.broadcast_to(value, np.broadcast_shapes(value.shape, step.whole(1))).copy()


def tile(step: Step, value: Array, *repeats: Array) -> Array:
    """Fold Tile."""
    if len(repeats) != 1:
        raise UnknownError("the form of opset 1 is not folded")
    return np.tile(value, step.whole(1))


def gather(step: Step, value: Array, indices: Array) -> Array:
    """Fold Gather."""
    return np.take(value, indices, axis=step.integer("axis", 0))


def gather_elements(step: Step, value: Array, indices: Array) -> Array:
    """Fold GatherElements."""
    axis = step.axis(step.integer("axis", 0), value.ndim)
    place: list[Array] = list(np.indices(indices.shape, sparse=True))
    place[axis] = indices
    return value[tuple(place)]


def gather_nd(step: Step, value: Array, indices: Array) -> Array:
    """Fold GatherND without batch axes."""
    if step.integer("batch_dims", 0):
        raise UnknownError("batch axes are not folded")
    return np.asarray(value[tuple(np.moveaxis(indices, -1, 0))])


REDUCTIONS: dict[str, np.ufunc] = {
    "add": np.add,
    "mul": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
}


def put(step: Step, value: Array, place: tuple[Array, ...], updates: Array) -> Array:
    """Write updates into a copy, under the operator's reduction."""
    result = value.copy()
    how = step.text("reduction", "none")
    if how == "none":
        result[place] = updates
    else:
        REDUCTIONS[how].at(result, place, updates)
    return result


def scatter_nd(step: Step, value: Array, indices: Array, updates: Array) -> Array:
    """Fold ScatterND."""
    return put(step, value, tuple(np.moveaxis(indices, -1, 0)), updates)


def scatter_elements(step: Step, value: Array, indices: Array, updates: Array) -> Array:
    """Fold ScatterElements."""
    axis = step.axis(step.integer("axis", 0), value.ndim)
    place: list[Array] = list(np.indices(indices.shape, sparse=True))
    place[axis] = indices
    return put(step, value, tuple(place), updates)


def where(_step: Step, condition: Array, left: Array, right: Array) -> Array:
    """Fold Where."""
    return np.where(condition, left, right)


def constant_of_shape(step: Step, _shape: Array) -> Array:
    """Fold ConstantOfShape."""
    fill = step.attributes.get("value")
    held = read_small(fill) if isinstance(fill, StoredTensor) else np.zeros(1)
    if held is None:
        raise UnknownError("its value cannot be read")
    number = held.reshape(-1)[0]
    return np.full(step.whole(0), number, step.state.dtypes[step.op.outputs[0]])


def range_op(step: Step, start: Array, _end: Array, delta: Array) -> Array:
    """Fold Range."""
    shape = step.state.shapes[step.op.outputs[0]]
    if shape is None:
        raise UnknownError("its length is not known")
    steps: Array = np.arange(shape[0]).astype(start.dtype) * delta.reshape(())
    return steps + start.reshape(())


def non_zero(_step: Step, value: Array) -> Array:
    """Fold NonZero."""
    return np.array(np.nonzero(np.atleast_1d(value)), dtype=np.int64)


def eye_like(step: Step, value: Array) -> Array:
    """Fold EyeLike."""
    rows, columns = value.shape
    return np.eye(rows, columns, step.integer("k", 0))


def trilu(step: Step, value: Array, *offset: Array | None) -> Array:
    """Fold Trilu."""
    shift = int(offset[0].item()) if offset and offset[0] is not None else 0
    return np.triu(value, shift) if step.integer("upper", 1) else np.tril(value, shift)


def one_hot(step: Step, indices: Array, depth: Array, values: Array) -> Array:
    """Fold OneHot."""
    length, axis = int(depth.item()), step.integer("axis", -1)
    whole = indices.astype(np.int64)
    whole = np.where(whole < 0, whole + length, whole)
    axis = axis + indices.ndim + 1 if axis < 0 else axis
    steps = np.arange(length).reshape((-1,) + (1,) * (indices.ndim - axis))
    hot: Array = np.expand_dims(whole, axis) == steps
    result: Array = np.where(hot, values[1], values[0])
    return result


FOLDS: dict[str, Callable[..., Array | list[Array]]] = {
    "Identity": identity,
    "Dropout": identity,
    "Reshape": reshape,
    "Transpose": transpose,
    "Flatten": flatten,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Concat": concat,
    "Slice": slice_op,
    "Split": split,
    "Pad": pad,
    "Expand": expand,
    "Tile": tile,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "ScatterND": scatter_nd,
    "ScatterElements": scatter_elements,
    "Scatter": scatter_elements,
    "Where": where,
    "ConstantOfShape": constant_of_shape,
    "Range": range_op,
    "NonZero": non_zero,
    "EyeLike": eye_like,
    "Trilu": trilu,
    "OneHot": one_hot,
}
