"""The same flows at other sizes of the maps, without resolving and tracing the graph once more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, cast

from scotoma.resolve.passes import HANDLERS, MALFORMED
from scotoma.resolve.step import RefusedError, State, Step, UnknownError
from scotoma.trace.index_map import Taps, WindowMap
from scotoma.trace.layout import Digit, Grid, is_tracked
from scotoma.trace.reading import Flow, Mapped, Mixed, Reading, Same

if TYPE_CHECKING:
    from collections.abc import Container

    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window
    from scotoma.trace import Geometry
    from scotoma.trace.layout import Layout

    Sizes = tuple[int, ...]

WINDOWED = frozenset({"AveragePool", "Conv", "LpPool", "MaxPool"})
SLIDING = WINDOWED | {"Pad"}
ALONE = frozenset({"Elu", "HardSwish", "LeakyRelu", "Relu", "Selu", "Sigmoid", "Tanh"})
"""Operators of a single input that work place by place."""
PARAMETERS = frozenset({"BatchNormalization", "Conv", "Dropout", "Pad"})
"""Operators whose inputs but the first are not joined with it place by place."""
PLAIN = PARAMETERS | frozenset(
    {
        "Abs", "Add", "AveragePool", "Cast", "Clip", "Concat", "Div", "Elu", "Erf", "Exp",
        "HardSigmoid", "HardSwish", "Identity", "LRN", "LeakyRelu", "LpPool", "Max", "MaxPool",
        "Min", "Mul", "Neg", "PRelu", "Relu", "Selu", "Sigmoid", "Softplus", "Sqrt", "Sub", "Sum",
        "Tanh",
    }
)  # fmt: skip
"""Operators that do at every size the same along the axes of the image, if they run at all."""


class _OtherError(Exception):
    """What an operator does at the other size does not follow from what it does now."""


def resized(
    geometry: Geometry,
    *,
    changed: Mapping[str, Operator],
    among: Container[str] | None = None,
) -> Geometry:
    """Return the flows of a graph some of whose operators have other numbers.

    Parameters
    ----------
    changed
        Operators to put in, by the name of the one that each replaces.
    among
        Tensors whose flows are wanted; None: all.

    Returns
    -------
    Geometry
        For sweeps alone: receptive fields are not known where sizes are others, and the resolution
        is that of the graph as it is. Flows that do not follow are missing, with all behind them.
    """
    return _Resizer(geometry, changed).run(among)


def _keeps_place(window: Window) -> bool:
    """Tell whether a window reads, at any size, just the cell at its own place."""
    alone = window.kernel == window.stride == 1 and not window.transposed
    return alone and window.pad_begin == window.pad_end == 0


class _Resizer:
    """Builds the flows one after the other."""

    def __init__(self, geometry: Geometry, changed: Mapping[str, Operator]) -> None:
        self.geometry, self.changed = geometry, changed
        self.flows: dict[str, Flow] = {}
        self.moved: set[str] = set()
        """Tensors of other sizes than in the graph as it is."""
        self.state = State()
        self.state.shapes = dict(geometry.resolution.shapes)
        self.step = Step(self.state)
        self.layouts: dict[tuple[int, Sizes], Layout] = {}

    def run(self, among: Container[str] | None) -> Geometry:
        """Build the flows of the wanted tensors."""
        begin = self.geometry.input.name
        for name, flow in self.geometry.flows.items():
            if among is not None and name not in among:
                continue
            if name == begin:
                self.flows[name] = flow
                continue
            if any(reading.tensor not in self.flows for reading in flow.readings):
                continue
            operator = flow.operator
            other = self.changed.get(operator.name) if operator is not None else None
            if other is None and all(r.tensor not in self.moved for r in flow.readings):
                self.flows[name] = flow
                continue
            try:
                self.flows[name] = self.flow(name, flow, other or operator)
            except (_OtherError, RefusedError, UnknownError, *MALFORMED):
                continue
        return replace(self.geometry, flows=self.flows)

    def placed(self, name: str, layout: Layout, sizes: Sequence[int]) -> Layout:
        """Take note of the sizes of a tensor along the axes of the image; return its layout."""
        new = tuple(sizes)
        axes = cast("Sizes", self.geometry.axes_of(layout))
        if tuple(layout[axis][0].size for axis in axes) == new:
            return layout
        if min(new) < 1:
            raise _OtherError
        shape = list(self.state.shapes[name] or ())
        for axis, cells in zip(axes, new, strict=True):
            shape[axis] = cells
        self.state.shapes[name] = tuple(shape)
        self.moved.add(name)
        key = id(layout), new
        if key not in self.layouts:
            found = list(layout)
            for label, (axis, cells) in enumerate(zip(axes, new, strict=True)):
                found[axis] = (Digit(cells, Grid(label, cells, None)),)
            self.layouts[key] = tuple(found)
        return self.layouts[key]

    def flow(self, name: str, flow: Flow, operator: Operator | None) -> Flow:
        """Return the flow of a tensor behind others of which some are changed."""
        axes = self.geometry.axes_of(flow.layout)
        if operator is None or operator.domain or operator.op_type not in PLAIN or None in axes:
            raise _OtherError
        places = cast("Sizes", axes)
        first = flow.readings[0]
        if operator.op_type in ALONE and first.layout is flow.layout and not first.whole:
            # Place by place, and nothing else: the flow is that of the input.
            layout = self.flows[first.tensor].layout
            self.placed(name, flow.layout, [layout[axis][0].size for axis in places])
            reading = Reading(first.tensor, layout, first.axes, first.share)
            return Flow(layout, (reading,), operator, flow.local, flow.whole)
        if any(is_tracked(axis) for i, axis in enumerate(flow.layout) if i not in places):
            raise _OtherError
        self.check_constants(operator, places, len(flow.layout))
        maps = self.maps(operator, flow, places)
        readings = tuple(self.reading(operator, r, places, maps) for r in flow.readings)
        sizes = {
            tuple(maps[p].size_out if p in maps else r.layout[p][0].size for p in places)
            for r in readings
        }
        if len(sizes) != 1:
            raise _OtherError
        layout = self.placed(name, flow.layout, sizes.pop())
        return Flow(layout, readings, operator, flow.local, flow.whole)

    def reading(
        self, operator: Operator, reading: Reading, places: Sizes, maps: Mapping[int, WindowMap]
    ) -> Reading:
        """Return a reading at the other sizes."""
        # That a tensor has other sizes does not move its axes.
        if self.geometry.axes_of(reading.layout) != places:
            raise _OtherError
        if reading.axes is None or reading.whole or reading.local_only:
            raise _OtherError
        reads = list(reading.axes)
        if not all(isinstance(r, Same | Mixed) for i, r in enumerate(reads) if i not in places):
            raise _OtherError
        for place in places:
            known = reads[place]
            if not isinstance(known, Same | Mapped) or known.out != place:
                raise _OtherError
            if place in maps:
                index_map = maps[place]
                reads[place] = Same(place) if index_map.identity else Mapped(place, index_map)
            elif isinstance(known, Mapped) and operator.op_type != "Identity":
                raise _OtherError
            else:
                reads[place] = Same(place)
        layout = self.flows[reading.tensor].layout
        return Reading(reading.tensor, layout, tuple(reads), reading.share)

    def maps(self, operator: Operator, flow: Flow, places: Sizes) -> dict[int, WindowMap]:
        """Return the maps of an operator that slides or pads, by axis."""
        if operator.op_type not in SLIDING:
            return {}
        windows = self.geometry.resolution.windows.get(operator.name, ())
        if windows and operator.name not in self.changed and all(map(_keeps_place, windows)):
            return {}
        if len(flow.readings) != 1:
            raise _OtherError
        if operator.op_type == "Pad":
            return self.padded(operator, flow.readings[0], places)
        if sorted(places) != list(range(2, 2 + len(places))) or len(flow.layout) != 2 + len(places):
            raise _OtherError
        if operator.attributes.get("channels_last") == 1:
            raise _OtherError
        HANDLERS["", operator.op_type](self.step.at(operator))
        taps = Taps.ALL if operator.op_type == "Conv" else Taps.REAL
        if taps is Taps.REAL and operator.attributes.get("count_include_pad") == 1:
            taps = Taps.PADDED
        windows = self.state.windows[operator.name]
        return {2 + i: WindowMap.of(window, taps) for i, window in enumerate(windows)}

    def padded(self, operator: Operator, reading: Reading, places: Sizes) -> dict[int, WindowMap]:
        """Return the maps of a Pad whose numbers are the same at every size."""
        known = self.geometry.resolution.constants
        if any(name in self.measured or name not in known for name in operator.inputs[1:] if name):
            raise _OtherError
        layout = self.flows[reading.tensor].layout
        found = {}
        for place in places:
            read = (reading.axes or ())[place]
            if isinstance(read, Same):
                continue
            old = read.map if isinstance(read, Mapped) else None
            if not isinstance(old, WindowMap) or old.kernel != 1 or old.stride != 1:
                raise _OtherError
            cells = layout[place][0].size
            found[place] = replace(old, size_in=cells, size_out=cells + old.size_out - old.size_in)
        return found

    @cached_property
    def measured(self) -> frozenset[str]:
        """The constants that follow from the shape of a tensor that is none."""
        found: set[str] = set()
        known = self.geometry.resolution.constants
        for operator in self.geometry.resolution.operators:
            if operator.outputs and operator.outputs[0] in self.geometry.flows:
                continue
            asks = not known.issuperset(filter(None, operator.inputs)) or operator.bodies
            if asks or not found.isdisjoint(operator.inputs):
                found.update(operator.outputs)
        found.discard("")
        return frozenset(found)

    def check_constants(self, operator: Operator, places: Sizes, rank: int) -> None:
        """See that no constant with places of its own is joined with the image."""
        if operator.op_type in PARAMETERS:
            return
        for name in operator.inputs:
            if not name or name in self.flows:
                continue
            shape = self.geometry.resolution.shapes.get(name)
            if shape is None or len(shape) > rank or (shape and (operator.version or 0) < 7):
                raise _OtherError
            for axis, cells in enumerate(shape, rank - len(shape)):
                if axis in places and cells != 1:
                    raise _OtherError
