"""The spatial facts of a model at one input size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING

from scotoma.trace.layout import Grid, axis_of
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

    @cached_property
    def rank(self) -> int:
        """Number of spatial axes of the examined input."""
        return len(self.input.spatial_axes)

    def spatial_axes(self, tensor: str) -> tuple[int, ...] | None:
        """Return the axes of a tensor that are the image's axes, in the image's order, or None."""
        flow = self.flows.get(tensor)
        if flow is None:
            return None
        axes = [axis_of(flow.layout, label) for label in range(self.rank)]
        return None if any(a is None for a in axes) else tuple(a for a in axes if a is not None)

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
        found: list[Grid] = []
        for label in range(self.rank):
            digits = [
                d for a in flow.layout for d in a if d.grid is not None and d.grid.label == label
            ]
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

    def outputs(self) -> tuple[str, ...]:
        """Return the graph outputs that depend on the examined input."""
        names = dict.fromkeys(v.name for v in self.resolution.model.main.outputs)
        return tuple(name for name in names if name in self.flows)
