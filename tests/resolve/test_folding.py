"""Every folded operator gives what onnxruntime computes, in value, type and shape."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from resolve.models import build, node, resolved, run

from scotoma.resolve.fold import FOLDS
from scotoma.resolve.step import MAX_ELEMENTS, MAX_FLOATS

I64 = np.int64
F32 = np.float32
INTS = np.array([[7, -7, 3], [-1, 0, 5]], I64)
OTHER = np.array([[2, 2, -2], [-3, 4, 1]], I64)
REALS = np.array([[-2.5, -0.5, 0.0], [0.5, 1.5, 2.7]], F32)
POSITIVE = np.array([[0.25, 1.0], [2.0, 9.0]], F32)
TRUTH = np.array([[True, False, True], [False, False, True]])
CUBE = np.arange(24, dtype=I64).reshape(2, 3, 4)


@dataclass(frozen=True, slots=True)
class Case:
    op_type: str
    values: tuple[np.ndarray, ...]
    opset: int
    count: int
    attributes: dict[str, Any]
    label: str


def case(
    op_type: str,
    *values: np.ndarray,
    opset: int = 17,
    count: int = 1,
    label: str = "",
    **attributes: Any,
) -> Case:
    return Case(op_type, values, opset, count, attributes, label or op_type)


def ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, I64)


UNARY_INT = ("Abs", "Neg", "Sign", "BitwiseNot", "Relu")
UNARY_REAL = (
    *UNARY_INT[:3],
    "Floor",
    "Ceil",
    "Round",
    "Exp",
    "Sin",
    "Cos",
    "Tanh",
    "IsNaN",
    "Relu",
)
COMPARISONS = ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual")
BINARY = ("Add", "Sub", "Mul", "Div", *COMPARISONS)
CASES = [
    *(case(op, INTS, opset=18, label=f"{op}-int") for op in UNARY_INT),
    *(case(op, REALS, label=f"{op}-float") for op in UNARY_REAL),
    *(case(op, POSITIVE) for op in ("Sqrt", "Log", "Reciprocal")),
    *(case(op, INTS, np.where(OTHER == 0, 1, OTHER), label=f"{op}-int") for op in BINARY),
    *(case(op, REALS, REALS + 1, label=f"{op}-float") for op in BINARY),
    *(case(op, TRUTH, ~TRUTH | TRUTH[:1]) for op in ("And", "Or", "Xor")),
    *(case(op, INTS, OTHER, opset=18) for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")),
    case("Not", TRUTH),
    case("Add", INTS, ints(1, 2, 3), label="Add-broadcast"),
    case("Add", np.array(2**63 - 1), np.array(1), label="Add-wraps"),
    case("Mul", np.array(2**62), np.array(6), label="Mul-wraps"),
    case("BitShift", INTS.astype(np.uint32), ints(1).astype(np.uint32), direction="LEFT"),
    case("BitShift", INTS.astype(np.uint32), ints(3).astype(np.uint32), direction="RIGHT",
         label="BitShift-right"),
    case("Mod", INTS, np.where(OTHER == 0, 1, OTHER)),
    case("Mod", INTS, np.where(OTHER == 0, 1, OTHER), fmod=1, label="Mod-fmod"),
    case("Mod", REALS, REALS * 0 + 2, fmod=1, label="Mod-float"),
    case("Pow", REALS, np.array(2.0, F32)),
    case("Pow", INTS, ints(3), label="Pow-int"),
    case("Cast", REALS * 3, to=onnx.TensorProto.INT64, label="Cast-int"),
    case("Cast", REALS, to=onnx.TensorProto.BOOL, label="Cast-bool"),
    case("Cast", INTS, to=onnx.TensorProto.FLOAT, label="Cast-float"),
    case("Cast", TRUTH, to=onnx.TensorProto.INT32, label="Cast-from-bool"),
    case("CastLike", REALS, INTS),
    case("Sum", REALS, REALS + 1, REALS[:1]),
    case("Max", INTS, OTHER, ints(1)),
    case("Min", INTS, OTHER, ints(1)),
    case("Mean", REALS, REALS + 1, REALS[:1]),
    case("Mean", REALS, label="Mean-one"),
    case("Clip", REALS, np.array(-1, F32), np.array(1, F32)),
    case("Clip", REALS, opset=6, min=-1.0, max=1.0, label="Clip-opset6"),
    case("CumSum", INTS, np.array(1)),
    case("CumSum", INTS, np.array(0), exclusive=1, reverse=1, label="CumSum-back"),
    *(
        case(f"Reduce{kind}", REALS, opset=opset, label=f"Reduce{kind}-{opset}", **extra)
        for kind in ("Sum", "Mean", "Max", "Min", "Prod")
        for opset, extra in ((11, {"axes": [1]}), (17, {"keepdims": 0}))
    ),
    case("ReduceSum", INTS, ints(0), keepdims=0, label="ReduceSum-13"),
    case("ReduceSum", INTS, noop_with_empty_axes=1, label="ReduceSum-idle"),
    case("ReduceMax", INTS, ints(-1), opset=18, label="ReduceMax-18"),
    case("ArgMax", INTS, axis=1),
    case("ArgMax", np.array([[1, 5, 5]]), axis=1, select_last_index=1, label="ArgMax-last"),
    case("ArgMin", INTS, axis=0, keepdims=0),
    case("TopK", INTS, ints(2), count=2, axis=1),
    case("TopK", INTS, ints(1), count=2, axis=0, largest=0, label="TopK-smallest"),
    case("MatMul", POSITIVE, POSITIVE),
    case("Identity", INTS),
    case("Dropout", REALS),
    case("Reshape", CUBE, ints(0, -1)),
    case("Reshape", CUBE, ints(4, 6), label="Reshape-plain"),
    case("Transpose", CUBE, perm=[2, 0, 1]),
    case("Transpose", CUBE, label="Transpose-reversed"),
    case("Flatten", CUBE, axis=2),
    case("Flatten", CUBE, axis=-3, label="Flatten-negative"),
    case("Squeeze", CUBE[:1], ints(0)),
    case("Squeeze", CUBE[:1, :, :1], label="Squeeze-all"),
    case("Squeeze", CUBE[:1], opset=11, axes=[0], label="Squeeze-11"),
    case("Unsqueeze", INTS, ints(0, -1)),
    case("Unsqueeze", INTS, opset=11, axes=[1], label="Unsqueeze-11"),
    case("Concat", INTS, OTHER, axis=-1),
    case("Slice", CUBE, ints(1, 0), ints(3, 2**31), ints(2, 1), ints(1, 2)),
    case("Slice", CUBE, ints(-1), ints(-(2**31)), ints(2), ints(-2), label="Slice-back"),
    case("Slice", CUBE, ints(-100), ints(-200), ints(2), ints(-1), label="Slice-before"),
    case("Slice", CUBE, opset=9, starts=[1], ends=[-1], axes=[2], label="Slice-9"),
    case("Split", CUBE, ints(1, 3), count=2, axis=2),
    case("Split", CUBE, count=2, opset=11, axis=2, split=[3, 1], label="Split-11"),
    case("Split", CUBE, count=2, opset=18, axis=1, num_outputs=2, label="Split-18"),
    case("Pad", REALS, ints(1, 0, 0, 2), np.array(9, F32)),
    case("Pad", REALS, ints(1, 2, 1, 2), mode="edge", label="Pad-edge"),
    case("Pad", REALS, ints(1, 2, 0, 1), mode="reflect", label="Pad-reflect"),
    case("Pad", REALS, ints(0, -1, 1, -1), label="Pad-crop"),
    case("Pad", REALS, ints(1, 2, 0, 1), opset=19, mode="wrap", label="Pad-wrap"),
    case("Pad", REALS, opset=10, pads=[0, 1, 1, 0], value=2.0, label="Pad-10"),
    case("Expand", INTS, ints(2, 2, 1)),
    case("Tile", INTS, ints(2, 3)),
    case("Gather", CUBE, np.array([[0, -1]]), axis=1),
    case("Gather", INTS, np.array(1), label="Gather-scalar"),
    case("GatherElements", INTS, np.array([[0, -1], [2, 1]]), axis=1),
    case("GatherND", CUBE, np.array([[0, 1], [1, -1]])),
    case("ScatterND", INTS, np.array([[0, 1], [1, 0]]), ints(50, 60)),
    case("ScatterND", INTS, np.array([[0], [0]]), OTHER, opset=16, reduction="add",
         label="ScatterND-add"),
    case("ScatterElements", INTS, np.array([[0, 2]]), np.array([[70, 80]]), axis=1),
    case("Scatter", INTS, np.array([[0, 2]]), np.array([[70, 80]]), opset=10, axis=1),
    case("Where", TRUTH, INTS, np.array(1)),
    case("ConstantOfShape", ints(2, 3)),
    case("ConstantOfShape", ints(2), label="ConstantOfShape-value",
         value=onnx.numpy_helper.from_array(np.array([5]))),
    case("Range", np.array(2), np.array(9), np.array(3)),
    case("Range", np.array(5), np.array(0), np.array(-2), label="Range-down"),
    case("Range", np.array(0.5, F32), np.array(3, F32), np.array(0.75, F32), label="Range-float"),
    case("NonZero", INTS),
    case("EyeLike", INTS, k=1),
    case("Trilu", INTS, np.array(1)),
    case("Trilu", INTS, upper=0, label="Trilu-lower"),
    case("OneHot", ints(0, 2, -1), np.array(3), ints(10, 20)),
    case("OneHot", INTS % 3, np.array(3), ints(0, 1), axis=0, label="OneHot-front"),
    case("Shape", CUBE, start=1, end=-1),
    case("Size", CUBE),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_folding_equals_onnxruntime(case: Case, tmp_path: Path) -> None:
    constants = {f"c{index}": value for index, value in enumerate(case.values)}
    outputs = [f"y{index}" for index in range(case.count)]
    model = build(
        [node(case.op_type, list(constants), outputs, **case.attributes)],
        outputs=outputs,
        constants=constants,
        opset=case.opset,
    )
    resolution = resolved(model, tmp_path)
    for name, expected in zip(outputs, run(model), strict=True):
        found = resolution.values[name]
        assert resolution.shapes[name] == expected.shape
        assert resolution.dtypes[name] == found.dtype == expected.dtype
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(found, expected, rtol=1e-6)
        else:
            np.testing.assert_array_equal(found, expected)
        assert name in resolution.constants
        assert not found.flags.writeable


def test_every_folded_operator_has_a_case() -> None:
    assert set(FOLDS) <= {case.op_type for case in CASES}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"value": onnx.numpy_helper.from_array(INTS)}, INTS),
        ({"value_int": 7}, np.array(7)),
        ({"value_ints": [7, 8]}, np.array([7, 8])),
        ({"value_float": 0.5}, np.array(0.5, F32)),
        ({"value_floats": [0.5, 2.0]}, np.array([0.5, 2.0], F32)),
    ],
)
def test_all_forms_of_constant(
    attributes: dict[str, Any], expected: np.ndarray, tmp_path: Path
) -> None:
    resolution = resolved(build([node("Constant", "", **attributes)]), tmp_path)
    assert resolution.values["y"].tolist() == expected.tolist()
    assert resolution.dtypes["y"] == expected.dtype
    assert resolution.shapes["y"] == expected.shape


def test_opset_6_places_the_second_operand_by_axis(tmp_path: Path) -> None:
    operator = node("Add", "a b", axis=0, broadcast=1)
    constants = {"a": INTS, "b": ints(10, 20)}
    resolution = resolved(build([operator], constants=constants, opset=6), tmp_path)
    assert resolution.values["y"].tolist() == [[17, 3, 13], [19, 20, 25]]


def test_division_by_zero_and_indices_out_of_range_are_constants_without_a_value(
    tmp_path: Path,
) -> None:
    nodes = [node("Div", "a zero", ["q"]), node("Gather", "a far", ["g"])]
    constants = {"a": ints(1, 2), "zero": ints(0, 1), "far": ints(5)}
    resolution = resolved(build(nodes, outputs=["q", "g"], constants=constants), tmp_path)
    assert {"q", "g"} <= resolution.constants
    assert ("q" in resolution.values, "g" in resolution.values) == (False, False)
    assert (resolution.shapes["q"], resolution.shapes["g"]) == ((2,), (1,))


@pytest.mark.parametrize(
    ("dtype", "size", "folded"),
    [
        (F32, MAX_FLOATS, True),
        (F32, MAX_FLOATS + 1, False),
        (I64, MAX_ELEMENTS, True),
        (I64, MAX_ELEMENTS + 1, False),
        (I64, 2**60, False),
    ],
)
def test_large_constants_are_known_as_such_but_not_made(
    dtype: type[np.generic], size: int, folded: bool, tmp_path: Path
) -> None:
    fill = onnx.numpy_helper.from_array(np.array([1], dtype))
    model = build([node("ConstantOfShape", "shape", value=fill)], constants={"shape": ints(size)})
    resolution = resolved(model, tmp_path)
    assert "y" in resolution.constants
    assert ("y" in resolution.values) == folded
    assert resolution.shapes["y"] == (size,)


def test_folding_stops_when_it_has_made_enough(tmp_path: Path) -> None:
    count = 200
    nodes = [node("ConstantOfShape", "shape", [f"c{index}"]) for index in range(count)]
    outputs = [f"c{index}" for index in range(count)]
    fill = onnx.numpy_helper.from_array(np.array([1]))
    for operator in nodes:
        operator.attribute.append(onnx.helper.make_attribute("value", fill))
    model = build(nodes, outputs=outputs, constants={"shape": ints(2**20)})
    resolution = resolved(model, tmp_path)
    assert [name in resolution.values for name in outputs] == [index < 31 for index in range(count)]
    assert set(outputs) <= resolution.constants


RANDOM = [
    node("RandomNormal", "", shape=[2]),
    node("RandomUniform", "", shape=[2]),
    node("RandomNormalLike", "c"),
    node("RandomUniformLike", "c"),
    node("Bernoulli", "c"),
    node("Dropout", "c half yes"),
]


@pytest.mark.parametrize("random", RANDOM, ids=lambda operator: operator.op_type)
def test_random_numbers_are_no_constants(random: onnx.NodeProto, tmp_path: Path) -> None:
    constants = {"c": np.zeros(2, F32), "half": np.array(0.5, F32), "yes": np.array(True)}
    nodes = [random, node("Neg", "y", ["z"]), node("Shape", "z", ["s"])]
    resolution = resolved(build(nodes, outputs=["z", "s"], constants=constants), tmp_path)
    assert not {"y", "z"} & resolution.constants
    assert "z" not in resolution.values
    assert resolution.shapes["z"] == (2,)
    assert resolution.values["s"].tolist() == [2]


def test_what_depends_on_shapes_only_is_constant(tmp_path: Path) -> None:
    nodes = [
        node("Relu", "x", ["r"]),
        node("Shape", "r", ["s"]),
        node("Gather", "s i", ["h"]),
        node("ConstantOfShape", "s", ["w"]),
        node("Add", "r w", ["y"]),
    ]
    model = build(nodes, {"x": [1, 3, 200, 200]}, constants={"i": ints(2)})
    resolution = resolved(model, tmp_path)
    assert resolution.constants == {"i", "s", "h", "w"}
    assert resolution.values["h"].tolist() == [200]
    assert set(resolution.values) == {"i", "s", "h"}
    assert len(resolution.values) == 3
    with pytest.raises(KeyError):
        resolution.values["w"]
