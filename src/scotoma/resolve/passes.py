"""One pass over the operators of a model: shapes, constants and windows in file order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from scotoma.loader.tensors import StoredTensor
from scotoma.resolve import (
    shapes_contrib,
    shapes_matrix,
    shapes_move,
    shapes_plain,
    shapes_resize,
    shapes_window,
)
from scotoma.resolve.branches import aliases, reads, spliceable
from scotoma.resolve.dtypes import set_dtypes
from scotoma.resolve.fold import fold
from scotoma.resolve.resolution import InputShape, Unresolved
from scotoma.resolve.schema import infer
from scotoma.resolve.step import (
    FollowsError,
    RefusedError,
    Shape,
    Shapes,
    State,
    Step,
    UnknownError,
)

if TYPE_CHECKING:
    from scotoma.loader.model import Graph, Model, Operator, Value

Handler = Callable[[Step], Shapes]
_FAMILIES = (
    shapes_window, shapes_plain, shapes_move, shapes_resize, shapes_matrix, shapes_contrib,
)  # fmt: skip
HANDLERS: dict[tuple[str, str], Handler] = {
    (domain, op_type): handler
    for family in _FAMILIES
    for domain, handlers in family.HANDLERS.items()
    for op_type, handler in handlers.items()
}
WINDOWED = {
    (domain, op_type) for domain, handlers in shapes_window.HANDLERS.items() for op_type in handlers
}
RANDOM = frozenset(
    {
        "RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli",
        "Multinomial",
    }
)  # fmt: skip
DEEPEST = 32
"""Branches of an If are looked into so many levels down."""
MALFORMED = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
"""What the shape functions raise for inputs and attributes that make no sense."""


class Pass:
    """The state of a model while its operators are resolved one after the other."""

    def __init__(
        self, model: Model, inputs: tuple[InputShape, ...], *, stop_at_refusal: bool = False
    ) -> None:
        self.model = model
        self.inputs = inputs
        self.stop_at_refusal = stop_at_refusal
        self.state = State()
        self.step = Step(self.state)
        self.ordered: list[Operator] = []
        self.unresolved: list[Unresolved] = []
        self.refused = False
        self.names: set[str] = set()
        """All operator names, collected when the first If is spliced."""
        self.declared: dict[str, Shape] = {}
        """Declared shapes of intermediate tensors, a last resort."""
        self.trusts = all(
            value.shape is not None and value.shape == chosen.shape
            for value, chosen in zip(model.main.inputs, inputs, strict=True)
        )
        """The declared shapes may be used: the examined input shapes are the declared ones."""

    def run(self) -> Pass:
        """Resolve all operators of the main graph."""
        graph, state = self.model.main, self.state
        for name, tensor in graph.initializers.items():
            state.store(name, tensor)
        for value, chosen in zip(graph.inputs, self.inputs, strict=True):
            if chosen.shape is not None:
                state.shapes[value.name] = chosen.shape
            if value.dtype is not None:
                state.dtypes[value.name] = value.dtype
        if self.trusts:
            self.trust(graph)
        stack: list[Iterator[Operator]] = [iter(graph.operators)]
        while stack:
            operator = next(stack[-1], None)
            if operator is None:
                stack.pop()
                continue
            if operator.op_type == "If" and operator.bodies:
                branch = self.taken(operator)
                if branch is not None:
                    stack.append(iter(branch))
                    continue
            self.ordered.append(operator)
            self.evaluate(operator, self.unresolved)
            if self.refused and self.stop_at_refusal:
                break
        return self

    def trust(self, graph: Graph) -> None:
        """Take the declared shapes of a graph's tensors as a last resort."""
        values: tuple[Value, ...] = (*graph.values.values(), *graph.outputs)
        for value in values:
            shape = value.shape
            if shape is not None and all(isinstance(d, int) and d >= 0 for d in shape):
                self.declared[value.name] = shape  # type: ignore[assignment]  # all are integers

    def evaluate(self, operator: Operator, log: list[Unresolved], depth: int = 0) -> None:
        """Resolve one operator into the state; what fails goes into the log, once per cause."""
        step, state = self.step.at(operator), self.state
        state.overwrite(operator.outputs)
        shapes: Shapes = []
        failure: Unresolved | None = None
        follows = False
        try:
            set_dtypes(step)
            shapes = self.shapes_of(step, depth)
        except FollowsError:
            follows = True
        except RefusedError as error:
            failure = Unresolved(operator, str(error), refused=True)
        except UnknownError as error:
            failure = Unresolved(operator, str(error), refused=False)
        except MALFORMED as error:
            failure = Unresolved(
                operator, f"its inputs or attributes make no sense: {error}", refused=False
            )
        step.at(operator)
        outputs = operator.outputs
        missing = self._record(outputs, shapes, declared=not (failure and failure.refused))
        if missing and failure is None and not follows:
            failure = Unresolved(operator, "its output has no definite shape", refused=False)
        if failure is not None and (
            failure.refused or missing or (operator.domain, operator.op_type) in WINDOWED
        ):
            log.append(failure)
            self.refused |= failure.refused and depth == 0
        if self.constant(step):
            state.constants.update(outputs)
            state.constants.discard("")
            if not operator.bodies:
                fold(step, [state.shapes.get(name) for name in outputs])

    def _record(self, outputs: Sequence[str], shapes: Shapes, *, declared: bool) -> bool:
        """Put shapes into the state, or those that the file declares; tell whether one lacks."""
        missing = False
        for index, name in enumerate(outputs):
            if not name:
                continue
            shape = shapes[index] if index < len(shapes) else None
            if shape is not None and min(shape, default=0) < 0:
                shape = None
            if shape is None and declared:
                shape = self.declared.get(name)
                missing |= shape is None
            self.state.shapes[name] = shape
        return missing

    def shapes_of(self, step: Step, depth: int) -> Shapes:
        """Return the output shapes by the first means that knows the operator."""
        operator = step.op
        if operator.bodies:
            return self.control(operator, depth)
        if operator.op_type == "Constant" and not operator.domain:
            return constant(step)
        handler = HANDLERS.get((operator.domain, operator.op_type))
        return infer(step) if handler is None else handler(step)

    def constant(self, step: Step) -> bool:
        """Tell whether the outputs depend on no graph input's values and on no random number."""
        operator, constants = step.op, self.state.constants
        op_type = operator.op_type
        if op_type in RANDOM or (operator.domain and "Random" in op_type):
            return False
        if op_type in {"Shape", "Size"} and not operator.domain:
            name = operator.inputs[0] if operator.inputs else ""
            return name in constants or self.state.shapes.get(name) is not None
        for name in operator.inputs:
            if name and name not in constants:
                return False
        if operator.bodies:
            return reads(operator, RANDOM) <= constants
        return not (op_type == "Dropout" and drops(step))

    def taken(self, operator: Operator) -> tuple[Operator, ...] | None:
        """Return the operators of the branch that a constant condition selects."""
        condition = self.state.value(operator.inputs[0]) if operator.inputs else None
        if condition is None or condition.size != 1:
            return None
        body = operator.bodies.get("then_branch" if condition.item() else "else_branch")
        if body is None or not spliceable(body, operator, self.state.shapes):
            return None
        for name, tensor in body.initializers.items():
            self.state.store(name, tensor)
        if self.trusts:
            self.trust(body)
        if not self.names:
            self.names.update(inner.name for _, inner in self.model.walk())
        return (*body.operators, *aliases(body, operator, self.names))

    def control(self, operator: Operator, depth: int) -> Shapes:
        """Return what the branches of an If agree on; Loop and Scan are not followed."""
        if operator.op_type != "If":
            raise UnknownError(f"the number of rounds of a {operator.op_type} is not followed")
        found = []
        if depth < DEEPEST:
            for body in operator.bodies.values():
                if not spliceable(body, operator, self.state.shapes):
                    break
                for name, tensor in body.initializers.items():
                    self.state.store(name, tensor)
                for inner in body.operators:
                    self.evaluate(inner, [], depth + 1)
                found.append([self.state.shapes.get(value.name) for value in body.outputs])
                for value, name in zip(body.outputs, operator.outputs, strict=False):
                    if value.name in self.state.dtypes:
                        self.state.dtypes[name] = self.state.dtypes[value.name]
        if len(found) == 2 and found[0] == found[1] and None not in found[0]:
            return found[0]
        raise UnknownError("the condition depends on the input")


