"""What is known of a model at other input sizes by arithmetic on its windows alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from scotoma.evidence.ceil_mode import disputed_pools, phantom_at
from scotoma.evidence.misfits import total_stride
from scotoma.evidence.strided import Strided, strided_layers
from scotoma.sizes.taps import TapTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window
    from scotoma.trace.layout import Grid
    from scotoma.unanalysed import Unanalysed

    Mask = NDArray[np.bool_]
    Size = tuple[int, ...]
    Sizes = NDArray[np.int64]


_MOVING = frozenset({"Slice", "Resize", "Upsample"})
"""Operators whose first output cell can lie at another place at another size."""


@dataclass(frozen=True, slots=True)
class AxisFacts:
    """What is known of one size along one axis of the image; None: unknown."""

    size: int
    uneven: frozenset[str] | None = None
    """Strided layers that read more padding on one side than on the other."""
    leftover: frozenset[str] | None = None
    """Strided layers that leave cells over at the end, which they do not read."""
    phantoms: frozenset[str] | None = None
    """Ceil-mode pools whose last window starts wholly in the end padding."""
    dead_taps: frozenset[str] | None = None
    """Convolutions with taps that only ever meet padding along this axis."""
    centre_offset: Fraction | None = None
    """Centre of the last grid minus centre of the image in pixels, of the head furthest off."""
    fits: bool = True
    """Whether, by arithmetic, every strided window fits into its input."""
    too_small: str | None = None
    """Why nobody should choose the size, if it is too small to be of use."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One input size."""

    size: Size
    axes: tuple[AxisFacts, ...]
    examined: bool = False
    """Whether the whole graph was followed at this size; otherwise arithmetic alone speaks."""
    runs: bool | None = None
    """Whether the graph accepts the size by the sizes of its maps alone; None: they do not tell."""
    obstacle: str | None = None
    """Why it could not be, where that was tried."""
    current: bool = False
    refused_by: Unanalysed | None = None
    """The first operator that cannot run at this size, with the reason."""
    dead: int | None = None
    """Pixels without any path to an output."""
    dead_local: int | None = None
    """The same, paths through whole-map gates left out."""
    dead_share: Fraction | None = None
    """Share of all convolution weights that only ever meet padding."""
    dead_taps: frozenset[str] | None = None
    """The convolutions that they are of."""

    @property
    def accepted(self) -> bool | None:
        """Whether no operator refuses the size; None: not examined."""
        return self.refused_by is None if self.examined else None

    @property
    def uneven(self) -> frozenset[str] | None:
        """The layers that read their padding unevenly along some axis."""
        return _union(axis.uneven for axis in self.axes)

    @property
    def leftover(self) -> frozenset[str] | None:
        """The layers that leave cells over along some axis."""
        return _union(axis.leftover for axis in self.axes)

    @property
    def crooked(self) -> frozenset[str] | None:
        """The layers that do one or the other: what is uneven in *Mind the Pad*."""
        return _union((self.uneven, self.leftover))

    @property
    def phantoms(self) -> frozenset[str] | None:
        """The pools with a phantom window along some axis."""
        return _union(axis.phantoms for axis in self.axes)

    @property
    def centre_offset(self) -> Fraction | None:
        """The offset of the last grid along the axis where it is largest, with its sign."""
        return furthest(axis.centre_offset for axis in self.axes)

    @property
    def too_small(self) -> str | None:
        """Why nobody should choose the size, along the first axis that is too small."""
        return next((axis.too_small for axis in self.axes if axis.too_small), None)


class Arithmetic:
    """What follows from the windows alone, for many sizes of every axis at once.

    Parameters
    ----------
    facts
        The model at its current size.
    lengths
        The sizes that are asked for, for every axis of the image.
    """

    def __init__(self, facts: Facts, lengths: Sequence[Iterable[int]]) -> None:
        layers = strided_layers(facts)
        pools = list(disputed_pools(facts))
        self.strides = coarsest_stride(facts, layers)
        """Total stride of the coarsest feature map, per axis of the image."""
        sized = has_sized_pads(facts)
        self._taps = TapTable(facts, known=not sized)
        self.axes: list[dict[int, AxisFacts]] = []
        """By axis of the image, by size along it."""
        for label, wanted in enumerate(lengths):
            sizes = np.array(sorted(set(wanted)), np.int64)
            tensors = {} if sized else facts.sizes_at(label, sizes)
            own = [layer for layer in layers if layer.label == label]
            dead = self._taps.add_axis(sizes, tensors)
            rows = _axis_facts(facts, label, own, pools, sizes, tensors)
            # One row of cells, as of a signal, is no image that became too small.
            flat = facts.image_size[label] == 1
            self.axes.append(
                {
                    row.size: _completed(row, dead[i], 0 if flat else self.strides[label])
                    for i, row in enumerate(rows)
                }
            )

    def candidate(self, size: Size) -> Candidate:
        """Return what is known of one size."""
        axes = tuple(facts[n] for facts, n in zip(self.axes, size, strict=True))
        share, names = self._taps.dead(size) or (None, None)
        return Candidate(size, axes, dead_share=share, dead_taps=names)


