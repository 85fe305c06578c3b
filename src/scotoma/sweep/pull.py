"""One arrow of the sweep: what an output's array says of an input's, by the transposed index map.

An array has one axis per followed digit of its tensor's layout. Three semirings share the code:
reachability (boolean), path counts, and the random walk.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from scotoma.sweep.along import KEPT, Semiring, Slide, pull_map, slide_of, tap_shares
from scotoma.trace.index_map import IndexMap, TapsMap, WindowMap
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
    from scotoma.sweep.along import Array


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
            grid = _collapse(pull_map(grid, read.out, read.map, semiring), read.out, axis)
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


Steps = tuple[tuple[int, TapsMap | Slide], ...]
"""Axes of an output's array, each with the map through which it is read."""


def step(position: int, index_map: IndexMap) -> tuple[int, TapsMap | Slide]:
    """Return one of the steps that `pull_steps` takes."""
    return position, slide_of(index_map) if isinstance(index_map, WindowMap) else index_map


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
        array = pull_map(array, position, index_map, semiring)
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
        return grid * float((real * tap_shares(index_map)).mean())
    return grid * float(real.mean())
