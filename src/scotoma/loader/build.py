"""A parsed ONNX model to `Model`: operators of all graphs, with local functions inlined."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scotoma.loader.arity import fitted
from scotoma.loader.convert import (
    TensorReader,
    body_protos,
    domain_of,
    opsets_of,
    text,
    texts,
    value_of,
)
from scotoma.loader.functions import all_nodes, expanded_size, key_of, usable_functions
from scotoma.loader.model import Graph, Model, Operator
from scotoma.loader.network import in_order
from scotoma.loader.wire import MAX_BODY_DEPTH, MAX_NODES, too_deep, too_many_nodes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import onnx

    from scotoma.loader.functions import Function, Key
    from scotoma.loader.model import AttributeValue, Value
    from scotoma.loader.tensors import StoredTensor

_IR_WITH_OPSETS = 3
_MAX_PREFIX = 256
"""Nested calls put their names in front of each other; so much is kept of them."""
_NO_BODIES: Mapping[str, Graph] = {}


class UniqueNames:
    """Names that are not taken yet; a repeated one gets ``#2``, ``#3`` ... appended."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._next = dict.fromkeys(taken, 2)

    def claim(self, name: str) -> str:
        """Return the name, or the first free one made from it."""
        following = self._next
        if name not in following:
            following[name] = 2
            return name
        while (candidate := f"{name}#{following[name]}") in following:
            following[name] += 1
        following[name] += 1
        following[candidate] = 2
        return candidate


@dataclass(slots=True, eq=False)
class _Scope:
    """The names and versions that hold where a node stands: the model itself, or one call."""

    opsets: Mapping[str, int]
    function: str | None = None
    """Name of the function that is being inlined."""
    call: str = ""
    """Name of the calling node."""
    tensors: dict[str, str] = field(default_factory=dict)
    """Names in the model of the function's tensors."""
    attributes: dict[str, AttributeValue] = field(default_factory=dict)
    """Values of the function's attributes in this call."""


