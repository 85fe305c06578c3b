"""Edits on the wire format, read back by the onnx package."""

from __future__ import annotations

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from scotoma.errors import MeasurementError
from scotoma.measure import edit


def a_model() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["t"], name="c", pads=[1] * 4),
        helper.make_node("Relu", ["t"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g" * 200,
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 300, 300]),
            helper.make_tensor_value_info("k", TensorProto.INT64, [3]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1, 300, 300])],
        [numpy_helper.from_array(np.ones((1, 1, 3, 3), np.float32), "w")],
        value_info=[helper.make_tensor_value_info("t", TensorProto.FLOAT, ["N", 1, 300, 300])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def test_taps_add_outputs_and_nothing_else() -> None:
    expected = a_model()
    expected.graph.output.add().name = "täp"
    expected.graph.output.add().name = "t"
    data = edit.tap(a_model().SerializeToString(), ["täp", "t"])
    assert onnx.ModelProto.FromString(data) == expected


def test_freeing_an_input_keeps_rank_and_type_and_drops_what_was_inferred() -> None:
    freed = onnx.ModelProto.FromString(edit.free(a_model().SerializeToString(), {"x": 4}))
    expected = a_model()
    shape = expected.graph.input[0].type.tensor_type.shape
    del shape.dim[:]
    for _ in range(4):
        shape.dim.add()
    expected.graph.output[0].type.tensor_type.ClearField("shape")
    del expected.graph.value_info[:]
    assert freed == expected


WHOLE = a_model().SerializeToString()


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255), st.integers(0, len(WHOLE)))
def test_damaged_files_are_edited_or_refused(position: int, byte: int, length: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[position] = byte
    try:
        grown = len(edit.free(bytes(damaged[:length]), {"x": 4})) - length
        outcome = "edited" if grown <= 8 else f"{grown} bytes more"
    except MeasurementError as error:
        outcome = str(error)
    assert outcome == "edited" or outcome.startswith("the file is not well-formed protobuf")
