"""A map over the pixels of an input, reduced to what a picture of a page can show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scotoma.measure.picture.scale import any_of_cells, factors, mean_of_cells

if TYPE_CHECKING:
    import numpy.typing as npt

    Map = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]
    Ranges = tuple[tuple[int, int], ...]

MOST = 256
"""Cells of a picture along an axis."""
LARGEST = 1e290
"""Larger values are shown as this: sums of them would leave the range of float64."""
AXES = {1: ("places",), 2: ("rows", "columns"), 3: ("slices", "rows", "columns")}
"""Names of the axes of a map, by their number."""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """One or two axes of a map, with what is dead."""

    shape: tuple[int, ...]
    """In pixels of the input."""
    axes: tuple[str, ...]
    """Names of the axes, from `AXES`."""
    over: str | None
    """The axis that it is the mean over, of a volume; None: there is no other."""
    cells: Map
    """Mean over the pixels of each cell that are not dead."""
    unread: Mask
    """Cells with a pixel without any path to the outputs."""
    unmoved: Mask
    """Cells with a pixel that has a path and moved nothing when it was measured."""
    profiles: tuple[Map, ...]
    """Mean over the pixels of each line, by axis, dead ones included; `MOST` values at most."""
    dead_lines: tuple[Ranges, ...]
    """Lines all of whose pixels have no path or moved nothing, as (first, last), by axis."""
    unread_lines: tuple[Ranges, ...]
    """Those of them all of whose pixels have no path."""


def grids_of(values: Map, unread: Mask, unmoved: Mask | None = None) -> tuple[Grid, ...]:
    """Return what is shown of a map: itself, or the means over each axis of a volume.

    Parameters
    ----------
    values
        Map with one axis per spatial axis of the input.
    unread
        Pixels without any path to the outputs.
    unmoved
        Pixels that were perturbed and moved nothing; None: nothing was measured.

    Returns
    -------
    tuple
        Empty where the map has no pixel or more than three axes.
    """
    still = np.zeros(values.shape, bool) if unmoved is None else unmoved & ~unread
    values = np.minimum(values, LARGEST)
    if values.size == 0 or not 1 <= values.ndim <= 3:
        return ()
    names = AXES[values.ndim]
    if values.ndim < 3:
        return (_grid(values, unread, still, names, None),)
    return tuple(_mean_over(axis, values, unread, still) for axis in range(3))


def _mean_over(axis: int, values: Map, unread: Mask, still: Mask) -> Grid:
    """Return what is seen of a volume along an axis; dead is what is dead all the way."""
    names = AXES[3]
    no_path = np.asarray(unread.all(axis=axis))
    dead = np.asarray((unread | still).all(axis=axis))
    rest = names[:axis] + names[axis + 1 :]
    return _grid(values.mean(axis=axis), no_path, dead & ~no_path, rest, names[axis])


def _grid(
    values: Map, unread: Mask, unmoved: Mask, axes: tuple[str, ...], over: str | None
) -> Grid:
    by = factors(values.shape, [MOST] * values.ndim)
    cells, _ = mean_of_cells(values, unread | unmoved, by)
    return Grid(
        shape=values.shape,
        axes=axes,
        over=over,
        cells=cells,
        unread=any_of_cells(unread, by),
        unmoved=any_of_cells(unmoved, by),
        profiles=tuple(_profile(values, axis, by[axis]) for axis in range(values.ndim)),
        dead_lines=tuple(_lines(unread | unmoved, axis) for axis in range(values.ndim)),
        unread_lines=tuple(_lines(unread, axis) for axis in range(values.ndim)),
    )


def _profile(values: Map, axis: int, by: int) -> Map:
    others = tuple(other for other in range(values.ndim) if other != axis)
    line = values.mean(axis=others)
    return mean_of_cells(line, np.zeros(line.shape, bool), [by])[0]


def _lines(dead: Mask, axis: int) -> Ranges:
    """Return the lines along an axis that are dead throughout.

    Examples
    --------
    >>> _lines(np.array([[True, True], [False, True]]), 0)
    ((0, 0),)
    """
    whole = dead.all(axis=tuple(other for other in range(dead.ndim) if other != axis))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], whole, [False]]).astype(np.int8)))
    return tuple((int(first), int(end) - 1) for first, end in edges.reshape(-1, 2))