class Builder:
    """Builds one `Model`."""

    def __init__(self, proto: onnx.ModelProto, reader: TensorReader) -> None:
        self.proto = proto
        self.reader = reader
        self.functions: dict[Key, Function] = usable_functions(proto)
        self.names = UniqueNames()
        self.tensor_names = UniqueNames()
        self.count = 0
        self.free: dict[Graph, tuple[str, ...]] = {}

    def build(self, path: str, graph_sha256: str) -> Model:
        """Return the model.

        Raises
        ------
        ModelError
            ``cyclic``, ``too-large`` or ``not-onnx``.
        """
        proto = self.proto
        if expanded_size(proto, self.functions) > MAX_NODES:
            raise too_many_nodes()
        if self.functions:
            self.tensor_names = UniqueNames(_tensor_names(proto.graph))
        opsets = opsets_of(proto.opset_import)
        if not opsets and 0 < proto.ir_version < _IR_WITH_OPSETS:
            opsets = {"": 1}
        main = self._graph(proto.graph, _Scope(opsets), 0)
        producer = f"{text(proto.producer_name)} {text(proto.producer_version)}".strip()
        metadata = {text(item.key): text(item.value) for item in proto.metadata_props}
        return Model(path, main, opsets, proto.ir_version, producer, graph_sha256, metadata)

    def _graph(self, proto: onnx.GraphProto, scope: _Scope, depth: int) -> Graph:
        if depth > MAX_BODY_DEPTH:
            raise too_deep()
        initializers: dict[str, StoredTensor] = {}
        for tensor in proto.initializer:
            name = self._rename(text(tensor.name), scope)
            initializers[name] = self.reader.tensor(tensor, name)
        for sparse in proto.sparse_initializer:
            name = self._rename(text(sparse.values.name), scope)
            initializers[name] = self.reader.sparse(sparse, name)
        operators: list[Operator] = []
        self._add_nodes(proto.node, scope, depth, operators)
        captured = {
            operator: _captured(operator, self.free) for operator in operators if operator.bodies
        }
        ordered = in_order(operators, captured)
        inputs = self._values(proto.input, scope)
        for name in initializers:
            inputs.pop(name, None)
        outputs = tuple(self._values(proto.output, scope).values())
        graph = Graph(
            text(proto.name),
            tuple(inputs.values()),
            outputs,
            initializers,
            self._values(proto.value_info, scope),
            ordered,
            captured,
        )
        if depth:
            self.free[graph] = _free(graph, captured)
        return graph

    def _values(self, protos: Iterable[onnx.ValueInfoProto], scope: _Scope) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for proto in protos:
            name = self._rename(text(proto.name), scope)
            values.setdefault(name, value_of(proto, name))
        return values

    def _rename(self, name: str, scope: _Scope) -> str:
        """Return what a tensor is called in the model."""
        if scope.function is None or not name:
            return name
        if name not in scope.tensors:
            scope.tensors[name] = self.tensor_names.claim(f"{scope.call}/{name}")
        return scope.tensors[name]

    def _add_nodes(
        self,
        nodes: Iterable[onnx.NodeProto],
        scope: _Scope,
        depth: int,
        operators: list[Operator],
    ) -> None:
        functions = self.functions
        for node in nodes:
            if functions:
                function = functions.get(key_of(node))
                if function is not None:
                    self._inline(node, function, scope, depth, operators)
                    continue
            operators.append(self._operator(node, scope, depth))

    def _operator(self, node: onnx.NodeProto, scope: _Scope, depth: int) -> Operator:
        self.count += 1
        if self.count > MAX_NODES:
            raise too_many_nodes()
        inputs, outputs = self._ends(node, scope)
        attributes: dict[str, AttributeValue] = {}
        bodies: Mapping[str, Graph] = _NO_BODIES
        if node.attribute:
            attributes, protos = self._attributes(node, scope)
            if protos:
                bodies = {key: self._graph(body, scope, depth + 1) for key, body in protos}
        name = self.names.claim(self._base_name(node, scope, outputs))
        domain = domain_of(node)
        version = scope.opsets.get(domain)
        op_type = text(node.op_type)
        if domain:
            outputs = outputs or ("",)
        else:
            inputs, outputs = fitted(op_type, inputs, outputs)
        return Operator(
            name,
            op_type,
            domain,
            version,
            inputs,
            outputs,
            attributes,
            bodies,
            scope.function,
        )

    @staticmethod
    def _base_name(node: onnx.NodeProto, scope: _Scope, outputs: tuple[str, ...]) -> str:
        name = text(node.name)
        if not name:
            return f"{text(node.op_type)}:{outputs[0] if outputs else ''}"
        return f"{scope.call}/{name}" if scope.function is not None else name

    def _ends(self, node: onnx.NodeProto, scope: _Scope) -> tuple[tuple[str, ...], tuple[str, ...]]:
        inputs, outputs = texts(node.input), texts(node.output)
        if scope.function is None:
            return inputs, outputs
        return (
            tuple(self._rename(name, scope) for name in inputs),
            tuple(self._rename(name, scope) for name in outputs),
        )

    def _attributes(
        self, node: onnx.NodeProto, scope: _Scope
    ) -> tuple[dict[str, AttributeValue], list[tuple[str, onnx.GraphProto]]]:
        """Return plain attributes and subgraphs; references get the value of this call."""
        attributes: dict[str, AttributeValue] = {}
        bodies: list[tuple[str, onnx.GraphProto]] = []
        read = self.reader.attribute
        for attribute in node.attribute:
            if reference := attribute.ref_attr_name:
                value = scope.attributes.get(text(reference))
            else:
                value = read(attribute)
                if value is None:
                    bodies += body_protos(attribute)
            if value is not None:
                attributes[text(attribute.name)] = value
        return attributes, bodies

    def _inline(
        self,
        node: onnx.NodeProto,
        function: Function,
        outer: _Scope,
        depth: int,
        operators: list[Operator],
    ) -> None:
        """Append the operators of a function in place of its call."""
        inputs, outputs = self._ends(node, outer)
        call = self.names.claim(self._base_name(node, outer, outputs))[-_MAX_PREFIX:]
        opsets = {**outer.opsets, **function.opsets}
        scope = _Scope(opsets, function.name, call)
        for attribute in function.proto.attribute_proto:
            value = self.reader.attribute(attribute)
            if value is not None:
                scope.attributes[text(attribute.name)] = value
        scope.attributes.update(self._attributes(node, outer)[0])
        formal_inputs, formal_outputs = texts(function.proto.input), texts(function.proto.output)
        for index, name in enumerate(formal_inputs):
            scope.tensors[name] = inputs[index] if index < len(inputs) else ""
        passed: list[tuple[str, str]] = []
        for name, actual in zip(formal_outputs, outputs, strict=False):
            if name in scope.tensors:
                passed.append((scope.tensors[name], actual))
            elif actual:
                scope.tensors[name] = actual
        self._add_nodes(function.proto.node, scope, depth, operators)
        for source, actual in passed:
            if actual:
                operators.append(self._identity(source, actual, scope))

    def _identity(self, source: str, target: str, scope: _Scope) -> Operator:
        """Connect an output of a function that is one of its inputs, or two outputs in one."""
        name = self.names.claim(f"{scope.call}/Identity")
        version = scope.opsets.get("")
        return Operator(
            name, "Identity", "", version, (source,), (target,), {}, _NO_BODIES, scope.function
        )


def _captured(operator: Operator, free: Mapping[Graph, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the outer tensors that the bodies of an operator read."""
    return tuple(dict.fromkeys(name for body in operator.bodies.values() for name in free[body]))


def _free(graph: Graph, captured: Mapping[Operator, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the tensors that a body reads from the graphs around it."""
    own = {value.name for value in graph.inputs} | graph.initializers.keys() | {""}
    used: dict[str, None] = {}
    for operator in graph.operators:
        own.update(operator.outputs)
        used.update(dict.fromkeys(operator.inputs))
        used.update(dict.fromkeys(captured.get(operator, ())))
    used.update(dict.fromkeys(value.name for value in graph.outputs))
    return tuple(name for name in used if name not in own)


def _tensor_names(graph: onnx.GraphProto) -> Iterable[str]:
    """Yield every tensor name of a graph and of the subgraphs in it."""
    for value in (*graph.input, *graph.output, *graph.initializer):
        yield text(value.name)
    for node in all_nodes(graph.node):
        yield from texts(node.input)
        yield from texts(node.output)
