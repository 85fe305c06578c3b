"""Which tensors of a graph hold no negative number, whatever the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

_ALWAYS = frozenset(
    {
        "Abs", "ArgMax", "ArgMin", "Exp", "GlobalLpPool", "HardSigmoid", "LpPool", "NonZero",
        "ReduceL1", "ReduceL2", "ReduceSumSquare", "Relu", "Shape", "Sigmoid", "Size", "Softmax",
        "Softplus", "Sqrt",
    }
)  # fmt: skip
"""Operators whose output is never negative."""
_OF_FIRST = frozenset(
    {
        "AveragePool", "Cast", "CastLike", "Ceil", "Celu", "DepthToSpace", "Dropout", "Elu",
        "Erf", "Expand", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Gelu",
        "GlobalAveragePool", "GlobalMaxPool", "HardSwish", "Identity", "LeakyRelu", "MaxPool",
        "Mish", "Reciprocal", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "Reshape",
        "Round", "Selu", "Slice", "Softsign", "SpaceToDepth", "Split", "Squeeze", "Swish", "Tanh",
        "Tile", "TopK", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
"""Operators that make nothing negative of a first input without negative numbers."""
_OF_ALL = frozenset(
    {"Add", "Concat", "Conv", "ConvTranspose", "Div", "MatMul", "Mean", "Min", "Mul", "PRelu",
     "Sum"}
)  # fmt: skip
"""Operators that make nothing negative of inputs without negative numbers."""
_RECTIFIERS = frozenset({"Relu", "Sigmoid", "HardSigmoid"})
_CONTRIBUTED = frozenset(
    {"AveragePool", "GlobalAveragePool", "MaxPool", "NhwcMaxPool", "ReorderInput",
     "ReorderOutput", "Upsample"}
)  # fmt: skip


def non_negative(facts: Facts) -> frozenset[str]:
    """Return the tensors that are proven to hold no negative number.

    From what an operator is (Relu, Sigmoid, Clip from 0 up, ...), from unsigned types, from
    constants, and through everything that keeps signs. What is not in the set may still be
    positive in practice.
    """
    kinds = facts.resolution.dtypes
    found = {name for name, kind in kinds.items() if kind.kind in "bu"}
    constant = _Constants(facts)
    for operator in facts.operators:
        if any(name not in found for name in operator.outputs) and _keeps(
            operator, found, constant, facts
        ):
            found.update(name for name in operator.outputs[:1] if name)
            if operator.op_type == "Split":
                found.update(operator.outputs)
    return frozenset(found)


class _Constants:
    """Small constants without negative numbers, each looked at once."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._known: dict[str, bool] = {}

    def __call__(self, name: str) -> bool:
        if name not in self._known:
            value = self._facts.value(name)
            numeric = value is not None and value.dtype.kind in "fiub"
            self._known[name] = numeric and bool(np.all(np.greater_equal(cast("Any", value), 0)))
        return self._known[name]


def _keeps(
    operator: Operator, found: AbstractSet[str], constant: Callable[[str], bool], facts: Facts
) -> bool:
    """Tell whether an operator's first output has no negative number."""

    def sure(name: str) -> bool:
        return name in found or constant(name)

    kind, inputs = operator.op_type, operator.inputs
    present = [name for name in inputs if name]
    if operator.domain:
        if kind in {"FusedConv", "NhwcFusedConv", "Conv"}:
            return _rectified(operator)
        return kind in _CONTRIBUTED and bool(present) and sure(inputs[0])
    if kind in _ALWAYS:
        return True
    if not present:
        return False
    if kind in _OF_FIRST:
        return sure(inputs[0])
    if kind in _OF_ALL:
        squared = kind == "Mul" and len(inputs) == 2 and inputs[0] == inputs[1]
        return squared or all(map(sure, present))
    return _special(operator, sure, facts)


def _rectified(operator: Operator) -> bool:
    """Tell whether a fused convolution ends in an activation that leaves nothing negative."""
    activation = operator.attributes.get("activation")
    limits = operator.attributes.get("activation_params")
    if activation == "Clip" and isinstance(limits, tuple) and limits:
        return float(limits[0]) >= 0
    return activation in _RECTIFIERS


def _special(operator: Operator, sure: Callable[[str], bool], facts: Facts) -> bool:
    """Judge the operators whose parameters decide."""
    kind, inputs = operator.op_type, operator.inputs
    if kind == "Max":
        return any(map(sure, inputs))
    if kind == "Clip":
        low = operator.attributes.get("min")
        if low is None and len(inputs) > 1 and inputs[1]:
            value = facts.value(inputs[1])
            low = float(value.ravel()[0]) if value is not None and value.size == 1 else None
        return sure(inputs[0]) or (isinstance(low, (int, float)) and low >= 0)
    if kind == "ThresholdedRelu":
        alpha = operator.attributes.get("alpha", 1.0)
        return isinstance(alpha, (int, float)) and alpha >= 0
    if kind in {"Resize", "Upsample"}:
        return operator.attributes.get("mode", "nearest") != "cubic" and sure(inputs[0])
    if kind == "Where":
        return len(inputs) == 3 and sure(inputs[1]) and sure(inputs[2])
    if kind == "Pad":
        fill = operator.attributes.get("value", 0.0)
        filled = len(inputs) < 3 or not inputs[2] or sure(inputs[2])
        return sure(inputs[0]) and filled and isinstance(fill, (int, float)) and fill >= 0
    if kind == "Pow":
        power = facts.value(inputs[1]) if len(inputs) > 1 else None
        even = power is not None and power.dtype.kind in "fiu" and bool(np.all(power % 2 == 0))
        return sure(inputs[0]) or even
    if kind == "DequantizeLinear":
        return _dequantized(operator, sure, facts)
    return False


def _dequantized(operator: Operator, sure: Callable[[str], bool], facts: Facts) -> bool:
    """Tell whether dequantising gives no negative number.

    Because the zero point of an unsigned type is its lowest number, or because just the same
    numbers were quantised before and had no negative one among them.
    """
    inputs = operator.inputs
    maker = facts.producers.get(inputs[0])
    zero = inputs[2] if len(inputs) > 2 else ""
    if maker is not None and maker.op_type == "QuantizeLinear" and not maker.domain:
        same = maker.inputs[1:3] == inputs[1:3]
        if same and sure(maker.inputs[0]):
            return True
    kind = facts.resolution.dtypes.get(inputs[0])
    if kind is None or kind.kind != "u":
        return False
    value = facts.value(zero) if zero else None
    return not zero or (value is not None and not value.any())
