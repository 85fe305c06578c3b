"""Operators that read their inputs place by place, with broadcasting."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from scotoma.loader.model import Operator
from scotoma.trace.layout import (
    Axis,
    Digit,
    Grid,
    Layout,
    axis_size,
    is_tracked,
    normalised,
    of_grid,
    refine,
    whole_grid,
)
from scotoma.trace.reading import AxisRead, Flow, Mixed, Reading, Same
from scotoma.trace.tracer import CannotTellError, Tracer, axis_grid

GridPair = tuple[int, int]


class Joiner:
    """Joins the axes of an operator's operands; one grid for one pair of grids."""

    def __init__(self) -> None:
        self._made: dict[GridPair, Grid] = {}
        self._kept: list[Digit] = []

    def axes(self, one: Axis, one_local: bool, two: Axis, two_local: bool) -> Axis:
        """Return the axis on which both operands are followed."""
        if one == two or not is_tracked(two):
            return one
        if not is_tracked(one):
            return two
        if (whole_grid(one) is None) != (whole_grid(two) is None):
            # A pixel shuffle by reshapes meets an axis that is one grid.
            a, b = axis_grid(one), axis_grid(two)
            if a.label is not None and a.label == b.label:
                digits = [Digit(grid.size, grid) for grid in (a, b)]
                self._kept += digits  # their grids are known by identity
                return (self._digit(digits[0], one_local, digits[1], two_local),)
        pieces = refine(one, two)
        if pieces is None:
            return of_grid(Grid(None, axis_size(one), None, "its inputs are laid out differently"))
        return normalised(
            self._digit(a, one_local, b, two_local) for a, b in zip(*pieces, strict=True)
        )

    def _digit(self, a: Digit, a_local: bool, b: Digit, b_local: bool) -> Digit:
        if b.grid is None or b.grid is a.grid:
            return a
        if a.grid is None:
            return b
        if a_local != b_local:
            return a if a_local else b
        pair = (id(a.grid), id(b.grid))
        if a.grid.size != b.grid.size or a.stride != b.stride:
            return Digit(a.size, Grid(None, a.size, None, "its inputs are laid out differently"))
        if pair not in self._made:
            self._made[pair] = _joined(a.grid, b.grid)
        return Digit(a.size, self._made[pair], a.stride)


def _joined(one: Grid, two: Grid) -> Grid:
    """Return the grid of a join: the hull of both fields, with a note where they disagree."""
    if one.field is not None and one.field == two.field and one.label == two.label:
        return one
    if one.label != two.label or one.field is None or two.field is None:
        known = one if one.field is not None else two
        if one.label == two.label:
            return Grid(one.label, one.size, None, one.note or two.note)
        if known.label is not None and (one.label is None or two.label is None):
            return Grid(known.label, one.size, None, one.note or two.note)
        return Grid(None, one.size, None, "its inputs come from different axes of the image")
    field = one.field.hull(two.field)
    note = one.note or two.note
    if field is None:
        field = one.field.around(two.field, one.size)
        note = "branches with different effective strides meet"
    return Grid(one.label, one.size, field, note)


def join(tracer: Tracer, tensors: Sequence[str], rank: int) -> tuple[Layout, list[Reading]]:
    """Return the output layout and the readings of an elementwise join with broadcasting.

    Parameters
    ----------
    tensors
        The inputs that may depend on the image; constants are passed over.
    rank
        Rank of the output.
    """
    operands = [t for t in tensors if t and tracer.depends(t)]
    if len(tensors) == 1 and operands and _is_whole_shape(tracer, operands[0], rank):
        layout = tracer.layout(operands[0])
        return layout, [Reading(operands[0], layout, _places(rank), share=1)]
    out: list[Axis] = [()] * rank
    local: list[bool] = [False] * rank
    joiner = Joiner()
    for tensor in operands:
        layout = tracer.layout(tensor)
        is_local = tracer.flows[tensor].local
        for offset in range(1, min(len(layout), rank) + 1):
            axis = layout[-offset]
            at = rank - offset
            if is_tracked(axis) and axis_size(axis) >= axis_size(out[at]):
                if is_tracked(out[at]) and axis_size(axis) == axis_size(out[at]):
                    out[at] = joiner.axes(out[at], local[at], axis, is_local)
                    local[at] |= is_local
                else:
                    out[at], local[at] = axis, is_local
    shapes = [tracer.shape(t) for t in tensors if t]
    for at in range(rank):
        size = 1
        for shape in shapes:
            if len(shape) >= rank - at and shape[at - rank] != 1:
                size = shape[at - rank]
        if axis_size(out[at]) != size:
            out[at] = (Digit(size),) if size != 1 else ()
    readings = []
    for tensor in operands:
        layout = tracer.layout(tensor)
        shift = rank - len(layout)
        if shift < 0:
            raise CannotTellError("an input has more axes than the output")
        reads: list[AxisRead] = [
            Same(shift + i) if axis_size(axis) == axis_size(out[shift + i]) else Mixed()
            for i, axis in enumerate(layout)
        ]
        readings.append(Reading(tensor, layout, tuple(reads), share=1))
    return tuple(out), readings


def _is_whole_shape(tracer: Tracer, tensor: str, rank: int) -> bool:
    """Tell whether a layout has exactly the sizes of its tensor's shape, and can be passed on."""
    layout, shape = tracer.layout(tensor), tracer.shape(tensor)
    return (
        len(shape) == rank
        and tuple(map(axis_size, layout)) == shape
        and all(len(axis) <= 1 or is_tracked(axis) for axis in layout)
    )


