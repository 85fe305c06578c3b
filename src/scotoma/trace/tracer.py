"""What an operator handler may ask of the trace so far, and the flows it builds from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING

from scotoma.trace.index_map import IndexMap, WindowMap
from scotoma.trace.layout import (
    Axis,
    Digit,
    Grid,
    Layout,
    axis_size,
    is_tracked,
    normalised,
    of_grid,
    tracked_sizes,
    untracked,
    whole_grid,
)
from scotoma.trace.reading import AxisRead, Faded, Flow, Mapped, Mixed, Reading, Same

if TYPE_CHECKING:
    import numpy as np

    from scotoma.loader.model import AttributeValue, Operator
    from scotoma.resolve.resolution import Resolution

MAX_CELLS = 1 << 24
"""A followed feature map of more cells than this is given up."""
TOO_LARGE = "the feature map is too large to follow"


LISTED = "resampled without a short period: exact for the cells of this size"


class CannotTellError(Exception):
    """The reading of an operator is not known; its text is the reason."""


class Tracer:
    """The state of a trace: flows of the tensors so far, and the resolved facts behind them."""

    def __init__(self, resolution: Resolution) -> None:
        self.resolution = resolution
        self.flows: dict[str, Flow] = {}
        self._step_shapes: dict[str, tuple[int, ...]] = {}

    def step(self, operator: Operator, name: str, flow: Flow, shape: Sequence[int]) -> str:
        """Record a step inside an operator as a tensor of its own and return its name."""
        tensor = f"{operator.outputs[0]}\0{name}"
        self.flows[tensor] = flow
        self._step_shapes[tensor] = tuple(shape)
        return tensor

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Return the shape of a tensor; CannotTellError if it is not known."""
        shape = self.resolution.shapes.get(tensor)
        if shape is None:
            shape = self._step_shapes.get(tensor)
        if shape is None:
            raise CannotTellError(f"the shape of '{tensor}' is not known")
        return shape

    def rank(self, tensor: str) -> int:
        """Return the number of axes of a tensor."""
        return len(self.shape(tensor))

    def depends(self, tensor: str) -> bool:
        """Tell whether a tensor depends on the examined input."""
        return tensor in self.flows

    def layout(self, tensor: str) -> Layout:
        """Return the layout of a tensor; constants get one in which nothing is followed."""
        flow = self.flows.get(tensor)
        if flow is not None:
            return flow.layout
        return untracked(self.shape(tensor))

    def strides(self, label: int | None, size: int) -> set[Fraction]:
        """Return the effective strides of the grids of an image axis that have `size` cells."""
        found: set[Fraction] = set()
        seen: set[int] = set()
        for flow in self.flows.values():
            for axis in flow.layout:
                grid = whole_grid(axis)
                if grid is None or id(grid) in seen:
                    continue
                seen.add(id(grid))
                if grid.label == label and grid.size == size and grid.field is not None:
                    found.add(grid.field.effective_stride)
        return found

    def constant(self, tensor: str, what: str) -> np.ndarray:
        """Return the value of a constant input; CannotTellError if it is not known."""
        value = self.resolution.values.get(tensor)
        if value is None:
            raise CannotTellError(f"its {what} '{tensor}' are not constant or not known")
        return value

    def flow(self, operator: Operator | None, layout: Layout, readings: Iterable[Reading]) -> Flow:
        """Build the flow of an output tensor from its readings."""
        readings = tuple(readings)
        if prod(tracked_sizes(layout)) > MAX_CELLS:
            raise CannotTellError(TOO_LARGE)
        sources = [(r, self.flows[r.tensor]) for r in readings]
        return Flow(
            layout,
            readings,
            operator,
            local=any(f.local and not r.whole for r, f in sources),
            whole=any(f.whole or r.whole for r, f in sources),
        )


def int_attribute(operator: Operator, name: str, default: int) -> int:
    """Return an integer attribute; CannotTellError if it has another type."""
    value: AttributeValue | None = operator.attributes.get(name, default)
    if not isinstance(value, int):
        raise CannotTellError(f"its attribute {name} is not an integer")
    return value


def ints_attribute(operator: Operator, name: str) -> tuple[int, ...] | None:
    """Return an integer-list attribute, None if it is missing."""
    value = operator.attributes.get(name)
    if value is None:
        return None
    if not isinstance(value, tuple) or not all(isinstance(v, int) for v in value):
        raise CannotTellError(f"its attribute {name} is not a list of integers")
    return tuple(int(v) for v in value)


def str_attribute(operator: Operator, name: str, default: str) -> str:
    """Return a string attribute."""
    value = operator.attributes.get(name, default)
    return value if isinstance(value, str) else default


def optional_input(operator: Operator, slot: int) -> str:
    """Return the name of an optional input, empty where it is left out."""
    return operator.inputs[slot] if slot < len(operator.inputs) else ""


