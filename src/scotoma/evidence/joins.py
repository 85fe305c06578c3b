"""Where branches of the image meet place by place, and how far apart their places lie."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from scotoma.trace.reading import Same

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window
    from scotoma.trace.field import Field
    from scotoma.trace.geometry import Geometry
    from scotoma.trace.layout import Grid
    from scotoma.trace.reading import Flow, Reading


@dataclass(frozen=True, slots=True)
class Join:
    """An operator that reads several feature maps at the same places."""

    operator: Operator
    output: str
    operands: tuple[str, ...]
    """The feature maps, without those that are broadcast, global or not followed."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the cells of a feature map lie along one axis of the image."""

    centre: Fraction
    """Pixel that the first cell is centred on."""
    stride: Fraction
    """Pixels from one cell to the next."""

    def at(self, cell: int) -> Fraction:
        """Return the pixel that a cell is centred on."""
        return self.centre + cell * self.stride


def joins(facts: Facts) -> list[Join]:
    """Return the operators where two or more feature maps meet, in the order of the graph."""
    if facts.geometry is None:
        return []
    found: dict[Operator, Join] = {}
    for name, flow in facts.geometry.flows.items():
        if flow.operator is None or len(flow.readings) < 2 or not flow.local:
            continue
        operands = [
            r.tensor
            for r in flow.readings
            if facts.geometry.flows[r.tensor].local and _in_place(facts.geometry, r, flow)
        ]
        operands = list(dict.fromkeys(operands))
        if len(operands) > 1 and flow.operator not in found:
            found[flow.operator] = Join(flow.operator, name, tuple(operands))
    return list(found.values())


def _in_place(geometry: Geometry, reading: Reading, flow: Flow) -> bool:
    """Tell whether a reading takes every image axis at the place of the output's."""
    own, out = geometry.axes_of(reading.layout), geometry.axes_of(flow.layout)
    if reading.whole or reading.axes is None:
        return False
    for before, after in zip(own, out, strict=True):
        if before is None or after is None:
            return False
        read = reading.axes[before]
        if not isinstance(read, Same) or read.out != after:
            return False
        if _size(reading.layout[before]) != _size(flow.layout[after]):
            return False
    return True


def _size(axis: tuple[object, ...]) -> object:
    return getattr(axis[0], "size", None) if axis else None


def places(facts: Facts, tensor: str) -> tuple[Place, ...] | None:
    """Return where the cells of a feature map lie, per axis of the image, None if unknown.

    Maps behind a join of branches with different effective strides have no places of their own.
    """
    grids: tuple[Grid, ...] | None = (
        facts.geometry.local_grids(tensor) if facts.geometry is not None else None
    )
    if grids is None:
        return None
    found = [_place(g.field) if g.field is not None and not g.note else None for g in grids]
    known = tuple(place for place in found if place is not None)
    return known if len(known) == len(found) else None


@lru_cache(maxsize=1024)
def _place(field: Field) -> Place | None:
    """Return where the cells of a field lie; height and width mostly have equal ones."""
    centre = field.centre
    return Place(centre, field.effective_stride) if centre is not None else None


def _fields(facts: Facts, tensor: str) -> tuple[Field | None, ...] | None:
    grids = facts.geometry.local_grids(tensor) if facts.geometry is not None else None
    return None if grids is None else tuple(grid.field for grid in grids)


@dataclass(frozen=True, slots=True)
class Gap:
    """How far apart the maps of a join lie along the axis where it is most."""

    join: Join
    labels: tuple[int, ...]
    """Axes of the image on which it is so, 0 for H."""
    cells: Fraction
    """In cells of the merged map, at its middle."""
    border: Fraction
    """The same at the border where it is most."""
    stride: Fraction
    """Effective stride of the merged map in pixels."""
    unexplained: Fraction
    """What of `cells` does not come from the strides that an upsampled branch went through."""
    strides: tuple[Fraction, ...]
    """The different effective strides of the operands, ascending."""


def gaps(facts: Facts, ignored: Container[int] = ()) -> list[Gap]:
    """Return the joins of feature maps whose centres or effective strides differ.

    A window of kernel 3, stride 2 and padding 1 puts its map half a cell off, by design; a branch
    that is upsampled from such a map carries that along. `Gap.unexplained` leaves it out.

    Parameters
    ----------
    ignored
        Axes of the image to leave out.
    """
    explained: dict[tuple[str, int], Explained] | None = None
    found = []
    for join in facts.once(joins):
        fields = [_fields(facts, name) for name in join.operands]
        if facts.geometry is None or all(field == fields[0] for field in fields[1:]):
            continue
        known = {name: place for name in join.operands if (place := places(facts, name))}
        if all(place == other for place, other in pairwise(known.values())):
            continue
        if explained is None:
            explained = _strided(facts)
        sizes = [facts.geometry.flows[join.output].layout[a][0].size
                 for a in facts.geometry.spatial_axes(join.output) or ()]  # fmt: skip
        axes = [
            _gap(join, label, {n: p[label] for n, p in known.items()}, size, explained)
            for label, size in enumerate(sizes)
            if label not in ignored
        ]
        if axes:
            worst = max(axes, key=lambda gap: (gap.unexplained, gap.cells, gap.border))
            if worst.border or len(worst.strides) > 1:
                alike = (g.labels[0] for g in axes if replace(g, labels=worst.labels) == worst)
                found.append(replace(worst, labels=tuple(alike)))
    return found


