"""The making of a plan: which places become units, and in which order, from coarse to fine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from scotoma.measure.grid import centres, coarse_to_fine
from scotoma.measure.plan import KINDS, Lattice, Plan, palette_shape
from scotoma.measure.reach import colours
from scotoma.metrics import blocks

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.measure.plan import Variants
    from scotoma.measure.reach import Reach

    Ints = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]


WEAKEST = 64
"""So many of the pixels that the graph gives least weight are looked at first."""
WEAK = 0.01
"""A pixel is weak below this share of the median weight."""
SHARES = {"weak": 1.0, "profile": 2.0, "blocks": 3.0, "ring": 1.0, "interior": 3.0}
"""How a budget is divided: units of each in turn, until it has no more."""
MOST_CONSIDERED = 1 << 21
"""Of more places than these an even grid is sampled, unless all are asked for."""


def make(
    lattice: Lattice,
    *,
    resolution: int | str | None,
    reaches: Sequence[Sequence[Reach]] | None,
    walk: npt.NDArray[np.float64] | None,
    skipped: Mask | None,
    variants: Variants,
    seed: int,
) -> Plan:
    """Return the plan of a measurement.

    Parameters
    ----------
    lattice
        The places.
    resolution
        None: suspects, the profile by whole rows and columns, the blocks and the border that the
        figures look at, and the interior, side by side; ``full``: all places; a number: an even
        grid of so many places per axis.
    reaches
        By axis of the image, the reach of every target tensor: places that no cell shares become
        one unit, where that saves passes: half of them at least, unless all places are to be
        perturbed. None: one place a unit.
    walk
        The random walk by pixel, for the suspects; None: unknown.
    skipped
        Places that need no unit: the structurally dead ones, which were perturbed together.
    variants
        What is done with each unit.
    seed
        Of the order; see `scotoma.measure.grid.coarse_to_fine`.
    """
    shape = lattice.shape
    count = max(shape)
    if isinstance(resolution, int):
        count = resolution
    elif resolution is None and prod(shape) > MOST_CONSIDERED:
        count = int(MOST_CONSIDERED ** (1 / len(shape)))
    samples = tuple(centres(length, count) for length in shape)
    palette = _palette(samples, reaches, 2 if resolution is None else 1)
    keyed = partial(_keys, lattice, samples, palette)
    sizes = tuple(map(len, samples)) if palette is None else palette_shape(palette)
    interior = coarse_to_fine(sizes, seed)
    if skipped is not None:
        interior = interior[_alive(samples, palette, skipped)[interior]]
    streams = [("interior", 0, interior)]
    if resolution is None:
        streams += _profile(shape)
        places = chain(_suspects(lattice, walk, skipped), _border(lattice, skipped, seed))
        streams += [(name, 0, keyed(chosen)) for name, chosen in places]
    kinds, keys = _merged(streams)
    return Plan(lattice, samples, palette, kinds, keys, variants)


def _palette(
    samples: tuple[Ints, ...], reaches: Sequence[Sequence[Reach]] | None, least: int
) -> tuple[Ints, ...] | None:
    """Return the colours of the samples by axis; None where a unit has less than `least` places."""
    if reaches is None:
        return None
    palette = tuple(
        colours([reach.at(places) for reach in along])
        for places, along in zip(samples, reaches, strict=True)
    )
    fewest = prod(int(colour.max()) + 1 for colour in palette)
    count = prod(map(len, samples))
    return palette if fewest < count and least * fewest <= count else None


def _keys(
    lattice: Lattice, samples: tuple[Ints, ...], palette: tuple[Ints, ...] | None, places: Ints
) -> Ints:
    """Return the keys of the units that perturb some places, in their order, each once.

    Parameters
    ----------
    lattice, samples, palette
        As in a `Plan`.
    places
        Flat indices into the lattice; what is not sampled is left out.
    """
    sizes = tuple(map(len, samples)) if palette is None else palette_shape(palette)
    digits, sampled = [], np.ones(len(places), bool)
    for axis, along in enumerate(np.unravel_index(places, lattice.shape)):
        number = np.full(lattice.shape[axis], -1)
        number[samples[axis]] = np.arange(len(samples[axis])) if palette is None else palette[axis]
        digits.append(number[along])
        sampled &= digits[-1] >= 0
    keys = np.ravel_multi_index(tuple(digit[sampled] for digit in digits), sizes)
    return keys[np.sort(np.unique(keys, return_index=True)[1])]


def _alive(samples: tuple[Ints, ...], palette: tuple[Ints, ...] | None, skipped: Mask) -> Mask:
    """Return by key whether a unit has a place that is not to be skipped."""
    live = ~skipped[np.ix_(*samples)]
    if palette is None:
        return live.ravel()
    alive = np.zeros(palette_shape(palette), bool)
    places = zip(palette, np.nonzero(live), strict=True)
    alive[tuple(colour[along] for colour, along in places)] = True
    return alive.ravel()


def _suspects(
    lattice: Lattice, walk: npt.NDArray[np.float64] | None, skipped: Mask | None
) -> Iterator[tuple[str, Ints]]:
    """Yield the live places that the graph gives least weight, the least first."""
    if walk is None or lattice.patch != 1:
        return
    flat = walk.ravel()
    live = flat > 0 if skipped is None else (flat > 0) & ~skipped.ravel()
    if live.any():
        weak = np.flatnonzero(live & (flat < WEAK * np.median(flat[live])))
        yield "weak", weak[np.argsort(flat[weak], kind="stable")][:WEAKEST]


def _profile(shape: tuple[int, ...]) -> Iterator[tuple[str, int, Ints]]:
    """Yield whole rows and columns, the ends first and then halfway between; not in 1-D."""
    if len(shape) > 1:
        yield "profile", 1, _halving(shape[-2])
        yield "profile", 2, _halving(shape[-1])


def _halving(count: int) -> Ints:
    """Return 0 to count - 1: the ends, then the middles of what lies between.

    Examples
    --------
    >>> _halving(6).tolist()
    [0, 5, 2, 1, 3, 4]
    """
    order = [0, count - 1]
    pending = [(0, count - 1)]
    for low, high in pending:
        middle = (low + high) // 2
        if low < middle:
            order.append(middle)
            pending += [(low, middle), (middle, high)]
    return np.array(list(dict.fromkeys(order)), np.int64)


def _border(lattice: Lattice, skipped: Mask | None, seed: int) -> Iterator[tuple[str, Ints]]:
    """Yield the places of the blocks that the figures compare, and of the outermost ring.

    The blocks take turns, corners, centre and sides alike, so that the first few units already
    tell of all; within a block the order is random.
    """
    size = lattice.pixels
    live = np.ones(lattice.shape, bool) if skipped is None else ~skipped
    generator = np.random.default_rng([seed, 1])

    def shuffled(mask: Mask) -> Ints:
        return generator.permutation(np.flatnonzero(lattice.touched(mask) & live))

    groups = (blocks.corner_blocks, blocks.centre_blocks, blocks.edge_blocks)
    compared = [[shuffled(_mask(size, block)) for block in group(size)] for group in groups]
    yield "blocks", _in_turn([_in_turn(group) for group in compared])
    inside = tuple(slice(1, -1) for _ in size)
    yield "ring", shuffled(~_mask(size, inside))


def _mask(shape: tuple[int, ...], part: tuple[slice, ...]) -> Mask:
    mask = np.zeros(shape, bool)
    mask[part] = True
    return mask


def _in_turn(lists: Sequence[Ints]) -> Ints:
    """Return the first of each list, then the second of each that has one, and so on.

    Examples
    --------
    >>> _in_turn([np.array([1, 2, 3]), np.array([7]), np.array([4, 5])]).tolist()
    [1, 7, 4, 2, 5, 3]
    """
    turns = np.concatenate([np.arange(len(entries)) for entries in lists])
    found: Ints = np.concatenate(lists)[np.argsort(turns, kind="stable")]
    return found


def _merged(
    streams: Sequence[tuple[str, int, Ints]],
) -> tuple[npt.NDArray[np.uint8], Ints]:
    """Merge streams in proportion to their shares; what stands in several comes once, early."""
    names = [name for name, _, _ in streams]
    times = [
        (np.arange(len(keys)) + 0.5) * names.count(name) / SHARES[name] for name, _, keys in streams
    ]
    order = np.argsort(np.concatenate(times), kind="stable")
    kinds = np.concatenate([np.full(len(keys), kind, np.uint8) for _, kind, keys in streams])
    keys = np.concatenate([keys for _, _, keys in streams]).astype(np.int64)
    kinds, keys = kinds[order], keys[order]
    _, first = np.unique(kinds + keys * len(KINDS), return_index=True)
    first.sort()
    return kinds[first], keys[first]
