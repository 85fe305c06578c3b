"""What is known of a model at other input sizes: by arithmetic on its windows, or in full."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from scotoma.errors import UsageError
from scotoma.evidence.ceil_mode import disputed_pools, is_phantom, phantom_at
from scotoma.evidence.strided import Strided, strided_layers
from scotoma.facts import Facts, Unanalysed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.resolve.window import Window
    from scotoma.sweep import Dead
    from scotoma.trace.layout import Grid

    Mask = NDArray[np.bool_]
    Size = tuple[int, ...]
    Sizes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class AxisFacts:
    """What is known of one size along one axis of the image; None: unknown."""

    size: int
    uneven: frozenset[str] | None = None
    """Strided layers that read more padding on one side than on the other, or leave cells over."""
    phantoms: frozenset[str] | None = None
    """Ceil-mode pools whose last window starts wholly in the end padding."""
    centre_offset: Fraction | None = None
    """Centre of the last grid minus centre of the image in pixels, of the head furthest off."""
    fits: bool = True
    """Whether, by arithmetic, every strided window fits into its input."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One input size."""

    size: Size
    axes: tuple[AxisFacts, ...]
    examined: bool = False
    """Whether the whole graph was followed at this size; otherwise arithmetic alone speaks."""
    current: bool = False
    refused_by: Unanalysed | None = None
    """The first operator that cannot run at this size, with the reason."""
    dead: int | None = None
    """Pixels without any path to an output."""
    dead_local: int | None = None
    """The same, paths through whole-map gates left out."""

    @property
    def accepted(self) -> bool | None:
        """Whether no operator refuses the size; None: not examined."""
        return self.refused_by is None if self.examined else None

    @property
    def uneven(self) -> frozenset[str] | None:
        """The layers that are uneven along some axis."""
        return _union(axis.uneven for axis in self.axes)

    @property
    def phantoms(self) -> frozenset[str] | None:
        """The pools with a phantom window along some axis."""
        return _union(axis.phantoms for axis in self.axes)

    @property
    def centre_offset(self) -> Fraction | None:
        """The offset of the last grid along the axis where it is largest, with its sign."""
        return _furthest(axis.centre_offset for axis in self.axes)


def by_arithmetic(facts: Facts, sizes: Sequence[Size]) -> list[Candidate]:
    """Return what follows from the windows alone, for many sizes at once."""
    columns = list(zip(*sizes, strict=True))
    layers = strided_layers(facts)
    axes = [
        _axis_facts(facts, label, [s for s in layers if s.label == label], np.array(column))
        for label, column in enumerate(columns)
    ]
    return [Candidate(size, tuple(column[i] for column in axes)) for i, size in enumerate(sizes)]


def _axis_facts(
    facts: Facts, label: int, layers: Sequence[Strided], candidates: Sizes
) -> list[AxisFacts]:
    tensors = facts.sizes_at(label, candidates)
    count = len(candidates)
    read = [(layer, tensors.get(layer.operator.inputs[0])) for layer in layers]
    uneven = _names_at(
        count, ((s.operator.name, None if n is None else s.uneven_at(n)) for s, n in read)
    )
    phantoms = _names_at(
        count,
        (
            (operator.name, _phantom_at(windows, label, tensors.get(operator.inputs[0])))
            for operator, windows in disputed_pools(facts)
        ),
    )
    fits = np.ones(count, bool)
    for layer, sizes in read:
        if sizes is not None:
            fits &= layer.fits_at(sizes)
    # The padding that SAME puts before the first cell depends on the size.
    fixed = not any(layer.window.auto_pad.startswith("SAME") for layer in layers)
    offsets = _offsets_at(facts, label, candidates, tensors) if fixed else None
    return [
        AxisFacts(
            int(size),
            uneven[i] if uneven is not None else None,
            phantoms[i] if phantoms is not None else None,
            offsets[i] if offsets is not None else None,
            bool(fits[i]),
        )
        for i, size in enumerate(candidates)
    ]


def _names_at(count: int, masks: Iterable[tuple[str, Mask | None]]) -> list[frozenset[str]] | None:
    """Return whose masks hold at each of some sizes, None where some mask is not known."""
    found: list[set[str]] = [set() for _ in range(count)]
    for name, mask in masks:
        if mask is None:
            return None
        for index in np.flatnonzero(mask):
            found[index].add(name)
    return [frozenset(names) for names in found]


