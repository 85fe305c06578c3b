"""The forward graph: the operators of a model that its targets and residuals need, as ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scotoma.adjoint import protos
from scotoma.adjoint.packing import DOMAIN, UNPACK
from scotoma.errors import MeasurementError
from scotoma.loader.tensors import StoredTensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import onnx

    from scotoma.adjoint.weights import Weights
    from scotoma.loader.model import AttributeValue, Graph, Operator, Value
    from scotoma.resolve.resolution import Resolution

OLDEST_IR = 4
"""The first in which initializers are no inputs of the graph."""


def stored_tensors(resolution: Resolution) -> dict[str, StoredTensor]:
    """Return the tensors that the file holds, by the name that the operators read them by."""
    model = resolution.model
    stored = dict(model.main.initializers)
    spliced = {name for operator in resolution.operators for name in operator.inputs}
    for graph, _ in model.walk():
        for name, tensor in graph.initializers.items():
            if name in spliced:
                stored.setdefault(name, tensor)
    for operator in resolution.operators:
        value = operator.attributes.get("value")
        is_constant = operator.op_type == "Constant" and not operator.domain
        if is_constant and operator.outputs and isinstance(value, StoredTensor):
            stored[operator.outputs[0]] = value
    return stored


def all_captured(resolution: Resolution) -> dict[Operator, tuple[str, ...]]:
    """Return what the bodies of operators read from outside of them."""
    captured: dict[Operator, tuple[str, ...]] = {}
    seen: set[int] = set()
    for graph, _ in resolution.model.walk():
        if id(graph) not in seen:
            seen.add(id(graph))
            captured.update(graph.captured)
    return captured


class Forward:
    """Collects what the forward graph must make, and writes it."""

    def __init__(
        self, resolution: Resolution, stored: Mapping[str, StoredTensor], weights: Weights
    ) -> None:
        self._resolution = resolution
        self._stored = stored
        self._weights = weights
        self._extra: dict[str, dict[int, str]] = {}
        self._unpacked: dict[str, tuple[str, int]] = {}
        self._inputs = {value.name for value in resolution.model.main.inputs}

    def expose(self, operator: Operator, slot: int, name: str) -> str:
        """Make an operator produce an output that the file leaves out; return its name."""
        return self._extra.setdefault(operator.name, {}).setdefault(slot, name)

    def unpack(self, name: str, channels: int, plain: str) -> None:
        """Make a tensor whose channels are packed in blocks an output in plain order, too."""
        self._unpacked[plain] = name, channels

    def model(self, outputs: Sequence[onnx.ValueInfoProto]) -> bytes:
        """Return a serialized model that makes these outputs.

        Raises
        ------
        MeasurementError
            If the model cannot be written as one graph.
        WeightsUnavailableError
            If a small constant cannot be read.
        """
        resolution = self._resolution
        captured = all_captured(resolution)
        needed = {value.name for value in outputs}
        unpacked = {name: given for name, given in self._unpacked.items() if name in needed}
        needed.update(name for name, _ in unpacked.values())
        folded: dict[str, onnx.TensorProto] = {}
        kept: list[Operator] = []
        for operator in reversed(resolution.operators):
            made = {*operator.outputs, *self._extra.get(operator.name, {}).values()}
            if not needed.intersection(made) or made <= self._stored.keys() | folded.keys():
                continue
            kept.append(operator)
            for name in (*operator.inputs, *captured.get(operator, ())):
                if not name or name in needed:
                    continue
                needed.add(name)
                constant = self._folded(name)
                if constant is not None:
                    folded[name] = constant
        kept.reverse()
        initializers = [
            self._weights.proto(name, tensor)
            for name, tensor in self._stored.items()
            if name in needed
        ]
        inputs = [
            self._input(value) for value in resolution.model.main.inputs if value.name in needed
        ]
        nodes = [self._node(operator) for operator in kept]
        for plain, (name, channels) in unpacked.items():
            count = [protos.attribute("channels", channels)]
            nodes.append(protos.node(UNPACK, [name], [plain], count, name=plain, domain=DOMAIN))
        graph = protos.graph("forward", nodes, inputs, outputs, [*initializers, *folded.values()])
        ir_version = max(resolution.model.ir_version, OLDEST_IR)
        return protos.model(graph, self._opsets(kept), ir_version)

    def _folded(self, name: str) -> onnx.TensorProto | None:
        """Return a constant that the resolver worked out and that no rounding touches."""
        if name in self._stored or name in self._inputs:
            return None
        value = self._resolution.values.get(name)
        if value is None or value.dtype.kind not in "iub":
            return None
        return protos.tensor(value, name)

    def _input(self, value: Value) -> onnx.ValueInfoProto:
        resolution = self._resolution
        dtype = resolution.dtypes.get(value.name)
        shape = resolution.shapes.get(value.name)
        if dtype is None or shape is None:
            raise MeasurementError(f"type or shape of the input '{value.name}' is not known")
        return protos.value_info(value.name, dtype, shape)

    def _node(self, operator: Operator) -> onnx.NodeProto:
        outputs = list(operator.outputs)
        for slot, name in self._extra.get(operator.name, {}).items():
            outputs += [""] * (slot + 1 - len(outputs))
            outputs[slot] = name
        if is_dropout(operator):
            return _inert(operator, outputs)
        return node_proto(operator, outputs)

    def _opsets(self, operators: Iterable[Operator]) -> dict[str, int]:
        """Return the imported versions; functions may import other ones than the model does."""
        opsets = dict(self._resolution.model.opsets)
        for operator in operators:
            domain, version = operator.domain, operator.version
            if version is None:
                continue
            main = opsets.setdefault(domain, version)
            versions = {protos.since(operator.op_type, item, domain) for item in (version, main)}
            if len(versions) > 1:
                raise MeasurementError(
                    f"'{operator.name}' ({operator.op_type}) is of operator set {version},"
                    f" in a model of operator set {main}"
                )
        return opsets


def is_dropout(operator: Operator) -> bool:
    """Tell whether an operator is a dropout."""
    return operator.op_type == "Dropout" and not operator.domain


def _inert(operator: Operator, outputs: Sequence[str]) -> onnx.NodeProto:
    """Return a dropout as it is at inference, whatever it is told."""
    node = node_proto(operator, outputs)
    del node.input[2:]  # the training mode
    for attribute in list(node.attribute):
        if attribute.name == "is_test":
            node.attribute.remove(attribute)
    if operator.version is not None and operator.version < 7:
        node.attribute.append(protos.attribute("is_test", 1))
    return node


def node_proto(operator: Operator, outputs: Sequence[str]) -> onnx.NodeProto:
    """Return an operator as a node."""
    listed = [_attribute(operator, *item) for item in operator.attributes.items()]
    attributes = [attribute for attribute in listed if attribute is not None]
    for name, body in operator.bodies.items():
        attributes.append(protos.attribute(name, graph_proto(body)))
    return protos.node(
        operator.op_type,
        operator.inputs,
        outputs,
        attributes,
        name=operator.name,
        domain=operator.domain,
    )


def _attribute(operator: Operator, name: str, value: AttributeValue) -> onnx.AttributeProto | None:
    if isinstance(value, StoredTensor):
        # A sparse value has been made dense.
        dense = "value" if name == "sparse_value" else name
        return protos.attribute(dense, protos.tensor(value.array(), value.name))
    if value == ():
        version = operator.version or 1
        return protos.empty_list(name, operator.op_type, version, operator.domain)
    return protos.attribute(name, value)


def graph_proto(graph: Graph) -> onnx.GraphProto:
    """Return the body of a control-flow operator with its weights in it."""
    return protos.graph(
        graph.name or "body",
        [node_proto(operator, operator.outputs) for operator in graph.operators],
        [protos.value_info(value.name, value.dtype, value.shape) for value in graph.inputs],
        [protos.value_info(value.name, value.dtype, value.shape) for value in graph.outputs],
        [protos.tensor(tensor.array(), name) for name, tensor in graph.initializers.items()],
    )
