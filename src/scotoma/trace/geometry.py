"""The spatial facts of a model at one input size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, cast

from scotoma.trace.layout import Grid, Layout, axes_of
from scotoma.trace.reading import Flow
from scotoma.trace.tracer import axis_grid

if TYPE_CHECKING:
    from scotoma.loader.model import Operator
    from scotoma.resolve.resolution import InputShape, Resolution


@dataclass(frozen=True, slots=True)
class Unanalysed:
    """An operator whose reading is not known; it is taken to read everything."""

    operator: Operator
    reason: str


@dataclass(frozen=True)
class Geometry:
    """Which pixels of the examined input every tensor reads, and along which arrows."""

    resolution: Resolution
    input: InputShape
    """The examined input."""
    flows: Mapping[str, Flow]
    """By tensor name, in topological order; tensors that do not depend on the input are missing.
    Names that hold a NUL character are steps inside an operator."""
    unanalysed: tuple[Unanalysed, ...]
    kept: dict[tuple[object, ...], Any] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """What is derived of the flows more than once, by what it is; a changed copy starts anew."""

    @cached_property
    def rank(self) -> int:
        """Number of spatial axes of the examined input."""
        return len(self.input.spatial_axes)

    def spatial_axes(self, tensor: str) -> tuple[int, ...] | None:
        """Return the axes of a tensor that are the image's axes, in the image's order, or None."""
        flow = self.flows.get(tensor)
        if flow is None:
            return None
        axes = self.axes_of(flow.layout)
        return None if None in axes else cast("tuple[int, ...]", axes)

    def axes_of(self, layout: Layout) -> tuple[int | None, ...]:
        """Return which axis is each of the image's axes and nothing else, or None, in their order.

        Parameters
        ----------
        layout
            Of a flow or a reading of this geometry.
        """
        # These live as long as the geometry, and operators that move nothing share theirs.
        key = ("axes", id(layout))
        if key not in self.kept:
            self.kept[key] = axes_of(layout, self.rank)
        found: tuple[int | None, ...] = self.kept[key]
        return found

    def grids(self, tensor: str) -> tuple[Grid, ...] | None:
        """Return the grids of a tensor's spatial axes, in the image's order, or None."""
        axes = self.spatial_axes(tensor)
        if axes is None:
            return None
        layout = self.flows[tensor].layout
        return tuple(grid for a in axes if (grid := layout[a][0].grid) is not None)

    def local_grids(self, tensor: str) -> tuple[Grid, ...] | None:
        """Return the grid of a tensor along every axis of the image, however they are laid out.

        Tokens and windows keep their grids: what counts is that all digits of a grid are there.
        None where some axis of the image is not followed any more.
        """
        flow = self.flows.get(tensor)
        if flow is None or not flow.local:
            return None
        key = ("grids", id(flow.layout))
        if key not in self.kept:
            self.kept[key] = self._local_grids(flow)
        found: tuple[Grid, ...] | None = self.kept[key]
        return found

    def _local_grids(self, flow: Flow) -> tuple[Grid, ...] | None:
        found: list[Grid] = []
        for label in range(self.rank):
            whole = self.axes_of(flow.layout)[label]
            digits = [
                d for a in flow.layout for d in a if d.grid is not None and d.grid.label == label
            ]
            if whole is not None and len(digits) == 1 and digits[0].grid is not None:
                found.append(digits[0].grid)
                continue
            grids = {id(d.grid): d.grid for d in digits}
            if len(grids) != 1:
                return None
            grid = next(iter(grids.values()))
            size = prod(d.size for d in digits)
            if grid is None:
                return None
            if size != grid.size:
                grid = axis_grid((min(digits, key=lambda d: -d.stride),))
            elif repeat := self._repeat(flow, label):
                grid = repeat
            found.append(grid)
        return tuple(found)

    def _repeat(self, flow: Flow, label: int) -> Grid | None:
        """Return the grid of an axis made of a complete grid and collapsed positions after it."""
        for axis in flow.layout:
            head = axis[0] if axis else None
            if head is not None and head.grid is not None and head.grid.label == label:
                rest = axis[1:]
                if head.whole and rest and all(d.grid is None for d in rest):
                    return axis_grid(axis)
        return None

    def strides(self, tensor: str) -> tuple[Fraction, ...] | None:
        """Return the effective stride of a tensor along every image axis, None if unknown."""
        grids = self.local_grids(tensor)
        if grids is None or any(g.field is None for g in grids):
            return None
        return tuple(g.field.effective_stride for g in grids if g.field is not None)

    @cached_property
    def gated(self) -> bool:
        """Whether local paths differ from all paths: something local reads whole maps as well."""
        return any(
            flow.local
            and any(
                r.whole or r.local_only or not self.flows[r.tensor].local for r in flow.readings
            )
            for flow in self.flows.values()
        )

    @cached_property
    def needed(self) -> frozenset[str]:
        """The tensors that some graph output depends on."""
        found = set(self.outputs())
        for name in reversed(tuple(self.flows)):
            if name in found:
                found.update([reading.tensor for reading in self.flows[name].readings])
        return frozenset(found)

    def outputs(self) -> tuple[str, ...]:
        """Return the graph outputs that depend on the examined input."""
        names = dict.fromkeys(v.name for v in self.resolution.model.main.outputs)
        return tuple(name for name in names if name in self.flows)
