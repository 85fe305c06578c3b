"""Output shapes of operators that work cell by cell, make tensors, or report on them."""

from __future__ import annotations

import math

from scotoma.resolve.step import (
    RefusedError,
    Shape,
    Shapes,
    Step,
    UnknownError,
    broadcast,
    elements,
)


def same(step: Step) -> Shapes:
    """Every output has the shape of the first input."""
    return [step.shape()] * len(step.op.outputs)


def first(step: Step) -> Shapes:
    """Only the first output has the shape of the first input."""
    return [step.shape()]


def elementwise(step: Step) -> Shapes:
    """All inputs broadcast against each other."""
    count = len(step.inputs)
    if count == 0:
        raise UnknownError("it has no inputs")
    return [broadcast(*(step.shape(index) for index in range(count)))]


def arithmetic(step: Step) -> Shapes:
    """Resolve a binary operator: opsets below 7 fit the second input into the first."""
    return elementwise(step) if step.version >= 7 else [step.shape()]


def prelu(step: Step) -> Shapes:
    """Resolve PRelu: the slope must fit into the data."""
    shape = step.shape()
    if step.version >= 7 and broadcast(shape, step.shape(1)) != shape:
        raise RefusedError("its slope is larger than its data")
    return [shape]


def normalisation(step: Step) -> Shapes:
    """Resolve BatchNormalization: channels must match the scale; statistics have its shape."""
    shape, scale = step.shape(), step.shape(1)
    channels = shape[1] if len(shape) > 1 else 1
    if elements(scale) != channels and (step.version >= 9 or step.integer("spatial", 1)):
        raise RefusedError(f"{elements(scale)} channels wanted, {channels} there")
    return [shape, scale, scale, scale, scale]


def layer_normalisation(step: Step) -> Shapes:
    """Resolve LayerNormalization, whose statistics keep the axes before `axis`."""
    shape = step.shape()
    axis = step.axis(step.integer("axis", -1), len(shape))
    if step.has(1):
        scale = step.shape(1)
        try:
            fits = broadcast(shape[axis:], scale) == shape[axis:]
        except RefusedError:
            fits = False
        if not fits and broadcast(shape, scale) != shape:
            raise RefusedError("its scale is larger than its data")
    statistics = shape[:axis] + (1,) * (len(shape) - axis)
    return [shape, statistics, statistics]


def shape_op(step: Step) -> Shapes:
    """Resolve Shape, whose result has one number per axis between start and end."""
    start, end = shape_range(step, len(step.shape()))
    return [(end - start,)]


def shape_range(step: Step, rank: int) -> tuple[int, int]:
    """Return the axes that a Shape operator reports, clamped as the specification says."""
    start = step.integer("start", 0) if step.version >= 15 else 0
    end = step.integer("end", rank) if step.version >= 15 else rank
    start = min(max(start + rank if start < 0 else start, 0), rank)
    end = min(max(end + rank if end < 0 else end, 0), rank)
    return start, max(start, end)


def size_op(step: Step) -> Shapes:
    """Resolve Size: a scalar, told only once the shape is."""
    step.shape()
    return [()]


def constant_of_shape(step: Step) -> Shapes:
    """Resolve ConstantOfShape."""
    return [target(step.whole(0))]


def target(sizes: tuple[int, ...]) -> Shape:
    """Refuse a target shape with a negative entry."""
    if any(size < 0 for size in sizes):
        raise RefusedError(f"a shape of {list(sizes)} is asked for")
    return sizes


def random_of_shape(step: Step) -> Shapes:
    """Resolve RandomNormal and RandomUniform."""
    sizes = step.integers("shape")
    if sizes is None:
        raise UnknownError("it has no shape attribute")
    return [target(sizes)]


def range_op(step: Step) -> Shapes:
    """Resolve Range."""
    start, end, delta = (step.value(index) for index in range(3))
    if not start.size == end.size == delta.size == 1:
        raise RefusedError("its limits are not scalars")
    begin, stop, by = start.item(), end.item(), delta.item()
    if by == 0 or not all(math.isfinite(number) for number in (begin, stop, by)):
        raise RefusedError("its limits make no range")
    if isinstance(by, int):
        return [(max(0, -((begin - stop) // by)),)]
    return [(max(0, math.ceil((stop - begin) / by)),)]


def one_hot(step: Step) -> Shapes:
    """Resolve OneHot: a new axis as long as the depth."""
    shape = step.shape()
    depth = step.value(1)
    if depth.size != 1:
        raise RefusedError("its depth is not one number")
    axis = step.axis(step.integer("axis", -1), len(shape) + 1)
    return [(*shape[:axis], int(depth.item()), *shape[axis:])]


def non_zero(step: Step) -> Shapes:
    """Resolve NonZero of a constant: one column per element that is not zero."""
    value = step.value(0)
    return [(max(value.ndim, 1), int((value != 0).sum()))]


def multinomial(step: Step) -> Shapes:
    """Resolve Multinomial."""
    shape = step.shape()
    if len(shape) != 2:
        raise RefusedError(f"2 axes wanted, {len(shape)} there")
    return [(shape[0], step.integer("sample_size", 1))]


def dynamic_quantize(step: Step) -> Shapes:
    """Resolve DynamicQuantizeLinear: data, scale, zero point."""
    return [step.shape(), (), ()]


_SAME = """
Identity Cast CastLike Clip Relu LeakyRelu ThresholdedRelu Sigmoid HardSigmoid Tanh Elu Selu Celu
Gelu Mish HardSwish Swish Softplus Softsign Shrink Abs Neg Sign Exp Log Sqrt Floor Ceil Round
Reciprocal Erf Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Not BitwiseNot IsNaN
IsInf Softmax LogSoftmax Hardmax LpNormalization LRN MeanVarianceNormalization
InstanceNormalization GroupNormalization RMSNormalization QuantizeLinear DequantizeLinear CumSum
Trilu Bernoulli RandomNormalLike RandomUniformLike EyeLike Scatter ScatterND ScatterElements
TensorScatter ReverseSequence Dropout Affine ParametricSoftplus ScaledTanh ImageScaler
RotaryEmbedding
"""
_BINARY = "Add Sub Mul Div Pow And Or Xor Equal Less Greater"
_VARIADIC = """
Sum Mean Max Min Where Mod LessOrEqual GreaterOrEqual BitShift BitwiseAnd BitwiseOr BitwiseXor
"""

HANDLERS = {
    "": {
        **dict.fromkeys(_SAME.split(), same),
        **dict.fromkeys(_BINARY.split(), arithmetic),
        **dict.fromkeys(_VARIADIC.split(), elementwise),
        "PRelu": prelu,
        "BatchNormalization": normalisation,
        "LayerNormalization": layer_normalisation,
        "Shape": shape_op,
        "Size": size_op,
        "ConstantOfShape": constant_of_shape,
        "RandomNormal": random_of_shape,
        "RandomUniform": random_of_shape,
        "Range": range_op,
        "OneHot": one_hot,
        "NonZero": non_zero,
        "Multinomial": multinomial,
        "DynamicQuantizeLinear": dynamic_quantize,
    },
}
