"""Operators in topological order, and as a networkx graph with tensors on the edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scotoma.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import networkx as nx

    from scotoma.loader.model import Operator, Value

Producers = dict[str, tuple[int, int]]
"""Position of the operator that makes a tensor, and the slot, by tensor name."""


def producers_of(operators: Sequence[Operator]) -> Producers:
    """Map every tensor to what makes it.

    Raises
    ------
    ModelError
        ``not-onnx`` when two operators make the same tensor.
    """
    producers: Producers = {}
    for position, operator in enumerate(operators):
        for slot, name in enumerate(operator.outputs):
            if not name:
                continue
            if name in producers:
                first = operators[producers[name][0]].name
                raise ModelError(
                    "not-onnx", f"{first!r} and {operator.name!r} both make the tensor {name!r}"
                )
            producers[name] = (position, slot)
    return producers


def in_order(
    operators: list[Operator], captured: Mapping[Operator, Sequence[str]]
) -> tuple[Operator, ...]:
    """Return the operators in topological order: the file's own order where it is one.

    Parameters
    ----------
    captured
        Tensors that the bodies of an operator read from the graph around them.

    Raises
    ------
    ModelError
        ``cyclic``, or as `producers_of`.
    """
    producers = producers_of(operators)
    missing = (-1, 0)
    get = producers.get
    for position, operator in enumerate(operators):
        for name in operator.inputs:
            if get(name, missing)[0] >= position:
                return _sorted(operators, captured, producers)
        for name in captured.get(operator, ()):
            if get(name, missing)[0] >= position:
                return _sorted(operators, captured, producers)
    return tuple(operators)


def _sorted(
    operators: list[Operator], captured: Mapping[Operator, Sequence[str]], producers: Producers
) -> tuple[Operator, ...]:
    import networkx as nx  # noqa: PLC0415

    dependencies: nx.DiGraph[int] = nx.DiGraph()
    dependencies.add_nodes_from(range(len(operators)))
    dependencies.add_edges_from(
        (producers[name][0], position)
        for position, operator in enumerate(operators)
        for name in (*operator.inputs, *captured.get(operator, ()))
        if name in producers
    )
    try:
        order = list(nx.lexicographical_topological_sort(dependencies))
    except nx.NetworkXUnfeasible:
        position = nx.find_cycle(dependencies)[0][0]
        name = operators[position].name
        raise ModelError("cyclic", f"the graph is cyclic: {name!r} depends on itself") from None
    return tuple(operators[position] for position in order)


def network_of(
    operators: Sequence[Operator],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    captured: Mapping[Operator, Sequence[str]],
) -> nx.MultiDiGraph[Any]:
    """Return the graph: operators, inputs and outputs as nodes, tensors on the edges.

    The key of an edge is the slot of its consumer, and the name of the tensor where a body of the
    consumer reads it; such an edge's ``input`` is None. A graph input that is passed on
    as an output of the same type is one node, without an edge to itself.
    """
    import networkx as nx  # noqa: PLC0415

    network: nx.MultiDiGraph[Any] = nx.MultiDiGraph()
    network.add_nodes_from(inputs)
    network.add_nodes_from(operators)
    network.add_nodes_from(outputs)
    sources: dict[str, tuple[Operator | Value, int]] = {value.name: (value, 0) for value in inputs}
    for operator in operators:
        for slot, name in enumerate(operator.outputs):
            if name:
                sources[name] = (operator, slot)
    add, get = network.add_edge, sources.get
    for operator in operators:
        for slot, name in enumerate(operator.inputs):
            source = get(name)
            if source is not None:
                add(source[0], operator, slot, tensor=name, output=source[1], input=slot)
        for name in captured.get(operator, ()):
            source = get(name)
            if source is not None:
                add(source[0], operator, name, tensor=name, output=source[1], input=None)
    for value in outputs:
        source = get(value.name)
        if source is not None and source[0] != value:
            add(source[0], value, 0, tensor=value.name, output=source[1], input=0)
    return network
