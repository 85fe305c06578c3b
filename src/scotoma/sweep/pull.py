"""One arrow of the sweep: what an output's array says of an input's, by the transposed index map.

An array has one axis per followed digit of its tensor's layout. Three semirings share the code:
reachability (boolean), path counts, and the random walk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from functools import cached_property, lru_cache
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.trace.index_map import IndexMap, Taps, TapsMap, WindowMap
from scotoma.trace.layout import (
    Axis,
    Layout,
    cells_per_place,
    is_tracked,
    refine,
    tracked_sizes,
)
from scotoma.trace.reading import AxisRead, Faded, Mapped, Mixed, Reading, Same

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    """Booleans for reachability, float64 for counts and walks."""

LONG_KERNEL = 24
"""From this many taps on, a dense window is summed by differences instead of tap by tap."""


KEPT = 128
"""Networks repeat their layers: what depends on a window alone is kept for so many windows."""


class Semiring(Enum):
    """What a sweep adds up."""

    REACH = "reach"
    """Is there a path at all."""
    COUNT = "count"
    """How many paths of kernel taps."""
    WALK = "walk"
    """The probability that a random walk from the outputs ends here."""


def pull(reading: Reading, out: Layout, array: Array, semiring: Semiring) -> Array:
    """Return the contribution of an output's array to the array of a tensor that it reads.

    Parameters
    ----------
    reading
        How the output reads the tensor.
    out
        Layout of the output.
    array
        Array of the output, shape ``tracked_sizes(out)``.

    Returns
    -------
    ndarray
        Shape ``tracked_sizes(reading.layout)``.
    """
    if reading.axes is None:
        return array.reshape(tracked_sizes(reading.layout))
    if _passes(reading, out):
        return array
    grid = array.reshape([_tracked_size(axis) for axis in out])
    for axis, read in zip(reading.layout, reading.axes, strict=True):
        if isinstance(read, Mapped):
            grid = _collapse(_pull_map(grid, read.out, read.map, semiring), read.out, axis)
        elif isinstance(read, Same):
            grid = _same(grid, read.out, out[read.out], axis)
        elif isinstance(read, Faded):
            grid = _fade(grid, read.map, semiring)
    kept = [r.out for r in reading.axes if isinstance(r, Same | Mapped)]
    unread = tuple(i for i in range(len(out)) if i not in kept)
    if unread:
        grid = _summed(grid, unread)
    order = {axis: i for i, axis in enumerate(sorted(kept))}
    grid = grid.transpose([order[axis] for axis in kept])
    return _spread(grid, reading, semiring)


def _passes(reading: Reading, out: Layout) -> bool:
    """Tell whether every output reads just the cell at its own place."""
    axes, layout = reading.axes or (), reading.layout
    return len(out) == len(layout) and all(
        isinstance(read, Same) and read.out == i and (layout[i] is out[i] or layout[i] == out[i])
        for i, read in enumerate(axes)
    )


class Slide:
    """What pulling through a window comes down to, worked out when it is first asked for."""

    def __init__(self, window: WindowMap) -> None:
        self.window = window
        self.long = window.kernel > LONG_KERNEL and window.dilation == 1 and not window.transposed

    @property
    def taps(self) -> Iterable[tuple[slice, slice]]:
        """For every tap the cells that it meets, and the places of the array that it meets."""
        return self._few if self.window.kernel <= LONG_KERNEL else _each_tap(self.window)

    @cached_property
    def _few(self) -> tuple[tuple[slice, slice], ...]:
        return tuple(_each_tap(self.window))

    @cached_property
    def weights(self) -> NDArray[np.float64] | None:
        """The probability of each tap of each output, shape (size_out,); None: all are 1."""
        return None if self.window.kernel == 1 else _weights(self.window)

    @cached_property
    def read(self) -> NDArray[np.bool_]:
        """Which cells some output reads, shape (size_in,)."""
        return _slid(np.ones(self.window.size_out, bool), self)

    @cached_property
    def reads_all(self) -> bool:
        """Whether every cell is read by some output."""
        w = self.window
        gapless = w.kernel >= w.stride and (w.dilation == 1 or w.kernel == 1) and not w.transposed
        last = (w.size_out - 1) * w.stride - w.pad_begin + w.kernel - 1
        if gapless and w.pad_begin >= 0 and last >= w.size_in - 1:
            return True
        return bool(self.read.all())

    @property
    def size_out(self) -> int:
        """Outputs along the axis."""
        return self.window.size_out


_slide = lru_cache(maxsize=KEPT)(Slide)

Steps = tuple[tuple[int, TapsMap | Slide], ...]
"""Axes of an output's array, each with the map through which it is read."""


def step(position: int, index_map: IndexMap) -> tuple[int, TapsMap | Slide]:
    """Return one of the steps that `pull_steps` takes."""
    return position, _slide(index_map) if isinstance(index_map, WindowMap) else index_map