Explained = dict[Fraction, Fraction]
"""Pixels that the windows with a stride put a map off its place, by the stride that they made."""


def _gap(
    join: Join,
    label: int,
    known: dict[str, Place],
    size: int,
    explained: dict[tuple[str, int], Explained],
) -> Gap:
    stride = min(place.stride for place in known.values())
    middle = [p.centre + p.stride * Fraction(size - 1, 2) for p in known.values()]
    at_ends = [[p.at(cell) for p in known.values()] for cell in (0, size - 1)]
    rest = [
        place - sum(v for s, v in explained.get((name, label), {}).items() if s > stride)
        for name, place in zip(known, middle, strict=True)
    ]
    return Gap(
        join,
        (label,),
        (max(middle) - min(middle)) / stride,
        max((max(p) - min(p)) / stride for p in [*at_ends, middle]),
        stride,
        (max(rest) - min(rest)) / stride,
        tuple(sorted({place.stride for place in known.values()})),
    )


def _strided(facts: Facts) -> dict[tuple[str, int], Explained]:
    """Return what the strides on the way to every tensor explain, per axis of the image.

    Where branches meet, the way is that of the widest receptive field, whose centre counts.
    """
    if facts.geometry is None:
        return {}
    found: dict[tuple[str, int], Explained] = {}
    flows = facts.geometry.flows
    for name, flow in flows.items():
        local = [r.tensor for r in flow.readings if not r.whole and flows[r.tensor].local]
        if not local:
            continue
        source = local[0] if len(set(local)) == 1 else max(local, key=lambda n: _width(facts, n))
        windows = facts.windows(flow.operator) if flow.operator is not None else None
        for label in range(facts.geometry.rank):
            before = found.get((source, label), {})
            if windows and label < len(windows) and windows[label].stride > 1:
                before = _with_stride(facts, source, label, windows[label], before)
            if before:
                found[name, label] = before
    return found


def _with_stride(
    facts: Facts, source: str, label: int, window: Window, before: Explained
) -> Explained:
    strides = facts.strides(source)
    if strides is None or window.transposed:
        return before
    begin = window.pad_begin + facts.padding_in_front(source, label)[0]
    ideal = Fraction(window.stride - 1, 2)
    off = max(-ideal, min(ideal, Fraction(window.extent - 1, 2) - begin - ideal)) * strides[label]
    made = strides[label] * window.stride
    return {**before, made: before.get(made, Fraction(0)) + off}


def _width(facts: Facts, tensor: str) -> int:
    grids = facts.geometry.local_grids(tensor) if facts.geometry is not None else None
    return max(((g.field.size if g.field is not None else 0) or 0 for g in grids or ()), default=0)


_PASSES = {
    "Resize", "Upsample", "Identity", "Cast", "QuantizeLinear", "DequantizeLinear", "Slice", "Pad",
    "Clip", "Dropout", "Transpose", "Reshape",
}  # fmt: skip
_GATES = {"Sigmoid", "HardSigmoid", "Softmax", "Tanh", "QLinearSigmoid"}
_DEEPEST = 16


def is_gate(facts: Facts, join: Join) -> bool:
    """Tell whether a join multiplies one map with weights made by a sigmoid or softmax."""
    if not join.operator.op_type.endswith("Mul"):
        return False
    return any(_root(facts, name, _PASSES)[1] in _GATES for name in join.operands)


def slices_of_one(facts: Facts, join: Join) -> bool:
    """Tell whether a join stacks parts of one map, as space-to-depth by slices does."""
    roots = {_root(facts, name, {"Slice", "Gather"})[0] for name in join.operands}
    return len(roots) == 1 and join.operator.op_type.endswith("Concat")


def _root(facts: Facts, tensor: str, through: Container[str]) -> tuple[str, str]:
    """Return the tensor behind some operators, and the type of what makes it."""
    for _ in range(_DEEPEST):
        producer = facts.producers.get(tensor)
        if producer is None or not producer.inputs:
            return tensor, ""
        if producer.op_type not in through:
            return tensor, producer.op_type
        tensor = producer.inputs[0]
    return tensor, ""


@dataclass(frozen=True, slots=True)
class Offset:
    """How far the grid of an output lies off the image along one axis."""

    tensor: str
    label: int
    """Axis of the image, 0 for H."""
    grid: Fraction
    """Centre of the whole grid minus centre of the image, in pixels."""
    first: Fraction
    """Centre of the first cell minus `ideal`, in pixels."""
    ideal: Fraction
    """Where blocks of pixels would put the first cell: ``(stride - 1) / 2``."""
    stride: Fraction
    cells: int
    size: int
    """Of the image along the axis, in pixels."""


def grid_offsets(facts: Facts) -> list[Offset]:
    """Return the offsets of the graph outputs that are feature maps, per axis."""
    found = []
    for tensor in facts.functional():
        known = places(facts, tensor) if tensor in facts.feature_maps else None
        axes = facts.geometry.spatial_axes(tensor) if facts.geometry is not None else None
        shape, examined = facts.shape(tensor), facts.resolution.examined
        if known is None or axes is None or shape is None or examined is None:
            continue
        for label, place in enumerate(known):
            size = (examined.shape or ())[examined.spatial_axes[label]]
            cells = shape[axes[label]]
            middle = place.centre + place.stride * Fraction(cells - 1, 2)
            ideal = (place.stride - 1) / 2
            grid, first = middle - Fraction(size - 1, 2), place.centre - ideal
            found.append(Offset(tensor, label, grid, first, ideal, place.stride, cells, size))
    return found
