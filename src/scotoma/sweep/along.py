"""Pulling an array through the index map of one axis: to every cell what the outputs say of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.trace.index_map import IndexMap, Taps, TapsMap, WindowMap

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
        return None if self.window.kernel == 1 else tap_shares(self.window)

    @cached_property
    def read(self) -> NDArray[np.bool_]:
        """Which cells some output reads, shape (size_in,)."""
        every = np.ones(self.window.size_out, bool)
        if self.long:
            return _pull_long(every, self.window)
        found = np.zeros(self.window.size_in, bool)
        _add_taps(found, every, self)
        return found

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


slide_of = lru_cache(maxsize=KEPT)(Slide)


def tap_shares(index_map: IndexMap) -> NDArray[np.float64]:
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


def pull_map(grid: Array, position: int, index_map: IndexMap | Slide, semiring: Semiring) -> Array:
    """Apply the transpose of an index map along one axis."""
    slide = slide_of(index_map) if isinstance(index_map, WindowMap) else index_map
    weights = None
    if isinstance(slide, Slide):
        if semiring is Semiring.REACH and grid.all():
            return _pull_full(grid, position, slide)
        if semiring is Semiring.WALK:
            weights = slide.weights
    elif semiring is Semiring.WALK:
        weights = tap_shares(slide)
    moved = grid.swapaxes(0, position) if position else grid
    if weights is not None:
        moved = moved * weights.reshape(-1, *(1,) * (moved.ndim - 1))
    if isinstance(slide, TapsMap):
        pulled = _pull_taps(moved, slide.outputs, slide.inputs, slide.size_in)
    elif slide.long:
        pulled = _pull_long(moved, slide.window)
    else:
        # Rows stay rows in memory, so that all that is added up lies alike.
        shape = (*grid.shape[:position], slide.window.size_in, *grid.shape[position + 1 :])
        found = np.zeros(shape, grid.dtype)
        _add_taps(found.swapaxes(0, position) if position else found, moved, slide)
        return found
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


def _add_taps(result: Array, moved: Array, slide: Slide) -> None:
    """Add every place of an array to the cells that it meets through a window, axis 0.

    Parameters
    ----------
    result
        Zeros, which become the sums.
    """
    add = np.logical_or if moved.dtype == bool else np.add
    first = True
    for cells, places in slide.taps:
        if first:
            result[cells], first = moved[places], False
            continue
        met = result[cells]
        add(met, moved[places], out=met)


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
