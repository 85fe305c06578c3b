"""An ONNX graph under construction: nodes, constants and fresh names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.adjoint import protos
from scotoma.loader.build import UniqueNames

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import onnx
    from numpy.typing import NDArray

    from scotoma.adjoint.weights import Weights
    from scotoma.loader.tensors import StoredTensor

OPSET = 21
"""What the backward graph is written in: the newest that onnxruntime 1.22 runs in full."""
IR_VERSION = 10


class GraphBuilder:
    """Collects the parts of a graph; what no output needs is left out at the end.

    Parameters
    ----------
    taken
        Names that no new tensor may get.
    weights
        Where large constants of the model are kept.
    """

    def __init__(self, taken: Iterable[str], weights: Weights) -> None:
        self._names = UniqueNames(taken)
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: dict[str, onnx.ValueInfoProto] = {}
        self._constants: dict[str, NDArray[Any]] = {}
        self._stored: dict[str, StoredTensor] = {}
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def name(self, hint: str) -> str:
        """Return a name that nothing else bears: the hint itself if it is free."""
        return self._names.claim(hint)

    def input(self, name: str, dtype: np.dtype[Any], shape: Sequence[int]) -> str:
        """Declare an input of the graph, once."""
        self._inputs.setdefault(name, protos.value_info(name, dtype, shape))
        return name

    def constant(self, value: object, dtype: Any = None) -> str:
        """Return the name of a constant; equal ones are stored once."""
        array = np.asarray(value, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            name = self.name(f"constant/{len(self._known)}")
            self._constants[name] = array
            self._known[key] = name
        return self._known[key]

    def stored(self, name: str, tensor: StoredTensor) -> str:
        """Use a tensor of the model's file under its own name."""
        self._stored[name] = tensor
        return name

    def emit(
        self,
        op_type: str,
        inputs: Sequence[str],
        attributes: Mapping[str, Any] | None = None,
        outputs: int | Sequence[str] = 1,
        domain: str = "",
    ) -> tuple[str, ...]:
        """Append a node and return its outputs; a number of them gets fresh names."""
        if isinstance(outputs, int):
            outputs = [self.name(f"{op_type}/{len(self._nodes)}") for _ in range(outputs)]
        listed = [protos.attribute(*item) for item in (attributes or {}).items()]
        name = f"{op_type}_{len(self._nodes)}"
        self._nodes.append(protos.node(op_type, inputs, outputs, listed, name=name, domain=domain))
        return tuple(outputs)

    def node(self, node: onnx.NodeProto, inputs: Sequence[str]) -> None:
        """Append a node of the model that reads other tensors than it did there."""
        del node.input[:]
        node.input.extend(inputs)
        node.name = f"{node.op_type}_{len(self._nodes)}"
        self._nodes.append(node)

    def model(
        self, name: str, outputs: Sequence[onnx.ValueInfoProto]
    ) -> tuple[bytes, tuple[str, ...]]:
        """Return a serialized model that makes these outputs, and the inputs that it needs.

        Raises
        ------
        WeightsUnavailableError
            If a small constant of the model's file cannot be read.
        """
        needed = {value.name for value in outputs}
        kept: list[onnx.NodeProto] = []
        for node in reversed(self._nodes):
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(protos.reads(node))
        inputs = [value for key, value in self._inputs.items() if key in needed]
        initializers = [
            protos.tensor(array, key) for key, array in self._constants.items() if key in needed
        ]
        initializers += [
            self._weights.proto(key, tensor)
            for key, tensor in self._stored.items()
            if key in needed
        ]
        graph = protos.graph(name, kept[::-1], inputs, outputs, initializers)
        others = {node.domain: 1 for node in kept if node.domain}
        data = protos.model(graph, {"": OPSET, **others}, IR_VERSION)
        return data, tuple(value.name for value in inputs)
