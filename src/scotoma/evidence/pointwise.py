"""What becomes of a map place by place, until a window, a pool or a resize blends its cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

MOST_STEPS = 512
"""Tensors made of one map that are looked at."""
CONVOLUTIONS = frozenset({"Conv", "FusedConv", "QLinearConv"})
UNARY = frozenset(
    {"Abs", "BatchNormalization", "Cast", "Celu", "Clip", "DequantizeLinear", "Dropout", "Elu",
     "Exp", "Gelu", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "LogSoftmax", "Neg",
     "PRelu", "Quant", "QuantizeLinear", "Relu", "Round", "Sigmoid", "Softmax", "Softplus",
     "Swish", "Tanh"}
)  # fmt: skip
SATURATING = frozenset(
    {"ArgMax", "Clip", "Floor", "HardSigmoid", "LogSoftmax", "Round", "Sigmoid", "Softmax", "Tanh"}
)
"""Squeeze or round values, so that differences between large ones vanish."""
STORED = frozenset({"Cast", "DequantizeLinear", "Identity", "Quant", "QuantizeLinear"})
"""Change how numbers are stored."""
POINTWISE = UNARY | {
    "Add", "ArgMax", "Concat", "Div", "Floor", "Max", "Min", "Mul", "Pad", "Pow", "Reshape",
    "Slice", "Split", "Squeeze", "Sub", "Sum", "Transpose", "Unsqueeze", "Where",
}  # fmt: skip


def ends_in_a_map(facts: Facts, tensor: str) -> bool:
    """Tell whether a tensor reaches an output that is still a map, place by place alone.

    No window, pool or further upsampling comes in between: they blend the phases of a tile.
    """
    outputs = {value.name for value in facts.model.main.outputs}
    shape = facts.shape(tensor)
    size = min(shape[2:], default=1) if shape is not None else 1
    spatial = len(shape) - 2 if shape is not None else 1
    for name in pointwise(facts, tensor):
        after = facts.shape(name)
        if name in outputs and after and sum(2 * length >= size for length in after) >= spatial:
            return True
    return False


def pointwise(facts: Facts, tensor: str) -> list[str]:
    """Return a tensor and those made of it place by place alone, in the order they are met."""
    found, index = {tensor: None}, 0
    while index < len(found) and len(found) < MOST_STEPS:
        current = list(found)[index]
        index += 1
        for consumer in facts.consumers.get(current, ()):
            if is_pointwise(facts, consumer):
                found.update(dict.fromkeys(name for name in consumer.outputs if name))
    return list(found)


def is_pointwise(facts: Facts, operator: Operator) -> bool:
    """Tell whether an operator works place by place."""
    if operator.op_type in CONVOLUTIONS:
        windows = facts.windows(operator)
        return bool(windows) and all(w.kernel == 1 and w.stride == 1 for w in windows or ())
    return operator.op_type in POINTWISE