def coarsest_stride(facts: Facts, layers: Iterable[Strided]) -> tuple[int, ...]:
    """Return the total stride of the coarsest feature map, per axis of the image, in pixels.

    A map of one cell counts as well, unless it is what a pool leaves of the whole map.
    """
    found = list(total_stride(facts))
    for layer in layers:
        window = layer.window
        padded = layer.begin + layer.end > 0
        strides = facts.strides(layer.operator.outputs[0])
        if strides is not None and (padded or window.extent < window.size_in):
            found[layer.label] = max(found[layer.label], int(strides[layer.label]))
    return tuple(found)


def has_sized_pads(facts: Facts) -> bool:
    """Tell whether a Pad computes its amounts from the size of a map, as some SAME padding does.

    Then nothing follows at other sizes from the amounts at this one.
    """
    seen: set[str] = set()
    for operator in facts.operators:
        if operator.op_type != "Pad" or not facts.is_local(operator):
            continue
        ahead = list(operator.inputs[1:])
        while ahead:
            name = ahead.pop()
            if facts.flow(name) is not None:
                return True
            maker = facts.producers.get(name)
            if maker is not None and name not in seen:
                ahead += maker.inputs
            seen.add(name)
    return False


def _completed(row: AxisFacts, dead_taps: frozenset[str] | None, stride: int) -> AxisFacts:
    """Add the dead taps, and whether the size is too small for the total stride; 0: it is not."""
    too_small = None
    if stride and row.size == 1:
        too_small = "a single pixel"
    elif row.size < stride:
        too_small = f"smaller than the total stride of {stride} px"
    return replace(row, dead_taps=dead_taps, too_small=too_small)


def _axis_facts(
    facts: Facts,
    label: int,
    layers: Sequence[Strided],
    pools: Sequence[tuple[Operator, tuple[Window, ...] | None]],
    candidates: Sizes,
    tensors: Mapping[str, Sizes],
) -> list[AxisFacts]:
    count = len(candidates)
    read = [(layer, tensors.get(layer.operator.inputs[0])) for layer in layers]
    uneven, leftover = (
        _names_at(
            count,
            [(s.operator.name, None if n is None else masked(s, n)) for s, n in read],
        )
        for masked in (Strided.reads_unevenly_at, Strided.leaves_over_at)
    )
    phantoms = _names_at(
        count,
        [
            (operator.name, _phantom_at(windows, label, tensors.get(operator.inputs[0])))
            for operator, windows in pools
        ],
    )
    fits = np.ones(count, bool)
    for layer, sizes in read:
        if sizes is not None:
            fits &= layer.fits_at(sizes)
    # The padding that SAME puts before the first cell depends on the size, as do cuts from the end.
    fixed = not any(layer.window.auto_pad.startswith("SAME") for layer in layers) and not any(
        operator.op_type in _MOVING and facts.is_local(operator) for operator in facts.operators
    )
    offsets = _offsets_at(facts, label, candidates, tensors) if fixed else [None] * count
    return [
        AxisFacts(
            int(size),
            uneven[i],
            leftover[i],
            phantoms[i],
            centre_offset=offsets[i],
            fits=bool(fits[i]),
        )
        for i, size in enumerate(candidates)
    ]


def _names_at(
    count: int, masks: Sequence[tuple[str, Mask | None]]
) -> list[frozenset[str]] | list[None]:
    """Return whose masks hold at each of some sizes, None where some mask is not known."""
    found: list[set[str]] = [set() for _ in range(count)]
    for name, mask in masks:
        if mask is None:
            return [None] * count
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
) -> list[Fraction | None]:
    """Return the centre offset of the last grid at other sizes, None where it does not follow."""
    found: list[list[Fraction | None]] = [[] for _ in candidates]
    for head in facts.heads:
        grid = exact_grid(facts, head, label)
        if grid is None:
            continue
        cells = tensors.get(head)
        if cells is None:
            return [None] * len(candidates)
        for index, (size, count) in enumerate(zip(candidates, cells, strict=True)):
            found[index].append(offset(grid, int(size), int(count)))
    return [furthest(offsets) for offsets in found]


def exact_grid(facts: Facts, head: str, label: int) -> Grid | None:
    """Return the grid of a feature map along an axis of the image if it is known exactly."""
    grids = facts.geometry.local_grids(head) if facts.geometry is not None else None
    return grids[label] if grids is not None and not grids[label].note else None


def offset(grid: Grid, size: int, cells: int) -> Fraction | None:
    """Return the centre of a grid of so many cells minus the centre of an image axis, in pixels."""
    centre = grid.field.centre if grid.field is not None else None
    if grid.field is None or centre is None or cells < 1:
        return None
    return centre + grid.field.effective_stride * Fraction(cells - 1, 2) - Fraction(size - 1, 2)


def furthest(offsets: Iterable[Fraction | None]) -> Fraction | None:
    """Return the offset of largest magnitude among the known ones, None if there is none."""
    return max((offset for offset in offsets if offset is not None), key=abs, default=None)


def _union(parts: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    found: frozenset[str] = frozenset()
    for part in parts:
        if part is None:
            return None
        found |= part
    return found
