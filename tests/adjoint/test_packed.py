"""Models as onnxruntime's optimiser leaves them, with channels packed in blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from adjoint.jacobians import by_adjoint, split
from onnx import helper, numpy_helper, parser

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[Any]

DOMAIN = "com.microsoft.nchwc"
PLAIN = """
<ir_version: 8, opset_import: ["": 17]>
g (float[1, 3, 9, 8] x) => (float[1, 5, U, V] y)
<float[24, 3, 3, 3] w1, float[24] b1, float[24, 1, 3, 3] w2, float[24, 24, 1, 1] w3,
 float[32, 24, 3, 3] w4, float[32, 16, 3, 3] w5, float[32, 32, 1, 1] w6, float[16, 32, 1, 1] w7,
 float[5, 16, 1, 1] w8, float[4] up = {1, 1, 2, 2}>
{
    a = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w1, b1)
    b = Relu (a)
    c = Conv <group = 24, pads = [1, 1, 1, 1]> (b, w2)
    d = Conv (c, w3)
    e = Add (d, b)
    f = Relu (e)
    h = Conv <pads = [1, 1, 1, 1]> (f, w4)
    m = MaxPool <kernel_shape = [2, 2], pads = [1, 0, 0, 0]> (h)
    i = Conv <group = 2, pads = [1, 1, 1, 1]> (m, w5)
    p = GlobalAveragePool (i)
    q = Conv (p, w6)
    r = Sigmoid (q)
    s = Mul (i, r)
    t = AveragePool <kernel_shape = [2, 2], pads = [1, 1, 0, 0], count_include_pad = 1> (s)
    u = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric",
                nearest_mode = "floor"> (t, , up)
    v = Conv (u, w7)
    k = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel"> (v, , up)
    y = Conv (k, w8)
}
"""
PACKED = {
    "AveragePool", "Conv", "GlobalAveragePool", "MaxPool", "ReorderOutput",
    "Upsample",
}  # fmt: skip
LAST = """
<ir_version: 8, opset_import: ["": 17]>
g (float[1, 4, 5, 32] x) => (float[1, 4, 5, 32] y)
<float[32, 32, 3, 3] w1, float[32, 1, 1, 1] w2>
{
    a = Transpose <perm = [0, 3, 1, 2]> (x)
    b = Conv <pads = [1, 1, 1, 1]> (a, w1)
    c = Conv <group = 32> (b, w2)
    d = Add (c, b)
    y = Transpose <perm = [0, 2, 3, 1]> (d)
}
"""


def model(text: str) -> onnx.ModelProto:
    """Return a model whose tensors without a value hold small random numbers."""
    found = parser.parse_model(text)
    roll = np.random.default_rng(3)
    stored = {tensor.name for tensor in found.graph.initializer}
    for value in found.graph.value_info:
        if value.name not in stored:
            shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
            scale = 1 / np.sqrt(np.prod(shape[1:]))
            array = (roll.standard_normal(shape) * scale).astype(np.float32)
            found.graph.initializer.append(numpy_helper.from_array(array, value.name))
    del found.graph.value_info[:]
    return found


def optimised(plain: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    """Return what onnxruntime makes of a model on this processor."""
    settings = ort.SessionOptions()
    settings.optimized_model_filepath = str(folder / "optimised.onnx")
    settings.log_severity_level = 4
    ort.InferenceSession(plain.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    found = onnx.load(folder / "optimised.onnx")
    if not any(node.domain == DOMAIN for node in found.graph.node):
        pytest.skip("onnxruntime packs no channels on this processor")
    return found


def image(value: onnx.ValueInfoProto) -> Array:
    shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    return np.random.default_rng(4).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("text", [PLAIN, LAST], ids=["plain", "channels last"])
def test_gradients_are_those_of_the_plain_model(text: str, tmp_path: Path) -> None:
    plain = model(text)
    packed = optimised(plain, tmp_path)
    kinds = {node.op_type for node in packed.graph.node if node.domain == DOMAIN}
    expected_kinds = PACKED if text is PLAIN else {"Conv", "ReorderOutput"}
    assert kinds - {"ReorderInput"} == expected_kinds
    feed = {"x": image(plain.graph.input[0])}
    expected, found = (by_adjoint(each, feed, "y")["x"] for each in (plain, packed))
    np.testing.assert_array_equal(found != 0, expected != 0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max())


def test_only_what_is_read_is_unpacked(tmp_path: Path) -> None:
    """The sign of a fused Relu is read in plain order, the sum in front of it not at all."""
    adjoint = split(
        optimised(model(LAST.replace("d = Add (c, b)", "e = Add (c, b)\n d = Relu (e)")), tmp_path),
        ["y"],
        ["x"],
    )
    forward = onnx.ModelProto.FromString(adjoint.forward)
    assert [node.op_type for node in forward.graph.node].count("ReorderOutput") == 2
    (residual,) = adjoint.residuals
    assert residual.endswith("/plain")


def test_a_packed_target_is_named(tmp_path: Path) -> None:
    packed = optimised(model(LAST), tmp_path)
    name, node = next(
        (node.output[0], node) for node in packed.graph.node if node.op_type == "Conv"
    )
    adjoint = split(packed, [name], ["x"])
    (missing,) = adjoint.missing
    assert missing.op_type == "com.microsoft.nchwc.Conv"
    assert missing.reason == "what it makes is packed in blocks of channels"
    assert adjoint.incomplete == {"x": (missing,)}
    assert node.domain == DOMAIN


def test_a_global_maximum_of_packed_channels() -> None:
    """The optimiser has stopped making them; files may hold them."""
    nodes = [
        helper.make_node("ReorderInput", ["x"], ["a"], domain=DOMAIN),
        helper.make_node("GlobalMaxPool", ["a"], ["b"], domain=DOMAIN),
        helper.make_node("ReorderOutput", ["b"], ["y"], domain=DOMAIN, channels=16),
    ]
    declare = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [declare("x", 1, [1, 16, 3, 2])], [declare("y", 1, [1, 16, 1, 1])]
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)]
    x = np.random.default_rng(6).permutation(96).reshape(1, 16, 3, 2).astype(np.float32)
    found = by_adjoint(helper.make_model(graph, opset_imports=imports, ir_version=8), {"x": x}, "y")
    expected = np.zeros((16, 96))
    places = x.reshape(16, 6).argmax(1)
    expected[np.arange(16), np.arange(16) * 6 + places] = 1
    np.testing.assert_array_equal(found["x"], expected)
