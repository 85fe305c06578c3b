"""A graph and the bodies of its If, Loop and Scan, each with what its tensors are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from scotoma.errors import WeightsUnavailableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.loader.model import Graph, Operator

LARGEST = 1 << 12
"""Constants of bodies are looked at up to this number of elements."""
DEEPEST = 64
"""Chains of operators behind a constant of a body are followed up to this length."""
_UNCHANGED = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
_SHAPE_ONLY = frozenset({"EyeLike", "RandomNormalLike", "RandomUniformLike", "Shape", "Size"})
"""Operators that read the shape of their input and not its values."""


@dataclass(frozen=True, eq=False)
class Scope:
    """The main graph, or the body of an operator that may run."""

    facts: Facts
    graph: Graph
    operators: tuple[Operator, ...]
    outer: Scope | None = None
    title: str = "graph"
    """Such as ``then_branch of 'if'`` for a body."""

    @cached_property
    def producers(self) -> Mapping[str, Operator]:
        """The operator of this scope that makes a tensor, by its name."""
        return {name: op for op in self.operators for name in op.outputs if name}

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Operator, ...]]:
        """The operators that read a tensor, themselves or in a body, by its name."""
        found: dict[str, list[Operator]] = {}
        for operator in self.operators:
            for name in dict.fromkeys((*operator.inputs, *read_by_bodies(operator))):
                if name:
                    found.setdefault(name, []).append(operator)
        return {name: tuple(operators) for name, operators in found.items()}

    @cached_property
    def outputs(self) -> frozenset[str]:
        """Names of the scope's own outputs."""
        return frozenset(value.name for value in self.graph.outputs)

    @cached_property
    def inputs(self) -> frozenset[str]:
        """Names of the scope's own inputs."""
        return frozenset(value.name for value in self.graph.inputs)

    @cached_property
    def live(self) -> frozenset[Operator]:
        """The operators that some output of the scope depends on."""
        needed, found = set(self.outputs), set()
        for operator in reversed(self.operators):
            if not needed.isdisjoint(operator.outputs):
                found.add(operator)
                needed.update(operator.inputs, read_by_bodies(operator))
                needed.discard("")
        return frozenset(found)

    @cached_property
    def heard(self) -> frozenset[Operator]:
        """The operators whose values some output of the scope depends on, not only their shapes."""
        needed, found = set(self.outputs), set()
        for operator in reversed(self.operators):
            if not needed.isdisjoint(operator.outputs):
                found.add(operator)
                needed.update(values_read(operator))
                needed.discard("")
        return frozenset(found)

    @cached_property
    def variable(self) -> frozenset[str]:
        """The scope's tensors whose values depend on values that the scope is given."""
        found = set(self.inputs)
        for operator in self.operators:
            if operator.op_type in _SHAPE_ONLY and not operator.domain:
                continue
            read = (*operator.inputs, *read_by_bodies(operator))
            if any(name in found or self._varies_outside(name) for name in read):
                found.update(operator.outputs)
            found.discard("")
        return frozenset(found)

    def varies(self, name: str) -> bool:
        """Tell whether a tensor's values depend on values that the model is given."""
        return name in self.variable or self._varies_outside(name)

    def _varies_outside(self, name: str) -> bool:
        if self.outer is None or name in self.producers or name in self.graph.initializers:
            return False
        return self.outer.varies(name)

    def value(self, name: str) -> NDArray[np.generic] | None:
        """Return the value of a constant, None if the tensor is not constant.

        Raises
        ------
        WeightsUnavailableError
            If it is constant, but its value cannot be read or worked out.
        """
        scope, operators = self, 0
        casts: list[int] = []
        while scope.outer is not None:
            if name in scope.graph.initializers:
                return _cast(_small(scope.graph.initializers[name]), casts)
            operator = scope.producers.get(name)
            if operator is None:
                if name in scope.inputs:
                    return None
                scope = scope.outer
                continue
            if operator.op_type == "Constant" and not operator.domain:
                return _cast(_held(operator), casts)
            kind = operator.attributes.get("to") if operator.op_type == "Cast" else None
            operators += 1
            if operators > DEEPEST or not operator.inputs or operator.domain:
                return None
            if operator.op_type == "Not":
                kind = -1
            elif kind is None and operator.op_type not in _UNCHANGED:
                return None
            if isinstance(kind, int):
                casts.append(kind)
            name = operator.inputs[0]
        found = self.facts.value(name)
        if found is None and name in self.facts.resolution.constants:
            raise WeightsUnavailableError(f"the value of '{name}' cannot be read")
        return None if found is None else _cast(found, casts)

    def number(self, name: str) -> float | None:
        """Return the one number that a constant consists of, however often; None if unknown."""
        try:
            value = self.value(name)
        except WeightsUnavailableError:
            return None
        if value is None or value.size == 0:
            return None
        flat = value.reshape(-1)
        try:
            return float(f"{float(flat[0]):.6g}") if bool((flat == flat[0]).all()) else None
        except (TypeError, ValueError):  # strings and complex numbers
            return None


