"""Models of a few nodes, resolved by Scotoma and run by onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from scotoma.loader import load_model
from scotoma.loader.model import Operator
from scotoma.resolve import Resolution, resolve

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "models"
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
NEEDS_SHARED = "the folder ../shared/models is not there"
FLOAT = onnx.TensorProto.FLOAT
onnxruntime.set_default_logger_severity(4)

Declared: TypeAlias = list[Any] | tuple[int, Sequence[Any]]
"""The dimensions of an input, or its element type and its dimensions."""


def node(
    op_type: str, inputs: str | Sequence[str], outputs: Sequence[str] = ("y",), **attributes: Any
) -> onnx.NodeProto:
    if isinstance(inputs, str):
        inputs = inputs.split()
    return helper.make_node(op_type, inputs, outputs, **attributes)


def build(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Declared] | None = None,
    outputs: Sequence[str] = ("y",),
    *,
    constants: Mapping[str, np.ndarray] | None = None,
    opset: int = 17,
    imports: Sequence[tuple[str, int]] = (),
    **more: Any,
) -> onnx.ModelProto:
    """Make a model; `inputs` maps names to shapes (or to (type, shape)), `constants` to arrays."""
    values = []
    for name, shape in (inputs or {}).items():
        code, dims = shape if isinstance(shape, tuple) else (FLOAT, shape)
        values.append(helper.make_tensor_value_info(name, code, dims))
    stored = [
        numpy_helper.from_array(np.asarray(array), name)
        for name, array in (constants or {}).items()
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        values,
        [onnx.ValueInfoProto(name=name) for name in outputs],
        stored,
        **more,
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(*pair) for pair in imports)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def resolved(model: onnx.ModelProto, folder: Path, **options: Any) -> Resolution:
    """Save, load and resolve a model."""
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return resolve(load_model(str(path)), **options)


def session(model: onnx.ModelProto, folder: Path | None = None) -> onnxruntime.InferenceSession:
    """Open a model in onnxruntime without any optimisation."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    if folder is not None:
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(folder)
        )
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def run(model: onnx.ModelProto, feed: Mapping[str, np.ndarray] | None = None) -> list[np.ndarray]:
    """Return the outputs of a model, computed by onnxruntime."""
    outputs: list[np.ndarray] = session(model).run(None, feed or {})
    return outputs


def by_op(resolution: Resolution, op_type: str) -> list[Operator]:
    """Return the operators of one type, in order."""
    return [operator for operator in resolution.operators if operator.op_type == op_type]


def reasons(resolution: Resolution) -> list[tuple[str, str, bool]]:
    """Return (operator type, reason, refused) of all that is unresolved."""
    return [(u.operator.op_type, u.reason, u.refused) for u in resolution.unresolved]
