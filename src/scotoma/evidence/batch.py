"""Where the axis of the batch is in a tensor, and which operators mix the samples along it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from scotoma.evidence.scopes import main_scope, values_read

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

    Axes = dict[str, int]

MOST_STEPS = 512
"""Operators behind one reduction that are looked at."""
_REDUCTIONS = frozenset(
    {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
     "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"}
)  # fmt: skip
_SOFT = frozenset({"Hardmax", "LogSoftmax", "Softmax"})
_MOMENTS = "MeanVarianceNormalization"
_ELEMENTWISE = frozenset(
    {"Abs", "Add", "And", "BatchNormalization", "Cast", "CastLike", "Ceil", "Celu", "Clip", "Cos",
     "DequantizeLinear", "Div", "Dropout", "Elu", "Equal", "Erf", "Exp", "Expand", "Floor", "Gelu",
     "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "InstanceNormalization",
     "GroupNormalization", "LRN", "LayerNormalization", "LeakyRelu", "Less", "LessOrEqual", "Log",
     "Max", "Mean", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow",
     "QLinearAdd", "QLinearLeakyRelu", "QLinearMul", "QLinearSigmoid", "QuantizeLinear",
     "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Softplus",
     "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tanh", "ThresholdedRelu", "Where", "Xor"}
)  # fmt: skip
_KEEPS_FIRST = frozenset(
    {"AveragePool", "Conv", "ConvInteger", "ConvTranspose", "DepthToSpace", "FusedConv",
     "FusedGemm", "Gemm", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "GridSample",
     "LpPool", "MaxPool", "NhwcFusedConv", "NhwcMaxPool", "QGemm", "QLinearAveragePool",
     "QLinearConv", "QLinearGlobalAveragePool", "ReorderInput", "ReorderOutput", "SpaceToDepth",
     "Upsample"}
)  # fmt: skip
_KEEPS_SIZE = frozenset({"MatMul", "Pad", "Resize", "Slice", "Tile"})


@dataclass(frozen=True, slots=True)
class Leak:
    """An operator that mixes the samples of a batch."""

    operator: Operator
    returns: bool
    """What it makes meets single samples again, so that their results depend on each other."""
    centres: bool
    """A mean over the batch that is taken off the data it comes from, as in training."""
    per_channel: bool
    """Some other axis of more than one cell is left."""


def batch_declared(facts: Facts) -> int | None:
    """Return the size of the batch that the file fixes, None if it leaves it open."""
    examined = facts.resolution.examined
    for value in facts.model.main.inputs:
        if examined is not None and value.name == examined.name and value.shape:
            size = value.shape[0]
            return size if isinstance(size, int) else None
    return None


def batch_axes(facts: Facts) -> Mapping[str, int]:
    """Return which axis of a tensor is the batch and nothing else, by the tensor's name.

    Followed from the examined input, if its first axis is a batch, through operators that keep
    the samples apart. Tensors of which it is not known are left out.
    """
    examined = facts.resolution.examined
    axes: Axes = {}
    if examined is None or examined.shape is None or 0 in examined.spatial_axes:
        return axes
    if len(examined.shape) != len(examined.spatial_axes) + 2:
        return axes
    axes[examined.name] = 0
    for operator in facts.operators:
        if not any(name in axes for name in operator.inputs):
            continue
        for name in operator.outputs:
            found = _after(facts, axes, operator, name) if name else None
            # A declared shape that lies may have no such axis.
            if found is not None and 0 <= found < len(facts.shape(name) or ()):
                axes[name] = found
    return axes


def _after(facts: Facts, axes: Axes, operator: Operator, output: str) -> int | None:
    """Return the batch axis of an output, None if it has none or it is not known."""
    kind, shape = operator.op_type, facts.shape(output)
    if shape is None:
        return None
    data = operator.inputs[0]
    if kind in _ELEMENTWISE or kind == "MatMul":
        return _broadcast(facts, axes, operator, shape)
    axis, before = axes.get(data), facts.shape(data)
    if kind == "Concat":
        places = {axes.get(name) for name in operator.inputs if name in axes}
        axis = places.pop() if len(places) == 1 else None
    if axis is None or before is None:
        return None
    if kind in _KEEPS_FIRST:
        whole = not (kind == "Gemm" and operator.attributes.get("transA", 0))
        return 0 if axis == 0 and whole else None
    if kind in _KEEPS_SIZE:
        cut = kind == "Slice" and axis in _sliced(facts, operator, len(before))
        return (
            axis if len(shape) == len(before) and shape[axis] == before[axis] and not cut else None
        )
    if kind in _SOFT:
        return None if axis in _reduced(facts, operator, len(before)) else axis
    if kind in {"Concat", "Split", _MOMENTS, "CumSum"}:
        along = _along(operator, len(before))
        return axis if along != axis else None
    move = _MOVES.get("Reduce" if kind in _REDUCTIONS else kind)
    return move(facts, operator, axis, before, shape) if move is not None else None


def _broadcast(facts: Facts, axes: Axes, operator: Operator, shape: tuple[int, ...]) -> int | None:
    """Return the batch axis after an operator that lines its inputs up at their last axes."""
    found = set()
    for name in operator.inputs:
        own = facts.shape(name) if name in axes else None
        if own is None:
            continue
        if operator.op_type == "MatMul" and axes[name] == len(own) - 1:
            return None
        if (
            operator.op_type == "MatMul"
            and axes[name] == len(own) - 2
            and name != operator.inputs[0]
        ):
            return None
        found.add(axes[name] + len(shape) - len(own))
    return found.pop() if len(found) == 1 else None


def _along(operator: Operator, rank: int) -> int | None:
    """Return the axis that an attribute names, with the operator's own default.

    Softmax and its kin below opset 13 normalise all axes from it on together: see `_reduced`.
    """
    default = {"Split": 0, "Concat": 0}.get(operator.op_type)
    if operator.op_type in _SOFT:
        default = -1 if (operator.version or 13) >= 13 else 1
    axis = operator.attributes.get("axis", default)
    return axis % rank if isinstance(axis, int) and rank else None


def _given_axes(facts: Facts, operator: Operator, rank: int, slot: int = 1) -> set[int] | None:
    """Return the axes that an attribute or an input lists; None: there is no list, or unknown."""
    listed = operator.attributes.get("axes")
    if not isinstance(listed, tuple):
        name = operator.inputs[slot] if slot < len(operator.inputs) else ""
        value = facts.value(name) if name else None
        if value is None or value.size == 0:
            return None
        listed = tuple(int(number) for number in value.reshape(-1))
    return {axis % rank for axis in listed if isinstance(axis, int)} if rank else set()


def _reduced(facts: Facts, operator: Operator, rank: int) -> set[int]:
    """Return the axes that an operator reduces."""
    if operator.op_type == _MOMENTS:
        return _given_axes(facts, operator, rank) or {0, *range(2, rank)}
    if operator.op_type in _SOFT:
        along = _along(operator, rank)
        if along is None:
            return set()
        return {along} if (operator.version or 13) >= 13 else set(range(along, rank))
    named = _given_axes(facts, operator, rank)
    if named is not None:
        return named
    given = len(operator.inputs) > 1 and operator.inputs[1]
    known = not given or facts.value(operator.inputs[1]) is not None
    empty = operator.attributes.get("noop_with_empty_axes", 0)
    return set(range(rank)) if known and not empty else set()


def _sliced(facts: Facts, operator: Operator, rank: int) -> set[int]:
    if (operator.version or 13) >= 10:
        return _given_axes(facts, operator, rank, slot=3) or set(range(rank))
    starts = operator.attributes.get("starts", ())
    count = len(starts) if isinstance(starts, tuple) else rank
    return _given_axes(facts, operator, rank, slot=3) or set(range(count))


Shape = tuple[int, ...]


def _reduce(facts: Facts, operator: Operator, axis: int, before: Shape, _: Shape) -> int | None:
    gone = _reduced(facts, operator, len(before))
    if axis in gone:
        return None
    keeps = operator.attributes.get("keepdims", 1)
    return axis if keeps else axis - sum(other < axis for other in gone)


def _transpose(_: Facts, operator: Operator, axis: int, before: Shape, __: Shape) -> int | None:
    perm = operator.attributes.get("perm")
    order = perm if isinstance(perm, tuple) else tuple(reversed(range(len(before))))
    return order.index(axis) if axis in order else None


def _reshape(
    facts: Facts, operator: Operator, axis: int, before: Shape, after: Shape
) -> int | None:
    ahead = prod(before[:axis])
    for place, size in enumerate(after):
        if prod(after[:place]) == ahead and size == before[axis]:
            break
    else:
        return None
    # A literal 1 in place of an open batch folds the samples into the next axis.
    target = operator.inputs[1] if len(operator.inputs) > 1 else ""
    maker = facts.producers.get(target)
    literal = target in facts.model.main.initializers or (
        maker is not None and maker.op_type == "Constant"
    )
    value = facts.value(target) if literal else None
    if value is None or value.size <= place or batch_declared(facts) == 1:
        return place
    return None if value.reshape(-1)[place] == 1 else place


def _flatten(_: Facts, operator: Operator, axis: int, before: Shape, __: Shape) -> int | None:
    split = operator.attributes.get("axis", 1)
    alone = isinstance(split, int) and split % max(1, len(before)) == 1
    return 0 if axis == 0 and (alone or before[0] == prod(before[: _int(split)])) else None


def _squeeze(facts: Facts, operator: Operator, axis: int, before: Shape, _: Shape) -> int | None:
    named = _given_axes(facts, operator, len(before))
    gone = {i for i, size in enumerate(before) if size == 1} if named is None else named
    return None if axis in gone else axis - sum(other < axis for other in gone)


def _unsqueeze(facts: Facts, operator: Operator, axis: int, _: Shape, after: Shape) -> int | None:
    new = _given_axes(facts, operator, len(after))
    if new is None:
        return None
    old = [place for place in range(len(after)) if place not in new]
    return old[axis] if axis < len(old) else None


def _gather(facts: Facts, operator: Operator, axis: int, before: Shape, _: Shape) -> int | None:
    along = _int(operator.attributes.get("axis", 0)) % len(before)
    indices = facts.shape(operator.inputs[1]) if len(operator.inputs) > 1 else None
    if along == axis or indices is None:
        return None
    return axis if axis < along else axis + len(indices) - 1


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0


_MOVES: Mapping[str, Callable[[Facts, Operator, int, Shape, Shape], int | None]] = {
    "Reduce": _reduce,
    "Transpose": _transpose,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Gather": _gather,
}


def batch_leaks(facts: Facts) -> list[Leak]:
    """Return the operators on the way to an output that mix the samples of a batch.

    Normalisation that is itself in training mode is left out.
    """
    mixing = _REDUCTIONS | _SOFT | {_MOMENTS}
    suspects = [op for op in facts.operators if op.op_type in mixing and not op.domain]
    axes = facts.once(batch_axes) if suspects else {}
    heard = facts.once(main_scope).heard if axes else frozenset()
    found = []
    for operator in suspects:
        if operator not in heard:
            continue
        if not operator.inputs or operator.inputs[0] not in axes:
            continue
        shape = facts.shape(operator.inputs[0])
        if shape is None or axes[operator.inputs[0]] not in _reduced(facts, operator, len(shape)):
            continue
        gone = _reduced(facts, operator, len(shape))
        left = any(size > 1 for axis, size in enumerate(shape) if axis not in gone)
        returns = operator.op_type not in _REDUCTIONS or _meets_samples(
            facts, axes, heard, operator
        )
        found.append(Leak(operator, returns, _centres(facts, operator), left))
    return found


def _meets_samples(
    facts: Facts, axes: Mapping[str, int], heard: frozenset[Operator], operator: Operator
) -> bool:
    """Tell whether what a reduction makes meets single samples on the way to an output."""
    pending, seen = [operator.outputs[0]], {operator.outputs[0]}
    while pending and len(seen) < MOST_STEPS:
        tensor = pending.pop(0)
        for consumer in facts.consumers.get(tensor, ()):
            read = values_read(consumer)
            if tensor not in read or consumer not in heard:
                continue
            if any(name in axes for name in read):
                return True
            fresh = [name for name in consumer.outputs if name and name not in seen]
            seen.update(fresh)
            pending.extend(fresh)
    return False


def _centres(facts: Facts, operator: Operator) -> bool:
    """Tell whether a mean is taken off its own data, or given to a normalisation of it."""
    if operator.op_type != "ReduceMean":
        return False
    data, tensors = operator.inputs[0], [operator.outputs[0]]
    seen: set[Operator] = set()
    while tensors and len(seen) < 8:
        tensor = tensors.pop()
        for consumer in facts.consumers.get(tensor, ()):
            if consumer.op_type == "Sub" and data in consumer.inputs:
                return True
            if consumer.op_type == "BatchNormalization" and tensor in consumer.inputs[3:]:
                return True
            if consumer.op_type in {"Reshape", "Squeeze", "Unsqueeze", "Transpose", "Identity"}:
                seen.add(consumer)
                tensors.append(consumer.outputs[0])
    return False


def folded_samples(facts: Facts, axes: Mapping[str, int], tensor: str) -> bool:
    """Tell whether a map has its samples folded into its channels: statistics are of groups."""
    maker = facts.producers.get(tensor)
    while maker is not None and maker.op_type in {"Cast", "Identity"} and not maker.domain:
        tensor = maker.inputs[0]
        maker = facts.producers.get(tensor)
    if maker is None or maker.op_type != "Reshape" or maker.inputs[0] not in axes:
        return False
    before, after = facts.shape(maker.inputs[0]), facts.shape(tensor)
    if tensor not in axes:
        return after is not None and len(after) > 1 and after[0] == 1
    return before is not None and after is not None and after[:2] != before[:2]
