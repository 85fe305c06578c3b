"""Folding of constants: the arithmetic that exporters leave in a graph, in plain numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scotoma.loader.arity import has_required_inputs
from scotoma.resolve.fold_math import FOLDS as MATH
from scotoma.resolve.fold_move import FOLDS as MOVE
from scotoma.resolve.shapes_plain import shape_range
from scotoma.resolve.step import (
    MAX_ELEMENTS,
    MAX_FLOATS,
    FollowsError,
    RefusedError,
    Shape,
    Step,
    UnknownError,
    elements,
    limit,
)

__all__ = ["MAX_ELEMENTS", "MAX_FLOATS", "fold"]

Fold = Callable[..., "np.ndarray | list[np.ndarray]"]
FOLDS: dict[str, Fold] = {**MATH, **MOVE}

FAILURES = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    FollowsError,
    RefusedError,
    UnknownError,
)
"""What numpy and the functions here raise for inputs that make no sense."""


def fold(step: Step, shapes: list[Shape | None]) -> None:
    """Compute the outputs of an operator from its constant inputs and put them into the state.

    Nothing is done for outputs beyond the folding limits, or where the operator is not in the
    table. Infinite and undefined results are kept as numpy makes them.

    Parameters
    ----------
    step
        At the operator, all of whose inputs are constants.
    shapes
        What the shape functions found for its outputs.
    """
    state, op = step.state, step.op
    if op.domain or not op.outputs:
        return
    if op.op_type in {"Shape", "Size"}:
        known = state.shapes.get(op.inputs[0])
        if known is not None:
            keep(step, op.outputs[0], describe(step, known))
        return
    function = FOLDS.get(op.op_type)
    if function is None or not has_required_inputs(op):
        return
    arguments = [state.value(name) if name else None for name in op.inputs]
    if any(value is None and name for name, value in zip(op.inputs, arguments, strict=True)):
        return
    if not affordable(step, arguments, shapes):
        return
    try:
        results = function(step, *arguments)
    except FAILURES:
        return
    if isinstance(results, np.ndarray | np.generic):
        results = [np.asarray(results)]
    for name, shape, result in zip(op.outputs, shapes, results, strict=False):
        if result.shape == shape:
            keep(step, name, result)


def affordable(step: Step, arguments: list[np.ndarray | None], shapes: list[Shape | None]) -> bool:
    """Tell whether an operator's outputs are within the limits, and take them off the budget."""
    state = step.state
    for name, shape in zip(step.op.outputs, shapes, strict=True):
        if not name:
            continue
        dtype = state.dtypes.get(name)
        if shape is None or dtype is None or elements(shape) > limit(dtype):
            return False
        state.budget -= elements(shape)
    state.budget -= sum(value.size for value in arguments if value is not None)
    return state.budget >= 0


def keep(step: Step, name: str, value: np.ndarray) -> None:
    """Put a folded constant into the state, read-only and in its declared type."""
    if not name:
        return
    dtype = step.state.dtypes[name]
    if value.dtype != dtype:
        value = value.astype(dtype)
    if value.flags.writeable:
        value.flags.writeable = False
    step.state.folded[name] = value


def describe(step: Step, shape: Shape) -> np.ndarray:
    """Compute Shape and Size, which need the shape of their input only."""
    if step.op.op_type == "Size":
        return np.array(min(elements(shape), 2**63 - 1), dtype=np.int64)
    start, end = shape_range(step, len(shape))
    return np.array([min(size, 2**63 - 1) for size in shape[start:end]], dtype=np.int64)
