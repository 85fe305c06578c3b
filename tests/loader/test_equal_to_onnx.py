"""Everything that the loader reads from a file is what onnx reads from it."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from loader.helpers import LIGHT, SHARED, attribute_of, same_array

from scotoma.errors import WeightsUnavailableError
from scotoma.loader import load_model
from scotoma.loader.tensors import StoredTensor

FILES = sorted(SHARED.glob("*/*.onnx")) + sorted(LIGHT.glob("*.onnx"))
MAX_COMPARED_BYTES = 4 << 20


def compare_tensor(stored: Any, proto: Any, folder: Any) -> None:
    if (
        proto.data_location == onnx.TensorProto.EXTERNAL
        and (stored.nbytes or 0) > MAX_COMPARED_BYTES
    ):
        return
    try:
        same_array(stored, proto, folder)
    except WeightsUnavailableError:
        with pytest.raises(Exception):  # noqa: B017, PT011  onnx refuses it too, each in its way
            onnx.numpy_helper.to_array(proto, folder)


def compare_graph(graph: Any, proto: Any, folder: Any) -> None:
    initializers = {tensor.name: tensor for tensor in proto.initializer}
    assert graph.initializers.keys() == initializers.keys()
    for name, tensor in initializers.items():
        assert graph.initializers[name].shape == tuple(tensor.dims)
        compare_tensor(graph.initializers[name], tensor, folder)
    assert [v.name for v in graph.inputs] == [
        v.name for v in proto.input if v.name not in initializers
    ]
    assert [v.name for v in graph.outputs] == [v.name for v in proto.output]
    assert graph.values.keys() == {v.name for v in proto.value_info}
    by_output = {operator.outputs: operator for operator in graph.operators}
    assert len(by_output) == len(proto.node) == len(graph.operators)
    for node in proto.node:
        operator = by_output[tuple(node.output)]
        assert (operator.op_type, operator.inputs) == (node.op_type, tuple(node.input))
        assert operator.domain == ("" if node.domain == "ai.onnx" else node.domain)
        compare_attributes(operator, node, folder)


def compare_attributes(operator: Any, node: Any, folder: Any) -> None:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            compare_graph(operator.bodies[attribute.name], attribute.g, folder)
            continue
        found = operator.attributes[attribute.name]
        if isinstance(found, StoredTensor):
            compare_tensor(found, attribute.t, folder)
        else:
            assert found == attribute_of(attribute)
    assert len(operator.attributes) + len(operator.bodies) == len(node.attribute)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_loader_equals_onnx(path: Any) -> None:
    proto = onnx.load(path, load_external_data=False)
    if proto.functions:
        pytest.skip("has local functions, which the loader inlines")
    model = load_model(path)
    compare_graph(model.main, proto.graph, str(path.parent))
    assert model.ir_version == proto.ir_version
    assert model.metadata == {item.key: item.value for item in proto.metadata_props}
    assert model.opsets.get("", 0) == max(
        (item.version for item in proto.opset_import if item.domain in ("", "ai.onnx")), default=0
    )


def test_shared_models_are_there() -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent")
    assert len(FILES) > 250