@cache
def _places(rank: int) -> tuple[AxisRead, ...]:
    """Return the reads of a tensor that is read place by place."""
    return tuple(map(Same, range(rank)))


def elementwise(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle an operator that joins all its inputs place by place."""
    return _joined_flow(tracer, operator, operator.inputs)


def first_input(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle an operator whose first input passes place by place; the others are parameters."""
    flows = _joined_flow(tracer, operator, operator.inputs[:1])
    return {operator.outputs[0]: flows[operator.outputs[0]]} if flows else {}


def _joined_flow(tracer: Tracer, operator: Operator, tensors: Sequence[str]) -> dict[str, Flow]:
    names = [o for o in operator.outputs if o]
    if not names or not any(t in tracer.flows for t in tensors):
        return {}
    layout, readings = join(tracer, tensors, tracer.rank(names[0]))
    flow = tracer.flow(operator, layout, readings)
    return dict.fromkeys(names, flow)


def batch_normalization(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle BatchNormalization: place by place with stored statistics, whole maps with batch's."""
    flows = first_input(tracer, operator)
    trains = operator.attributes.get("training_mode") == 1 or (
        (operator.version or 0) < 14 and sum(bool(o) for o in operator.outputs) > 1
    )
    if trains and flows:
        name = operator.inputs[0]
        layout = tracer.layout(name)
        same = Reading(
            name, layout, tuple(Same(i) for i in range(len(layout))), share=1, local_only=True
        )
        mixed = Reading(name, layout, tuple(Mixed() for _ in layout), share=1, whole=True)
        flows = {operator.outputs[0]: tracer.flow(operator, layout, [same, mixed])}
    return flows


_JOINS = [
    "Add", "Sub", "Mul", "Div", "Pow", "Mod", "Min", "Max", "Mean", "Sum", "And", "Or", "Xor",
    "Not", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Where", "BitShift",
    "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot", "PRelu", "Abs", "Acos", "Acosh",
    "Asin", "Asinh", "Atan", "Atanh", "Cast", "CastLike", "Ceil", "Celu", "Clip", "Cos", "Cosh",
    "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity", "IsInf",
    "IsNaN", "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu", "Round", "Selu", "Shrink",
    "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh",
    "ThresholdedRelu", "LRN",
]  # fmt: skip

_FIRST = [
    "Dropout", "QuantizeLinear", "DequantizeLinear", "Bernoulli", "Trilu", "BitCast",
]  # fmt: skip

_OTHER_JOINS = [
    "com.microsoft:Gelu", "com.microsoft:FastGelu", "com.microsoft:QuickGelu",
    "com.microsoft:BiasGelu", "com.microsoft:BiasSplitGelu", "com.microsoft:BiasAdd",
]  # fmt: skip

_OTHER_FIRST = [
    "com.microsoft:QLinearSigmoid", "com.microsoft:QLinearLeakyRelu",
    "com.microsoft:QuantizeLinear", "com.microsoft:DequantizeLinear",
    "com.microsoft:DynamicQuantizeLinear", "com.microsoft:BiasDropout", "onnx.brevitas:Quant",
    "qonnx.custom_op.general:Quant", "finn.custom_op.general:Quant", "onnx.brevitas:BipolarQuant",
    "qonnx.custom_op.general:BipolarQuant", "qonnx.custom_op.general:Trunc",
    "onnx.brevitas:Trunc", "onnx.brevitas:IntQuant", "onnx.brevitas:FloatQuant",
    "qonnx.custom_op.general:IntQuant", "qonnx.custom_op.general:FloatQuant", "qonnx:Quant",
    "qonnx:BipolarQuant", "qonnx:IntQuant", "qonnx:FloatQuant", "qonnx:Trunc",
    "com.microsoft:FakeQuant", "com.microsoft:Trilu",
]  # fmt: skip


def dynamic_quantize(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle DynamicQuantizeLinear: place by place; scale and zero point read the whole map."""
    flows = first_input(tracer, operator)
    name = operator.inputs[0]
    layout = tracer.layout(name)
    mixed = Reading(name, layout, tuple(Mixed() for _ in layout), share=1, whole=True)
    for out in operator.outputs[1:]:
        if out:
            flows[out] = tracer.flow(operator, (), [mixed])
    return flows


def quantized_join(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle com.microsoft QLinearAdd and QLinearMul: A, its scale and zero point, then B's."""
    return _joined_flow(tracer, operator, [operator.inputs[0], operator.inputs[3]])


def quantized_where(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle com.microsoft QLinearWhere: the condition, then both choices with their scales."""
    return _joined_flow(tracer, operator, [operator.inputs[i] for i in (0, 1, 4)])


HANDLERS = {
    **dict.fromkeys([*_JOINS, *_OTHER_JOINS], elementwise),
    **dict.fromkeys([*_FIRST, *_OTHER_FIRST], first_input),
    "BatchNormalization": batch_normalization,
    "DynamicQuantizeLinear": dynamic_quantize,
    "com.microsoft:QLinearAdd": quantized_join,
    "com.microsoft:QLinearMul": quantized_join,
    "com.microsoft:QLinearWhere": quantized_where,
}


def no_flow(tracer: Tracer, operator: Operator) -> dict[str, Flow]:  # noqa: ARG001  a handler
    """Handle an operator that reads no values of its input, just its shape."""
    return {}


HANDLERS |= dict.fromkeys(
    ["Shape", "Size", "EyeLike", "RandomNormalLike", "RandomUniformLike"], no_flow
)
