"""Small networks for tests: built operator by operator, run in onnxruntime, traced by Scotoma."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
from hypothesis import HealthCheck, settings
from onnx import helper, numpy_helper

from scotoma.loader import load_model
from scotoma.resolve import resolve
from scotoma.trace import Geometry, trace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "models"
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def examples(count: int) -> settings:
    """Return the settings of a property test: always the same examples.

    The environment variable SCOTOMA_EXAMPLES makes it look at that many, new ones every time.
    """
    wanted = os.environ.get("SCOTOMA_EXAMPLES")
    return settings(
        deadline=None,
        derandomize=wanted is None,
        max_examples=count if wanted is None else int(wanted),
        suppress_health_check=list(HealthCheck),
    )


class RefusedError(Exception):
    """onnxruntime does not run the operator with these parameters."""


class Network:
    """A model under construction; every operator is run at once, so that shapes are facts."""

    def __init__(self, *shape: int, opset: int = 19, value: Array | None = None) -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, Array] = {}
        self.values: dict[str, Array] = {}
        if value is None:
            value = np.random.default_rng(0).uniform(1, 2, shape).astype(np.float32)
        self.values["x"] = value
        self._shape = shape

    def constant(self, value: object, dtype: type = np.float32) -> str:
        """Add a constant and return its name."""
        name = f"c{len(self.weights)}"
        self.weights[name] = np.asarray(value, dtype)
        return name

    def ints(self, *values: int) -> str:
        """Add a list of integers as a constant."""
        return self.constant(values, np.int64)

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Return the shape that onnxruntime gave the tensor."""
        return self.values[tensor].shape

    def add(self, op_type: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Append an operator and return its first output; RefusedError leaves all as it was."""
        names = [f"t{len(self.nodes)}_{i}" for i in range(outputs)]
        node = helper.make_node(
            op_type, inputs, names, name=f"{op_type.lower()}_{len(self.nodes)}", **attributes
        )
        single = helper.make_graph(
            [node],
            "single",
            [
                _info(n, self.values[n].dtype, self.values[n].shape)
                for n in dict.fromkeys(inputs)
                if n in self.values
            ],
            [onnx.ValueInfoProto(name=n) for n in names],
            [numpy_helper.from_array(self.weights[n], n) for n in inputs if n in self.weights],
        )
        feed = {n: self.values[n] for n in inputs if n in self.values}
        try:
            found = session(_model(single, self.opset)).run(None, feed)
        except Exception as error:
            raise RefusedError(f"{op_type}: {error}") from error
        if any(0 in value.shape for value in found):
            raise RefusedError(f"{op_type}: an output is empty")
        self.nodes.append(node)
        self.values.update(zip(names, found, strict=True))
        return names[0]

    def conv(self, tensor: str, kernel: Sequence[int], out: int = 1, **attributes: Any) -> str:
        """Append a convolution with positive random weights."""
        group = attributes.get("group", 1)
        assert isinstance(group, int)
        weight = _positive(out, self.shape(tensor)[1] // group, *kernel, seed=len(self.nodes))
        return self.add("Conv", tensor, self.constant(weight), **attributes)

    def cell(self, tensor: str, cell: Sequence[int], axes: Sequence[int]) -> str:
        """Append a slice to one cell and return its name."""
        return self.add(
            "Slice",
            tensor,
            self.ints(*cell),
            self.ints(*(c + 1 for c in cell)),
            self.ints(*axes),
        )

    def model(self, *outputs: str) -> onnx.ModelProto:
        """Return the model with the given outputs, or its last tensor as the only one."""
        if not outputs:
            outputs = (self.nodes[-1].output[0],)
        graph = helper.make_graph(
            self.nodes,
            "network",
            [_info("x", self.values["x"].dtype, self._shape)],
            [_info(n, self.values[n].dtype, self.values[n].shape) for n in outputs],
            [numpy_helper.from_array(value, n) for n, value in self.weights.items()],
        )
        return _model(graph, self.opset)

    def geometry(self, *outputs: str) -> Geometry:
        """Return what Scotoma traces."""
        return geometry(self.model(*outputs))


def _positive(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed + 1).uniform(0.5, 1, shape).astype(np.float32)


def _info(name: str, dtype: Any, shape: Sequence[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), shape)


def _model(graph: onnx.GraphProto, opset: int) -> onnx.ModelProto:
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def session(model: onnx.ModelProto) -> ort.InferenceSession:
    """Return a session that runs the operators just as they stand, always the same way."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def geometry(model: onnx.ModelProto | Path, size: Sequence[int] | None = None) -> Geometry:
    """Load and trace a model, from memory or from a file."""
    wanted = None if size is None else tuple(size)
    if isinstance(model, Path):
        return trace(resolve(load_model(model), size=wanted))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        path.write_bytes(model.SerializeToString())
        return trace(resolve(load_model(path), size=wanted))