def main_scope(facts: Facts) -> Scope:
    """Return the scope of the main graph; ask for it by `Facts.once`, since many need it."""
    return Scope(facts, facts.model.main, facts.operators)


def scopes(facts: Facts) -> Iterator[Scope]:
    """Yield the main graph and the bodies of all operators that an output depends on.

    A branch that a constant condition takes belongs to the main graph, and the other never runs.
    """
    stack = [facts.once(main_scope)]
    while stack:
        scope = stack.pop()
        yield scope
        for operator in scope.operators:
            if operator.bodies and operator in scope.live:
                stack.extend(
                    Scope(facts, body, body.operators, scope, f"{key} of '{operator.name}'")
                    for key, body in operator.bodies.items()
                )


def is_training(operator: Operator) -> bool:
    """Tell whether a BatchNormalization normalises by the statistics of its input."""
    version = 15 if operator.version is None else operator.version
    if version < 7:
        return not operator.attributes.get("is_test", 0)
    if version < 14:
        return sum(bool(name) for name in operator.outputs) > 1
    return operator.attributes.get("training_mode", 0) == 1


def values_read(operator: Operator) -> tuple[str, ...]:
    """Return the inputs whose values, not only their shapes, decide what an operator makes.

    The stored statistics that a training BatchNormalization replaces are left out.
    """
    if not operator.domain and operator.op_type in _SHAPE_ONLY:
        return ()
    if operator.op_type == "BatchNormalization" and is_training(operator):
        return operator.inputs[:3]
    return (*operator.inputs, *read_by_bodies(operator))


def read_by_bodies(operator: Operator) -> tuple[str, ...]:
    """Return the names that the bodies of an operator mention, at any depth."""
    names: dict[str, None] = {}
    stack = list(operator.bodies.values())
    while stack:
        body = stack.pop()
        names.update(dict.fromkeys(value.name for value in body.outputs))
        for inner in body.operators:
            names.update(dict.fromkeys(inner.inputs))
            stack.extend(inner.bodies.values())
    return tuple(names)


def _held(operator: Operator) -> NDArray[np.generic]:
    """Return what a Constant holds."""
    for key, held in operator.attributes.items():
        if key == "value":
            return _small(held)
        if key in {"value_int", "value_ints", "value_float", "value_floats"}:
            return np.asarray(held)
    raise WeightsUnavailableError(f"the value of '{operator.name}' cannot be read")


def _small(stored: object) -> NDArray[np.generic]:
    from scotoma.loader.tensors import StoredTensor  # noqa: PLC0415  needed for bodies only

    if not isinstance(stored, StoredTensor) or stored.elements > LARGEST:
        raise WeightsUnavailableError("a constant of a body is too large to be looked at")
    return stored.array()


def _cast(value: NDArray[np.generic], casts: list[int]) -> NDArray[np.generic]:
    """Apply the casts, -1 for Not, in reverse order; only truth and whole numbers matter."""
    for kind in reversed(casts):
        if kind == -1:
            value = ~value.astype(bool)
        elif kind in {2, 3, 4, 5, 6, 7, 12, 13}:  # the integers of 8 to 64 bits
            value = value.astype(np.int64)
    return value
