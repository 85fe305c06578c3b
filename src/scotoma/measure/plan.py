"""What is run, in which order: a list of units, each of which depends on nothing but itself.

A *unit* is one place, or several places that no cell of the target shares; it is perturbed on every
input, in every channel group and in both directions, one *pass* each, before the next unit begins.
So a measurement that stops anywhere has treated all inputs alike, and the units of a plan could run
on different machines. The order goes from coarse to fine and does not depend on the time at hand:
a budget takes a prefix of it, and a larger budget goes on where a smaller one stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]


PIXELS, ROWS, COLUMNS, DEAD = "pixels", "rows", "columns", "dead"
KINDS = (PIXELS, ROWS, COLUMNS)


@dataclass(frozen=True, slots=True, eq=False)
class Lattice:
    """The places that can be perturbed: pixels, or tiles of `patch` pixels along each axis."""

    pixels: tuple[int, ...]
    """Size of the input along each spatial axis."""
    patch: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Places along each axis; the last tile may be cut off."""
        return tuple(-(-size // self.patch) for size in self.pixels)

    def span(self, axis: int, place: int) -> slice:
        """Return the pixels of a place along one axis."""
        start = place * self.patch
        return slice(start, min(start + self.patch, self.pixels[axis]))

    def spread(self, axis: int, places: Ints) -> Ints:
        """Return the pixels of several places along one axis."""
        found = (places[:, None] * self.patch + np.arange(self.patch)).ravel()
        return found[found < self.pixels[axis]]

    def middle(self, axis: int, places: Ints) -> Ints:
        """Return the middle pixel of places along one axis: of two the first."""
        ends = np.minimum((places + 1) * self.patch, self.pixels[axis])
        return np.asarray((places * self.patch + ends - 1) // 2)

    def middles(self, places: Ints) -> Ints:
        """Return the middle pixel of places, (places, axes)."""
        return np.stack([self.middle(axis, along) for axis, along in enumerate(places.T)], axis=-1)

    def tiles(self, mask: Mask) -> Mask:
        """Return which places lie in the mask with all their pixels."""
        for axis, size in enumerate(self.pixels):
            mask = np.logical_and.reduceat(mask, np.arange(0, size, self.patch), axis=axis)
        return mask

    def pixels_of(self, mask: Mask) -> Mask:
        """Return the pixels of the places in a mask."""
        for axis, size in enumerate(self.pixels):
            mask = np.repeat(mask, self.patch, axis=axis).take(range(size), axis=axis)
        return mask

    def touched(self, mask: Mask) -> Mask:
        """Return which places lie in the mask with at least one pixel."""
        return ~self.tiles(~mask)


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """Places that are perturbed in one pass: a product of positions along the axes."""

    kind: str
    positions: tuple[Ints, ...]
    """Of the lattice, by axis. A row or a column has its own number alone, in its axis."""

    @property
    def places(self) -> Ints:
        """Every place, (places, axes), row-major."""
        grid = np.meshgrid(*self.positions, indexing="ij")
        return np.stack([axis.ravel() for axis in grid], axis=-1)

    @property
    def count(self) -> int:
        """Number of places; a row or a column is one."""
        return prod(map(len, self.positions))

    def flat(self, shape: tuple[int, ...]) -> Ints:
        """Return the index of every place in a lattice of this shape, row-major."""
        found = self.positions[0]
        for size, along in zip(shape[1:], self.positions[1:], strict=True):
            found = (found[:, None] * size + along).ravel()
        return found


@dataclass(frozen=True, slots=True)
class Probe:
    """One pass: everything that is needed to run it is the plan, the model and the input."""

    unit: int
    input: int
    channel: int | None
    """None: all channels together."""
    sign: int
    """1 or -1."""


@dataclass(frozen=True, slots=True)
class Variants:
    """What is done with each unit."""

    inputs: int = 1
    channels: int = 1
    """Groups of channels that are perturbed one after the other; 1: all together."""
    signs: tuple[int, ...] = (1,)
    """Directions, 1 or -1, the low one first."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The units of a measurement, from coarse to fine."""

    lattice: Lattice
    samples: tuple[Ints, ...]
    """Positions by axis that may be perturbed at all."""
    palette: tuple[Ints, ...] | None
    """Colour of each sample by axis, where units hold several places; None: one place a unit."""
    kinds: npt.NDArray[np.uint8]
    """Index into `KINDS`, by unit."""
    keys: Ints
    """By unit: the number of a row or column; of pixels the flat index among the samples, or among
    the colours."""
    variants: Variants

    def __len__(self) -> int:
        return len(self.keys)

    def unit(self, index: int) -> Unit:
        """Return one unit."""
        kind, key = KINDS[self.kinds[index]], int(self.keys[index])
        if kind != PIXELS:
            return Unit(kind, (np.array([key]),))
        sizes = self._key_shape
        digits = np.unravel_index(key, sizes)
        if self.palette is None:
            pairs = zip(self.samples, digits, strict=True)
            return Unit(kind, tuple(samples[digit : digit + 1] for samples, digit in pairs))
        triples = zip(self.samples, self.palette, digits, strict=True)
        return Unit(kind, tuple(samples[colour == digit] for samples, colour, digit in triples))

    @property
    def _key_shape(self) -> tuple[int, ...]:
        if self.palette is None:
            return tuple(map(len, self.samples))
        return palette_shape(self.palette)

    def cost(self, index: int) -> int:
        """Return the passes of one unit."""
        channels = self.variants.channels if self.kinds[index] == 0 else 1
        return self.variants.inputs * channels * len(self.variants.signs)

    @property
    def passes(self) -> int:
        """Passes of all units."""
        pixels = int((self.kinds == 0).sum())
        each = self.variants.inputs * len(self.variants.signs)
        return each * (pixels * self.variants.channels + len(self) - pixels)

    def channels(self, index: int) -> Sequence[int | None]:
        """Return the channels of one unit that have passes of their own; None: all together."""
        apart = self.kinds[index] == 0 and self.variants.channels > 1
        return range(self.variants.channels) if apart else (None,)

    def probes(self, index: int) -> Iterator[Probe]:
        """Yield the passes of one unit."""
        inputs, signs = range(self.variants.inputs), self.variants.signs
        for number, channel, sign in product(inputs, self.channels(index), signs):
            yield Probe(index, number, channel, sign)

    def digest(self, *more: bytes) -> str:
        """Return the SHA-256 of the plan and of what else it stands for."""
        state = hashlib.sha256()
        head = (self.lattice.pixels, self.lattice.patch, self.variants)
        arrays: list[npt.NDArray[Any]] = [self.kinds, self.keys, *self.samples]
        arrays += self.palette or ()
        for part in (repr(head).encode(), *(array.tobytes() for array in arrays), *more):
            state.update(len(part).to_bytes(8, "little"))
            state.update(part)
        return state.hexdigest()


def palette_shape(palette: tuple[Ints, ...]) -> tuple[int, ...]:
    """Return the number of colours along each axis."""
    return tuple(int(colour.max()) + 1 for colour in palette)
