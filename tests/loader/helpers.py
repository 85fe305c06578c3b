"""Small models, and how to read any `StoredTensor` beside onnx's own reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

FLOAT = onnx.TensorProto.FLOAT
SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "models"
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def value(name: Any, shape: Any = (1, 1, 4, 4), dtype: Any = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, shape)


def model(
    nodes: Any,
    inputs: Any = ("x",),
    outputs: Any = ("y",),
    *,
    initializers: Any = (),
    ir: Any = 8,
    **kwargs: Any,
) -> Any:
    graph = helper.make_graph(
        nodes,
        "g",
        [value(name) for name in inputs],
        [value(name) for name in outputs],
        initializers,
    )
    imports = kwargs.pop("imports", None) or [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=imports, ir_version=ir, **kwargs)


def save(proto: Any, folder: Any, name: Any = "m.onnx") -> Any:
    path = folder / name
    path.write_bytes(proto if isinstance(proto, bytes) else proto.SerializeToString())
    return str(path)


def tensor(name: Any, array: Any) -> Any:
    return onnx.numpy_helper.from_array(np.asarray(array), name)


def small_model() -> Any:
    """A model with a weight, attributes of every common type, and a body."""
    body = helper.make_graph(
        [helper.make_node("Neg", ["a"], ["b"], name="neg")], "body", [], [value("b")]
    )
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="conv", pads=[1, 1, 1, 1], group=1),
        helper.make_node("Constant", [], ["c"], value=tensor("", np.array([True]))),
        helper.make_node("If", ["c"], ["d"], name="if", then_branch=body, else_branch=body),
        helper.make_node("LeakyRelu", ["d"], ["y"], alpha=0.5),
    ]
    return model(nodes, initializers=[tensor("w", np.ones((1, 1, 3, 3), np.float32))])


def same_array(stored: Any, proto: Any, base_dir: Any) -> None:
    """Assert that a stored tensor has the type, shape and bytes that onnx reads."""
    expected = onnx.numpy_helper.to_array(proto, base_dir)
    found = stored.array()
    assert found.shape == expected.shape
    if expected.dtype.kind == "O":
        decoded = [t.decode() if isinstance(t, bytes) else t for t in expected.reshape(-1)]
        assert found.reshape(-1).tolist() == decoded
        return
    assert found.dtype == expected.dtype == stored.dtype
    assert found.tobytes() == expected.tobytes()
    assert not found.flags.writeable


def attribute_of(proto: Any) -> Any:
    """The value of an attribute as `Operator.attributes` holds it; tensors stay messages."""
    found = helper.get_attribute_value(proto)
    if isinstance(found, bytes):
        return found.decode("utf-8", "replace")
    if proto.type == onnx.AttributeProto.STRINGS:
        return tuple(item.decode("utf-8", "replace") for item in found)
    return tuple(found) if isinstance(found, list) else found