def steps_of(reading: Reading, out: Layout) -> Steps | None:
    """Return what a pull comes down to where every followed axis is one digit, in one order.

    Empty where every output reads just the cell at its own place; None where digits are split,
    summed or spread, and `pull` is needed.
    """
    if reading.axes is None:
        return None
    followed = [i for i, axis in enumerate(out) if is_tracked(axis)]
    if any(len(out[i]) > 1 for i in followed):
        return None
    if reading.layout is out and reading.axes == _in_place(len(out)):
        return ()
    steps: list[tuple[int, TapsMap | Slide]] = []
    met: list[int] = []
    for axis, read in zip(reading.layout, reading.axes, strict=True):
        mapped = read.map if isinstance(read, Mapped) else None
        if len(axis) == 1 and axis[0].grid is not None:
            if not isinstance(read, Same | Mapped) or read.out not in followed:
                return None
            if mapped is None and axis[0].size != out[read.out][0].size:
                return None
            if mapped is not None and not _is_identity(mapped):
                steps.append(step(len(met), mapped))
            met.append(read.out)
        elif is_tracked(axis) or not _is_unfollowed(read, followed):
            return None
    return tuple(steps) if met == followed else None


def _is_unfollowed(read: AxisRead, followed: list[int]) -> bool:
    """Tell whether an axis that is not followed has no part in what is."""
    return isinstance(read, Mixed) or (isinstance(read, Same) and read.out not in followed)


@lru_cache(maxsize=KEPT)
def _in_place(rank: int) -> tuple[Same, ...]:
    """Return how every axis is read by an operator that works place by place."""
    return tuple(map(Same, range(rank)))


def _is_identity(index_map: IndexMap) -> bool:
    return isinstance(index_map, WindowMap) and index_map.identity and not index_map.transposed


def pull_steps(steps: Steps, array: Array, semiring: Semiring) -> Array:
    """Return the contribution of an output's array, as `pull` does."""
    for position, index_map in steps:
        array = _pull_map(array, position, index_map, semiring)
    return array


def most_taps(index_map: TapsMap | Slide) -> int:
    """Return a number that the taps on one cell through a step's map do not exceed."""
    return index_map.window.kernel if isinstance(index_map, Slide) else len(index_map.outputs)


def _tracked_size(axis: Axis) -> int:
    """Return the number of places of an axis that are told apart."""
    return prod(d.size for d in axis if d.grid is not None)


def _spread(grid: Array, reading: Reading, semiring: Semiring) -> Array:
    """Give the axes that every output reads in full their places, all alike."""
    shape: list[int] = []
    source: list[int] = []
    share = cells = 1
    for axis, read in zip(reading.layout, reading.axes or (), strict=True):
        size = _tracked_size(axis)
        shape.append(size)
        if isinstance(read, Same | Mapped):
            source.append(size)
        else:
            source.append(1)
            share *= size
            cells *= cells_per_place(axis)
    if semiring is Semiring.COUNT and cells > 1:
        grid = grid * cells
    if share != 1:
        if semiring is Semiring.WALK and share:
            grid = grid / share
        grid = np.broadcast_to(grid.reshape(source), shape)
    return grid.reshape(tracked_sizes(reading.layout))


def _same(grid: Array, position: int, out: Axis, axis: Axis) -> Array:
    """Return the array with the output axis's digits merged or summed to the input axis's."""
    plain = len(out) <= 1 or all(d.grid is not None for d in axis)
    if plain and _tracked_size(axis) == _tracked_size(out):
        return grid
    pieces = refine(out, axis)
    if pieces is None:
        return _collapse(grid, position, axis)
    sizes = [(a.size, b.grid is None) for a, b in zip(*pieces, strict=True) if a.grid is not None]
    return _sum_pieces(grid, position, sizes)


def _collapse(grid: Array, position: int, axis: Axis) -> Array:
    """Sum a fully resolved axis over the digits that its tensor does not tell apart."""
    if all(d.grid is not None for d in axis):
        return grid
    return _sum_pieces(grid, position, [(d.size, d.grid is None) for d in axis])


def _sum_pieces(grid: Array, position: int, pieces: list[tuple[int, bool]]) -> Array:
    """Split one axis into pieces (size, summed away or not) and sum."""
    shape = grid.shape
    split = grid.reshape(*shape[:position], *(n for n, _ in pieces), *shape[position + 1 :])
    away = tuple(position + i for i, (_, lost) in enumerate(pieces) if lost)
    if away:
        split = _summed(split, away)
    kept = prod(n for n, lost in pieces if not lost)
    return split.reshape(*shape[:position], kept, *shape[position + 1 :])


def _summed(grid: Array, axes: tuple[int, ...]) -> Array:
    """Sum an array over some axes, in its own sense."""
    ufunc = np.logical_or if grid.dtype == bool else np.add
    return np.asarray(ufunc.reduce(grid, axis=axes))


def _fade(grid: Array, index_map: IndexMap, semiring: Semiring) -> Array:
    """Apply a window over an axis without places: the mean number or share of its real taps."""
    real = index_map.real_taps()
    if semiring is Semiring.REACH:
        return grid & bool(real.any())
    if len(real) == 0:
        return grid * 0
    if semiring is Semiring.WALK:
        return grid * float((real * _weights(index_map)).mean())
    return grid * float(real.mean())


