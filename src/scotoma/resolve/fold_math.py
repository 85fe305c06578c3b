"""Constant folding, cell by cell and along axes: arithmetic, comparison, reduction."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce as chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scotoma.resolve.shapes_matrix import reduced_axes
from scotoma.resolve.step import MAX_ELEMENTS, Step, UnknownError

Array = NDArray[Any]


def unary(function: Callable[[Array], Array]) -> Callable[[Step, Array], Array]:
    """Fold an operator of one input."""
    return lambda _step, value: function(value)


def binary(function: Callable[[Array, Array], Array]) -> Callable[[Step, Array, Array], Array]:
    """Fold an operator of two inputs; below opset 7 `axis` places the second one."""

    def folded(step: Step, left: Array, right: Array) -> Array:
        axis = step.attributes.get("axis")
        if step.version < 7 and isinstance(axis, int) and right.ndim:
            axis = axis + left.ndim if axis < 0 else axis
            right = right.reshape(right.shape + (1,) * (left.ndim - axis - right.ndim))
        return function(left, right)

    return folded


def variadic(function: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    """Fold an operator of any number of inputs from the left."""
    return lambda _step, *values: chain(function, values)


def divide(left: Array, right: Array) -> Array:
    """Divide; integers round towards zero."""
    if left.dtype.kind not in "iu":
        quotient: Array = left / right
        return quotient
    if not right.all():
        raise UnknownError("it divides by zero")
    whole: Array = left // right
    rest = left - whole * right
    towards_zero: Array = (rest != 0) & ((left < 0) != (right < 0))
    whole += towards_zero.astype(whole.dtype)
    return whole


def modulo(step: Step, left: Array, right: Array) -> Array:
    """Fold Mod: the sign of the divisor, or of the dividend under ``fmod``."""
    if left.dtype.kind in "iu" and not right.all():
        raise UnknownError("it divides by zero")
    rest: Array = np.fmod(left, right) if step.integer("fmod", 0) else np.mod(left, right)
    return rest


def power(_step: Step, left: Array, right: Array) -> Array:
    """Fold Pow in the type of the base."""
    if left.dtype.kind in "iu":
        exact: Array = np.power(left.astype(np.float64), right.astype(np.float64))
        return exact.astype(left.dtype)
    result: Array = np.power(left, right.astype(left.dtype))
    return result


def cast(step: Step, value: Array, *_like: Array) -> Array:
    """Fold Cast and CastLike: floats are cut off towards zero, not-zero is true."""
    target = step.state.dtypes[step.op.outputs[0]]
    return value != 0 if target.kind == "b" else value.astype(target)


def mean(_step: Step, *values: Array) -> Array:
    """Fold Mean."""
    total: Array = chain(np.add, values)
    result: Array = total / values[0].dtype.type(len(values))
    return result


def clip(step: Step, value: Array, low: Array | None = None, high: Array | None = None) -> Array:
    """Fold Clip; limits are attributes below opset 11."""
    below = step.attributes.get("min") if low is None else low
    above = step.attributes.get("max") if high is None else high
    if below is not None:
        value = np.maximum(value, np.asarray(below, value.dtype))
    return value if above is None else np.minimum(value, np.asarray(above, value.dtype))


def shift(step: Step, left: Array, right: Array) -> Array:
    """Fold BitShift."""
    moved = np.left_shift if step.text("direction", "") == "LEFT" else np.right_shift
    return moved(left, right)


def cumulative(step: Step, value: Array, axis: Array) -> Array:
    """Fold CumSum."""
    along = int(axis.item())
    if step.integer("reverse", 0):
        value = np.flip(value, along)
    total = np.cumsum(value, along, dtype=value.dtype)
    if step.integer("exclusive", 0):
        total = total - value
    return np.flip(total, along) if step.integer("reverse", 0) else total


def reducer(function: Callable[..., Array]) -> Callable[..., Array]:
    """Fold a Reduce operator."""

    def folded(step: Step, value: Array, *_axes: Array | None) -> Array:
        axes = reduced_axes(step, value.ndim)
        keep = step.integer("keepdims", 1) != 0
        return function(value, axis=axes, keepdims=keep)

    return folded


def _sum(value: Array, **along: object) -> Array:
    return np.sum(value, dtype=value.dtype, **along)  # type: ignore[call-overload,no-any-return]


def _prod(value: Array, **along: object) -> Array:
    return np.prod(value, dtype=value.dtype, **along)  # type: ignore[call-overload,no-any-return]


def _mean(value: Array, **along: object) -> Array:
    return np.mean(value, **along)  # type: ignore[call-overload,no-any-return]


def arg_reducer(*, largest: bool) -> Callable[[Step, Array], Array]:
    """Fold ArgMax or ArgMin."""

    def folded(step: Step, value: Array) -> Array:
        axis = step.axis(step.integer("axis", 0), value.ndim)
        find = np.argmax if largest else np.argmin
        if step.integer("select_last_index", 0):
            found = value.shape[axis] - 1 - find(np.flip(value, axis), axis=axis)
        else:
            found = find(value, axis=axis)
        return np.expand_dims(found, axis) if step.integer("keepdims", 1) else np.asarray(found)

    return folded


def top_k(step: Step, value: Array, count: Array | None = None) -> list[Array]:
    """Fold TopK; equal values come in the order of their indices."""
    axis = step.axis(step.integer("axis", -1), value.ndim)
    wanted = step.integer("k", 0) if count is None else int(count.item())
    if value.dtype.kind not in "if":
        raise UnknownError("its order is not defined here")
    order = np.argsort(-value if step.integer("largest", 1) else value, axis, kind="stable")
    order = np.take(order, range(wanted), axis)
    return [np.take_along_axis(value, order, axis), order]


def matmul(_step: Step, left: Array, right: Array) -> Array:
    """Fold MatMul."""
    if left.size * right.shape[-1] > MAX_ELEMENTS:
        raise UnknownError("too large a product")
    result: Array = np.matmul(left, right)
    return result


FOLDS: dict[str, Callable[..., Array | list[Array]]] = {
    "Abs": unary(np.abs),
    "Neg": unary(np.negative),
    "Floor": unary(np.floor),
    "Ceil": unary(np.ceil),
    "Round": unary(np.rint),
    "Sqrt": unary(np.sqrt),
    "Exp": unary(np.exp),
    "Log": unary(np.log),
    "Sin": unary(np.sin),
    "Cos": unary(np.cos),
    "Tanh": unary(np.tanh),
    "Sign": unary(np.sign),
    "Reciprocal": unary(np.reciprocal),
    "Relu": unary(lambda value: np.maximum(value, value.dtype.type(0))),
    "Not": unary(np.logical_not),
    "BitwiseNot": unary(np.invert),
    "IsNaN": unary(np.isnan),
    "Add": binary(np.add),
    "Sub": binary(np.subtract),
    "Mul": binary(np.multiply),
    "Div": binary(divide),
    "Pow": power,
    "Mod": modulo,
    "BitShift": shift,
    "BitwiseAnd": binary(np.bitwise_and),
    "BitwiseOr": binary(np.bitwise_or),
    "BitwiseXor": binary(np.bitwise_xor),
    "And": binary(np.logical_and),
    "Or": binary(np.logical_or),
    "Xor": binary(np.logical_xor),
    "Equal": binary(np.equal),
    "Less": binary(np.less),
    "LessOrEqual": binary(np.less_equal),
    "Greater": binary(np.greater),
    "GreaterOrEqual": binary(np.greater_equal),
    "Sum": variadic(np.add),
    "Max": variadic(np.maximum),
    "Min": variadic(np.minimum),
    "Mean": mean,
    "Cast": cast,
    "CastLike": cast,
    "Clip": clip,
    "CumSum": cumulative,
    "ReduceSum": reducer(_sum),
    "ReduceProd": reducer(_prod),
    "ReduceMean": reducer(_mean),
    "ReduceMax": reducer(np.max),
    "ReduceMin": reducer(np.min),
    "ArgMax": arg_reducer(largest=True),
    "ArgMin": arg_reducer(largest=False),
    "TopK": top_k,
    "MatMul": matmul,
}
