"""The same graph at other sizes of its maps, without resolving and tracing it once more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from scotoma.evidence.recomputed import Recomputed
from scotoma.evidence.size_plans import (
    PLAIN,
    SUMMARIES,
    Plan,
    check_constants,
    check_places,
    joins_maps,
    places_of,
    plan_of,
)
from scotoma.evidence.window_maps import (
    OtherError,
    padded_maps,
    sizes_behind,
    sliced_maps,
    taps_of,
    window_maps,
)
from scotoma.resolve.passes import HANDLERS, MALFORMED
from scotoma.resolve.shapes_move import pads_of
from scotoma.resolve.step import FollowsError, RefusedError, UnknownError
from scotoma.sweep import Other
from scotoma.sweep.pull import step
from scotoma.sweep.sweep import arrows
from scotoma.trace.heads import padding_in_front, uncopied
from scotoma.trace.index_map import WindowMap
from scotoma.trace.layout import Digit, Grid, is_tracked, tracked_sizes
from scotoma.trace.reading import Mixed
from scotoma.trace.tracer import MAX_CELLS

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

    from scotoma.loader.model import Operator
    from scotoma.resolve.step import Step
    from scotoma.sweep.pull import Steps
    from scotoma.sweep.sweep import Arrows
    from scotoma.trace import Geometry
    from scotoma.trace.reading import Flow, Reading

    Sizes = tuple[int, ...]


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
        """Tensors of which it does not follow how they read the image, though their size may."""
        self.refused_by: tuple[Operator, str] | None = None
        """The operator that certainly cannot run at this size, and why; behind it nobody looks."""
        self._sizes: dict[str, Sizes] = {}
        self._arrows: dict[str, Arrows] = {}
        self._slid: dict[str, tuple[Plan, Sizes]] = {}
        """Tensors whose arrows follow from a plan and the sizes of what is read, when asked for."""
        self._shapes: dict[str, Sizes | None] = {}
        """Of tensors that are lost."""
        self._pads: dict[str, list[tuple[int, int]]] = {}
        """Of Pads whose input or numbers are others, by axis of their output."""
        self._known = arrows(geometry, local=True)
        self._resolved = geometry.resolution
        self._constants = Recomputed(geometry, self._moves, self._shape)
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

    @property
    def constants(self) -> Mapping[str, np.ndarray]:
        """The constants that follow from the shapes of maps and are others, as far as asked for."""
        return self._constants.values

    @property
    def decides_branches(self) -> bool:
        """Whether the sizes of maps may decide which branch of an If is taken."""
        return self._constants.decides_branches

    def moves(self, tensors: Iterable[str]) -> bool:
        """Tell whether some of the tensors have other sizes than in the graph as it is."""
        return any(map(self._moves, tensors))

    def _moves(self, tensor: str) -> bool:
        return tensor in self._sizes or tensor in self.lost

    def along(self, tensor: str, label: int) -> int | None:
        """Return the size of a tensor along an axis of the image, None where it has none there."""
        axes = self.geometry.spatial_axes(tensor)
        if axes is None:
            return None
        shape = self._shape(tensor)
        return None if shape is None else shape[axes[label]]

    def padding_in_front(self, tensor: str, label: int) -> tuple[int, int] | None:
        """Return the padding, begin and end, that an operator adds just before a layer.

        As `scotoma.trace.heads.padding_in_front`, but with what is given now; None if unknown.
        """
        name = uncopied(self.geometry, tensor)
        axes, flow = self.geometry.spatial_axes(name), self.geometry.flows.get(name)
        known = name in self._pads or self._moves(name)
        if axes is None or flow is None or not known:
            return padding_in_front(self.geometry, tensor, label)
        cells = [self.along(name, other) for other in range(len(axes))]
        if None in cells or 1 in cells or (flow.operator and joins_maps(flow.operator, axes)):
            return None
        begin, end = self._pads[name][axes[label]] if name in self._pads else (0, 0)
        fits = min(begin, end) >= 0 and 2 * (begin + end) < (cells[label] or 0)
        return (begin, end) if fits else (0, 0)

    @property
    def refused(self) -> bool:
        """Whether some operator certainly cannot run at this size."""
        return self.refused_by is not None

    @property
    def told(self) -> bool:
        """Whether the image alone decides all sizes, and all operators are known as it is."""
        resolution = self._resolved
        known = not resolution.unresolved and not self.geometry.unanalysed
        return known and len(resolution.inputs) == 1 and not self.decides_branches

    @property
    def complete(self) -> bool:
        """Whether all of the graph is known to run at this size, and how it reads the image."""
        return self.runs and not self.lost

    @property
    def runs(self) -> bool:
        """Whether all of the graph is known to run at this size."""
        if not self.told or self.refused or any(self._shape(name) is None for name in self.lost):
            return False
        self._constants.work_out_all()
        return not self._constants.unknown

    def _run(self) -> None:
        """Follow the sizes from the image on."""
        sizes, lost, reaches = self._sizes, self.lost, self._constants.reaches
        plans, changed = self.geometry.kept.setdefault(("plans",), {}), self.changed
        for name, flow in self.geometry.flows.items():
            operator = flow.operator
            if operator is None:
                continue
            as_is = operator.name not in changed and not reaches(operator)
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
                if plan.reads[0] in lost:
                    lost.add(name)
                continue
            follow = self._plain if as_is and (plan.same or plan.windows) else self._follow
            try:
                follow(name, flow, plan)
            except (OtherError, FollowsError, RefusedError, UnknownError, *MALFORMED):
                lost.add(name)
                self._see_refusal(name, flow, operator)
                if self.refused:
                    return

    def _plain(self, name: str, flow: Flow, plan: Plan) -> None:
        """Take note of the sizes of a tensor that its plan tells."""
        before = {self._sizes_of(tensor) for tensor in plan.reads}
        if len(before) != 1:
            raise OtherError
        cells = before.pop()
        after = sizes_behind(plan.windows, cells) if plan.windows else cells
        if not self.lost.isdisjoint(plan.reads):
            if min(after) < 1:
                raise OtherError
            self.lost.add(name)
            self._sizes[name] = after
            return
        if plan.windows:
            self._slid[name] = plan, cells
        self._place(name, flow, after)

    def _follow(self, name: str, flow: Flow, plan: Plan) -> None:
        """Take note of the sizes and arrows of one tensor."""
        assert flow.operator is not None
        operator = self.changed.get(flow.operator.name, flow.operator)
        if operator.domain or not self.lost.isdisjoint(plan.reads):
            raise OtherError
        if operator.op_type not in {"Pad", "Slice"} and self._constants.reaches(operator):
            raise OtherError
        known, total = self._known[name]
        if operator.op_type in SUMMARIES:
            self._summary(name, flow)
            return
        before = {self._sizes_of(reading.tensor) for reading, _ in known}
        if len(before) != 1:
            raise OtherError
        after = before.pop()
        maps = self._maps(name, operator, flow, after, known)
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
        """Return the sizes of a tensor's followed axes.

        Raises
        ------
        OtherError
            If they are not known.
        """
        found = self._sizes.get(tensor)
        if found is None and tensor in self.lost:
            raise OtherError
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
        name: str,
        operator: Operator,
        flow: Flow,
        before: Sizes,
        known: list[tuple[Reading, Steps | None]],
    ) -> list[WindowMap] | None:
        """Return the maps of an operator that slides or pads, by axis of the image.

        None for one that works place by place.
        """
        places = places_of(self.geometry, flow.layout)
        if places is not None and operator.op_type in {"Pad", "Slice"}:
            return self._selected(name, operator, places, before, known)
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
        if places_of(self.geometry, known[0][0].layout) is None:
            raise OtherError
        taps = taps_of(operator, places, len(flow.layout))
        resolver = self._constants.step(operator)
        HANDLERS["", operator.op_type](resolver)
        return window_maps(resolver.state.windows[operator.name], before, taps)

    def _selected(
        self,
        name: str,
        operator: Operator,
        places: Sizes,
        before: Sizes,
        known: list[tuple[Reading, Steps | None]],
    ) -> list[WindowMap]:
        """Return the maps of a Pad or a Slice, by axis of the image."""
        resolver = self._constants.step(operator)
        (shape,) = HANDLERS["", operator.op_type](resolver)
        if len(known) != 1 or known[0][1] is None or not self._keeps_others(name, shape, places):
            raise OtherError
        if operator.op_type == "Slice":
            return sliced_maps(resolver, places, before)
        return padded_maps(resolver, self._pads_of(name, resolver), places, before)

    def _pads_of(self, name: str, resolver: Step) -> list[tuple[int, int]]:
        """Return what a Pad is given by axis, and take note of it."""
        pads = pads_of(resolver, resolver.shape())
        self._pads[name] = pads
        return pads

    def _keeps_others(self, name: str, shape: Sizes | None, places: Sizes) -> bool:
        """Tell whether a tensor is as large as it was along the axes that are not the image's."""
        old = self._resolved.shapes.get(name)
        if shape is None or old is None or len(shape) != len(old):
            return False
        return all(
            here == there or axis in places
            for axis, (here, there) in enumerate(zip(old, shape, strict=True))
        )

    def _check_gates(self, used: set[int], flow: Flow, places: Sizes) -> None:
        """See that what paths through whole maps join with a map is the same at all places."""
        for reading in flow.readings:
            if id(reading) not in used:
                if reading.tensor in self._sizes:
                    raise OtherError
                shape = self._resolved.shapes.get(reading.tensor)
                check_places(shape, places, len(flow.layout))

    def _shape(self, tensor: str) -> Sizes | None:
        """Return the shape of a tensor at the other sizes, None if unknown."""
        shape, cells = self._resolved.shapes.get(tensor), self._sizes.get(tensor)
        if cells is None or shape is None:
            return self._shapes.get(tensor) if tensor in self.lost else shape
        found = list(shape)
        places = places_of(self.geometry, self.geometry.flows[tensor].layout) or ()
        for place, count in zip(places, cells, strict=True):
            found[place] = count
        return tuple(found)

    def _see_refusal(self, tensor: str, flow: Flow, operator: Operator) -> None:
        """Ask the resolver whether an operator whose arrows do not follow can run at all.

        If so, take note of its size.
        """
        handler = HANDLERS.get((operator.domain, operator.op_type))
        if not self._resizes or handler is None or operator.bodies:
            return
        resolver = self._constants.step(operator)
        try:
            shapes = handler(resolver)
            if operator.op_type == "Pad":
                self._pads_of(tensor, resolver)
        except RefusedError as error:
            self.refused_by = operator, str(error)
        except (FollowsError, UnknownError, *MALFORMED):
            return
        else:
            shape = dict(zip(operator.outputs, shapes, strict=False)).get(tensor)
            self._shapes[tensor] = shape
            places = places_of(self.geometry, flow.layout)
            if shape is None or places is None or not self._keeps_others(tensor, shape, places):
                return
            if all(shape[place] > 0 for place in places):
                self._sizes[tensor] = tuple(shape[place] for place in places)


def _steps(maps: Sequence[WindowMap]) -> Steps:
    """Return the steps of a sweep through the maps of all axes of the image."""
    return tuple(step(axis, found) for axis, found in enumerate(maps) if not found.identity)