def _weights(index_map: IndexMap) -> NDArray[np.float64]:
    """Return the probability of each tap of each output, shape (size_out,)."""
    if isinstance(index_map, WindowMap) and not index_map.transposed:
        if index_map.taps is Taps.ALL:
            return np.full(index_map.size_out, 1.0 / index_map.kernel)
        if index_map.taps is Taps.PADDED:
            return _shares(index_map.padded_taps())
    return _shares(index_map.real_taps())


def _shares(choices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the probability of each of so many choices."""
    return 1.0 / np.maximum(choices, 1)


def _pull_map(grid: Array, position: int, index_map: IndexMap | Slide, semiring: Semiring) -> Array:
    """Apply the transpose of an index map along one axis."""
    slide = _slide(index_map) if isinstance(index_map, WindowMap) else index_map
    weights = None
    if isinstance(slide, Slide):
        if semiring is Semiring.REACH and grid.all():
            return _pull_full(grid, position, slide)
        if semiring is Semiring.WALK:
            weights = slide.weights
    elif semiring is Semiring.WALK:
        weights = _weights(slide)
    moved = grid.swapaxes(0, position) if position else grid
    if weights is not None:
        moved = moved * weights.reshape(-1, *(1,) * (moved.ndim - 1))
    if isinstance(slide, Slide):
        pulled = _slid(moved, slide)
    else:
        pulled = _pull_taps(moved, slide.outputs, slide.inputs, slide.size_in)
    return pulled.swapaxes(0, position) if position else pulled


def _pull_full(grid: Array, position: int, slide: Slide) -> Array:
    """Return which cells a window reads along one axis, where all outputs count."""
    size = slide.window.size_in
    if size == grid.shape[position] and slide.reads_all:
        return grid
    shape = [1] * grid.ndim
    shape[position] = -1
    sizes = (*grid.shape[:position], size, *grid.shape[position + 1 :])
    return np.broadcast_to(slide.read.reshape(shape), sizes)


def _slid(moved: Array, slide: Slide) -> Array:
    """Bring every place of an array to the cells that it meets through a window, axis 0."""
    if slide.long:
        return _pull_long(moved, slide.window)
    result = np.zeros((slide.window.size_in, *moved.shape[1:]), moved.dtype)
    add = np.logical_or if moved.dtype == bool else np.add
    first = True
    for cells, places in slide.taps:
        if first:
            result[cells], first = moved[places], False
            continue
        met = result[cells]
        add(met, moved[places], out=met)
    return result


def _each_tap(w: WindowMap) -> Iterator[tuple[slice, slice]]:
    """Yield, for every tap, the cells of the input that it meets and the outputs that it is of."""
    sizes = (w.size_out, w.size_in) if w.transposed else (w.size_in, w.size_out)
    for t in range(w.kernel):
        start = t * w.dilation - w.pad_begin
        first = max(0, -(start // w.stride)) if start < 0 else 0
        until = min(sizes[1], (sizes[0] - 1 - start) // w.stride + 1)
        if first < until:
            end = start + (until - 1) * w.stride + 1
            met = slice(start + first * w.stride, end, w.stride), slice(first, until)
            yield met[::-1] if w.transposed else met
        elif start >= sizes[0]:
            break


def _pull_long(moved: Array, w: WindowMap) -> Array:
    """Scatter long dense windows by differences and a running sum, axis 0."""
    # Reachability is counted in integers: differences of booleans would not cancel.
    numeric = moved.astype(np.int64) if moved.dtype == bool else moved
    edges = np.zeros((w.size_in + 1, *moved.shape[1:]), numeric.dtype)
    _mark(edges, numeric, -w.pad_begin, w.stride)
    _mark(edges, -numeric, w.kernel - w.pad_begin, w.stride)
    result = np.cumsum(edges[:-1], axis=0)
    if moved.dtype == bool:
        return result > 0
    # What rounding leaves of a difference must not look like a path.
    return np.where(_pull_long(moved > 0, w), np.maximum(result, 0.0), 0.0)


def _mark(edges: Array, values: Array, start: int, stride: int) -> None:
    """Add values at ``start + o * stride``, those beyond either end at that end, axis 0."""
    last = len(edges) - 1
    first = min(max(0, -(start // stride)), len(values))
    until = max(first, min(len(values), (last - start) // stride + 1))
    edges[0] += values[:first].sum(axis=0)
    edges[last] += values[until:].sum(axis=0)
    begin = start + first * stride
    if first < until:
        edges[begin : begin + (until - first - 1) * stride + 1 : stride] += values[first:until]


def _pull_taps(
    moved: Array, outputs: NDArray[np.int64], inputs: NDArray[np.int64], size_in: int
) -> Array:
    """Scatter along an explicit table of taps, axis 0."""
    result = np.zeros((size_in, *moved.shape[1:]), moved.dtype)
    if len(inputs) == 0:
        return result
    order = np.argsort(inputs, kind="stable")
    cells, starts = np.unique(inputs[order], return_index=True)
    ufunc = np.logical_or if moved.dtype == bool else np.add
    result[cells] = ufunc.reduceat(moved[outputs[order]], starts, axis=0)
    return result
