"""The same graph at other sizes of its maps, without resolving and tracing it once more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from scotoma.evidence.size_plans import (
    PLAIN,
    Plan,
    check_constants,
    check_places,
    places_of,
    plan_of,
)
from scotoma.evidence.window_maps import OtherError, sizes_behind, taps_of, window_maps
from scotoma.resolve.passes import HANDLERS, MALFORMED
from scotoma.resolve.step import FollowsError, RefusedError, State, Step, UnknownError
from scotoma.sweep import Other
from scotoma.sweep.pull import step
from scotoma.sweep.sweep import arrows
from scotoma.trace.index_map import WindowMap
from scotoma.trace.layout import Digit, Grid, is_tracked, tracked_sizes
from scotoma.trace.reading import Mapped, Mixed
from scotoma.trace.tracer import MAX_CELLS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scotoma.loader.model import Operator
    from scotoma.sweep.pull import Steps
    from scotoma.sweep.sweep import Arrows
    from scotoma.trace import Geometry
    from scotoma.trace.reading import Flow, Reading

    Sizes = tuple[int, ...]

SUMMARIES = frozenset(
    {
        "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "ReduceL1", "ReduceL2", "ReduceMax",
        "ReduceMean", "ReduceMin", "ReduceSum",
    }
)  # fmt: skip
"""Operators whose output has the same size whatever that of the axes which they sum up."""


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
        self.refused_by: tuple[Operator, str] | None = None
        """The operator that certainly cannot run at this size, and why; behind it nobody looks."""
        self._sizes: dict[str, Sizes] = {}
        self._arrows: dict[str, Arrows] = {}
        self._slid: dict[str, tuple[Plan, Sizes]] = {}
        """Tensors whose arrows follow from a plan and the sizes of what is read, when asked for."""
        self._shapes: dict[str, Sizes | None] = {}
        self._known = arrows(geometry, local=True)
        self._resolved = geometry.resolution
        self._measured, self._askers = _measured(geometry)
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
        for name, (plan, cells) in self._slid.items():
            known, total = self._known[name]
            maps = window_maps(plan.windows, cells, plan.taps)
            self._arrows[name] = [(known[0][0], _steps(maps))], total
        self._slid.clear()
        return Other(self._arrows, self._sizes)

    def moves(self, tensors: Iterable[str]) -> bool:
        """Tell whether some of the tensors have other sizes than in the graph as it is."""
        return not self._sizes.keys().isdisjoint(tensors)

    def along(self, tensor: str, label: int) -> int | None:
        """Return the size of a tensor along an axis of the image, None where it has none there."""
        axes = self.geometry.spatial_axes(tensor)
        if axes is None:
            return None
        if tensor in self.lost:
            shape = self._shapes.get(tensor)
            return None if shape is None else shape[axes[label]]
        return self._sizes_of(tensor)[sorted(axes).index(axes[label])]

    @property
    def refused(self) -> bool:
        """Whether some operator certainly cannot run at this size."""
        return self.refused_by is not None

    @property
    def told(self) -> bool:
        """Whether the image alone decides all sizes, and all operators are known as it is."""
        resolution = self._resolved
        known = not resolution.unresolved and not self.geometry.unanalysed
        return known and len(resolution.inputs) == 1

    @property
    def complete(self) -> bool:
        """Whether all of the graph is known to run at this size, and how it reads the image."""
        return self.runs and not self.lost

    @property
    def runs(self) -> bool:
        """Whether all of the graph is known to run at this size."""
        known = self.told and not self.refused and not self.measures
        return known and all(self._shapes.get(name) is not None for name in self.lost)

    @property
    def measures(self) -> bool:
        """Whether some constant follows from the shape of a map that has another size now."""
        asked = frozenset().union(*self._measured.values())
        return self.moves(asked) or not self.lost.isdisjoint(asked)

    def _run(self) -> None:
        """Follow the sizes from the image on."""
        sizes, lost, askers = self._sizes, self.lost, self._askers
        plans, changed = self.geometry.kept.setdefault(("plans",), {}), self.changed
        for name, flow in self.geometry.flows.items():
            operator = flow.operator
            if operator is None:
                continue
            as_is = operator.name not in changed and not (
                operator.name in askers and self._asks(operator)
            )
            if as_is:
                for reading in flow.readings:
                    if reading.tensor in sizes or reading.tensor in lost:
                        break
                else:
                    continue
            plan = plans.get(name)
            if plan is None:
                plan = plans[name] = plan_of(self.geometry, flow, self._known[name])
            if as_is and plan.same and len(plan.reads) == 1 and plan.reads[0] in sizes:
                sizes[name] = sizes[plan.reads[0]]
                continue
            follow = self._plain if as_is and (plan.same or plan.windows) else self._follow
            try:
                follow(name, flow, plan)
            except (OtherError, FollowsError, RefusedError, UnknownError, *MALFORMED):
                lost.add(name)
                self._see_refusal(name, operator)
                if self.refused:
                    return

    def _asks(self, operator: Operator) -> bool:
        """Tell whether an operator is given a number that the sizes of other maps may change."""
        return any(
            tensor in self._sizes or tensor in self.lost
            for name in operator.inputs
            for tensor in self._measured.get(name, ())
        )

    def _plain(self, name: str, flow: Flow, plan: Plan) -> None:
        """Take note of the sizes of a tensor that its plan tells."""
        before = {self._sizes_of(tensor) for tensor in plan.reads}
        if len(before) != 1 or not self.lost.isdisjoint(plan.reads):
            raise OtherError
        after = before.pop()
        if plan.windows:
            self._slid[name] = plan, after
            after = sizes_behind(plan.windows, after)
        self._place(name, flow, after)

    def _follow(self, name: str, flow: Flow, plan: Plan) -> None:
        """Take note of the sizes and arrows of one tensor."""
        assert flow.operator is not None
        operator = self.changed.get(flow.operator.name, flow.operator)
        if operator.domain or not self.lost.isdisjoint(plan.reads):
            raise OtherError
        if operator.name in self._askers and self._asks(operator):
            raise OtherError
        known, total = self._known[name]
        if operator.op_type in SUMMARIES:
            self._summary(name, flow)
            return
        before = {self._sizes_of(reading.tensor) for reading, _ in known}
        if len(before) != 1:
            raise OtherError
        after = before.pop()
        maps = self._maps(operator, flow, after, known)
        if maps is not None:
            self._arrows[name] = [(known[0][0], _steps(maps))], total
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
        reads, places = reading.axes, places_of(self.geometry, reading.layout)
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
        before: Sizes,
        known: list[tuple[Reading, Steps | None]],
    ) -> list[WindowMap] | None:
        """Return the maps of an operator that slides or pads, by axis of the image.

        None for one that works place by place.
        """
        places = places_of(self.geometry, flow.layout)
        if places is None or operator.op_type not in PLAIN:
            raise OtherError
        check_constants(self.geometry, operator, places, len(flow.layout))
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

    def _check_gates(self, used: set[int], flow: Flow, places: Sizes) -> None:
        """See that what paths through whole maps join with a map is the same at all places."""
        for reading in flow.readings:
            if id(reading) not in used:
                if reading.tensor in self._sizes:
                    raise OtherError
                shape = self._resolved.shapes.get(reading.tensor)
                check_places(shape, places, len(flow.layout))

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
        places = places_of(self.geometry, self.geometry.flows[tensor].layout) or ()
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
        except RefusedError as error:
            self.refused_by = operator, str(error)
        except (FollowsError, UnknownError, *MALFORMED):
            return
        else:
            self._shapes[tensor] = dict(zip(operator.outputs, shapes, strict=False)).get(tensor)


def _steps(maps: Sequence[WindowMap]) -> Steps:
    """Return the steps of a sweep through the maps of all axes of the image."""
    return tuple(step(axis, found) for axis, found in enumerate(maps) if not found.identity)


def _measured(geometry: Geometry) -> tuple[Mapping[str, frozenset[str]], frozenset[str]]:
    """Return the constants that follow from the shapes of maps, with these maps, and who reads it.

    Returns
    -------
    (mapping, frozenset)
        The maps by the name of the constant; the names of the operators that are given one.
    """
    if ("measured",) not in geometry.kept:
        flows, found = geometry.flows, dict[str, frozenset[str]]()
        operators = geometry.resolution.operators
        read = {name for operator in operators for name in operator.inputs if name}
        for operator in operators:
            # Beside a map that is followed an operator may make one that is not: a mask, indices.
            made = [name for name in operator.outputs if name in read and name not in flows]
            if not made:
                continue
            asked = {name for name in operator.inputs if name in flows}
            if operator.bodies:
                asked.update(flows)
            elif found:
                asked.update(*(found.get(name, ()) for name in operator.inputs))
            if asked:
                found.update(dict.fromkeys(made, frozenset(asked)))
        askers = (op.name for op in operators if found and not found.keys().isdisjoint(op.inputs))
        geometry.kept["measured",] = found, frozenset(askers)
    kept: tuple[Mapping[str, frozenset[str]], frozenset[str]] = geometry.kept["measured",]
    return kept
