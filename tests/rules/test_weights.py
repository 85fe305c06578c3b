"""Weights that the file spells in several steps, too large to be worked out with the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from networks import session
from onnx import TensorProto, helper, numpy_helper
from text_models import facts_of_proto

from scotoma.errors import WeightsUnavailableError
from scotoma.evidence.weights import is_stored, weights_of

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

    from scotoma.facts import Facts

ROLL = np.random.default_rng(5)
WHOLE = ROLL.integers(-128, 128, (60, 60, 5, 5)).astype(np.int8)
REAL = ROLL.uniform(-1, 1, WHOLE.shape).astype(np.float32)
SCALES = np.linspace(0.01, 0.6, 60).astype(np.float32)
ZEROS = np.arange(-30, 30).astype(np.int8)
STORED: dict[str, Any] = {
    "q": WHOLE, "w": REAL, "scales": SCALES, "zeros": ZEROS,
    "half": np.array(0.5, np.float32), "three": np.array(3, np.int8),
    "per_channel": SCALES.reshape(60, 1, 1, 1),
}  # fmt: skip


def model(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    """Return a model whose nodes make a weight 'made' beside an image."""
    graph = helper.make_graph(
        [*nodes, helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("y", "made")],
        [numpy_helper.from_array(array, name) for name, array in STORED.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8)


def node(op_type: str, inputs: str, output: str = "made", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op_type, inputs.split(), [output], **attributes)


CHAINS = {
    "one scale": [node("DequantizeLinear", "q half three")],
    "no zero point": [node("DequantizeLinear", "q half")],
    "along the default axis": [node("DequantizeLinear", "q scales zeros")],
    "along the first axis": [node("DequantizeLinear", "q scales zeros", axis=0)],
    "along an axis from the end": [node("DequantizeLinear", "q scales zeros", axis=-4)],
    "turned": [node("Transpose", "w", perm=[1, 0, 3, 2])],
    "turned round": [node("Transpose", "w")],
    "scaled": [node("Mul", "per_channel w")],
    "divided": [node("Div", "w per_channel")],
    "cast": [node("Cast", "q", to=TensorProto.FLOAT)],
    "renamed": [node("Identity", "w")],
    "not": [node("Cast", "w", "b", to=TensorProto.BOOL), node("Not", "b", "n"),
            node("Cast", "n", to=TensorProto.FLOAT)],
    "in steps": [node("DequantizeLinear", "q scales zeros", "d", axis=0),
                 node("Transpose", "d", "t", perm=[1, 0, 2, 3]), node("Mul", "t half")],
}  # fmt: skip


@pytest.mark.parametrize("nodes", CHAINS.values(), ids=CHAINS)
def test_weights_are_those_of_onnxruntime(nodes: list[onnx.NodeProto], tmp_path: Path) -> None:
    proto = model(*nodes)
    facts = facts_of_proto(proto, tmp_path)
    assert facts.value("made") is None  # or nothing had to be worked out here
    feed = {"x": np.zeros((1, 1, 4, 4), np.float32)}
    (expected,) = session(proto).run(["made"], feed)
    np.testing.assert_allclose(weights_of(facts, "made"), expected, rtol=1e-6, atol=1e-7)


def refusal(facts: Facts) -> str:
    with pytest.raises(WeightsUnavailableError) as refused:
        weights_of(facts, "made")
    return str(refused.value)


def test_weights_that_cannot_be_worked_out(tmp_path: Path) -> None:
    wrong = model(node("DequantizeLinear", "q scales zeros", axis=2))
    assert refusal(facts_of_proto(wrong, tmp_path)) == "the scales of 'q' do not fit it"
    far = model(node("DequantizeLinear", "q scales zeros", axis=-5))
    assert refusal(facts_of_proto(far, tmp_path)) == "the scales of 'q' are not understood"
    turned = model(helper.make_node("Transpose", ["w"], ["made"], name="turn", perm=[0, 0, 1, 2]))
    assert refusal(facts_of_proto(turned, tmp_path)) == "the axes of 'turn' are not understood"


@pytest.mark.parametrize(
    ("chain", "stored"),
    [("cast", True), ("renamed", True), ("not", True), ("one scale", True), ("turned", False),
     ("scaled", False)],
)  # fmt: skip
def test_what_counts_as_stored(chain: str, stored: bool, tmp_path: Path) -> None:
    facts = facts_of_proto(model(*CHAINS[chain]), tmp_path)
    assert is_stored(facts, "made") is stored
    assert is_stored(facts, "w")
    assert not is_stored(facts, "x")
