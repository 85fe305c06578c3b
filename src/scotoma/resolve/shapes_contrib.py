"""Output shapes of fused, quantised and blocked operators outside the standard domain."""

from __future__ import annotations

from scotoma.resolve.shapes_matrix import gemm_shape, product, without
from scotoma.resolve.shapes_plain import elementwise, same
from scotoma.resolve.step import RefusedError, Shapes, Step, UnknownError, broadcast, dims


def quantised_binary(step: Step) -> Shapes:
    """Resolve QLinearAdd and QLinearMul: the operands stand at places 0 and 3."""
    return [broadcast(step.shape(), step.shape(3))]


def quantised_matmul(step: Step) -> Shapes:
    """Resolve QLinearMatMul: the operands stand at places 0 and 3."""
    return [product(step.shape(), step.shape(3))]


def quantised_concat(step: Step) -> Shapes:
    """Resolve QLinearConcat: scale and zero point of the result, then triples."""
    first = step.shape(2)
    axis = step.axis(step.integer("axis", 1), len(first))
    total = first[axis]
    for index in range(5, len(step.inputs), 3):
        shape = step.shape(index)
        if without(shape, (axis,), keep=False) != without(first, (axis,), keep=False):
            raise RefusedError(f"{dims(first)} and {dims(shape)} do not join along axis {axis}")
        total += shape[axis]
    return [(*first[:axis], total, *first[axis + 1 :])]


def quantised_where(step: Step) -> Shapes:
    """Resolve QLinearWhere: condition at 0, operands at 1 and 4."""
    return [broadcast(step.shape(), step.shape(1), step.shape(4))]


def quantised_gemm(step: Step) -> Shapes:
    """Resolve QGemm: the operands stand at places 0 and 3."""
    return [gemm_shape(step, 0, 3, -1)]


def fused_gemm(step: Step) -> Shapes:
    """Resolve FusedGemm."""
    return [gemm_shape(step, 0, 1, 2)]


def fused_matmul(step: Step) -> Shapes:
    """Resolve FusedMatMul and TransposeMatMul."""
    left, right = step.shape(), step.shape(1)
    if step.integer("transBatchA", 0) and len(left) > 2:
        left = (*left[1:-1], left[0], left[-1])
    if step.integer("transBatchB", 0) and len(right) > 2:
        right = (*right[1:-1], right[0], right[-1])
    if step.integer("transA", 0) and len(left) > 1:
        left = (*left[:-2], left[-1], left[-2])
    if step.integer("transB", 0) and len(right) > 1:
        right = (*right[:-2], right[-1], right[-2])
    return [product(left, right)]


def plain_matmul(step: Step) -> Shapes:
    """Resolve products whose operands stand at places 0 and 1."""
    return [product(step.shape(), step.shape(1))]


def matmul_blocks(step: Step) -> Shapes:
    """Resolve MatMulNBits, whose sizes are attributes."""
    shape = step.shape()
    inner, outer = step.integer("K", 0), step.integer("N", 0)
    if not shape or shape[-1] != inner:
        raise RefusedError(f"{inner} features wanted, {dims(shape)} there")
    return [(*shape[:-1], outer)]


def attention(step: Step) -> Shapes:
    """Resolve Attention and QAttention: the projection holds query, key and value side by side."""
    shape, weight = step.shape(), step.shape(1)
    if len(shape) != 3 or len(weight) != 2:
        raise RefusedError(f"{dims(shape)} projected by {dims(weight)}")
    sizes = step.integers("qkv_hidden_sizes")
    return [(shape[0], shape[1], sizes[2] if sizes and len(sizes) == 3 else weight[1] // 3)]


def multi_head(step: Step) -> Shapes:
    """Resolve MultiHeadAttention with separate query, key and value."""
    query = step.shape()
    if len(query) != 3 or not step.has(2):
        raise UnknownError("its query is packed")
    value = step.shape(2)
    return [(*query[:2], value[2] if len(value) == 3 else value[1] * value[-1])]


def reorder_input(step: Step) -> Shapes:
    """Resolve ReorderInput, whose blocked result is described channels first."""
    shape = step.shape()
    if len(shape) < 3:
        raise RefusedError(f"{dims(shape)} has no spatial axes")
    return [(shape[0], shape[-1], *shape[1:-1]) if step.integer("channels_last", 0) else shape]


def reorder_output(step: Step) -> Shapes:
    """Resolve ReorderOutput, which states its channels."""
    shape = step.shape()
    if len(shape) < 3:
        raise RefusedError(f"{dims(shape)} has no spatial axes")
    channels = step.integer("channels", shape[1])
    if step.integer("channels_last", 0):
        return [(shape[0], *shape[2:], channels)]
    return [(shape[0], channels, *shape[2:])]


def quantised_mean(step: Step) -> Shapes:
    """Resolve QLinearReduceMean, whose axes are an attribute."""
    shape = step.shape()
    axes = step.integers("axes") or tuple(range(len(shape)))
    keep = step.integer("keepdims", 1) != 0
    return [without(shape, step.axes(axes, len(shape)), keep=keep)]


def normalisation(step: Step) -> Shapes:
    """Resolve SkipLayerNormalization and its kin: result, two statistics, sum of the inputs."""
    shape = step.shape()
    statistics = (*shape[:-1], 1)
    return [shape, statistics, statistics, shape]


_SAME = """
Gelu FastGelu BiasGelu QuickGelu QLinearSigmoid QLinearLeakyRelu QLinearSoftmax QuantizeLinear
DequantizeLinear GroupNorm FakeQuant Inverse RotaryEmbedding BiasSoftmax BiasDropout Trilu
SimplifiedLayerNormalization
"""
_QUANT = "Quant BipolarQuant IntQuant FloatQuant Trunc"
_QUANTISERS = dict.fromkeys(_QUANT.split(), same)

HANDLERS = {
    "": {"QLinearMatMul": quantised_matmul, "SimplifiedLayerNormalization": normalisation},
    "com.microsoft": {
        **dict.fromkeys(_SAME.split(), same),
        "BiasAdd": elementwise,
        "QLinearAdd": quantised_binary,
        "QLinearMul": quantised_binary,
        "QLinearConcat": quantised_concat,
        "QLinearWhere": quantised_where,
        "QLinearReduceMean": quantised_mean,
        "QGemm": quantised_gemm,
        "FusedGemm": fused_gemm,
        "FusedMatMul": fused_matmul,
        "FusedMatMulActivation": fused_matmul,
        "TransposeMatMul": fused_matmul,
        "MatMulIntegerToFloat": plain_matmul,
        "DynamicQuantizeMatMul": plain_matmul,
        "MatMulNBits": matmul_blocks,
        "Attention": attention,
        "QAttention": attention,
        "MultiHeadAttention": multi_head,
        "SkipLayerNormalization": normalisation,
        "SkipSimplifiedLayerNormalization": normalisation,
    },
    "com.microsoft.nchwc": {"ReorderInput": reorder_input, "ReorderOutput": reorder_output},
    "onnx.brevitas": _QUANTISERS,
    "qonnx.custom_op.general": _QUANTISERS,
    "qonnx": _QUANTISERS,
}
