"""Matrix products: MatMul, Gemm, Einsum and their quantised and fused relatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from scotoma.loader.model import Operator
from scotoma.trace.layout import Axis, axis_size, collapsed, is_tracked
from scotoma.trace.operators.elementwise import Joiner, join
from scotoma.trace.reading import AxisRead, Flow, Mixed, Reading, Same
from scotoma.trace.tracer import (
    CannotTellError,
    Tracer,
    int_attribute,
    is_whole_mix,
    settle,
    str_attribute,
)

Handler = Callable[[Tracer, Operator], dict[str, Flow]]


def contract(
    tracer: Tracer,
    operator: Operator,
    operands: Sequence[tuple[str, str]],
    out: str,
    sizes: Sequence[int],
) -> Flow:
    """Return the flow of a sum of products, written as in einsum.

    A product of two tensors that both depend on the image and that sums over, or pairs up, places
    of the image is attention: it reads whole maps.

    Parameters
    ----------
    operands
        Tensor and its letters, one per axis.
    out
        Letters of the output.
    sizes
        Sizes of the output's axes.
    """
    live = [(t, letters) for t, letters in operands if tracer.depends(t)]
    keeper = _keeper(tracer, live)
    joiner = Joiner()
    axes: dict[str, Axis] = {}
    local: dict[str, bool] = {}
    readings: list[Reading] = []
    gone: list[tuple[tuple[Axis, ...], list[int]]] = []
    for k, (tensor, letters) in enumerate(live):
        layout = tracer.layout(tensor)
        if len(layout) != len(letters):
            raise CannotTellError("its equation does not fit its input")
        reads: list[AxisRead] = []
        lost: list[int] = []
        for i, (axis, letter) in enumerate(zip(layout, letters, strict=True)):
            place = out.find(letter)
            free = not any(letter in other for j, (_, other) in enumerate(live) if j != k)
            if place < 0 or (is_tracked(axis) and free and keeper != k):
                reads.append(Mixed())
                lost.append(i)
            elif axis_size(axis) != sizes[place]:
                reads.append(Mixed())
            else:
                reads.append(Same(place))
                mine = tracer.flows[tensor].local
                if letter in axes:
                    axes[letter] = joiner.axes(axes[letter], local[letter], axis, mine)
                    local[letter] |= mine
                else:
                    axes[letter], local[letter] = axis, mine
        whole = any(is_whole_mix(layout[i]) for i in lost)
        gone.append((layout, lost))
        readings.append(Reading(tensor, layout, tuple(reads), share=1, whole=whole))
    if len(live) > 1 and any(any(is_tracked(lay[i]) for i in lost) for lay, lost in gone):
        readings = [Reading(r.tensor, r.layout, r.axes, share=1, whole=True) for r in readings]
    layout = tuple(
        axes[letter] if letter in axes and is_tracked(axes[letter]) else collapsed(size)
        for letter, size in zip(out, sizes, strict=True)
    )
    for own, lost in gone:
        layout = settle(layout, own, lost)
    return tracer.flow(operator, layout, readings)


def _keeper(tracer: Tracer, live: Sequence[tuple[str, str]]) -> int | None:
    """Return the operand whose own followed axes stay followed: the first that has any."""
    for k, (tensor, letters) in enumerate(live):
        for axis, letter in zip(tracer.layout(tensor), letters, strict=False):
            shared = any(letter in other for j, (_, other) in enumerate(live) if j != k)
            if not shared and is_tracked(axis):
                return k
    return None


def _letters(rank: int, rows: str, columns: str, batch: str) -> str:
    """Return the letters of a matrix operand: batch axes aligned at their end, then two."""
    return batch[len(batch) - max(rank - 2, 0) :] + rows + columns


def _product(
    tracer: Tracer,
    operator: Operator,
    a: str,
    b: str,
    turned: tuple[bool, bool] = (False, False),
    batched: tuple[bool, bool] = (False, False),
) -> Flow:
    """Return the flow of a matrix product with numpy's broadcasting.

    Parameters
    ----------
    turned
        Which operands have their last two axes exchanged.
    batched
        Which operands have their first axis moved to the place before the last, before that.
    """
    out = operator.outputs[0]
    rank_a, rank_b, sizes = tracer.rank(a), tracer.rank(b), tracer.shape(out)
    if rank_a == 0 or rank_b == 0:
        raise CannotTellError("it multiplies a scalar")
    batch = "abcdefghijklm"[: max(rank_a, rank_b, 2) - 2]
    letters_a = "K" if rank_a == 1 else _letters(rank_a, "r", "K", batch)
    letters_b = "K" if rank_b == 1 else _letters(rank_b, "K", "s", batch)
    terms = []
    for letters, turn, move in zip((letters_a, letters_b), turned, batched, strict=True):
        term = letters
        if turn and len(term) > 1:
            term = term[:-2] + term[-1] + term[-2]
        if move and len(term) > 2:
            term = term[-2] + term[:-2] + term[-1]
        terms.append(term)
    letters = batch + ("r" if rank_a > 1 else "") + ("s" if rank_b > 1 else "")
    if len(letters) != len(sizes):
        raise CannotTellError("its output has an unexpected rank")
    return contract(tracer, operator, list(zip((a, b), terms, strict=True)), letters, sizes)


def matmul(second: int = 1) -> Handler:
    """Return the handler of a matrix product whose right operand is input `second`."""

    def handle(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
        flow = _product(tracer, operator, operator.inputs[0], operator.inputs[second])
        return {operator.outputs[0]: flow}

    return handle


def fused_matmul(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle FusedMatMul and its kin: operands may be transposed on the way in."""

    def flags(name: str) -> tuple[bool, bool]:
        return (
            int_attribute(operator, f"{name}A", 0) == 1,
            int_attribute(operator, f"{name}B", 0) == 1,
        )

    a, b = operator.inputs[:2]
    flow = _product(tracer, operator, a, b, flags("trans"), flags("transBatch"))
    return {operator.outputs[0]: flow}


