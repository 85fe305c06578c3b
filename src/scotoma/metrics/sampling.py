"""A map of which only some pixels were probed: what stands for the others, and with what error.

An unprobed pixel takes the value of the nearest probe. Pixels that were probed without a gap
(rings along the border, whole blocks) stand for themselves only, so that a border probed in full
does not colour the interior. What the filling costs is estimated as in stratified sampling: the
probes are grouped into strata of two or three neighbours, and the variance within a stratum is
that of an unprobed pixel about the probe that stands for it. A probe that stands for ``n`` pixels
then adds ``n (n - 1) s²`` to the variance of a sum: nothing where all pixels were probed, which is
the correction for a finite population (Cochran, Sampling Techniques, 1977, sections 2.6 and 5.4).
Strata of neighbours overestimate the variance where the map changes smoothly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from scotoma.metrics.border import border_distance

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.metrics.maps import Map, Mask

    Indices = npt.NDArray[np.int64]


def fill(values: npt.ArrayLike, probed: npt.ArrayLike) -> Map:
    """Return the map with every unprobed pixel replaced by its nearest probe.

    Parameters
    ----------
    values
        Read where `probed` only.
    probed
        Boolean map of the same shape, with at least one True.

    Raises
    ------
    ValueError
        If nothing was probed.

    Examples
    --------
    >>> fill([0.0, 5.0, 0, 0, 7.0, 0], [False, True, False, False, True, False]).tolist()
    [5.0, 5.0, 5.0, 7.0, 7.0, 7.0]

    The outermost ring was probed in full, and stands for itself only.

    >>> fill([1.0, 0, 0, 5.0, 0, 0, 1.0], [True, False, False, True, False, False, True]).tolist()
    [1.0, 5.0, 5.0, 5.0, 5.0, 5.0, 1.0]
    """
    return Partition(np.asarray(probed, dtype=bool)).fill(np.asarray(values, dtype=np.float64))


@dataclass(frozen=True)
class Partition:
    """Which probe stands for which pixel."""

    probed: Mask

    @cached_property
    def census(self) -> Mask:
        """Pixels probed without a gap: outer rings, and blocks two or more pixels wide."""
        return _outer_rings(self.probed) | _opened(self.probed)

    @cached_property
    def sources(self) -> Indices:
        """Flat indices of the probes that stand for unprobed pixels."""
        found = np.flatnonzero(self.probed & ~self.census)
        return found if found.size else np.flatnonzero(self.probed)

    @cached_property
    def nearest(self) -> Indices:
        """Flat index of the probe that stands for each pixel, itself for a probed one."""
        if not self.probed.any():
            raise ValueError("no pixel was probed")
        if self.probed.all():
            return np.arange(self.probed.size)
        found = nearest_source(self.probed.shape, self.sources)
        own = np.flatnonzero(self.probed)
        found[own] = own
        return found

    @cached_property
    def strata(self) -> Indices:
        """Stratum of each of the `sources`."""
        places = np.stack(np.unravel_index(self.sources, self.probed.shape), axis=1)
        return _strata(places)

    @property
    def weights(self) -> Map:
        """How many pixels each probe stands for, itself among them; in the order of the mask."""
        counts = np.bincount(self.nearest, minlength=self.probed.size)
        return counts[np.flatnonzero(self.probed)].astype(np.float64)

    def fill(self, values: Map) -> Map:
        """Return the map with every unprobed pixel replaced by the probe that stands for it."""
        return values.ravel()[self.nearest].reshape(self.probed.shape)

    def variance(self, values: Map, gradient: Map) -> float | None:
        """Return the variance that the unprobed pixels leave in a figure.

        Parameters
        ----------
        values
            The map, read where probed only.
        gradient
            Derivative of the figure by each pixel.

        Returns
        -------
        float or None
            None where one probe or none stands for all unprobed pixels.
        """
        open_pixels = np.flatnonzero(~self.probed)
        if not open_pixels.size:
            return 0.0
        steps = gradient.ravel()[open_pixels]
        if not steps.any():
            return 0.0
        if len(self.sources) < 2 or not (self.probed & ~self.census).any():
            return None
        spread = _variances(values.ravel()[self.sources], self.strata)
        by_pixel = np.zeros(self.probed.size)
        by_pixel[self.sources] = spread[self.strata]
        owners = self.nearest[open_pixels]
        sums = np.bincount(owners, weights=steps, minlength=self.probed.size)
        squares = np.bincount(owners, weights=steps**2, minlength=self.probed.size)
        return float((by_pixel * (sums**2 + squares)).sum())

    def means(self, filled: Map, labels: Indices, count: int) -> tuple[Map, Map]:
        """Return the mean over each part of the map, each from its own probes, and its error.

        Pixels probed without a gap count as they are; the other probes of a part are taken as a
        simple random sample of its other pixels. A part without one keeps what it was filled with.

        Parameters
        ----------
        filled
            The filled map.
        labels
            Part of each pixel in row-major order, below `count`.

        Returns
        -------
        tuple
            Means and standard errors by part; NaN where a part is empty or an error unknown.
        """
        values, census = filled.ravel(), self.census.ravel()
        drawn = self.probed.ravel() & ~census
        cells, known, picked = (
            np.bincount(labels[chosen], minlength=count) for chosen in (slice(None), census, drawn)
        )
        sums, known_sums, drawn_sums = (
            np.bincount(labels[chosen], weights=values[chosen], minlength=count)
            for chosen in (slice(None), census, drawn)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            rest = cells - known
            drawn_means = drawn_sums / picked
            away = (values[drawn] - drawn_means[labels[drawn]]) ** 2
            squares = np.bincount(labels[drawn], weights=away, minlength=count)
            errors = rest / cells * np.sqrt(squares / (picked - 1) / picked * (1 - picked / rest))
            means = np.where(picked > 0, (known_sums + rest * drawn_means) / cells, sums / cells)
        return means, np.where(rest == picked, 0.0, np.where(picked > 1, errors, np.nan))


def nearest_source(shape: tuple[int, ...], sources: Indices) -> Indices:
    """Return the flat index of the nearest source for every pixel, by jump flooding.

    Near the border a source at a similar distance from it counts as nearer: twice as far from the
    border is as far as the next source.

    Every pixel looks at those 2^k, …, 4, 2, 1 pixels away along all axes and diagonals and takes
    over the nearest source that they know (Rong and Tan, Jump Flooding in GPU, 2006). Now and
    then a source that is very slightly farther than the nearest is found.
    """
    known = np.full(shape, -1, dtype=np.int64)
    known.ravel()[sources] = sources
    distance = np.where(known >= 0, 0.0, np.inf)
    spacing = (known.size / max(1, len(sources))) ** (1 / known.ndim)
    level = spacing * np.log2(1.0 + border_distance(shape))
    step = 1 << max(0, max(shape) - 1).bit_length()
    steps = [1]
    while step > 1:
        step //= 2
        steps.insert(-1, step)
    for jump in steps:
        for offset in np.ndindex(*(3,) * len(shape)):
            shift = [jump * (way - 1) for way in offset]
            if any(shift) and all(abs(s) < n for s, n in zip(shift, shape, strict=True)):
                _take_over(known, distance, level, shift)
    return known.ravel()


def _take_over(known: Indices, distance: Map, level: Map, shift: list[int]) -> None:
    """Let every pixel look at the one `shift` away, in place."""
    here = tuple(slice(max(0, -s), n - max(0, s)) for s, n in zip(shift, known.shape, strict=True))
    there = tuple(slice(max(0, s), n - max(0, -s)) for s, n in zip(shift, known.shape, strict=True))
    offered = known[there]
    away = (level.ravel()[np.maximum(offered, 0)] - level[here]) ** 2
    for axis, line in enumerate(np.unravel_index(np.maximum(offered, 0), known.shape)):
        own = np.arange(here[axis].start, here[axis].stop)
        away += (line - own.reshape([-1 if i == axis else 1 for i in range(known.ndim)])) ** 2.0
    better = (offered >= 0) & (away < distance[here])
    known[here][better] = offered[better]
    distance[here][better] = away[better]


def _outer_rings(probed: Mask) -> Mask:
    """Return the rings along the border that were probed in full, from the outermost inwards."""
    distance = border_distance(probed.shape)
    open_rings = distance[~probed]
    mask: Mask = distance < (open_rings.min() if open_rings.size else distance.max() + 1)
    return mask


def _opened(probed: Mask) -> Mask:
    """Return the pixels of all fully probed blocks that are two pixels wide along every axis."""
    solid = probed
    for axis, length in enumerate(probed.shape):
        if length > 1:
            low, high = (_along(probed.ndim, axis, s) for s in (slice(None, -1), slice(1, None)))
            solid = solid[low] & solid[high]
    covered = np.zeros(probed.shape, bool)
    for offset in np.ndindex(*(min(2, length) for length in probed.shape)):
        place = tuple(slice(o, o + n) for o, n in zip(offset, solid.shape, strict=True))
        covered[place] |= solid
    return covered


def _along(rank: int, axis: int, part: slice) -> tuple[slice, ...]:
    return tuple(part if other == axis else slice(None) for other in range(rank))


def _strata(places: Indices) -> Indices:
    """Return groups of two or three neighbours, by halving along the longest side."""
    labels = np.zeros(len(places), dtype=np.int64)
    waiting, count = [np.arange(len(places))], 0
    while waiting:
        group = waiting.pop()
        if len(group) < 4:
            labels[group] = count
            count += 1
            continue
        inside = places[group]
        axis = int(np.argmax(np.ptp(inside, axis=0)))
        order = group[np.argsort(inside[:, axis], kind="stable")]
        waiting += [order[: len(order) // 2], order[len(order) // 2 :]]
    return labels


def _variances(values: Map, strata: Indices) -> Map:
    """Return the unbiased variance within every stratum; all have two members or more."""
    counts = np.bincount(strata)
    means = np.bincount(strata, weights=values) / counts
    squares = np.bincount(strata, weights=(values - means[strata]) ** 2)
    return squares / np.maximum(counts - 1, 1)
