"""Which pixels are perturbed: all of them, or the centre pixel of every cell of an even grid."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Grid:
    """An even grid of cells over the input; each cell is measured at its centre pixel."""

    lengths: tuple[int, ...]
    """Size of the input along each spatial axis, in pixels."""
    shape: tuple[int, ...]
    """Cells along each spatial axis, at most as many as pixels."""

    @classmethod
    def of(cls, lengths: tuple[int, ...], samples: int | None) -> Grid:
        """Return the grid of at most `samples` cells per axis; None: one cell per pixel."""
        if samples is None:
            return cls(lengths, lengths)
        return cls(lengths, tuple(min(samples, length) for length in lengths))

    @property
    def full(self) -> bool:
        """Every pixel is a sample."""
        return self.shape == self.lengths

    @property
    def samples(self) -> tuple[tuple[int, ...], ...]:
        """Sampled pixels by axis: the centre of each cell, the first of two middle pixels.

        Examples
        --------
        >>> Grid.of((10,), 3).samples
        ((1, 4, 7),)
        """
        return tuple(
            tuple((first + last - 1) // 2 for first, last in _cells(length, count))
            for length, count in zip(self.lengths, self.shape, strict=True)
        )

    def spread(self, sampled: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Repeat every sample over its cell.

        Examples
        --------
        >>> Grid.of((5,), 2).spread(np.array([1.0, 2.0]))
        array([1., 1., 2., 2., 2.])
        """
        for axis, (length, count) in enumerate(zip(self.lengths, self.shape, strict=True)):
            sizes = [last - first for first, last in _cells(length, count)]
            sampled = np.repeat(sampled, sizes, axis=axis)
        return sampled

    def ranges(self, axis: int, dead: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
        """Return where every sample across `axis` is dead, as ranges of sampled pixels.

        Neighbouring samples share a range only where no unsampled pixel lies between them.
        """
        line = dead.all(axis=tuple(other for other in range(dead.ndim) if other != axis))
        ranges: list[tuple[int, int]] = []
        for pixel in np.asarray(self.samples[axis])[line].tolist():
            if ranges and ranges[-1][1] + 1 == pixel:
                ranges[-1] = (ranges[-1][0], pixel)
            else:
                ranges.append((pixel, pixel))
        return ranges


def affordable(lengths: tuple[int, ...], seconds_per_sample: float, budget: float) -> int | None:
    """Return the most samples per axis that fit into `budget` seconds; None: all pixels do.

    Examples
    --------
    >>> affordable((100, 100), 0.01, 100.0) is None
    True
    >>> affordable((100, 200), 0.01, 4.0)
    20
    """

    def cost(samples: int) -> float:
        product = 1
        for length in lengths:
            product *= min(samples, length)
        return product * seconds_per_sample

    if cost(max(lengths)) <= budget:
        return None
    low, high = 1, max(lengths)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle) <= budget else (low, middle)
    return low


def _cells(length: int, count: int) -> list[tuple[int, int]]:
    edges = [index * length // count for index in range(count + 1)]
    return list(pairwise(edges))