def matmul_blocks(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle MatMulNBits: the last axis of the first input is multiplied by stored weights."""
    data, out = operator.inputs[0], operator.outputs[0]
    shape = tracer.shape(out)
    letters = "abcdefghijklm"[: len(shape) - 1]
    return {out: contract(tracer, operator, [(data, letters + "K")], letters + "s", shape)}


def gemm(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle Gemm and QGemm."""
    out = operator.outputs[0]
    quantized = operator.op_type == "QGemm"
    b, c = (operator.inputs[3], "") if quantized else (operator.inputs[1], "")
    if not quantized and len(operator.inputs) > 2:
        c = operator.inputs[2]
    letters_a = "Kr" if int_attribute(operator, "transA", 0) else "rK"
    letters_b = "sK" if int_attribute(operator, "transB", 0) else "Ks"
    sizes = tracer.shape(out)
    if len(sizes) != 2:
        raise CannotTellError("its output is not a matrix")
    flow = contract(
        tracer, operator, [(operator.inputs[0], letters_a), (b, letters_b)], "rs", sizes
    )
    if c and tracer.depends(c):
        step = tracer.step(operator, "product", flow, sizes)
        layout, readings = join(tracer, [step, c], 2)
        flow = tracer.flow(operator, layout, readings)
    return {out: flow}


def einsum(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle Einsum with an explicit or implicit output."""
    equation = str_attribute(operator, "equation", "").replace(" ", "")
    left, arrow, out = equation.partition("->")
    terms = left.split(",")
    if "." in equation or len(terms) != len(operator.inputs):
        raise CannotTellError("its equation has an ellipsis")
    if not arrow:
        out = "".join(sorted(c for c in set(left) if c.isalpha() and left.count(c) == 1))
    if any(len(set(term)) != len(term) for term in terms):
        raise CannotTellError("its equation takes a diagonal")
    sizes = tracer.shape(operator.outputs[0])
    operands = list(zip(operator.inputs, terms, strict=True))
    return {operator.outputs[0]: contract(tracer, operator, operands, out, sizes)}


HANDLERS: dict[str, Handler] = {
    "MatMul": matmul(),
    "MatMulInteger": matmul(),
    "QLinearMatMul": matmul(3),
    "com.microsoft:FusedMatMul": fused_matmul,
    "com.microsoft:FusedMatMulActivation": fused_matmul,
    "com.microsoft:TransposeMatMul": fused_matmul,
    "com.microsoft:MatMulNBits": matmul_blocks,
    "com.microsoft:MatMulIntegerToFloat": matmul(),
    "com.microsoft:DynamicQuantizeMatMul": matmul(),
    "Gemm": gemm,
    "com.microsoft:FusedGemm": gemm,
    "com.microsoft:QGemm": gemm,
    "Einsum": einsum,
}
