"""Output shapes of products, sums over axes and attention."""

from __future__ import annotations

from scotoma.resolve.step import (
    RefusedError,
    Shape,
    Shapes,
    Step,
    UnknownError,
    broadcast,
    dims,
)


def product(left: Shape, right: Shape) -> Shape:
    """Return the shape of a matrix product under numpy's rules."""
    if not left or not right:
        raise RefusedError("a scalar has no matrix product")
    if left[-1] != (right[-2] if len(right) > 1 else right[-1]):
        raise RefusedError(
            f"{right[-2] if len(right) > 1 else right[-1]} features wanted, {left[-1]} there"
        )
    batch = broadcast(left[:-2], right[:-2])
    rows = (left[-2],) if len(left) > 1 else ()
    return batch + rows + ((right[-1],) if len(right) > 1 else ())


def matmul(step: Step) -> Shapes:
    """Resolve MatMul and MatMulInteger."""
    return [product(step.shape(), step.shape(1))]


def gemm(step: Step) -> Shapes:
    """Resolve Gemm; opsets below 11 flatten nothing either."""
    return [gemm_shape(step, 0, 1, 2)]


def gemm_shape(step: Step, a: int, b: int, c: int) -> Shape:
    """Return the shape of ``A' * B' + C`` for inputs at the given places."""
    left, right = step.shape(a), step.shape(b)
    if len(left) != 2 or len(right) != 2:
        raise RefusedError(f"matrices wanted, {dims(left)} and {dims(right)} there")
    left = left[::-1] if step.integer("transA", 0) else left
    right = right[::-1] if step.integer("transB", 0) else right
    if left[1] != right[0]:
        raise RefusedError(f"{right[0]} features wanted, {left[1]} there")
    out = (left[0], right[1])
    if c >= 0 and step.has(c) and step.version >= 7 and broadcast(out, step.shape(c)) != out:
        raise RefusedError(f"a bias of {dims(step.shape(c))} for {dims(out)}")
    return out


def einsum(step: Step) -> Shapes:
    """Resolve Einsum, with an ellipsis too."""
    text = step.text("equation", "").replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(step.inputs):
        raise UnknownError(f"equation {text!r} for {len(step.inputs)} inputs")
    sizes: dict[str, int] = {}
    middle: Shape = ()
    for index, term in enumerate(terms):
        shape = step.shape(index)
        head, dots, tail = term.partition("...")
        extra = len(shape) - len(head) - len(tail)
        if extra < 0 or (extra and not dots):
            raise RefusedError(f"term {term!r} for {dims(shape)}")
        middle = broadcast(middle, shape[len(head) : len(head) + extra])
        named = (*shape[: len(head)], *shape[len(head) + extra :])
        for letter, size in zip(head + tail, named, strict=True):
            if sizes.setdefault(letter, size) != size:
                if 1 not in (sizes[letter], size):
                    raise RefusedError(f"{letter!r} has {sizes[letter]} and {size} cells")
                sizes[letter] = max(sizes[letter], size)
    if not arrow:
        letters = left.replace("...", "").replace(",", "")
        once = sorted(letter for letter in set(letters) if letters.count(letter) == 1)
        return [middle + tuple(sizes[letter] for letter in once)]
    head, dots, tail = right.partition("...")
    if any(letter not in sizes for letter in head + tail):
        raise UnknownError(f"equation {text!r} makes a new letter")
    ends = tuple(sizes[letter] for letter in head), tuple(sizes[letter] for letter in tail)
    return [ends[0] + (middle if dots else ()) + ends[1]]


AXES_INPUT_SINCE = {"ReduceSum": 13}


def reduced_axes(step: Step, rank: int) -> tuple[int, ...]:
    """Return the axes that a Reduce operator sums over, counted from the front."""
    if step.version >= AXES_INPUT_SINCE.get(step.op.op_type, 18) or step.has(1):
        axes = step.whole(1) if step.has(1) else ()
        idle = step.integer("noop_with_empty_axes", 0) != 0
    else:
        axes, idle = step.integers("axes") or (), False
    if not axes:
        return () if idle else tuple(range(rank))
    return step.axes(axes, rank)


def reduce(step: Step) -> Shapes:
    """Resolve every Reduce operator."""
    shape = step.shape()
    axes = reduced_axes(step, len(shape))
    return [without(shape, axes, keep=step.integer("keepdims", 1) != 0)]


def without(shape: Shape, axes: tuple[int, ...], *, keep: bool) -> Shape:
    """Return the shape with axes reduced to one cell, or left out."""
    if keep:
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def arg_reduce(step: Step) -> Shapes:
    """Resolve ArgMax and ArgMin."""
    shape = step.shape()
    axis = step.axis(step.integer("axis", 0), len(shape))
    return [without(shape, (axis,), keep=step.integer("keepdims", 1) != 0)]


def top_k(step: Step) -> Shapes:
    """Resolve TopK."""
    shape = step.shape()
    axis = step.axis(step.integer("axis", -1), len(shape))
    if step.version >= 10 or step.has(1):
        found = step.whole(1)
        if len(found) != 1:
            raise RefusedError("its k is not one number")
        count = found[0]
    else:
        count = step.integer("k", -1)
    if not 0 <= count <= shape[axis]:
        raise RefusedError(f"the first {count} of {shape[axis]} cells wanted")
    out = (*shape[:axis], count, *shape[axis + 1 :])
    return [out, out]


def det(step: Step) -> Shapes:
    """Resolve Det: one number per matrix."""
    shape = step.shape()
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise RefusedError(f"square matrices wanted, {dims(shape)} there")
    return [shape[:-2]]


def attention(step: Step) -> Shapes:
    """Resolve Attention of opset 23: the query's rows with the value's features."""
    query, value = step.shape(), step.shape(2)
    if len(query) == 4 and len(value) == 4:
        return [(*query[:3], value[3])]
    if len(query) != 3 or len(value) != 3:
        raise RefusedError(f"{dims(query)} attends to {dims(value)}")
    heads, key_heads = step.integer("q_num_heads", 0), step.integer("kv_num_heads", 0)
    if heads <= 0 or key_heads <= 0 or value[2] % key_heads:
        raise UnknownError("its number of heads is missing")
    return [(query[0], query[1], heads * (value[2] // key_heads))]


_KINDS = "Sum Mean Max Min Prod L1 L2 LogSum LogSumExp SumSquare"
_REDUCE = ["Reduce" + kind for kind in _KINDS.split()]

HANDLERS = {
    "": {
        **dict.fromkeys(_REDUCE, reduce),
        "MatMul": matmul,
        "MatMulInteger": matmul,
        "Gemm": gemm,
        "Einsum": einsum,
        "ArgMax": arg_reduce,
        "ArgMin": arg_reduce,
        "TopK": top_k,
        "Det": det,
        "Attention": attention,
    },
}
