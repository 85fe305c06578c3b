"""Which tensor of the model is measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scotoma.errors import MeasurementError, UsageError

if TYPE_CHECKING:
    from scotoma.loader.model import Operator
    from scotoma.resolve.resolution import Resolution

SATURATING = frozenset(
    {"ArgMax", "ArgMin", "HardSigmoid", "Hardmax", "LogSoftmax", "Sigmoid", "Softmax"}
)
"""Behind these a confident model looks blind: the change is there but rounds away."""
CARRYING = frozenset(
    {"Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
)
"""These only rearrange; a saturating operator may stand before them."""


@dataclass(frozen=True, slots=True)
class Target:
    """The tensor that the functional is taken of."""

    tensor: str
    tapped: bool
    """Not an output of the file: it is made one for the measurement."""
    output: str | None
    """The graph output that `tensor` stands for; None when a tensor was asked for by name."""
    stripped: tuple[Operator, ...] = ()
    """The saturating operators between `tensor` and `output`, nearest to the output first."""
    saturated: Operator | None = None
    """A saturating operator that could not be left out, or was asked for."""


def choose(resolution: Resolution, name: str | None) -> Target:
    """Return the tensor to measure.

    Parameters
    ----------
    resolution
        The model at the examined shapes.
    name
        Any tensor of the main graph. None: of the graph outputs the one with the most floating
        point elements, the first of equals; where it ends in a softmax, sigmoid or arg-max, the
        tensor before that.

    Raises
    ------
    UsageError
        If there is no tensor of that name.
    MeasurementError
        If the model has no output of floating point.
    """
    outputs = [value.name for value in resolution.model.main.outputs]
    producers = {out: op for op in resolution.operators for out in op.outputs if out}
    if name is not None:
        if name not in producers and name not in outputs:
            raise UsageError(
                f"the model has no tensor '{name}'; its outputs are {', '.join(outputs)}"
            )
        _, found = _before_saturation(name, producers, resolution)
        return Target(name, name not in outputs, None, saturated=found[0] if found else None)
    candidates = []
    for output in outputs:
        tensor, stripped = _before_saturation(output, producers, resolution)
        if _is_float(tensor, resolution):
            reachable = not stripped or _is_reachable(tensor, producers, resolution)
            candidates.append((output, tensor, stripped, reachable))
    if not candidates:
        raise MeasurementError("no output of the model holds floating point numbers")
    output, tensor, stripped, reachable = max(
        candidates, key=lambda candidate: _elements(candidate[1], resolution)
    )
    if not reachable:
        return Target(output, tapped=False, output=output, saturated=stripped[0])
    return Target(tensor, tensor not in outputs, output, stripped)


def _before_saturation(
    output: str, producers: dict[str, Operator], resolution: Resolution
) -> tuple[str, tuple[Operator, ...]]:
    """Return the tensor before all trailing saturating operators, and these operators."""
    tensor, kept, stripped = output, output, []
    for _ in range(len(producers)):
        operator = producers.get(tensor)
        if operator is None or operator.domain or not operator.inputs or not operator.inputs[0]:
            break
        if operator.inputs[0] in resolution.constants:
            break
        if operator.op_type in SATURATING:
            kept = operator.inputs[0]
            stripped.append(operator)
        elif operator.op_type not in CARRYING:
            break
        tensor = operator.inputs[0]
    return kept, tuple(stripped)


def _is_reachable(tensor: str, producers: dict[str, Operator], resolution: Resolution) -> bool:
    """Return whether onnxruntime knows the tensor by this name: it is one of the file's own."""
    operator = producers.get(tensor)
    if operator is None:
        return True  # a graph input
    return operator.function is None and any(
        operator is other for other in resolution.model.main.operators
    )


def _is_float(tensor: str, resolution: Resolution) -> bool:
    dtype = resolution.dtypes.get(tensor)
    return dtype is None or dtype.kind == "f"


def _elements(tensor: str, resolution: Resolution) -> int:
    shape = resolution.shapes.get(tensor)
    return 0 if shape is None else math.prod(shape)
