"""Numbers of a map that was probed in places, each with its probes and its standard error."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from scotoma.metrics.maps import finite_map, ratio
from scotoma.metrics.reasons import NOTHING_PROBED, missing, unprobed, weightless
from scotoma.metrics.sampling import Partition

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.metrics.maps import Map, Mask

    Metric = Callable[[Map], float | None]

MOST_GROUPS = 16
"""Inputs are left out one at a time, or in this many groups where there are more."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that sums up a map, with what it rests on."""

    value: float | None
    """None where it is not defined, or no probe tells of a part of it."""
    error: float | None
    """Standard error, in the unit of the value: from the pixels that were not probed and from the
    spread over the inputs. 0 where all pixels were probed in one input: exact for this input.
    None where it is not known."""
    probes: int
    """Pixels that were probed among those that the figure is about."""
    reason: str | None = None
    """Why the value is None, in words; None where there is a value."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part of a map, by name."""

    name: str
    mask: Mask


@dataclass(frozen=True)
class Sample:
    """A map that was probed at some pixels, in some inputs."""

    values: npt.NDArray[np.float64]
    """Mean over the inputs; read where probed only. One axis per spatial axis of the input."""
    probed: npt.NDArray[np.bool_] | None = None
    """True where a pixel was probed; None: everywhere."""
    responses: npt.NDArray[np.float64] | None = None
    """(inputs, probed pixels in row-major order); None: nothing is known of the inputs."""

    @cached_property
    def mask(self) -> Mask:
        """Which pixels were probed."""
        shape = np.shape(self.values)
        return np.ones(shape, bool) if self.probed is None else np.asarray(self.probed, bool)

    @cached_property
    def partition(self) -> Partition:
        """Which probe stands for which pixel."""
        return Partition(self.mask)

    @cached_property
    def filled(self) -> Map:
        """The map that figures are taken of."""
        return self.partition.fill(np.asarray(self.values, dtype=np.float64))

    @cached_property
    def replicates(self) -> tuple[Map, ...]:
        """The filled map without one input, or one group of inputs, in turn; empty for one."""
        if self.responses is None or len(self.responses) < 2:
            return ()
        inputs = len(self.responses)
        groups = np.arange(inputs) % min(inputs, MOST_GROUPS)
        maps = []
        for group in range(int(groups.max()) + 1):
            values = np.zeros(self.mask.shape)
            values[self.mask] = self.responses[groups != group].mean(axis=0)
            maps.append(self.partition.fill(values))
        return tuple(maps)


def fraction(flags: npt.NDArray[np.bool_], probed: npt.NDArray[np.bool_] | None = None) -> Figure:
    """Return the share of pixels that are True, with the error that unprobed pixels leave.

    Examples
    --------
    >>> fraction(np.array([True, False, False, False]))
    Figure(value=0.25, error=0.0, probes=4, reason=None)
    """
    sample = Sample(np.asarray(flags, dtype=np.float64), probed)
    if not sample.mask.any():
        return Figure(None, None, 0, NOTHING_PROBED)
    even = np.full(sample.mask.shape, 1 / sample.mask.size)
    return of_map(sample, lambda grid: float(grid.mean()), even)


def input_error(values: Sequence[float | None]) -> float | None:
    """Return the jackknife's standard error from the values without one input each.

    None where one of them is not defined; 0 for no values at all.

    Examples
    --------
    For a mean it is the usual standard error: of 1, 2, 3 the means without one are

    >>> round(input_error([2.5, 2.0, 1.5]) - (1 / 3) ** 0.5, 12)
    0.0
    """
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    if not known:
        return 0.0
    mean = math.fsum(known) / len(known)
    squares = math.fsum((value - mean) ** 2 for value in known)
    return math.sqrt((len(known) - 1) / len(known) * squares)


def of_map(sample: Sample, metric: Metric, gradient: Map | None) -> Figure:
    """Return a metric of the filled map with its error; `gradient` is its derivative by pixel."""
    probes = int(np.count_nonzero(sample.mask))
    value = metric(sample.filled)
    if value is None:
        return Figure(None, None, probes, weightless(sample.values, sample.mask))
    if sample.mask.all():
        unseen: float | None = 0.0
    else:
        unseen = None if gradient is None else sample.partition.variance(sample.values, gradient)
    return with_error(value, unseen, [metric(grid) for grid in sample.replicates], probes)


def with_error(
    value: float, unseen: float | None, without: Sequence[float | None], probes: int
) -> Figure:
    """Return a figure from its variance by pixels and its values without one input each."""
    spread = input_error(without)
    known = unseen is not None and spread is not None
    return Figure(
        value, math.hypot(math.sqrt(unseen or 0.0), spread or 0.0) if known else None, probes
    )


def of_parts(sample: Sample, metric: Metric, above: Part, below: Part) -> Figure:
    """Return the mean over one part of the map over that over another.

    Each mean comes from the probes of its own part, as a simple random sample of what was not
    probed without a gap. Unknown where one of the parts has no probe.
    """
    probes = int(np.count_nonzero(sample.mask & (above.mask | below.mask)))
    if not below.mask.any():
        return Figure(None, None, probes, missing(below.name))
    empty = [part.name for part in (above, below) if not (sample.mask & part.mask).any()]
    if empty:
        return Figure(None, None, probes, unprobed(empty))
    undefined = weightless(sample.values, sample.mask, below.name)
    if sample.mask[above.mask | below.mask].all():
        value, unseen = metric(sample.filled), 0.0
        without = [metric(grid) for grid in sample.replicates]
        if value is None:
            return Figure(None, None, probes, undefined)
        return with_error(value, unseen, without, probes)
    labels = [part.mask.ravel().astype(np.int64) for part in (above, below)]

    def mean(grid: Map, part: int) -> tuple[float, float]:
        means, errors = sample.partition.means(grid, labels[part], 2)
        return float(means[1]), float(errors[1])

    (high, high_error), (low, low_error) = (mean(sample.filled, part) for part in (0, 1))
    value = ratio(high, low)
    if value is None:
        return Figure(None, None, probes, undefined)
    without = [ratio(mean(grid, 0)[0], mean(grid, 1)[0]) for grid in sample.replicates]
    return with_error(value, quotient_variance(value, high_error, low, low_error), without, probes)


def quotient_variance(
    value: float | None, high_error: float, low: float, low_error: float
) -> float | None:
    """Return the variance of a quotient of independent means; None where one is not known."""
    if value is None:
        return None
    variance = (high_error / low) ** 2 + (value * low_error / low) ** 2
    return variance if math.isfinite(variance) else None


def by_derivative(
    sample: Sample, metric: Metric, derivative: Callable[[Map], Map | None]
) -> Figure:
    """Return a figure of the whole map, and of which the derivative by pixel is known."""
    grid = finite_map(sample.filled)
    gradient = None
    if grid is not None and not sample.mask.all():
        gradient = derivative(grid)
    if gradient is not None and grid is not None:
        gradient = _unscaled(gradient, sample, grid)
    return of_map(sample, metric, gradient)


def _unscaled(gradient: Map, sample: Sample, grid: Map) -> Map:
    """Return a derivative by the values as they are instead of by those of `finite_map`."""
    scaled: Map = gradient * (grid.max() / sample.filled.max())
    return scaled