def constant(step: Step) -> Shapes:
    """Store what a Constant operator holds, in any of its forms."""
    operator, state = step.op, step.state
    if not operator.outputs[0]:
        raise UnknownError("its output has no name")
    for form in ("value", "sparse_value"):
        tensor = operator.attributes.get(form)
        if isinstance(tensor, StoredTensor):
            state.store(operator.outputs[0], tensor)
            return [state.shapes[operator.outputs[0]]]
    for form, dtype in (
        ("value_int", "int64"), ("value_ints", "int64"),
        ("value_float", "float32"), ("value_floats", "float32"),
    ):  # fmt: skip
        if form in operator.attributes:
            value = np.array(operator.attributes[form], dtype=dtype)
            value.flags.writeable = False
            state.folded[operator.outputs[0]] = value
            state.dtypes[operator.outputs[0]] = value.dtype
            return [value.shape]
    texts = operator.attributes.get("value_strings")
    if texts is not None or "value_string" in operator.attributes:
        return [() if texts is None else (len(texts),)]  # type: ignore[arg-type]
    raise UnknownError("it holds no value")


def drops(step: Step) -> bool:
    """Tell whether a Dropout may randomise: only its training mode does."""
    if step.version < 7:
        return step.integer("is_test", 0) == 0
    if not step.has(2):
        return False
    training = step.state.value(step.inputs[2])
    return training is None or bool(training.any())
