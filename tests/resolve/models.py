"""Models of a few nodes, resolved by Scotoma and run by onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from scotoma.load import load_model
from scotoma.resolve import resolve

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "models"
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
NEEDS_SHARED = "the folder ../shared/models is not there"
FLOAT = onnx.TensorProto.FLOAT
onnxruntime.set_default_logger_severity(4)


def node(op_type, inputs, outputs=("y",), **attributes):
    if isinstance(inputs, str):
        inputs = inputs.split()
    return helper.make_node(op_type, inputs, outputs, **attributes)


def build(nodes, inputs=(), outputs=("y",), *, constants=None, opset=17, imports=(), **more):
    """Make a model; `inputs` maps names to shapes (or to (type, shape)), `constants` to arrays."""
    values = []
    for name, shape in dict(inputs).items():
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


def resolved(model, folder, **options):
    """Save, load and resolve a model."""
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return resolve(load_model(str(path)), **options)


def session(model, folder=None):
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


def run(model, feed=None):
    """Return the outputs of a model, computed by onnxruntime."""
    return session(model).run(None, feed or {})


def by_op(resolution, op_type):
    """Return the operators of one type, in order."""
    return [operator for operator in resolution.operators if operator.op_type == op_type]


def reasons(resolution):
    """Return (operator type, reason, refused) of all that is unresolved."""
    return [(u.operator.op_type, u.reason, u.refused) for u in resolution.unresolved]
