"""The constants that a graph computes from the sizes of its maps, at other sizes of these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scotoma.resolve.fold import fold
from scotoma.resolve.passes import HANDLERS, MALFORMED
from scotoma.resolve.step import (
    MAX_TOTAL,
    FollowsError,
    RefusedError,
    State,
    Step,
    UnknownError,
)

if TYPE_CHECKING:
    from scotoma.loader.model import Operator
    from scotoma.resolve.passes import Handler
    from scotoma.trace import Geometry

    Shape = tuple[int, ...]


class Recomputed:
    """Constants that follow from the shapes of maps; each is worked out when it is asked for.

    Parameters
    ----------
    geometry
        The graph as it is.
    moves
        Tells whether a map has another size now, or one that is not known.
    shape
        Returns the shape of a tensor as it is now, None if unknown.
    """

    def __init__(
        self,
        geometry: Geometry,
        moves: Callable[[str], bool],
        shape: Callable[[str], Shape | None],
    ) -> None:
        self.values: dict[str, np.ndarray] = {}
        """Those that are others than in the graph as it is."""
        self.unknown: set[str] = set()
        """Those that may be others, but cannot be told."""
        self._geometry, self._moves, self._shape = geometry, moves, shape
        self._resolved, self._budget = geometry.resolution, MAX_TOTAL
        self._measured = _measured(geometry)
        self._next = 0

    def reaches(self, operator: Operator) -> bool:
        """Tell whether an operator is given a constant that is another now, or may be one."""
        if operator.name not in self._measured.readers:
            return False
        places = self._measured.places
        self._work_out(max(places.get(name, -1) for name in operator.inputs))
        return any(name in self.values or name in self.unknown for name in operator.inputs)

    @property
    def decides_branches(self) -> bool:
        """Whether one of them may be the condition of an If, whose branch stands in its place."""
        return self._measured.decides_branches

    def work_out_all(self) -> None:
        """Work out the constants that no operator has asked for."""
        self._work_out(len(self._measured.makers) - 1)

    def step(self, operator: Operator) -> Step:
        """Return an operator as the resolver sees it now."""
        state, resolved = State(), self._resolved
        state.budget = self._budget
        for name in filter(None, operator.inputs):
            value = self.values.get(name)
            if value is None:
                unknown = name in self.unknown
                state.shapes[name] = None if unknown else self._shape(name)
                if not unknown and name not in self._geometry.flows:
                    value = resolved.values.get(name)
            else:
                state.shapes[name] = value.shape
            if name in resolved.dtypes:
                state.dtypes[name] = resolved.dtypes[name]
            if value is not None:
                state.folded[name] = value
        return Step(state).at(operator)

    def _work_out(self, last: int) -> None:
        """Work out the constants in the graph's order, up to those of one maker."""
        makers = self._measured.makers
        while self._next <= last:
            operator, made = makers[self._next]
            self._next += 1
            if self._is_moved(operator):
                self._make(operator, made)

    def _is_moved(self, operator: Operator) -> bool:
        """Tell whether something that an operator reads is another now."""
        if operator.bodies and any(map(self._moves, self._geometry.flows)):
            return True
        return any(
            name in self.values or name in self.unknown or self._moves(name)
            for name in operator.inputs
        )

    def _make(self, operator: Operator, made: Sequence[str]) -> None:
        """Compute what one operator makes, as the resolver folds it."""
        found: Mapping[str, np.ndarray] = {}
        resolved, handler = self._resolved, HANDLERS.get((operator.domain, operator.op_type))
        constant = resolved.constants.issuperset(made) and not operator.bodies
        if handler is not None and constant and self.unknown.isdisjoint(operator.inputs):
            found = self._folded(handler, operator)
        for name in made:
            value, old = found.get(name), resolved.values.get(name)
            if value is None:
                self.unknown.add(name)
            elif old is None or not np.array_equal(value, old):
                self.values[name] = value

    def _folded(self, handler: Handler, operator: Operator) -> Mapping[str, np.ndarray]:
        """Return what an operator makes of its constants, by name; none of what cannot be told."""
        step, dtypes = self.step(operator), self._resolved.dtypes
        state = step.state
        try:
            shapes = handler(step)
        except (FollowsError, RefusedError, UnknownError, *MALFORMED):
            return {}
        for name, shape in zip(operator.outputs, shapes, strict=False):
            state.shapes[name] = shape
            if name in dtypes:
                state.dtypes[name] = dtypes[name]
        fold(step.at(operator), [state.shapes.get(name) for name in operator.outputs])
        self._budget = state.budget
        return state.folded


@dataclass(frozen=True, slots=True)
class _Measured:
    """The constants that follow from the shapes of maps."""

    makers: Sequence[tuple[Operator, Sequence[str]]]
    """The operators that make them, in the graph's order, with the names of what they make."""
    places: Mapping[str, int]
    """By name of the constant the place of its maker."""
    readers: frozenset[str]
    """The names of the operators that are given one."""
    decides_branches: bool
    """One of them is the condition of an If that was replaced by one of its branches."""


def _measured(geometry: Geometry) -> _Measured:
    """Return the constants of a graph that follow from the shapes of its maps."""
    if ("measured",) not in geometry.kept:
        flows, operators = geometry.flows, geometry.resolution.operators
        makers: list[tuple[Operator, Sequence[str]]] = []
        places: dict[str, int] = {}
        conditions = _conditions(geometry)
        read = {name for operator in operators for name in operator.inputs if name} | conditions
        for operator in operators:
            # Beside a map that is followed an operator may make one that is not: a mask, indices.
            made = [name for name in operator.outputs if name in read and name not in flows]
            if made and (operator.bodies or _reads(operator.inputs, flows, places)):
                places.update(dict.fromkeys(made, len(makers)))
                makers.append((operator, made))
        readers = (
            op.name for op in operators if places and not places.keys().isdisjoint(op.inputs)
        )
        geometry.kept["measured",] = _Measured(
            makers, places, frozenset(readers), not conditions.isdisjoint(places)
        )
    kept: _Measured = geometry.kept["measured",]
    return kept


def _conditions(geometry: Geometry) -> set[str]:
    """Return what decided which branch of an If stands in its place."""
    model = geometry.resolution.model
    if not any(operator.bodies for operator in model.main.operators):
        return set()
    there = {operator.name for operator in geometry.resolution.operators}
    return {
        operator.inputs[0]
        for _, operator in model.walk()
        if operator.op_type == "If" and operator.inputs and operator.name not in there
    }


def _reads(names: Iterable[str], *known: Mapping[str, object]) -> bool:
    """Tell whether some of the names are known."""
    return any(name in some for name in names for some in known)