def _phantom_at(windows: Sequence[Window] | None, label: int, sizes: Sizes | None) -> Mask | None:
    if windows is None or sizes is None or label >= len(windows):
        return None
    return phantom_at(windows[label], sizes)


def _offsets_at(
    facts: Facts,
    label: int,
    candidates: Sizes,
    tensors: Mapping[str, Sizes],
) -> list[Fraction | None] | None:
    """Return the centre offset of the last grid at other sizes, None where it does not follow."""
    found: list[list[Fraction | None]] = [[] for _ in candidates]
    for head in facts.heads:
        grid = _grid(facts, head, label)
        if grid is None:
            continue
        cells = tensors.get(head)
        if cells is None:
            return None
        for index, (size, count) in enumerate(zip(candidates, cells, strict=True)):
            found[index].append(_offset(grid, int(size), int(count)))
    return [_furthest(offsets) for offsets in found]


def examine(facts: Facts, guess: Candidate, input_shapes: Mapping[str, Sequence[int]]) -> Candidate:
    """Follow the whole graph at another size."""
    examined = facts.resolution.examined
    assert examined is not None
    given = dict(input_shapes)
    size: Size | None = guess.size
    if examined.name in given:
        shape = list(given[examined.name])
        for axis, length in zip(examined.spatial_axes, guess.size, strict=True):
            shape[axis] = length
        given[examined.name], size = shape, None
    try:
        there = Facts.of(
            facts.model, size=size, input_shapes=given or None, input_name=examined.name
        )
    except UsageError as error:
        refusal = Unanalysed(examined.name, "Input", str(error))
        return replace(guess, examined=True, refused_by=refusal)
    return examined_at(facts, there, guess)


def examined_at(facts: Facts, there: Facts, guess: Candidate) -> Candidate:
    """Return what the facts at a size say of it; what they do not say stays arithmetic."""
    if there.resolution.refused_at:
        first = there.resolution.refused_at[0]
        by = Unanalysed(first.operator.name, first.operator.op_type, first.reason)
        return replace(guess, examined=True, refused_by=by)
    if there.geometry is None:
        return guess
    layers = strided_layers(there)
    pools = list(disputed_pools(there))
    axes = [
        AxisFacts(
            size,
            frozenset(s.operator.name for s in layers if s.label == label and s.uneven),
            None
            if any(windows is None for _, windows in pools)
            else frozenset(
                operator.name
                for operator, windows in pools
                if windows and label < len(windows) and is_phantom(windows[label])
            ),
            _furthest(
                _offset(grid, size, grid.size)
                for head in facts.heads
                if (grid := _grid(there, head, label)) is not None
            ),
        )
        for label, size in enumerate(guess.size)
    ]
    local = _count(there.dead(local=True))
    # Gates only add paths, so that nothing is dead where no pixel is without them.
    dead = 0 if local == 0 else _count(there.dead())
    return replace(guess, axes=tuple(axes), examined=True, dead=dead, dead_local=local)


def _count(dead: Dead | None) -> int | None:
    return int(dead.mask.sum()) if dead is not None else None


def _grid(facts: Facts, head: str, label: int) -> Grid | None:
    """Return the grid of a feature map along an axis of the image if it is known exactly."""
    grids = facts.geometry.local_grids(head) if facts.geometry is not None else None
    return grids[label] if grids is not None and not grids[label].note else None


def _offset(grid: Grid, size: int, cells: int) -> Fraction | None:
    """Return the centre of a grid of so many cells minus the centre of an image axis, in pixels."""
    centre = grid.field.centre if grid.field is not None else None
    if grid.field is None or centre is None or cells < 1:
        return None
    return centre + grid.field.effective_stride * Fraction(cells - 1, 2) - Fraction(size - 1, 2)


def _furthest(offsets: Iterable[Fraction | None]) -> Fraction | None:
    """Return the offset of largest magnitude among the known ones, None if there is none."""
    return max((offset for offset in offsets if offset is not None), key=abs, default=None)


def _union(parts: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    found: frozenset[str] = frozenset()
    for part in parts:
        if part is None:
            return None
        found |= part
    return found
