"""Which local functions of a model can be inlined, and how many operators each expands to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scotoma.loader.convert import body_protos, domain_of, opsets_of, text
from scotoma.loader.wire import MAX_BODY_DEPTH, too_deep

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import onnx

MAX_CALL_DEPTH = 64
"""Functions that call functions that call ... deeper than this are not inlined."""

Key = tuple[str, str, str]
"""Domain, name and overload of a function."""


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A local function that can be inlined."""

    proto: onnx.FunctionProto
    name: str
    opsets: Mapping[str, int]
    size: int
    """Work of a call: at least the operators that it expands to, subgraphs included.

    Calls count too, and so do long lists of formal names, so that a function without operators
    cannot be called without end.
    """


def key_of(node: onnx.NodeProto) -> Key:
    """Return which function a node would call."""
    return domain_of(node), text(node.op_type), text(node.overload)


def usable_functions(model: onnx.ModelProto) -> dict[Key, Function]:
    """Return the functions that a call can be replaced by.

    Left out are those that call themselves, directly or not, those whose calls nest too deeply,
    and those that bear the name of a standard operator, which takes precedence as it does in
    onnxruntime.
    """
    if not model.functions:
        return {}
    import networkx as nx  # noqa: PLC0415

    protos = {
        (domain_of(proto), text(proto.name), text(proto.overload)): proto
        for proto in model.functions
    }
    protos = {key: proto for key, proto in protos.items() if not _is_standard(key)}
    calls: nx.DiGraph[Key] = nx.DiGraph()
    calls.add_nodes_from(protos)
    called: dict[Key, list[Key]] = {}
    for key, proto in protos.items():
        called[key] = [key_of(node) for node in all_nodes(proto.node)]
        calls.add_edges_from((key, other) for other in called[key] if other in protos)
    usable: dict[Key, Function] = {}
    height: dict[Key, int] = {}
    # Tarjan's algorithm yields every component after those that it calls.
    for component in nx.strongly_connected_components(calls):
        key = next(iter(component))
        if len(component) > 1 or calls.has_edge(key, key):
            continue
        inner = [usable[other] for other in called[key] if other in usable]
        height[key] = 1 + max((height[k] for k in called[key] if k in usable), default=0)
        if height[key] > MAX_CALL_DEPTH:
            continue
        size = _overhead(protos[key]) + len(called[key]) - len(inner)
        size += sum(function.size for function in inner)
        opsets = opsets_of(protos[key].opset_import)
        usable[key] = Function(protos[key], key[1], opsets, size)
    return usable


def _overhead(proto: onnx.FunctionProto) -> int:
    return 1 + (len(proto.input) + len(proto.output) + len(proto.attribute_proto)) // 100


def _is_standard(key: Key) -> bool:
    import onnx.defs  # noqa: PLC0415

    return key[0] == "" and onnx.defs.has(key[1])


def all_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Yield nodes with those of the subgraphs in their attributes."""
    stack = [(nodes, 0)]
    while stack:
        level, depth = stack.pop()
        if depth > MAX_BODY_DEPTH:
            raise too_deep()
        for node in level:
            yield node
            for attribute in node.attribute:
                stack.extend((graph.node, depth + 1) for _, graph in body_protos(attribute))


def expanded_size(model: onnx.ModelProto, functions: Mapping[Key, Function]) -> int:
    """Return how many operators the model has once its functions are inlined."""
    if not functions:
        return len(model.graph.node)
    return sum(
        functions[key].size if (key := key_of(node)) in functions else 1
        for node in all_nodes(model.graph.node)
    )
