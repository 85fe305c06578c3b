"""Constants of a model in its backward graph: stored, folded, or worked out there once more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scotoma.adjoint.builder import OPSET
from scotoma.adjoint.forward import node_proto
from scotoma.adjoint.protos import since

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scotoma.adjoint.builder import GraphBuilder
    from scotoma.loader.model import Operator
    from scotoma.loader.tensors import StoredTensor
    from scotoma.resolve.resolution import Resolution

SAME_SINCE = {
    "Abs": 6, "Add": 7, "Cast": 6, "Concat": 4, "Constant": 1, "ConstantOfShape": 9,
    "DequantizeLinear": 10, "Div": 7, "Exp": 6, "Expand": 8, "Flatten": 1, "Gather": 1,
    "Identity": 1, "MatMul": 1, "Mul": 7, "Neg": 6, "Pow": 7, "Reciprocal": 6, "Reshape": 5,
    "Sqrt": 6, "Sub": 7, "Tile": 6, "Transpose": 1, "Where": 9,
}  # fmt: skip
"""Operators that later versions of the operator set only gave more types and attributes."""
DEEPEST = 64
"""Constants that take a longer chain of operators are residuals."""


class Cloner:
    """Brings constants of the model into the backward graph."""

    def __init__(
        self,
        resolution: Resolution,
        stored: Mapping[str, StoredTensor],
        builder: GraphBuilder,
    ) -> None:
        self._resolution = resolution
        self._stored = stored
        self._builder = builder
        self._producers = {
            name: operator for operator in resolution.operators for name in operator.outputs if name
        }
        self._clones: dict[str, str | None] = {}

    def constant(self, name: str, depth: int = 0) -> str | None:
        """Return a constant of the model in the backward graph; None if it is none."""
        if name not in self._resolution.constants:
            return None
        if name in self._stored:
            return self._builder.stored(name, self._stored[name])
        if name not in self._clones:
            self._clones[name] = self._make(name, depth)
        return self._clones[name]

    def _make(self, name: str, depth: int) -> str | None:
        folded = self._resolution.values.get(name)
        if folded is not None:
            return self._builder.constant(folded)
        operator = self._producers.get(name)
        if operator is None or depth > DEEPEST or not _same(operator):
            return None
        inputs = []
        for source in operator.inputs:
            found = self.constant(source, depth + 1) if source else ""
            if found is None:
                return None
            inputs.append(found)
        fresh = [self._builder.name(f"clone/{output}") for output in operator.outputs]
        self._builder.node(node_proto(operator, fresh), inputs)
        return fresh[list(operator.outputs).index(name)]


def _same(operator: Operator) -> bool:
    """Tell whether an operator means the same in the backward's operator set."""
    if operator.domain or operator.bodies or operator.version is None:
        return False
    version = operator.version
    known = SAME_SINCE.get(operator.op_type)
    if known is not None:
        return version >= known
    found = since(operator.op_type, min(version, OPSET), "")
    return version <= OPSET and found is not None and found == since(operator.op_type, OPSET, "")
