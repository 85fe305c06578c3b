"""What a loaded ONNX file is: operators in a networkx graph, with the weights left on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from scotoma.loader.network import network_of

if TYPE_CHECKING:
    import networkx as nx
    import numpy as np

    from scotoma.loader.tensors import StoredTensor

    AttributeValue: TypeAlias = (
        int
        | float
        | str
        | bytes
        | tuple[int, ...]
        | tuple[float, ...]
        | tuple[str, ...]
        | StoredTensor
    )


@dataclass(frozen=True, slots=True)
class Value:
    """A graph input, a graph output or a declared intermediate tensor."""

    name: str
    dtype: np.dtype | None
    """Element type; None when undeclared or when numpy has no such type."""
    shape: tuple[int | str | None, ...] | None
    """Declared dimensions: a number, the name of a symbolic dimension, or None; None: no rank."""


@dataclass(frozen=True, slots=True, eq=False)
class Operator:
    """One node of the ONNX graph. Compared by identity, so that it can be a node in networkx."""

    name: str
    """Unique in the model: as in the file, or ``OpType:first_output`` for a node without a name."""
    op_type: str
    domain: str
    """``""`` for the standard operators (``ai.onnx``)."""
    version: int | None
    """The opset version imported for the domain; None when the file imports none."""
    inputs: tuple[str, ...]
    """Tensor names; ``""`` for an optional input that is left out."""
    outputs: tuple[str, ...]
    attributes: Mapping[str, AttributeValue]
    bodies: Mapping[str, Graph]
    """Subgraphs of If, Loop and Scan, by attribute name."""
    function: str | None = None
    """Name of the local function that the operator was inlined from."""

    def __repr__(self) -> str:
        return f"<{self.op_type} {self.name!r}>"


@dataclass(frozen=True, eq=False)
class Graph:
    """The main graph of a model, or the body of an If, Loop or Scan."""

    name: str
    inputs: tuple[Value, ...]
    """Real inputs only: an initializer that the file also lists as an input is not one of them."""
    outputs: tuple[Value, ...]
    initializers: Mapping[str, StoredTensor]
    values: Mapping[str, Value]
    """Declared types of intermediate tensors (``value_info``); a file may lie in them."""
    operators: tuple[Operator, ...]
    """In topological order."""
    captured: Mapping[Operator, tuple[str, ...]] = field(default_factory=dict)
    """Tensors that the bodies of an operator read from outside of them."""

    @cached_property
    def network(self) -> nx.MultiDiGraph[Any]:
        """The graph as networkx, made when it is first asked for.

        Nodes are `Operator` and, for graph inputs and outputs, `Value` objects. Every edge carries
        ``tensor`` (name), ``output`` (slot of the producer) and ``input`` (slot of the consumer;
        None where a body of the consumer reads the tensor).
        """
        return network_of(self.operators, self.inputs, self.outputs, self.captured)

    def with_operators(self, changed: Mapping[str, Operator]) -> Graph:
        """Return the graph with some operators replaced, those of bodies included.

        Parameters
        ----------
        changed
            The operators to put in, by the name of the one that each replaces.
        """
        operators: list[Operator] = []
        captured: dict[Operator, tuple[str, ...]] = {}
        for operator in self.operators:
            found = changed.get(operator.name, operator)
            if operator.bodies and found is operator:
                bodies = {k: body.with_operators(changed) for k, body in operator.bodies.items()}
                found = replace(operator, bodies=bodies)
            operators.append(found)
            if operator in self.captured:
                captured[found] = self.captured[operator]
        return replace(self, operators=tuple(operators), captured=captured)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """An ONNX file, read."""

    path: str
    """As given by the caller; ``-`` for standard input."""
    main: Graph
    opsets: Mapping[str, int]
    """Imported opset version by domain, ``""`` for the standard one."""
    ir_version: int
    producer: str
    """Name and version of the exporter, ``""`` when the file does not say."""
    graph_sha256: str
    """Over the file without its weight payloads, so that it costs nothing on large files."""
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Model {self.path!r}: {len(self.main.operators)} operators>"

    @property
    def graph(self) -> nx.MultiDiGraph[Any]:
        """The main graph as networkx: operators as nodes, tensors on the edges."""
        return self.main.network

    def walk(self) -> Iterator[tuple[Graph, Operator]]:
        """Yield every operator, those of bodies included, with the graph that holds it."""
        stack = [self.main]
        while stack:
            graph = stack.pop()
            for operator in graph.operators:
                yield graph, operator
                stack.extend(operator.bodies.values())
