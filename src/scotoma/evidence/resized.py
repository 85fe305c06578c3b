"""The same graph at other sizes of its maps, without resolving and tracing it once more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

from scotoma.evidence.window_maps import SLIDING, OtherError, taps_of, window_maps
from scotoma.resolve.passes import HANDLERS, MALFORMED
from scotoma.resolve.step import FollowsError, RefusedError, State, Step, UnknownError
from scotoma.sweep import Other
from scotoma.sweep.pull import step
from scotoma.sweep.sweep import arrows
from scotoma.trace.index_map import Taps, WindowMap
from scotoma.trace.layout import Digit, Grid, is_tracked, tracked_sizes
from scotoma.trace.reading import Mapped, Mixed
from scotoma.trace.tracer import MAX_CELLS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window
    from scotoma.sweep.pull import Steps
    from scotoma.sweep.sweep import Arrows
    from scotoma.trace import Geometry
    from scotoma.trace.layout import Layout
    from scotoma.trace.reading import Flow, Reading

    Sizes = tuple[int, ...]

PARAMETERS = frozenset({"BatchNormalization", "Conv", "Dropout", "Pad"})
"""Operators whose inputs but the first are not joined with it place by place."""
PLAIN = (
    SLIDING
    | PARAMETERS
    | frozenset(
        {
            "Abs", "Add", "Cast", "Clip", "Concat", "Div", "Elu", "Erf", "Exp", "HardSigmoid",
            "HardSwish", "Identity", "LRN", "LeakyRelu", "Max", "Min", "Mul", "Neg", "PRelu",
            "Relu", "Selu", "Sigmoid", "Softplus", "Sqrt", "Sub", "Sum", "Tanh",
        }
    )
)  # fmt: skip
"""Operators that do at every size the same along the axes of the image, if they run at all."""
SUMMARIES = frozenset(
    {
        "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "ReduceL1", "ReduceL2", "ReduceMax",
        "ReduceMean", "ReduceMin", "ReduceSum",
    }
)  # fmt: skip
"""Operators whose output has the same size whatever that of the axes which they sum up."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the sizes of a tensor follow from, the same at every size."""

    reads: tuple[str, ...]
    """All tensors that are read."""
    same: bool = False
    """It has the sizes of those tensors, which must agree, and their arrows stay as they are."""
    windows: tuple[Window, ...] = ()
    """It has the sizes behind these windows, whose padding is declared."""
    taps: Taps = Taps.ALL


