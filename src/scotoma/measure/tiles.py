"""Keeps a map that is too large for memory in tiles: cells of several pixels along each axis."""

from __future__ import annotations

from math import exp, log, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.measure.influence import Structural
from scotoma.measure.ledger import Ledger
from scotoma.measure.plan import Lattice, Unit

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.measure.prober import Response

    Ints = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

LARGEST_MAP = 2**32
"""Bytes that a map with all that is made of it may take."""
BYTES_PER_CELL = 160
"""What a cell of the map takes: its value, its answers by input, and above all its nearest
neighbour while the cells between are filled in."""
MOST_TILES = 2**22
"""More say nothing more of so large a map, and to fill it in takes a microsecond for each."""


def tile_of(pixels: tuple[int, ...]) -> int:
    """Return how many pixels along each axis share a cell, the fewest that fit; 1: none need to.

    Examples
    --------
    >>> tile_of((4096, 4096)), tile_of((20000, 20000))
    (1, 10)
    """
    if prod(pixels) * BYTES_PER_CELL <= LARGEST_MAP:
        return 1
    tile = max(1, int(exp(log(prod(pixels) / MOST_TILES) / len(pixels))) - 1)
    while prod(Lattice(pixels, tile).shape) > MOST_TILES:
        tile += 1
    return tile


def need(pixels: tuple[int, ...], tile: int) -> str:
    """Say what the map would need pixel by pixel, and what is done instead."""
    size, square = ("x".join(map(str, sizes)) for sizes in (pixels, (tile,) * len(pixels)))
    return (
        f"the map of {size} pixels would need {prod(pixels) * BYTES_PER_CELL / 2**30:.1f} GiB, more"
        f" than {LARGEST_MAP / 2**30:.2g}: it is kept in tiles of {square} pixels, each the mean"
        " of those that were perturbed"
    )


def structural_in_tiles(structural: Structural, tile: int) -> Structural:
    """Return what the graph says by tile: the walk as an even share would have it, wholly dead."""
    walk, grid = structural.walk, Lattice(structural.walk.shape, tile)
    dead = grid.tiles(structural.dead)
    for axis, size in enumerate(walk.shape):
        starts = np.arange(0, size, tile)
        lengths = np.diff(starts, append=size)
        sums = np.add.reduceat(walk, starts, axis=axis)
        # The last tile may be cut off; it has as much of a share as the others.
        walk = sums * _upright(size / len(starts) / lengths, axis, walk.ndim)
    return Structural(walk, dead, structural.absorbed)


class TiledLedger(Ledger):
    """The answers so far by tile of the map: sums, so that memory does not grow with them.

    A place belongs to the tile that holds its middle pixel. Places that are known to be dead count
    as 0, those that were not perturbed as the mean of those of the tile that were.

    Parameters
    ----------
    lattice
        The places.
    inputs
        Number of inputs.
    tile
        Pixels along each axis of a tile.
    """

    def __init__(self, lattice: Lattice, inputs: int, tile: int) -> None:
        super().__init__(lattice, inputs)
        self._cells = [
            lattice.middle(axis, np.arange(size)) // tile for axis, size in enumerate(lattice.shape)
        ]
        self.shape = Lattice(lattice.pixels, tile).shape
        count = prod(self.shape)
        self._sums = np.zeros((inputs, count))
        self._counts = np.zeros(count, np.int64)
        self._living = np.zeros(count, bool)
        self._dead: Mask | None = None

    def _keep(self, unit: Unit, response: Response) -> None:
        values, moved = response.values, response.moved
        cells = [along[places] for along, places in zip(self._cells, unit.positions, strict=True)]
        flat = Unit(unit.kind, tuple(cells)).flat(self.shape)
        if self._dead is not None:
            unknown = ~self._dead[np.ix_(*unit.positions)].ravel()
            flat, values, moved = flat[unknown], values[:, unknown], moved[unknown]
        for sums, own in zip(self._sums, values, strict=True):
            np.add.at(sums, flat, own)
        np.add.at(self._counts, flat, 1)
        self._living[flat[moved]] = True

    def add_dead(self, mask: Mask) -> None:
        """Keep that all places of a mask were perturbed together and nothing moved."""
        self._dead = mask

    def places(self) -> tuple[Ints, npt.NDArray[np.float64], Mask]:
        """Return the tiles with an answer in row-major order, their influence and liveness."""
        places = self._places_by_tile(np.broadcast_to(np.True_, self._lattice.shape))
        live = places if self._dead is None else self._places_by_tile(~self._dead)
        known = (self._counts > 0) | (places > live) & (live == 0)
        # All live places of a tile known: the divisor is all of its places, exactly.
        share = self._counts[known] * places[known] / np.maximum(live[known], 1)
        values = self._sums[:, known] / np.maximum(share, 1)
        return np.argwhere(known.reshape(self.shape)), values, self._living[known]

    def _places_by_tile(self, mask: Mask) -> Ints:
        """Return how many places of a mask each tile has."""
        counts: npt.NDArray[Any] = mask
        for axis, cells in enumerate(self._cells):
            present, starts = np.unique(cells, return_index=True)
            sums = np.add.reduceat(counts, starts, axis=axis, dtype=np.int64)
            shape = list(sums.shape)
            shape[axis] = self.shape[axis]
            counts = np.zeros(shape, np.int64)
            np.moveaxis(counts, axis, 0)[present] = np.moveaxis(sums, axis, 0)
        return counts.ravel()


def line_in_tiles(
    line: npt.NDArray[np.float64] | None, tile: int
) -> npt.NDArray[np.float64] | None:
    """Return the means of a profile by tile; NaN where a pixel is not known."""
    if line is None or tile == 1:
        return line
    starts = np.arange(0, len(line), tile)
    return np.asarray(np.add.reduceat(line, starts) / np.diff(starts, append=len(line)))


def _upright(line: npt.NDArray[np.float64], axis: int, rank: int) -> npt.NDArray[np.float64]:
    return line.reshape([-1 if other == axis else 1 for other in range(rank)])
