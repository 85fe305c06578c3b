"""Ripple: patterns that repeat every few pixels, as strides and upsampling leave them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scotoma.metrics.maps import as_map

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from scotoma.metrics.maps import Map

LONGEST = 32
"""Longest period that is looked for, in pixels."""
REPEATS = 4
"""An interior shorter than this many periods says nothing of them."""
ROUNDING = 1e-9
"""Relative differences below this are rounding."""
LEAST_SHARE, MOST_CHANCE = 0.1, 1e-4
"""A ripple must explain this share, and noise no more often than that."""
LEAST = 0.001
"""A smaller amplitude is what the moving average leaves of a smooth map."""
ALIKE = 0.9
"""A shorter period that explains this share of the strongest one's amplitude is the cause."""


@dataclass(frozen=True, slots=True)
class Ripple:
    """How strongly a map repeats itself at one period along one axis."""

    period: int
    """In pixels."""
    share: float
    """Share of the interior's variance, the smooth part removed, that repeats itself at this
    period, 0 to 1: 0 for a constant map and (but for chance) for noise, 1 for a pure pattern."""
    amplitude: float
    """Root mean square of that part over the local mean: 0 without ripple, 1/3 for 2, 1, 2, 1."""
    chance: float
    """At most the probability that a map of noise shows as much, 0 to 1: not small for the few
    repeats that a long period has in a single line."""


def ripple(
    values: npt.ArrayLike, axis: int = -1, periods: Iterable[int] = range(2, LONGEST + 1)
) -> tuple[Ripple, ...]:
    """Return the ripple of a map along an axis at some periods, from 2 to 32 pixels unless given.

    Along every line of the interior (an eighth is cut off at each end of each axis) the values are
    divided by their moving average over one period, twice, which removes what is smooth. Of what
    remains, the pattern is what different repeats have in common: the mean product of two places
    a whole number of periods apart, which is 0 on average for noise.
    A pattern of period 2 counts at 4, 6, … too: see `strongest`.

    Periods of which the interior does not hold four are left out; so is everything where the map
    has no such axis or holds a number that is not finite.

    Examples
    --------
    A transposed convolution with a kernel of 3 and a stride of 2 writes its cells 2, 1, 2, 1, …
    times.

    >>> found = ripple([2, 1] * 12)
    >>> [(r.period, round(r.share, 9), round(r.amplitude, 9)) for r in found]
    [(2, 1.0, 0.333333333), (3, 0.0, 0.0), (4, 1.0, 0.333333333)]
    >>> [r.amplitude for r in ripple([7] * 16)]
    [0.0, 0.0]
    """
    grid = as_map(values)
    if grid is None or grid.ndim < -axis or not np.isfinite(grid).all():
        return ()
    cut = tuple(slice(length // 8, length - length // 8) for length in grid.shape)
    lines = np.moveaxis(grid[cut], axis, -1)
    lines = lines.reshape(-1, lines.shape[-1])
    top = float(np.abs(lines).max(initial=0.0))
    if top > 0:
        lines = np.ldexp(lines, -math.frexp(top)[1])
    longest = lines.shape[-1] // REPEATS
    return tuple(_at(lines, period) for period in periods if 2 <= period <= longest)


def strongest(found: Sequence[Ripple]) -> Ripple | None:
    """Return the shortest period with nearly the largest amplitude; None where there is no ripple.

    Only periods that explain a tenth of what is not smooth and hardly come from noise count.

    Examples
    --------
    >>> strongest(ripple([2, 1] * 12)).period
    2
    >>> strongest(ripple([5] * 24)) is None
    True
    """
    sure = [r for r in found if r.share >= LEAST_SHARE and r.chance <= MOST_CHANCE]
    most = max((entry.amplitude for entry in sure), default=0.0)
    if most < LEAST:
        return None
    return next(entry for entry in sure if entry.amplitude >= ALIKE * most)


def _at(lines: Map, period: int) -> Ripple:
    rest = _rough(_rough(lines, period) + 1.0, period)
    count = rest.shape[-1] // period * period
    rest = rest[:, :count]
    rest = rest - rest.mean(axis=-1, keepdims=True)
    rest[np.abs(rest) < ROUNDING] = 0.0
    total = float((rest**2).mean())
    repeats = rest.reshape(len(rest), -1, period)
    if total == 0.0:
        return Ripple(period, 0.0, 0.0, 1.0)
    # Only products of different repeats: what they share is the pattern, noise is not.
    number = repeats.shape[1]
    products = repeats.sum(axis=1) ** 2 - (repeats**2).sum(axis=1)
    share = min(1.0, max(0.0, float(products.mean()) / (number * (number - 1)) / total))
    explained = float((repeats.mean(axis=1) ** 2).mean()) / total
    chance = _chance(explained, len(rest), count, period)
    return Ripple(period, share, math.sqrt(share * total), chance)


def _chance(explained: float, lines: int, count: int, period: int) -> float:
    """Return a bound of the probability that noise explains as much of its variance.

    The share that the means by phase explain of noise has a beta distribution; the bound is
    Chernoff's for it.
    """
    kept = _kept(period)
    expected = (period - 1) / (count - 1) / kept
    if explained <= expected or expected >= 1:
        return 1.0
    if explained > 1 - ROUNDING:
        return 0.0
    distance = expected * math.log(expected / explained)
    distance += (1 - expected) * math.log((1 - expected) / (1 - explained))
    return math.exp(-lines * (count - 1) * kept / 2 * distance)


def _rough(lines: Map, period: int) -> Map:
    """Return lines over their centred moving average, minus 1; shorter by a period.

    An even period takes half of the cell at each end, so that the average stays centred.
    """
    sums = np.cumsum(lines, axis=-1)
    sums = np.concatenate([np.zeros((len(lines), 1)), sums], axis=-1)
    windows = (sums[:, period:] - sums[:, :-period]) / period
    half, odd = divmod(period, 2)
    trend = windows if odd else (windows[:, 1:] + windows[:, :-1]) / 2
    middle = lines[:, half : half + trend.shape[-1]]
    rough = np.zeros(trend.shape)
    np.divide(middle, trend, out=rough, where=trend > ROUNDING * ROUNDING)
    return np.where(rough == 0, np.where(trend > ROUNDING * ROUNDING, -1.0, 0.0), rough - 1.0)


def _kept(period: int) -> float:
    """Return the share of the variance of noise that taking out the moving average twice keeps.

    Of a pattern of the period all is kept.
    """
    average = np.ones(period + 1 - period % 2) / period
    if period % 2 == 0:
        average[[0, -1]] /= 2
    once = -average
    once[len(once) // 2] += 1
    return float((np.convolve(once, once) ** 2).sum())