class Resized:
    """The maps of a graph whose image has another size, or some of whose operators are others.

    Parameters
    ----------
    geometry
        The graph as it is.
    size
        The other size of the image; None: as it is.
    changed
        Operators to put in, by the name of the one that each replaces.
    """

    def __init__(
        self,
        geometry: Geometry,
        *,
        size: Sequence[int] | None = None,
        changed: Mapping[str, Operator] | None = None,
    ) -> None:
        self.geometry, self.changed = geometry, changed or {}
        self.lost: set[str] = set()
        """Tensors of which it does not follow how they read the image."""
        self.refused = False
        """Whether some operator certainly cannot run at this size; the rest is not looked at."""
        self._sizes: dict[str, Sizes] = {}
        self._arrows: dict[str, Arrows] = {}
        self._shapes: dict[str, Sizes | None] = {}
        self._known = arrows(geometry, local=True)
        self._resolved = geometry.resolution
        self._measured = _measured(geometry)
        self._resizes = size is not None
        if size is not None:
            axes = geometry.input.spatial_axes
            self._sizes[geometry.input.name] = tuple(
                cells for _, cells in sorted(zip(axes, size, strict=True))
            )
        self._run()

    @property
    def other(self) -> Other:
        """What is other for a sweep over local paths."""
        return Other(self._arrows, self._sizes)

    def moves(self, tensors: Iterable[str]) -> bool:
        """Tell whether some of the tensors have other sizes than in the graph as it is."""
        return not self._sizes.keys().isdisjoint(tensors)

    def along(self, tensor: str, label: int) -> int | None:
        """Return the size of a tensor along an axis of the image, None where it has none there."""
        axes = self.geometry.spatial_axes(tensor)
        return None if axes is None else self._sizes_of(tensor)[sorted(axes).index(axes[label])]

    @property
    def told(self) -> bool:
        """Whether the image alone decides all sizes, and all operators are known as it is."""
        resolution = self._resolved
        known = not resolution.unresolved and not self.geometry.unanalysed
        return known and len(resolution.inputs) == 1

    @property
    def complete(self) -> bool:
        """Whether all of the graph is known to run at this size, and how."""
        return self.told and not (self.refused or self.lost or self.measures)

    @property
    def measures(self) -> bool:
        """Whether some constant follows from the shape of a map that has another size now."""
        asked = frozenset().union(*self._measured.values())
        return self.moves(asked) or not self.lost.isdisjoint(asked)

    def _run(self) -> None:
        """Follow the sizes from the image on."""
        sizes, lost, measured = self._sizes, self.lost, self._measured
        plans, changed = self.geometry.kept.setdefault(("plans",), {}), self.changed
        for name, flow in self.geometry.flows.items():
            operator = flow.operator
            if operator is None:
                continue
            as_is = operator.name not in changed and not (measured and self._asks(operator))
            if as_is:
                for reading in flow.readings:
                    if reading.tensor in sizes or reading.tensor in lost:
                        break
                else:
                    continue
            plan = plans.get(name)
            if plan is None:
                plan = plans[name] = self._plan(name, flow, operator)
            if as_is and plan.same and len(plan.reads) == 1 and plan.reads[0] in sizes:
                sizes[name] = sizes[plan.reads[0]]
                continue
            try:
                self._follow(name, flow, changed.get(operator.name, operator), plan)
            except (OtherError, FollowsError, RefusedError, UnknownError, *MALFORMED):
                lost.add(name)
                self._see_refusal(name, operator)
                if self.refused:
                    return

    def _plan(self, name: str, flow: Flow, operator: Operator) -> _Plan:
        """Return how the sizes of a tensor follow, as far as that is the same at every size."""
        known, reads = self._known[name][0], tuple(reading.tensor for reading in flow.readings)
        if operator.op_type not in PLAIN or operator.domain or len(known) != len(reads):
            return _Plan(reads)
        alone = operator.op_type in PARAMETERS or len(operator.inputs) == 1
        if alone and known[0][1] == () and flow.layout is known[0][0].layout:
            return _Plan(reads, same=True)
        places = _places(self.geometry, flow.layout)
        if places is None:
            return _Plan(reads)
        if all(steps == () for _, steps in known):
            try:
                self._check_constants(operator, places, len(flow.layout))
            except OtherError:
                return _Plan(reads)
            return _Plan(reads, same=True)
        windows = self._resolved.windows.get(operator.name, ())
        fixed = not any(w.auto_pad.startswith("SAME") or w.transposed for w in windows)
        if len(reads) == 1 and operator.op_type in SLIDING and windows and fixed:
            try:
                taps = taps_of(operator, places, len(flow.layout))
            except OtherError:
                return _Plan(reads)
            return _Plan(reads, windows=windows, taps=taps)
        return _Plan(reads)

    def _asks(self, operator: Operator) -> bool:
        """Tell whether an operator is given a number that the sizes of other maps may change."""
        return any(
            tensor in self._sizes or tensor in self.lost
            for name in operator.inputs
            for tensor in self._measured.get(name, ())
        )

    def _follow(self, name: str, flow: Flow, operator: Operator, plan: _Plan) -> None:
        """Take note of the sizes and arrows of one tensor."""
        if operator.domain or not self.lost.isdisjoint(plan.reads):
            raise OtherError
        if self._measured and self._asks(operator):
            raise OtherError
        known, total = self._known[name]
        if operator.op_type in SUMMARIES:
            self._summary(name, flow)
            return
        before = {self._sizes_of(reading.tensor) for reading, _ in known}
        if len(before) != 1:
            raise OtherError
        after = before.pop()
        if operator.name in self.changed or not plan.same:
            maps = self._maps(operator, flow, plan, after, known)
            if maps is not None:
                steps = tuple(step(i, found) for i, found in enumerate(maps) if not found.identity)
                self._arrows[name] = [(known[0][0], steps)], total
                after = tuple(found.size_out for found in maps)
        self._place(name, flow, after)

    def _place(self, name: str, flow: Flow, after: Sizes) -> None:
        """Take note of the sizes of a tensor where they are others."""
        here = tracked_sizes(flow.layout)
        if after == here:
            return
        # A map of one cell is no map any more: gates and broadcasts work in another way.
        ones = any((new == 1) != (old == 1) for new, old in zip(after, here, strict=True))
        if ones or min(after) < 1 or prod(after) > MAX_CELLS:
            raise OtherError
        self._sizes[name] = after

    def _sizes_of(self, tensor: str) -> Sizes:
        """Return the sizes of a tensor's followed axes."""
        found = self._sizes.get(tensor)
        return found or tracked_sizes(self.geometry.flows[tensor].layout)

    def _summary(self, name: str, flow: Flow) -> None:
        """Take note of the arrow of an operator that sums up all places."""
        (reading,) = flow.readings
        reads, places = reading.axes, _places(self.geometry, reading.layout)
        if reads is None or places is None or any(map(is_tracked, flow.layout)):
            raise OtherError
        if not all(isinstance(reads[place], Mixed) for place in places):
            raise OtherError
        layout = list(reading.layout)
        for place, cells in zip(places, self._sizes_of(reading.tensor), strict=True):
            layout[place] = (Digit(cells, Grid(None, cells, None)),)
        known, total = self._known[name]
        if [used for used, _ in known] != [reading]:
            raise OtherError
        self._arrows[name] = [(replace(reading, layout=tuple(layout)), None)], total

    def _maps(
        self,
        operator: Operator,
        flow: Flow,
        plan: _Plan,
        before: Sizes,
        known: list[tuple[Reading, Steps | None]],
    ) -> list[WindowMap] | None:
        """Return the maps of an operator that slides or pads, by axis of the image.

        None for one that works place by place.
        """
        if operator.name not in self.changed and plan.windows:
            return window_maps(plan.windows, before, plan.taps)
        places = _places(self.geometry, flow.layout)
        if places is None or operator.op_type not in PLAIN:
            raise OtherError
        self._check_constants(operator, places, len(flow.layout))
        if len(known) < len(flow.readings):
            self._check_gates({id(used) for used, _ in known}, flow, places)
        if operator.name not in self.changed and all(steps == () for _, steps in known):
            return None
        if len(known) != 1:
            raise OtherError
        if operator.op_type == "Identity" and operator.name in self.changed:
            return [WindowMap(1, 1, 1, 0, cells, cells) for cells in before]
        if operator.op_type == "Pad":
            return self._padded(flow.readings[0], places, before)
        taps = taps_of(operator, places, len(flow.layout))
        resolver = self._step(operator)
        HANDLERS["", operator.op_type](resolver)
        return window_maps(resolver.state.windows[operator.name], before, taps)

    def _padded(self, reading: Reading, places: Sizes, before: Sizes) -> list[WindowMap]:
        """Return the maps of a Pad whose numbers are the same at every size."""
        found = []
        for place, cells in zip(places, before, strict=True):
            read = (reading.axes or ())[place]
            old = read.map if isinstance(read, Mapped) else None
            if old is None:
                found.append(WindowMap(1, 1, 1, 0, cells, cells))
                continue
            if not isinstance(old, WindowMap) or old.kernel != 1 or old.stride != 1:
                raise OtherError
            more = old.size_out - old.size_in
            found.append(replace(old, size_in=cells, size_out=cells + more))
        return found

    def _check_constants(self, operator: Operator, places: Sizes, rank: int) -> None:
        """See that what is no map of the image has no places of its own."""
        if operator.op_type == "Pad" and not self._resolved.constants.issuperset(
            filter(None, operator.inputs[1:])
        ):
            raise OtherError
        if operator.op_type in PARAMETERS or len(operator.inputs) < 2:
            return
        for name in operator.inputs:
            if name and name not in self.geometry.flows:
                old = (operator.version or 0) < 7
                self._check_places(self._resolved.shapes.get(name), places, rank, old=old)

    def _check_places(
        self, shape: Sizes | None, places: Sizes, rank: int, *, old: bool = False
    ) -> None:
        """See that a tensor that is joined with a map is the same at all places."""
        if shape is None or len(shape) > rank or (shape and old):
            raise OtherError
        for axis, cells in enumerate(shape, rank - len(shape)):
            if axis in places and cells != 1:
                raise OtherError

    def _check_gates(self, used: set[int], flow: Flow, places: Sizes) -> None:
        """See that what paths through whole maps join with a map is the same at all places."""
        for reading in flow.readings:
            if id(reading) not in used:
                if reading.tensor in self._sizes:
                    raise OtherError
                shape = self._resolved.shapes.get(reading.tensor)
                self._check_places(shape, places, len(flow.layout))

    def _step(self, operator: Operator) -> Step:
        """Return an operator as the resolver sees it at the other sizes."""
        state = State()
        for name in filter(None, operator.inputs):
            state.shapes[name] = self._shape(name)
            if name in self._resolved.dtypes:
                state.dtypes[name] = self._resolved.dtypes[name]
            value = None if name in self.geometry.flows else self._resolved.values.get(name)
            if value is not None:
                state.folded[name] = value
        return Step(state).at(operator)

    def _shape(self, tensor: str) -> Sizes | None:
        """Return the shape of a tensor at the other sizes, None if unknown."""
        if tensor in self.lost:
            return self._shapes.get(tensor)
        shape = self._resolved.shapes.get(tensor)
        if shape is None or tensor not in self._sizes:
            return shape
        found = list(shape)
        places = _places(self.geometry, self.geometry.flows[tensor].layout) or ()
        for place, cells in zip(places, self._sizes[tensor], strict=True):
            found[place] = cells
        return tuple(found)

    def _see_refusal(self, tensor: str, operator: Operator) -> None:
        """Ask the resolver whether an operator whose arrows do not follow can run at all."""
        handler = HANDLERS.get((operator.domain, operator.op_type))
        if not self._resizes or handler is None or operator.bodies or self._asks(operator):
            return
        try:
            shapes = handler(self._step(operator))
        except RefusedError:
            self.refused = True
        except (FollowsError, UnknownError, *MALFORMED):
            return
        else:
            self._shapes[tensor] = dict(zip(operator.outputs, shapes, strict=False)).get(tensor)


