"""What saturates at the end of a model, and which tensors stand before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

SATURATING = frozenset(
    {
        "ArgMax", "ArgMin", "HardSigmoid", "Hardmax", "LogSoftmax", "NonMaxSuppression",
        "Sigmoid", "Softmax", "TopK",
    }
)  # fmt: skip
"""Behind these a confident model looks blind: the change is there but rounds away."""
CLIPPING = frozenset({"Clip", "Tanh"})
"""These saturate too, but inside a model they are mere activations."""
CARRYING = frozenset(
    {
        "Cast", "CastLike", "DequantizeLinear", "Dropout", "Flatten", "Identity", "Quant",
        "QuantizeLinear", "ReorderInput", "ReorderOutput", "Reshape", "Squeeze", "Transpose",
        "Unsqueeze",
    }
)  # fmt: skip
"""These rearrange the values, or store them in another way."""
JOINING = frozenset({"Concat", "QLinearConcat"})
QUANTISED = {"QLinearSigmoid": "Sigmoid", "QLinearSoftmax": "Softmax"}
"""Operators of onnxruntime's quantiser, by what they do."""
MOST_JOINS = 16
"""Joins within joins that are looked through."""
MOST_CARRIED = 64
"""Operators between two joins that are looked through."""


@dataclass(frozen=True, slots=True)
class Stripped:
    """Tensors, and the saturating operators that were left out behind them."""

    tensors: tuple[str, ...]
    operators: tuple[Operator, ...] = ()
    """In the order of the graph."""


def kind(operator: Operator) -> str:
    """Return what an operator does, whether it is quantised or not; empty if that is not known."""
    own = operator.domain and operator.op_type in SATURATING | CLIPPING | JOINING - {
        "QLinearConcat"
    }
    return "" if own else QUANTISED.get(operator.op_type, operator.op_type)


def strip(facts: Facts, tensor: str, usable: Callable[[str], bool]) -> Stripped:
    """Return what a tensor is made of, before all saturating operators at its end.

    Parameters
    ----------
    tensor
        One at the end of the model. Behind a concatenation the tensors that it joins are
        returned, if some of them saturates.
    usable
        Tells whether a tensor can be returned instead.

    Returns
    -------
    Stripped
        The tensor itself where nothing saturates.
    """
    return _strip(facts, tensor, usable, MOST_JOINS)


def _strip(facts: Facts, tensor: str, usable: Callable[[str], bool], depth: int) -> Stripped:
    at = tensor
    best = Stripped((tensor,))
    found: list[Operator] = []
    for _ in range(MOST_CARRIED):
        operator = facts.producers.get(at)
        if operator is None:
            break
        what = kind(operator)
        if what in JOINING and depth and (joined := _join(facts, operator, usable, depth)):
            return Stripped(joined.tensors, (*joined.operators, *found))
        before = _taken_on(operator)
        if what not in SATURATING | CLIPPING | CARRYING or not before:
            break
        if what not in CARRYING:
            found.insert(0, operator)
            if all(usable(name) for name in before):
                best = Stripped(before, tuple(found))
        if len(before) > 1:
            break
        at = before[0]
    return best


def _join(
    facts: Facts, operator: Operator, usable: Callable[[str], bool], depth: int
) -> Stripped | None:
    """Return the parts of a concatenation, each stripped; None where none of them saturates."""
    read = dict.fromkeys(name for name in operator.inputs if name in facts.producers)
    changing = [name for name in read if name not in facts.resolution.constants]
    parts = [_strip(facts, name, usable, depth - 1) for name in changing[:MOST_CARRIED]]
    operators = dict.fromkeys(operator for part in parts for operator in part.operators)
    tensors = dict.fromkeys(name for part in parts for name in part.tensors)
    if not operators or not all(usable(name) for name in tensors):
        return None
    return Stripped(tuple(tensors), tuple(operators))


def _taken_on(operator: Operator) -> tuple[str, ...]:
    """Return the tensors whose values an operator takes on or saturates."""
    count = 2 if operator.op_type == "NonMaxSuppression" else 1  # boxes and scores
    return tuple(name for name in operator.inputs[:count] if name)


def leading_out(facts: Facts) -> frozenset[str]:
    """Return the tensors behind which nothing but rearranging, joining and saturating stands."""
    stack = [value.name for value in facts.model.main.outputs]
    found = set(stack)
    while stack:
        operator = facts.producers.get(stack.pop())
        if operator is None or kind(operator) not in SATURATING | CLIPPING | CARRYING | JOINING:
            continue
        read = operator.inputs if kind(operator) in JOINING else _taken_on(operator)
        stack += [name for name in read if name not in found]
        found.update(read)
    return frozenset(found)
