"""The forward pass: from resolved shapes and windows to the flows of every tensor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from scotoma.errors import UsageError
from scotoma.trace.field import Field
from scotoma.trace.geometry import Geometry, Unanalysed
from scotoma.trace.layout import Axis, Grid, axis_size, collapsed, of_grid
from scotoma.trace.operators import COULD_NOT_TELL, HANDLERS, WHOLE_MAP, key
from scotoma.trace.reading import Flow
from scotoma.trace.tracer import MAX_CELLS, TOO_LARGE, CannotTellError, Tracer, everything

if TYPE_CHECKING:
    from scotoma.loader.model import Graph, Operator
    from scotoma.resolve.resolution import InputShape, Resolution

MALFORMED = (IndexError, KeyError, ValueError, TypeError, OverflowError, ZeroDivisionError)
"""What a handler meets in an operator that breaks the specification."""


def trace(resolution: Resolution) -> Geometry:
    """Follow the examined input through the graph.

    Operators that are not understood are taken to read everything and are listed.

    Raises
    ------
    UsageError
        If the model has no spatial input.
    """
    examined = resolution.examined
    if examined is None or examined.shape is None or not examined.spatial_axes:
        raise UsageError("the model has no spatial input")
    tracer = Tracer(resolution)
    tracer.flows[examined.name] = _input_flow(examined)
    unanalysed = [Unanalysed(u.operator, u.reason) for u in resolution.unresolved]
    known = {u.operator.name for u in resolution.unresolved}
    for operator in resolution.operators:
        captured = tuple(_captured(operator)) if operator.bodies else ()
        if not any(name in tracer.flows for name in (*operator.inputs, *captured)):
            continue
        if all(name in resolution.constants for name in operator.outputs if name):
            continue
        flows, reason = _flows_of(tracer, operator, captured)
        tracer.flows.update(flows)
        if reason and operator.name not in known:
            unanalysed.append(Unanalysed(operator, reason))
    return Geometry(resolution, examined, tracer.flows, tuple(unanalysed))


def _input_flow(examined: InputShape) -> Flow:
    """Return the flow of the examined input: every pixel reads itself."""
    axes: list[Axis] = [collapsed(n) for n in examined.shape or ()]
    for label, axis in enumerate(examined.spatial_axes):
        axes[axis] = of_grid(Grid(label, (examined.shape or ())[axis], Field.of_pixels()))
    return Flow(tuple(axes), (), None, local=True, whole=False)


def _flows_of(
    tracer: Tracer, operator: Operator, captured: tuple[str, ...]
) -> tuple[dict[str, Flow], str]:
    """Return the flows of an operator's outputs, and why they are not exact if they are not."""
    reason = _why_not(tracer, operator, captured)
    name = key(operator)
    if not reason and name not in WHOLE_MAP:
        try:
            flows = HANDLERS[name](tracer, operator)
            if all(_fits(tracer, output, flow) for output, flow in flows.items()):
                return flows, ""
            reason = "its attributes do not fit the shape of its output"
        except CannotTellError as error:
            reason = str(error)
        except MALFORMED:
            reason = "its attributes or inputs do not fit together"
    elif reason == "follower":
        reason = ""
    return everything(tracer, operator, captured), reason


def _fits(tracer: Tracer, output: str, flow: Flow) -> bool:
    """Tell whether a flow has the sizes of the tensor that it is of, where these are known."""
    shape = tracer.resolution.shapes.get(output)
    return shape is None or tuple(map(axis_size, flow.layout)) == shape


def _why_not(tracer: Tracer, operator: Operator, captured: tuple[str, ...]) -> str:
    """Return why an operator cannot be followed; ``follower`` where the cause lies upstream."""
    name = key(operator)
    if captured or operator.bodies:
        return "what its body reads is not followed"
    if name in COULD_NOT_TELL:
        return COULD_NOT_TELL[name]
    if name not in HANDLERS and name not in WHOLE_MAP:
        return f"the operator {name} is not known"
    shapes = tracer.resolution.shapes
    for tensor in (*operator.inputs, *operator.outputs):
        if tensor and (tracer.depends(tensor) or tensor in operator.outputs):
            shape = shapes.get(tensor)
            if shape is None:
                return "follower"
            if max(shape, default=0) > MAX_CELLS:
                return TOO_LARGE
            if 0 in shape:
                return "an input or output is empty" if tensor in operator.outputs else "follower"
    return ""


def _captured(operator: Operator) -> Iterator[str]:
    """Yield the tensors that the bodies of an operator may read from outside."""
    stack: list[Graph] = list(operator.bodies.values())
    while stack:
        graph = stack.pop()
        for inner in graph.operators:
            yield from (name for name in inner.inputs if name)
            stack.extend(inner.bodies.values())
        yield from (value.name for value in graph.outputs)