def _places(geometry: Geometry, layout: Layout) -> Sizes | None:
    """Return the axes of a tensor that are the image's, None where it is followed otherwise."""
    key = ("places", id(layout))
    if key not in geometry.kept:
        axes = [axis for axis in geometry.axes_of(layout) if axis is not None]
        others = (axis for i, axis in enumerate(layout) if i not in axes)
        whole = len(axes) == geometry.rank and not any(map(is_tracked, others))
        geometry.kept[key] = tuple(sorted(axes)) if whole else None
    places: Sizes | None = geometry.kept[key]
    return places


def _measured(geometry: Geometry) -> Mapping[str, frozenset[str]]:
    """Return the constants that follow from the shapes of maps, with these maps."""
    if ("measured",) not in geometry.kept:
        flows, found = geometry.flows, dict[str, frozenset[str]]()
        for operator in geometry.resolution.operators:
            if operator.outputs and operator.outputs[0] in flows:
                continue
            asked = {name for name in operator.inputs if name in flows}
            if operator.bodies:
                asked.update(flows)
            elif found:
                asked.update(*(found.get(name, ()) for name in operator.inputs))
            if asked:
                found.update(dict.fromkeys(operator.outputs, frozenset(asked)))
        geometry.kept["measured",] = found
    measured: Mapping[str, frozenset[str]] = geometry.kept["measured",]
    return measured
