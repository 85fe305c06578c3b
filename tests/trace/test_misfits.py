"""Operators whose attributes contradict the shapes around them: read whole, and listed."""

from __future__ import annotations

import numpy as np
from networks import geometry
from onnx import TensorProto, ValueInfoProto, helper, numpy_helper

from scotoma.sweep import dead_pixels


def test_pads_that_do_not_make_the_declared_shape() -> None:
    # The shape of an operator of onnxruntime's own is taken from the file.
    pads = np.array([0, 0, 0, 0, 0, 0, 0, -(2**62)])
    graph = helper.make_graph(
        [helper.make_node("Pad", ["x", "pads"], ["y"], name="pad", domain="com.microsoft")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 8, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 8, 5])],
        [numpy_helper.from_array(pads, "pads")],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    found = geometry(helper.make_model(graph, opset_imports=imports, ir_version=8))
    assert [(u.operator.name, u.reason) for u in found.unanalysed] == [
        ("pad", "its attributes do not fit the shape of its output")
    ]
    assert not dead_pixels(found, ("y",)).mask.any()


def test_an_input_too_many_is_not_read() -> None:
    graph = helper.make_graph(
        [
            helper.make_node("MaxPool", ["x"], ["p"], kernel_shape=[2, 2], strides=[3, 3]),
            helper.make_node("Relu", ["x", "p"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 8, 8])],
        [ValueInfoProto(name="y"), ValueInfoProto(name="p")],
    )
    imports = [helper.make_opsetid("", 17)]
    found = geometry(helper.make_model(graph, opset_imports=imports, ir_version=8))
    assert [reading.tensor for reading in found.flows["y"].readings] == ["x"]
    assert dead_pixels(found, ("y",)).fraction == 0
    assert dead_pixels(found, ("p",)).mask.sum() == 64 - 36


def test_pads_of_any_size_are_not_allocated() -> None:
    pads = np.array([0, 0, 0, 2**31, 0, 0, 0, 4])
    graph = helper.make_graph(
        [helper.make_node("Pad", ["x", "n"], ["y"], mode="reflect", domain="com.microsoft")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 8, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 8, 8])],
        [numpy_helper.from_array(pads, "n")],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    found = geometry(helper.make_model(graph, opset_imports=imports, ir_version=8))
    assert [u.reason for u in found.unanalysed] == ["the feature map is too large to follow"]
