"""Whatever a file claims, resolving it ends soon and says what could not be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from resolve.models import build, node, reasons, resolved

from scotoma.loader import load_model
from scotoma.resolve import Resolution, resolve
from scotoma.resolve.passes import HANDLERS

F32 = np.float32
W = {"w": np.zeros((2, 3, 3, 3), F32)}
POOL: dict[str, Any] = {"kernel_shape": [2, 2]}


def ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


@pytest.mark.parametrize(
    ("operator", "reason"),
    [
        (node("Conv", "x w", pads=[1, 1, 1]), "pads has 3 numbers for 2 spatial axes"),
        (node("Conv", "x w", strides=[0, 1]), "a stride of 0 describes no window"),
        (node("Conv", "x w", strides=[1]), "strides has 1 numbers for 2 spatial axes"),
        (node("Conv", "x w", dilations=[1, -1]), "a dilation of -1 describes no window"),
        (node("Conv", "x w", strides=2), "attribute 'strides' is not a list of integers"),
        (node("Conv", "x w", group="a"), "attribute 'group' is not an integer"),
        (node("Conv", "x w", group=0), "0 groups"),
        (node("Conv", "x w", auto_pad="MAYBE"), "auto_pad 'MAYBE' is not defined"),
        (node("Conv", "x"), "input 1 is missing"),
        (node("Conv", ["", "w"]), "input 0 is missing"),
        (node("MaxPool", "x"), "it has no kernel_shape"),
        (node("MaxPool", "x", kernel_shape=[2**62, 1]),
         "a kernel of 4611686018427387904 describes no window"),
        (node("AveragePool", "x", pads=[2**40] * 4, **POOL),
         "a padding of 1099511627776 describes no window"),
        (node("Relu", "nobody"), "the shape of its input 'nobody' is not known"),
        (node("Relu", ""), "input 0 is missing"),
        (node("Reshape", "x x"), "'x', which decides its shape, depends on the input's values"),
        (node("Reshape", "x f"), "input 1 is not of an integer type"),
        (node("Resize", ["x", "", "f"]), "a scale of -1.0 on 8 cells gives no size"),
        (node("Einsum", "x x", equation="ij"), "equation 'ij' for 2 inputs"),
        (node("Constant", ""), "it holds no value"),
        (node("Constant", "", value=[1, 2]), "it holds no value"),
        (node("Range", "one two three"), None),
    ],
    ids=lambda value: value.op_type if isinstance(value, onnx.NodeProto) else "",
)  # fmt: skip
def test_malformed_operators_are_unresolved(
    operator: onnx.NodeProto, reason: str | None, tmp_path: Path
) -> None:
    constants = W | {"f": np.array([1, 1, -1, 1], F32), "one": np.zeros(2, F32)}
    model = build([operator], {"x": [1, 3, 8, 8]}, constants=constants)
    (found,) = resolved(model, tmp_path).unresolved
    assert not found.refused
    if reason is not None:
        assert found.reason == reason


def test_a_zero_size_runs_until_a_window_refuses_it(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", ["r"]), node("Conv", "r w", ["c"]), node("Neg", "c")]
    resolution = resolved(build(nodes, {"x": [1, 3, 0, 8]}, constants=W), tmp_path)
    assert resolution.shapes["r"] == (1, 3, 0, 8)
    assert reasons(resolution) == [("Conv", "its window spans 3 cells, the input has 0", True)]


def test_sizes_beyond_64_bits_are_plain_numbers(tmp_path: Path) -> None:
    big = 2**62
    nodes = [
        node("Relu", "x", ["r"]),
        node("Concat", "r r", ["c"], axis=2),
        node("Flatten", "c", ["f"]),
        node("Shape", "f", ["s"]),
        node("Size", "c", ["n"]),
        node("ConstantOfShape", "s", ["z"]),
        node("Tile", "x t", ["y"]),
    ]
    constants = {"t": ints(big, big, big, big)}
    model = build(nodes, {"x": [1, 3, big, big]}, ["y", "z"], constants=constants)
    resolution = resolved(model, tmp_path)
    assert resolution.shapes["f"] == (1, 3 * 2 * big * big)
    assert resolution.values["n"] == 2**63 - 1
    assert resolution.shapes["y"] == (big, 3 * big, big * big, big * big)
    assert "z" in resolution.constants
    assert "z" not in resolution.values


def test_absurd_targets_are_not_allocated(tmp_path: Path) -> None:
    nodes = [
        node("ConstantOfShape", "h", ["a"]),
        node("Expand", "one h", ["b"]),
        node("Tile", "one2 h", ["c"]),
        node("Range", "zero huge one0", ["d"]),
        node("OneHot", "i huge i", ["e"]),
        node("Pad", "one2 p", ["f"]),
    ]
    constants = {
        "h": ints(2**40, 2**40), "one": ints(1), "one2": ints(1).reshape(1, 1),
        "zero": np.array(0), "huge": np.array(2**60), "one0": np.array(1), "i": ints(0, 1),
        "p": ints(2**40, 0, 0, 2**40),
    }  # fmt: skip
    names = list("abcdef")
    resolution = resolved(build(nodes, {}, names, constants=constants), tmp_path)
    assert resolution.shapes["a"] == resolution.shapes["b"] == (2**40, 2**40)
    assert resolution.shapes["d"] == (2**60,)
    assert [name in resolution.values for name in names] == [False] * 6
    assert set(names) <= resolution.constants


def test_a_fill_that_is_not_there_is_not_folded(tmp_path: Path) -> None:
    fill = TensorProto(data_type=TensorProto.DOUBLE, dims=[1_000_000], raw_data=bytes(8))
    nodes = [node("ConstantOfShape", "s", ["z"], value=fill), node("Add", "x z")]
    model = build(nodes, {"x": (TensorProto.DOUBLE, [2])}, constants={"s": ints(2)})
    resolution = resolved(model, tmp_path)
    assert (resolution.shapes["z"], "z" in resolution.values) == ((2,), False)
    assert resolution.shapes["y"] == (2,)


def test_a_stored_tensor_that_an_operator_writes_is_no_constant(tmp_path: Path) -> None:
    nodes = [node("Neg", "x", ["a"]), node("Relu", "a")]
    model = build(nodes, {"x": [1, 3, 8, 8]}, constants={"a": ints(4)})
    resolution = resolved(model, tmp_path)
    assert resolution.shapes["y"] == (1, 3, 8, 8)
    assert "a" not in resolution.constants
    assert "a" not in resolution.values


def test_a_negative_computed_size_is_no_shape(tmp_path: Path) -> None:
    nodes = [node("RoiAlign", "x rois b", ["r"], output_height=-3), node("Relu", "r")]
    constants = {"rois": np.zeros((1, 4), F32), "b": ints(0)}
    resolution = resolved(build(nodes, {"x": [1, 3, 8, 8]}, constants=constants), tmp_path)
    assert resolution.shapes["r"] is None
    assert reasons(resolution) == [("RoiAlign", "its output has no definite shape", False)]


@pytest.mark.parametrize("opset", [1, 6, 22, 23, 24, 10_000])
def test_any_opset_is_read_by_the_newest_known_meaning(opset: int, tmp_path: Path) -> None:
    nodes = [node("Relu", "x", ["r"]), node("Conv", "r w", ["c"]),
             node("AveragePool", "c", ["y"], ceil_mode=1, strides=[3, 3], **POOL)]  # fmt: skip
    resolution = resolved(build(nodes, {"x": [1, 3, 9, 9]}, constants=W, opset=opset), tmp_path)
    assert reasons(resolution) == []
    assert resolution.shapes["y"] == ((1, 2, 2, 2) if opset < 10 else (1, 2, 3, 3))
    (_, window) = resolution.windows.values()
    assert window[0].ceil_mode == (opset >= 10)


def test_a_model_that_imports_no_opset_is_read_as_the_newest(tmp_path: Path) -> None:
    model = build([node("Unsqueeze", "x a")], {"x": [1, 3]}, constants={"a": ints(0)})
    del model.opset_import[:]
    assert resolved(model, tmp_path).shapes["y"] == (1, 1, 3)


def test_missing_external_data_leaves_a_constant_without_value(tmp_path: Path) -> None:
    tensor = onnx.TensorProto(name="s", data_type=onnx.TensorProto.INT64, dims=[2])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="not_there.bin")
    model = build([node("Reshape", "x s")], {"x": [1, 3]})
    model.graph.initializer.append(tensor)
    resolution = resolved(model, tmp_path)
    assert "s" in resolution.constants
    assert "s" not in resolution.values
    assert reasons(resolution) == [
        ("Reshape", "the constant 's' is too large or cannot be read", False)
    ]


ATTRIBUTES = st.dictionaries(
    st.sampled_from(
        ["axis", "axes", "perm", "pads", "kernel_shape", "strides", "dilations", "group", "to",
         "blocksize", "keepdims", "auto_pad", "ceil_mode", "mode", "scales", "shape", "split",
         "starts", "ends", "equation", "k", "output_padding", "output_shape", "channels",
         "channels_last", "size", "value", "noop_with_empty_axes", "num_outputs", "batch_dims"]
    ),
    st.one_of(
        st.integers(-(2**63), 2**63 - 1),
        st.integers(-2, 5),
        st.floats(width=32, allow_nan=False),
        st.text(max_size=5),
        st.lists(st.integers(-3, 5), min_size=1, max_size=5),
        st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=4),
        st.just("ij,jk->ik"),
    ),
    max_size=6,
)  # fmt: skip
TENSORS = ["x", "v", "", "gone", "i", "j", "f", "b", "w", "s", "o"]


CONSTANTS = {
    "i": ints(0, -1, 2), "j": ints(1), "f": np.array([0.5, np.inf, -1, 2], F32),
    "b": np.array([True, False]), "w": np.zeros((2, 3, 3, 3), F32), "s": np.array(3),
    "o": ints(2**62, 2**62, -5),
}  # fmt: skip


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    domain, op_type = draw(st.sampled_from(sorted(HANDLERS)))
    inputs = draw(st.lists(st.sampled_from(TENSORS), max_size=6))
    outputs = [f"y{index}" for index in range(draw(st.integers(0, 3)))]
    operator = node(op_type, inputs, outputs, domain=domain, **draw(ATTRIBUTES))
    opset = draw(st.sampled_from([1, 5, 7, 9, 10, 11, 13, 18, 22, 26]))
    after = [node("Relu", [name], [f"z{name}"]) for name in outputs]
    names = [f"z{name}" for name in outputs]
    return build(
        [operator, *after],
        {"x": [1, 3, 8, 8], "v": [2, 3]},
        names,
        constants=CONSTANTS,
        opset=opset,
        imports=[(domain, 1)] if domain else (),
    )


@settings(max_examples=600, deadline=None)
@given(models())
def test_no_operator_can_be_written_that_breaks_the_pass(
    tmp_path_factory: pytest.TempPathFactory, model: onnx.ModelProto
) -> None:
    path = tmp_path_factory.getbasetemp() / "hostile.onnx"
    path.write_bytes(model.SerializeToString())
    resolution = resolve(load_model(str(path)))
    assert isinstance(resolution, Resolution)
    for name, value in resolution.values.items():
        assert resolution.shapes[name] == value.shape
        assert resolution.dtypes[name] == value.dtype
    for shape in resolution.shapes.values():
        assert shape is None or all(type(size) is int and size >= 0 for size in shape)
    for windows in resolution.windows.values():
        assert all(window.size_out > 0 for window in windows)


def test_an_axis_that_a_constant_lacks_is_no_crash(tmp_path: Path) -> None:
    number = helper.make_tensor("v", TensorProto.FLOAT, [], [1.0])
    places = helper.make_tensor("i", TensorProto.INT64, [], [0])
    graph = helper.make_graph(
        [helper.make_node("ScatterElements", ["v", "i", "v"], ["y"], axis=0)],
        "g",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [number, places],
    )
    path = tmp_path / "scalar.onnx"
    opset = helper.make_opsetid("", 16)
    path.write_bytes(helper.make_model(graph, opset_imports=[opset]).SerializeToString())
    resolution = resolve(load_model(str(path)))
    assert (resolution.values.get("y"), resolution.shapes.get("y")) == (None, ())