def axis_grid(axis: Axis) -> Grid:
    """Return the grid that an axis is, derived where the axis is more or less than one.

    A complete grid followed by collapsed positions is the grid upsampled by repetition (a pixel
    shuffle made of reshapes); the high digit of a grid whose low digits are read together is the
    grid strided. Anything else is a grid of unknown origin.
    """
    if (grid := whole_grid(axis)) is not None:
        return grid
    size = axis_size(axis)
    head = axis[0] if axis else None
    if head is None or head.grid is None or any(d.grid is not None for d in axis[1:]):
        return Grid(None, size, None, "the axis mixes several axes of the image")
    grid = head.grid
    repeat = prod(d.size for d in axis[1:])
    field = grid.field
    if head.size * head.stride != grid.size:
        return Grid(None, size, None, "the axis is a place inside a window of the image")
    if field is not None and head.stride > 1:
        field = field.window(head.stride, head.stride, 1, 0)
    if field is not None and repeat > 1:
        field = field.compose(field.period * repeat, field.period, lambda o: (o // repeat,))
    return Grid(grid.label, size, field, grid.note)


def mapped_axis(axis: Axis, position: int, index_map: IndexMap) -> tuple[Axis, AxisRead]:
    """Return the output axis behind an index map, and how it reads the input axis."""
    if not is_tracked(axis):
        size = index_map.size_out
        return ((Digit(size),) if size != 1 else ()), Faded(index_map)
    if isinstance(index_map, WindowMap) and index_map.identity:
        return axis, Same(position)
    grid = axis_grid(axis)
    field = index_map.field(grid.field) if grid.field is not None else None
    note = grid.note
    if grid.field is not None and field is None:
        stride = grid.field.effective_stride * index_map.rate
        field = grid.field.of_cells(index_map.size_out, stride, index_map.reads)
        note = note or LISTED
    return of_grid(Grid(grid.label, index_map.size_out, field, note)), Mapped(position, index_map)


def map_axes(
    tracer: Tracer,
    operator: Operator,
    tensor: str,
    maps: dict[int, IndexMap],
    *,
    mixed: Sequence[int] = (),
    out_sizes: dict[int, int] | None = None,
) -> Flow:
    """Return the flow of an operator that maps some axes, mixes some and keeps the others.

    Parameters
    ----------
    maps
        Index map by axis.
    mixed
        Axes that are read in full by every output, such as the channels of a convolution.
    out_sizes
        Sizes of the mixed axes in the output, unfollowed there.
    """
    layout = tracer.layout(tensor)
    out: list[Axis] = []
    reads: list[AxisRead] = []
    for position, axis in enumerate(layout):
        if position in maps:
            new, read = mapped_axis(axis, position, maps[position])
        elif position in mixed:
            size = (out_sizes or {}).get(position, 1)
            new, read = ((Digit(size),) if size != 1 else ()), Mixed()
        else:
            new, read = axis, Same(position)
        out.append(new)
        reads.append(read)
    whole = any(is_whole_mix(layout[p]) for p in mixed)
    reading = Reading(tensor, layout, tuple(reads), share=1, whole=whole)
    return tracer.flow(operator, settle(tuple(out), layout, mixed), [reading])


def is_whole_mix(axis: Axis) -> bool:
    """Tell whether reading all of an axis sees the whole image along some axis of it.

    The low digits of a grid are a window of it: reading them together is local.
    """
    return any(d.grid is not None and d.size > 1 and d.size * d.stride == d.grid.size for d in axis)


def settle(out: Layout, layout: Layout, mixed: Sequence[int]) -> Layout:
    """Replace, in an output layout, grids whose low digits were mixed away by strided grids."""
    lost = {id(d.grid) for p in mixed for d in layout[p] if d.grid is not None}
    if not lost:
        return out
    settled: list[Axis] = []
    for axis in out:
        if any(d.grid is not None and id(d.grid) in lost for d in axis):
            settled.append(
                normalised(
                    of_grid(axis_grid((d,)))[0] if d.grid is not None and id(d.grid) in lost else d
                    for d in axis
                )
            )
        else:
            settled.append(axis)
    return tuple(settled)


def everything(tracer: Tracer, operator: Operator, captured: Sequence[str] = ()) -> dict[str, Flow]:
    """Return flows in which every output reads all of every input that depends on the image."""
    names = dict.fromkeys(n for n in (*operator.inputs, *captured) if n and tracer.depends(n))
    readings = []
    for name in names:
        layout = tracer.flows[name].layout
        mixed = tuple(Mixed() for _ in layout)
        readings.append(Reading(name, layout, mixed, share=1, whole=True))
    flows = {}
    for name in operator.outputs:
        if name:
            layout = untracked(tracer.resolution.shapes.get(name) or ())
            flows[name] = tracer.flow(operator, layout, readings)
    return flows
