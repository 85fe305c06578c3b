"""Attention as one operator: the standard one, and those that onnxruntime fuses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scotoma.adjoint import protos
from scotoma.adjoint.registry import NoAdjointError, rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Shape, Site


@dataclass(frozen=True, slots=True)
class Heads:
    """Query, key and value of all heads, and how the scores are worked out of them."""

    query: str
    """Of shape (samples, heads, queries, size); key and value alike."""
    key: str
    value: str
    scale: float
    bias: str = ""
    """What is added to the scores."""
    softcap: float = 0.0
    """The scores are kept between minus and plus this number, unless it is 0."""


def attended(site: Site, grad: str, heads: Heads) -> tuple[str, str, str, str]:
    """Return the gradients of query, key, value and bias for that of the result.

    The scores s = scale Q Kᵀ and the weights softmax(s + bias) are worked out once more.
    """
    keys = site.emit("Transpose", heads.key, perm=[0, 1, 3, 2])
    size = site.number(heads.scale)
    scores = site.emit("Mul", site.emit("MatMul", heads.query, keys), size)
    bend = ""
    if heads.softcap:
        cap = site.number(heads.softcap)
        bounded = site.emit("Tanh", site.emit("Div", scores, cap))
        scores = site.emit("Mul", bounded, cap)
        bend = site.emit("Sub", site.number(1), site.emit("Mul", bounded, bounded))
    if heads.bias:
        scores = site.emit("Add", scores, heads.bias)
    weights = site.emit("Softmax", scores, axis=-1)
    turned = site.emit("Transpose", weights, perm=[0, 1, 3, 2])
    to_value = site.emit("MatMul", turned, grad)
    values = site.emit("Transpose", heads.value, perm=[0, 1, 3, 2])
    each = site.emit("Mul", weights, site.emit("MatMul", grad, values))
    total = site.emit("ReduceSum", each, site.ints([-1]), keepdims=1)
    to_bias = site.emit("Sub", each, site.emit("Mul", weights, total))
    bent = site.emit("Mul", to_bias, bend) if bend else to_bias
    to_scores = site.emit("Mul", bent, size)
    to_query = site.emit("MatMul", to_scores, heads.key)
    back = site.emit("Transpose", to_scores, perm=[0, 1, 3, 2])
    return to_query, site.emit("MatMul", back, heads.query), to_value, to_bias


def parted(site: Site, tensor: str, shape: Shape, heads: int) -> str:
    """Divide the last axis of (samples, places, features) among heads and bring them forward."""
    if shape[-1] % heads:
        raise NoAdjointError("its features do not divide into its heads")
    tensor = site.reshape(tensor, [*shape[:2], heads, shape[-1] // heads])
    return site.emit("Transpose", tensor, perm=[0, 2, 1, 3])


def joined(site: Site, tensor: str, shape: Shape) -> str:
    """Bring heads back behind the places, to (samples, places, features)."""
    return site.reshape(site.emit("Transpose", tensor, perm=[0, 2, 1, 3]), shape)


def _refuse(site: Site, **slots: int) -> None:
    for what, slot in slots.items():
        if site.has(slot):
            raise NoAdjointError(f"it has an input {what}")


def _scale(site: Site, size: int) -> float:
    """Return what scores are multiplied by; onnxruntime writes 0 where the default is meant."""
    return site.real("scale", 0.0) or 1 / math.sqrt(size)


@rule("Attention")
def attention(site: Site) -> Gradients:
    """Query, key, value, mask; several heads of the query may share one of key and value."""
    _refuse(site, past_key=4, past_value=5, nonpad_kv_seqlen=6)
    grad = site.grad()
    shapes = [site.shape(slot) for slot in range(3)]
    flat = len(shapes[0]) == 3
    counts = [site.integer("kv_num_heads" if slot else "q_num_heads", 0) for slot in range(3)]
    if not flat:
        counts = [shape[1] for shape in shapes]
    if min(counts) < 1 or counts[0] % counts[1]:
        raise NoAdjointError("its heads do not fit together")
    tensors = [site.input(slot) for slot in range(3)]
    if flat:
        tensors = [
            parted(site, tensor, shape, count)
            for tensor, shape, count in zip(tensors, shapes, counts, strict=True)
        ]
        grad = parted(site, grad, site.out_shape(), counts[0])
    full = [
        (shape[0], count, shape[1], shape[2] // count) if flat else shape
        for shape, count in zip(shapes, counts, strict=True)
    ]
    share = counts[0] // counts[1]
    key, value = (_repeated(site, tensors[slot], full[slot], share) for slot in (1, 2))
    scores = (*full[0][:3], full[1][2])
    scale, softcap = _scale(site, full[0][-1]), site.real("softcap", 0.0)
    heads = Heads(tensors[0], key, value, scale, _bias(site, scores), softcap)
    to_query, to_key, to_value, to_bias = attended(site, grad, heads)
    grads = [to_query, *(
        _summed(site, each, full[slot], share) for slot, each in ((1, to_key), (2, to_value))
    )]  # fmt: skip
    found: list[str | None] = [
        joined(site, each, shape) if flat else each
        for each, shape in zip(grads, shapes, strict=True)
    ]
    if site.wants(3):
        found.append(site.sum_to(to_bias, scores, site.shape(3)))
    return found


def _repeated(site: Site, tensor: str, shape: Shape, share: int) -> str:
    """Let several heads of the query share one of key or value."""
    if share == 1:
        return tensor
    samples, heads, *rest = shape
    tensor = site.reshape(tensor, [samples, heads, 1, *rest])
    tensor = site.expand(tensor, [samples, heads, share, *rest])
    return site.reshape(tensor, [samples, heads * share, *rest])


def _summed(site: Site, grad: str, shape: Shape, share: int) -> str:
    """Sum over the heads that share one."""
    if share == 1:
        return grad
    samples, heads, *rest = shape
    grad = site.reshape(grad, [samples, heads, share, *rest])
    return site.emit("ReduceSum", grad, site.ints([2]), keepdims=0)


def _bias(site: Site, scores: Shape) -> str:
    """Return what is added to scores of that shape: a mask, and minus infinity for the future."""
    bias = ""
    if site.has(3):
        bias = site.input(3)
        if site.dtype(3) == np.bool_:
            bias = site.emit("Where", bias, site.number(0), site.number(-np.inf))
    if site.integer("is_causal", 0):
        infinite = protos.tensor(np.array([-np.inf], site.work))
        future = site.emit("ConstantOfShape", site.ints(scores[2:]), value=infinite)
        future = site.emit("Trilu", future, site.constant(1, np.int64), upper=1)
        bias = site.emit("Add", bias, future) if bias else future
    return bias


@rule("MultiHeadAttention", domain="com.microsoft")
def multi_head_attention(site: Site) -> Gradients:
    """Query, key and value as matrices of their own, with a bias of all three."""
    _refuse(site, key_padding_mask=4, past_key=6, past_value=7)
    shapes = [site.shape(slot) for slot in range(3)]
    if any(len(shape) != 3 for shape in shapes) or site.integer("unidirectional", 0):
        raise NoAdjointError("its query, key and value are packed, or it looks back only")
    tensors = [site.input(slot) for slot in range(3)]
    sizes = [shape[-1] for shape in shapes]
    if site.has(3):
        biases = site.emit_many(3, "Split", site.input(3), site.ints(sizes), axis=0)
        tensors = [site.emit("Add", *pair) for pair in zip(tensors, biases, strict=True)]
    grads, to_bias = _of_matrices(site, tensors, shapes, 5)
    found: list[str | None] = [*grads, None, None, to_bias]
    if site.wants(3):
        over = site.ints([0, 1])
        sums = [site.emit("ReduceSum", each, over, keepdims=0) for each in grads]
        found[3] = site.emit("Concat", *sums, axis=0)
    return found


def _of_matrices(
    site: Site, tensors: Sequence[str], shapes: Sequence[Shape], bias: int
) -> tuple[list[str], str | None]:
    """Return the gradients of query, key and value as matrices, and of a bias of the scores."""
    count = site.integer("num_heads", 0)
    if count < 1:
        raise NoAdjointError("the number of its heads is not known")
    query, key, value = (
        parted(site, tensor, shape, count) for tensor, shape in zip(tensors, shapes, strict=True)
    )
    grad = parted(site, site.grad(), site.out_shape(), count)
    scale = _scale(site, shapes[0][-1] // count)
    heads = Heads(query, key, value, scale, site.input(bias) if site.has(bias) else "")
    *grads, each = attended(site, grad, heads)
    to_bias = None
    if site.wants(bias):
        scores = (shapes[0][0], count, shapes[0][1], shapes[1][1])
        to_bias = site.sum_to(each, scores, site.shape(bias))
    flat = [joined(site, grad, shape) for grad, shape in zip(grads, shapes, strict=True)]
    return flat, to_bias


@rule("Attention", domain="com.microsoft")
def fused_attention(site: Site) -> Gradients:
    """Project one tensor to query, key and value, and attend."""
    _refuse(site, mask_index=3, past=4, past_sequence_length=6)
    shape, weight = site.shape(0), site.shape(1)
    if site.integer("unidirectional", 0) or site.integer("do_rotary", 0):
        raise NoAdjointError("it looks back only, or turns its features")
    if site.wants(1) or site.wants(2):
        raise NoAdjointError("its projection is not constant")
    sizes = site.integers("qkv_hidden_sizes") or (weight[-1] // 3,) * 3
    packed = site.emit("MatMul", site.input(0), site.input(1))
    if site.has(2):
        packed = site.emit("Add", packed, site.input(2))
    tensors = site.emit_many(3, "Split", packed, site.ints(sizes), axis=2)
    shapes = [(shape[0], shape[1], size) for size in sizes]
    grads, to_bias = _of_matrices(site, tensors, shapes, 5)
    grad = site.emit("Concat", *grads, axis=2)
    turned = site.emit("Transpose", site.input(1), perm=[1, 0])
    return [site.emit("MatMul", grad, turned), None, None, None, None, to_bias]
