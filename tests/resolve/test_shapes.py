"""Shapes of single operators equal those of onnxruntime, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnxruntime.capi import onnxruntime_pybind11_state as ort
from resolve.models import FLOAT, build, node, reasons, resolved, run

from scotoma.resolve.shapes_move import reshaped
from scotoma.resolve.shapes_resize import scaled, sized
from scotoma.resolve.step import RefusedError, broadcast

F32 = np.float32
TYPES = {"float32": FLOAT, "uint8": onnx.TensorProto.UINT8, "int8": onnx.TensorProto.INT8}
MICROSOFT = ("com.microsoft", 1)


def ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def image(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.linspace(0, 5, int(np.prod(shape))).reshape(shape).astype(dtype)


@dataclass(frozen=True, slots=True)
class Case:
    op_type: str
    data: np.ndarray
    constants: list[np.ndarray | None]
    attributes: dict[str, Any]
    label: str
    opset: int = 17
    count: int = 1

    def model(self) -> onnx.ModelProto:
        names = ["" if value is None else f"c{i}" for i, value in enumerate(self.constants)]
        stored = {f"c{i}": c for i, c in enumerate(self.constants) if c is not None}
        outputs = [f"y{index}" for index in range(self.count)]
        code = onnx.helper.np_dtype_to_tensor_dtype(self.data.dtype)
        return build(
            [node(self.op_type, ["x", *names], outputs, **self.attributes)],
            {"x": (code, self.data.shape)},
            outputs,
            constants=stored,
            opset=self.opset,
            imports=[MICROSOFT],
        )


def case(
    op_type: str,
    data: np.ndarray,
    constants: Sequence[np.ndarray | None] = (),
    *,
    label: str = "",
    opset: int = 17,
    count: int = 1,
    **attributes: Any,
) -> Case:
    return Case(op_type, data, list(constants), attributes, label or op_type, opset, count)


SCALE, ZERO = np.array(0.1, F32), np.array(3, np.uint8)
IMAGE = image(2, 4, 5, 6)
BYTES = image(1, 8, 6, 6, dtype="uint8")
MS: dict[str, Any] = {"domain": "com.microsoft"}
CASES = [
    case("Conv", IMAGE, [image(6, 2, 3, 3), image(6)], group=2, strides=[2, 1], pads=[1, 0, 1, 2]),
    case("Conv", image(1, 2, 9), [image(3, 2, 4)], auto_pad="SAME_LOWER", label="Conv-1d"),
    case("Conv", image(1, 1, 5, 6, 7), [image(2, 1, 2, 2, 2)], label="Conv-3d"),
    case("ConvTranspose", IMAGE, [image(4, 3, 3, 3)], group=2, strides=[2, 2],
         output_padding=[1, 0]),
    case("ConvInteger", BYTES, [image(2, 8, 3, 3, dtype="uint8")]),
    case("QLinearConv", BYTES,
         [SCALE, ZERO, image(2, 8, 3, 3, dtype="uint8"), SCALE, ZERO, SCALE, ZERO],
         pads=[1, 1, 1, 1]),
    case("QLinearConv", image(1, 6, 5, 8, dtype="uint8"),
         [SCALE, ZERO, image(2, 8, 3, 3, dtype="uint8"), SCALE, ZERO, SCALE, ZERO],
         channels_last=1, label="QLinearConv-last", **MS),
    case("MaxPool", IMAGE, count=2, kernel_shape=[2, 3], strides=[2, 2], ceil_mode=1),
    case("AveragePool", IMAGE, kernel_shape=[2, 3], pads=[1, 1, 0, 1]),
    case("LpPool", IMAGE, kernel_shape=[2, 3], opset=18),
    case("GlobalAveragePool", IMAGE),
    case("GlobalMaxPool", IMAGE),
    case("NhwcMaxPool", image(1, 6, 5, 8, dtype="uint8"), kernel_shape=[3, 2], **MS),
    case("QLinearAveragePool", BYTES, [SCALE, ZERO, SCALE, ZERO], kernel_shape=[3, 3], **MS),
    case("QLinearAveragePool", image(1, 6, 5, 8, dtype="uint8"), [SCALE, ZERO, SCALE, ZERO],
         kernel_shape=[3, 2], channels_last=1, label="QLinearAveragePool-last", **MS),
    case("QLinearGlobalAveragePool", BYTES, [SCALE, ZERO, SCALE, ZERO], **MS),
    case("QLinearGlobalAveragePool", BYTES, [SCALE, ZERO, SCALE, ZERO], channels_last=1,
         label="QLinearGlobalAveragePool-last", **MS),
    case("QLinearAdd", BYTES, [SCALE, ZERO, BYTES[:, :, :1], SCALE, ZERO, SCALE, ZERO], **MS),
    case("QLinearMul", BYTES, [SCALE, ZERO, BYTES[:, :, :1], SCALE, ZERO, SCALE, ZERO], **MS),
    case("QLinearSigmoid", BYTES, [SCALE, ZERO, SCALE, ZERO], **MS),
    case("QLinearLeakyRelu", BYTES, [SCALE, ZERO, SCALE, ZERO], **MS),
    case("QLinearMatMul", image(2, 3, dtype="uint8"),
         [SCALE, ZERO, image(3, 4, dtype="uint8"), SCALE, ZERO, SCALE, ZERO]),
    case("QGemm", image(2, 3, dtype="uint8"),
         [SCALE, ZERO, image(4, 3, dtype="uint8"), SCALE, ZERO, np.zeros(4, np.int32), SCALE, ZERO],
         transB=1, **MS),
    case("FusedMatMul", image(2, 3, 4), [image(2, 5, 4)], transB=1, **MS),
    case("FusedConv", IMAGE, [image(3, 4, 2, 2)], activation="Relu", **MS),
    case("Gelu", IMAGE, **MS),
    case("QuickGelu", IMAGE, **MS),
    case("BiasGelu", image(2, 3), [image(3)], **MS),
    case("QuantizeLinear", IMAGE, [SCALE, ZERO]),
    case("DequantizeLinear", BYTES, [SCALE, ZERO]),
    case("DynamicQuantizeLinear", IMAGE, count=3),
    case("MatMulInteger", image(2, 3, dtype="uint8"), [image(3, 4, dtype="uint8")]),
    case("BatchNormalization", IMAGE, [image(4), image(4), image(4), image(4) + 1]),
    case("InstanceNormalization", IMAGE, [image(4), image(4)]),
    case("LayerNormalization", IMAGE, [image(6)], count=3),
    case("Tile", IMAGE, [ints(1, 0, 2, 1)]),
    case("LayerNormalization", IMAGE, [image(5, 6)], axis=-2, count=3),
    case("LRN", IMAGE, size=3),
    case("Softmax", IMAGE, axis=1),
    case("PRelu", IMAGE, [image(4, 1, 1)]),
    case("Dropout", IMAGE, count=2),
    case("Add", IMAGE, [image(5, 1)]),
    case("Where", IMAGE > 1, [image(1), image(4, 1, 1)]),
    case("MatMul", IMAGE, [image(4, 6, 3)]),
    case("MatMul", IMAGE, [image(6)], label="MatMul-vector"),
    case("Gemm", image(2, 3), [image(4, 2), image(4, 1)[:1]], transA=1, transB=1,
         label="Gemm-both"),
    case("Einsum", image(2, 3, 4), [image(2, 5, 4)], equation="bij,bkj->bik"),
    case("Einsum", image(2, 3, 4), [image(4, 5)], equation="...ij,jk->...ik",
         label="Einsum-dots"),
    case("Einsum", image(2, 3), [image(3, 4)], equation="ij,jk", label="Einsum-implicit"),
    case("ReduceMean", IMAGE, axes=[-1, 2]),
    case("ReduceMean", IMAGE, [ints(2, 3)], keepdims=0, opset=18, label="ReduceMean-18"),
    case("ReduceSum", IMAGE, noop_with_empty_axes=1, label="ReduceSum-idle"),
    case("ReduceMax", IMAGE, keepdims=0, label="ReduceMax-all"),
    case("ArgMax", IMAGE, axis=2, keepdims=0),
    case("TopK", IMAGE, [ints(3)], axis=2, count=2),
    case("Reshape", IMAGE, [ints(0, -1, 3)]),
    case("Flatten", IMAGE, axis=2),
    case("Transpose", IMAGE, perm=[0, 2, 3, 1]),
    case("Squeeze", IMAGE[:1], [ints(0)]),
    case("Unsqueeze", IMAGE, [ints(-1, 1)]),
    case("Expand", IMAGE[:, :1], [ints(4, 1, 1)]),
    case("Tile", IMAGE, [ints(1, 2, 1, 3)]),
    case("Concat", IMAGE, [IMAGE[:, :1]], axis=1),
    case("Slice", IMAGE, [ints(1, -1), ints(100, -100), ints(3, 2), ints(2, -2)]),
    case("Split", IMAGE, [ints(1, 3)], axis=1, count=2),
    case("Split", IMAGE, axis=3, count=2, label="Split-even"),
    case("Pad", IMAGE, [ints(0, 0, 1, -1, 0, 0, 2, 3)]),
    case("Pad", IMAGE, [ints(1, 2, 3, 4), np.array(0, F32), ints(-1, 2)], opset=18,
         label="Pad-axes"),
    case("Pad", IMAGE, [ints(0, 0, 3, -1, 0, 0, -1, 4)], mode="reflect", label="Pad-reflect"),
    case("Gather", IMAGE, [np.array([[1, 0], [2, 2]])], axis=1),
    case("GatherND", IMAGE, [np.array([[[1], [0]], [[2], [2]]])], batch_dims=1),
    case("GatherElements", image(3, 4), [np.zeros((2, 4), np.int64)], axis=0),
    case("ScatterElements", image(3, 4), [np.zeros((1, 2), np.int64), image(1, 2)]),
    case("DepthToSpace", IMAGE, blocksize=2),
    case("SpaceToDepth", image(1, 2, 4, 6), blocksize=2),
    case("Upsample", IMAGE, [np.array([1, 1, 2, 1.5], F32)], opset=9),
    case("Upsample", IMAGE, opset=7, scales=[1.0, 1.0, 2.0, 1.5], label="Upsample-7"),
    case("Resize", IMAGE, [np.array([1, 1, 0.6, 1.7], F32)], opset=10, label="Resize-10"),
    case("Resize", IMAGE, [None, np.array([1, 1, 0.6, 1.7], F32)], label="Resize-scales"),
    case("Resize", IMAGE, [None, None, ints(2, 4, 7, 3)], label="Resize-sizes"),
    case("Resize", IMAGE, [None, np.array([], F32), ints(2, 4, 7, 3)], label="Resize-empty"),
    case("Resize", IMAGE, [None, None, ints(7, 3)], opset=18, axes=[3, 2], label="Resize-axes"),
    case("Resize", IMAGE, [None, np.array([0.5, 3], F32)], opset=18, axes=[3, 2],
         label="Resize-axes-scales"),
    case("GridSample", image(1, 2, 5, 6), [image(1, 3, 4, 2)]),
    case("AffineGrid", image(1, 2, 3), [ints(1, 3, 5, 6)], opset=20),
    case("RoiAlign", image(1, 2, 5, 6), [image(3, 4), ints(0, 0, 0)], output_height=2,
         output_width=4),
    case("EyeLike", image(3, 4)),
    case("CumSum", IMAGE, [np.array(1)]),
    case("Trilu", IMAGE),
    case("OneHot", ints(0, 1), [np.array(3), image(2)], axis=0),
    case("Multinomial", image(2, 3)),
    case("Multinomial", image(2, 3), sample_size=5),
    case("Shape", IMAGE, start=1),
    case("Shape", IMAGE, opset=13),
    case("Shape", IMAGE, start=-3, end=-1),
    case("Shape", IMAGE, start=-9, end=9),
    case("Shape", IMAGE, start=2, end=-9),
    case("Shape", IMAGE, start=9),
    case("Shape", IMAGE, end=-9),
    case("Size", IMAGE),
    case("Hardmax", IMAGE),
    case("Det", image(2, 3, 3), label="Det"),
    case("IsInf", IMAGE),
    case("NegativeLogLikelihoodLoss", image(3, 5), [ints(1, 0, 4)], reduction="none"),
    case("Col2Im", image(1, 8, 25), [ints(6, 6), ints(2, 2)], opset=18),
    case("DFT", image(1, 10, 1), axis=1, onesided=1),
    case("MaxRoiPool", image(1, 2, 5, 6), [image(3, 5) * 0], pooled_shape=[2, 2]),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_shape_and_type_equal_onnxruntime(case: Case, tmp_path: Path) -> None:
    resolution = resolved(case.model(), tmp_path)
    expected = run(case.model(), {"x": case.data})
    names = [f"y{index}" for index in range(case.count)]
    assert reasons(resolution) == []
    assert [resolution.shapes[name] for name in names] == [y.shape for y in expected]
    assert [resolution.dtypes.get(name) for name in names] == [y.dtype for y in expected]


def refused(
    op_type: str,
    data: np.ndarray,
    constants: list[np.ndarray | None],
    attributes: dict[str, Any],
    words: str,
) -> tuple[Case, str]:
    count = 2 if op_type in {"Split", "TopK"} else 1
    return Case(op_type, data, constants, attributes, words, count=count), words


REFUSED = [
    refused("Conv", IMAGE, [image(6, 3, 3, 3)], {}, "3 input channels wanted, 4 there"),
    refused("Conv", IMAGE, [image(6, 4, 7, 7)], {}, "its window spans 7 cells, the input has 5"),
    refused("Conv", IMAGE, [image(6, 4, 3)], {}, "its weight has 3 axes, its input 4"),
    refused("ConvTranspose", IMAGE, [image(3, 4, 3, 3)], {}, "3 input channels wanted, 4 there"),
    refused("MaxPool", image(2, 3), [], {"kernel_shape": [2]}, "its input has 2 axes"),
    refused("Reshape", IMAGE, [ints(1, 25088)], {}, "25088 elements wanted, 240 there"),
    refused("Reshape", IMAGE, [ints(-1, 7)], {}, "a multiple of 7 elements wanted, 240 there"),
    refused("Gemm", image(2, 3), [image(4, 5)], {}, "4 features wanted, 3 there"),
    refused("MatMul", IMAGE, [image(4, 5)], {}, "4 features wanted, 6 there"),
    refused("LayerNormalization", IMAGE, [image(5)], {},
     "shapes 2x4x5x6 and 5 do not broadcast"),
    refused("MatMul", IMAGE, [np.array(2, F32)], {}, "a scalar has no matrix product"),
    refused("Add", IMAGE, [image(7, 1)], {}, "shapes 2x4x5x6 and 7x1 do not broadcast"),
    refused("Concat", IMAGE, [image(2, 4, 5, 7)], {"axis": 1}, "2x4x5x6 and 2x4x5x7 do not join"),
    refused("Squeeze", IMAGE, [ints(1)], {}, "axis 1 has 4 cells and cannot be dropped"),
    refused("Split", IMAGE, [ints(1, 2)], {"axis": 1}, "parts of [1, 2] wanted, 4 cells there"),
    refused("Transpose", IMAGE, [], {"perm": [1, 0]}, "order [1, 0] for a tensor with 4 axes"),
    refused("Pad", IMAGE, [ints(0, 0, 5, 0, 0, 0, 0, 0)], {"mode": "reflect"},
     "it reflects 5 cells of axis 2, which has 5"),
    refused("Pad", IMAGE, [ints(0, 0, -3, 0, 0, 0, -3, 0)], {}, "it crops 6 of 5 cells"),
    refused("DepthToSpace", IMAGE, [], {"blocksize": 3}, "2x4x5x6 in blocks of 3"),
    refused("BatchNormalization", IMAGE, [image(3)] * 4, {}, "3 channels wanted, 4 there"),
    refused("TopK", IMAGE, [ints(9)], {"axis": 2}, "the first 9 of 5 cells wanted"),
    refused("Tile", IMAGE, [ints(2, 2, 2)], {}, "repeats [2, 2, 2] for a tensor with 4 axes"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_onnxruntime_refuses_is_refused_in_words(
    case: Case, words: str, tmp_path: Path
) -> None:
    resolution = resolved(case.model(), tmp_path)
    with pytest.raises((ort.Fail, ort.InvalidArgument, ort.RuntimeException, ort.InvalidGraph)):
        run(case.model(), {"x": case.data})
    (found,) = resolution.unresolved
    assert (found.operator.op_type, found.refused) == (case.op_type, True)
    assert words in found.reason
    assert resolution.refused_at == resolution.unresolved
    assert resolution.shapes["y0"] is None


def test_the_first_tile_repeats_along_one_axis(tmp_path: Path) -> None:
    """Opset 1 to 5, which onnxruntime does not run."""
    constants = {"tiles": ints(3), "axis": ints(2)}
    model = build([node("Tile", "x tiles axis")], {"x": [2, 4, 5, 6]}, constants=constants, opset=5)
    assert resolved(model, tmp_path).shapes["y"] == (2, 4, 15, 6)


@pytest.mark.parametrize("inner", [8, 6])
def test_packed_weights_take_as_many_features_as_they_say(inner: int, tmp_path: Path) -> None:
    packed: dict[str, np.ndarray] = {"b": np.zeros((4, 1, 8), np.uint8), "s": np.ones(4, F32)}
    sizes: dict[str, Any] = {"K": inner, "N": 4, "bits": 4, "block_size": 16}
    nodes = [node("MatMulNBits", "x b s", domain="com.microsoft", **sizes)]
    found = resolved(
        build(nodes, {"x": [2, 5, 8]}, constants=packed, imports=[MICROSOFT]), tmp_path
    )
    if inner == 8:
        assert (found.shapes["y"], found.unresolved) == ((2, 5, 4), ())
    else:
        (refusal,) = found.unresolved
        assert (refusal.reason, refusal.refused) == ("6 features wanted, 2x5x8 there", True)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 400), st.floats(0.0625, 6, width=32))
def test_scaled_sizes_equal_onnxruntime(size: int, scale: float) -> None:
    assume(int(np.float32(size) * np.float32(scale)) > 0)
    scales = np.array([1, 1, scale], F32)
    model = build(
        [node("Resize", ["x", "", "s"], mode="nearest")],
        {"x": [1, 1, size]},
        constants={"s": scales},
    )
    result = run(model, {"x": np.zeros((1, 1, size), F32)})[0]
    assert scaled((1, 1, size), (1.0, 1.0, float(scales[2]))) == result.shape


@settings(max_examples=100, deadline=None)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.sampled_from(["not_larger", "not_smaller", "stretch"]),
)
def test_sizes_under_an_aspect_ratio_policy_equal_onnxruntime(
    sizes: tuple[int, int], wanted: tuple[int, int], policy: str
) -> None:
    shape = (1, 1, *sizes)
    found = sized(shape, wanted, (2, 3), policy)
    assume(min(found) > 0)
    model = build(
        [
            node(
                "Resize",
                ["x", "", "", "s"],
                mode="nearest",
                axes=[2, 3],
                keep_aspect_ratio_policy=policy,
            )
        ],
        {"x": list(shape)},
        constants={"s": ints(*wanted)},
        opset=18,
    )
    assert run(model, {"x": np.zeros(shape, F32)})[0].shape == found


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 4), max_size=4), st.lists(st.integers(0, 4), max_size=4))
def test_broadcasting_equals_numpy(left: list[int], right: list[int]) -> None:
    try:
        expected = np.broadcast_shapes(tuple(left), tuple(right))
    except ValueError:
        with pytest.raises(RefusedError):
            broadcast(tuple(left), tuple(right))
    else:
        assert broadcast(tuple(left), tuple(right)) == expected


@pytest.mark.parametrize(
    ("shape", "wanted", "keep", "expected"),
    [
        ((2, 3, 4), (0, -1), True, (2, 12)),
        ((2, 3, 4), (24,), True, (24,)),
        ((0, 3), (0, 3), True, (0, 3)),
        ((0, 3), (3, 0), False, (3, 0)),
        ((2, 0), (-1, 2), True, (0, 2)),
        ((), (1, 1), True, (1, 1)),
        ((2**40, 2**40), (-1, 2), True, (2**79, 2)),
    ],
)
def test_reshape_targets(
    shape: tuple[int, ...], wanted: tuple[int, ...], keep: bool, expected: tuple[int, ...]
) -> None:
    assert reshaped(shape, wanted, keep=keep) == expected


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ((-1, -1), "[-1, -1] is no shape"),
        ((-2, 3), "[-2, 3] is no shape"),
        ((5,), "5 elements wanted, 0 there"),
        ((0, 0, 0, 0), "axis 3 of 2x3x0 is to be kept, there is none"),
        ((-1, 2, 0, 0), "axis 3 of 2x3x0 is to be kept, there is none"),
    ],
)
def test_reshape_targets_that_do_not_work(wanted: tuple[int, ...], reason: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        reshaped((2, 3, 0), wanted)
    assert str(refusal.value) == reason
