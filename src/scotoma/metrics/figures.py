"""All figures of a map, each with the number of probes it comes from and its standard error."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from scotoma.metrics import blocks, border, derivatives, moments
from scotoma.metrics.maps import border_depth, finite_map, ratio
from scotoma.metrics.reasons import (
    NO_FIELD,
    NO_PAIR,
    NOTHING_PROBED,
    TOO_SHORT,
    missing,
    unprobed,
    weightless,
)
from scotoma.metrics.ripples import ripple, strongest
from scotoma.metrics.sampling import Partition
from scotoma.metrics.symmetry import point_asymmetry

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.metrics.maps import Map, Mask

    Metric = Callable[[Map], float | None]

WIDTH_STEP = 2.0
"""A width moves by about two pixels at a time."""
MOST_GROUPS = 16
"""Inputs are left out one at a time, or in this many groups where there are more."""
AXES = ((-2, "rows"), (-1, "cols"), (-3, "slices"))
"""Axes of a map, counted from the end, with the ending of their keys."""


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
    """A map that was probed at some pixels, in some inputs.

    Examples
    --------
    >>> sample = Sample(np.ones((4, 4)))
    >>> figures(sample)["corner_over_centre"]
    Figure(value=1.0, error=0.0, probes=8, reason=None)
    """

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


def figures(sample: Sample, receptive_field: Sequence[int] | None = None) -> dict[str, Figure]:
    """Return every figure of a map by its key.

    Parameters
    ----------
    sample
        The map.
    receptive_field
        Theoretical receptive field in pixels, per axis of the map; None: unknown, and nothing is
        compared with it.

    Returns
    -------
    dict
        Keys in a fixed order. Those that end in ``_rows``, ``_cols`` and ``_slices`` run along the
        last axis but one, the last, and the last but two. An axis that the map does not have has
        no key.
    """
    shape = sample.mask.shape
    corners, edges, centre = (
        _mask(shape, part(shape))
        for part in (blocks.corner_blocks, blocks.edge_blocks, blocks.centre_blocks)
    )
    outer = border.border_distance(shape) < border_depth(shape)
    inner = border.interior(shape)
    middle = Part("centre", centre)
    found = {
        "corner_over_centre": _of_parts(
            sample, blocks.corner_over_centre, Part("corners", corners), middle
        ),
        "edge_over_centre": _of_parts(
            sample, blocks.edge_over_centre, Part("middles of the sides", edges), middle
        ),
        "border_over_interior": _of_parts(
            sample, border.border_over_interior, Part("border", outer), Part("interior", inner)
        ),
        "left_right_ratio": _of_halves(sample, blocks.left_right_ratio, -1),
    }
    if len(shape) > 1:
        found["top_bottom_ratio"] = _of_halves(sample, blocks.top_bottom_ratio, -2)
    found["point_asymmetry"] = _asymmetry(sample)
    axes = [(axis, name) for axis, name in AXES if len(shape) >= -axis]
    for axis, name in axes:
        offset = partial(moments.centroid_offset, axis=axis)
        found[f"centroid_offset_{name}"] = _overall(
            sample, offset, partial(derivatives.centroid, axis=axis)
        )
    for axis, name in axes:
        radius = partial(moments.effective_radius, axis=axis)
        found[f"effective_radius_{name}"] = _overall(
            sample, radius, partial(derivatives.radius, axis=axis)
        )
    for axis, name in axes:
        width = partial(moments.effective_width, axis=axis)
        figure = _stepped(_overall(sample, width, partial(derivatives.width, axis=axis)), sample)
        found[f"effective_width_{name}"] = figure
        if receptive_field is not None:
            found[f"effective_share_{name}"] = _scaled(figure, receptive_field[axis])
    if sample.mask.all():
        found |= {f"ripple_{name}": _ripple(sample, axis) for axis, name in axes}
    return found


def ring_figures(sample: Sample) -> tuple[Figure, ...]:
    """Return the mean of every ring over that of the interior, as `ring_profile` does."""
    shape = sample.mask.shape
    if min(shape, default=0) < 3:
        return ()
    last = border.interior_start(shape)
    distance = border.border_distance(shape)
    full = sample.mask.all()
    maps = (sample.filled, *sample.replicates)
    if full:
        profiles = [border.ring_profile(grid) for grid in maps]
        variances: list[float | None] = [0.0] * (last + 1)
    else:
        estimates = [_ring_means(sample, grid, distance, last) for grid in maps]
        profiles = [
            tuple(ratio(float(mean), float(inner[0])) for mean in rings[0])
            for rings, inner in estimates
        ]
        (rings, inner), values = estimates[0], profiles[0]
        variances = [
            _quotient_variance(value, float(error), *map(float, inner))
            for value, error in zip(values, rings[1], strict=True)
        ]
    probes = np.bincount(distance[sample.mask], minlength=last + 1)
    found = []
    for ring, variance in enumerate(variances):
        inside = int(probes[last:].sum())
        count = inside + (int(probes[ring]) if ring < last else 0)
        value, *without = (profile[ring] for profile in profiles)
        empty = [name for name, n in (("ring", probes[ring]), ("interior", inside)) if not n]
        if empty:
            found.append(Figure(None, None, count, unprobed(empty)))
        elif value is None:
            reason = weightless(sample.values, sample.mask, "interior")
            found.append(Figure(None, None, count, reason))
        else:
            found.append(_with_error(value, variance, without, count))
    return tuple(found)


def _ring_means(
    sample: Sample, grid: Map, distance: npt.NDArray[np.int64], last: int
) -> tuple[tuple[Map, Map], tuple[float, float]]:
    """Return means and errors of the rings up to `last`, and those of the interior."""
    labels = np.minimum(distance, last + 1).ravel()
    means, errors = sample.partition.means(grid, labels, last + 2)
    inner, inner_error = sample.partition.means(grid, (labels >= last).astype(np.int64), 2)
    return (means[: last + 1], errors[: last + 1]), (inner[1], inner_error[1])


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
    return _figure(sample, lambda grid: float(grid.mean()), even)


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


def _figure(sample: Sample, metric: Metric, gradient: Map | None) -> Figure:
    """Return a metric of the filled map with its error; `gradient` is its derivative by pixel."""
    probes = int(np.count_nonzero(sample.mask))
    value = metric(sample.filled)
    if value is None:
        return Figure(None, None, probes, weightless(sample.values, sample.mask))
    if sample.mask.all():
        unseen: float | None = 0.0
    else:
        unseen = None if gradient is None else sample.partition.variance(sample.values, gradient)
    return _with_error(value, unseen, [metric(grid) for grid in sample.replicates], probes)


def _with_error(
    value: float, unseen: float | None, without: Sequence[float | None], probes: int
) -> Figure:
    """Return a figure from its variance by pixels and its values without one input each."""
    spread = input_error(without)
    known = unseen is not None and spread is not None
    return Figure(
        value, math.hypot(math.sqrt(unseen or 0.0), spread or 0.0) if known else None, probes
    )


def _of_parts(sample: Sample, metric: Metric, above: Part, below: Part) -> Figure:
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
        return _with_error(value, unseen, without, probes)
    labels = [part.mask.ravel().astype(np.int64) for part in (above, below)]

    def mean(grid: Map, part: int) -> tuple[float, float]:
        means, errors = sample.partition.means(grid, labels[part], 2)
        return float(means[1]), float(errors[1])

    (high, high_error), (low, low_error) = (mean(sample.filled, part) for part in (0, 1))
    value = ratio(high, low)
    if value is None:
        return Figure(None, None, probes, undefined)
    without = [ratio(mean(grid, 0)[0], mean(grid, 1)[0]) for grid in sample.replicates]
    return _with_error(
        value, _quotient_variance(value, high_error, low, low_error), without, probes
    )


def _quotient_variance(
    value: float | None, high_error: float, low: float, low_error: float
) -> float | None:
    """Return the variance of a quotient of independent means; None where one is not known."""
    if value is None:
        return None
    variance = (high_error / low) ** 2 + (value * low_error / low) ** 2
    return variance if math.isfinite(variance) else None


def _of_halves(sample: Sample, metric: Metric, axis: int) -> Figure:
    """Return the sum over the first half of an axis over that over the second."""
    return _overall(sample, metric, partial(derivatives.halves, axis=axis))


def _overall(sample: Sample, metric: Metric, derivative: Callable[[Map], Map | None]) -> Figure:
    """Return a figure of the whole map, and of which the derivative by pixel is known."""
    grid = finite_map(sample.filled)
    gradient = None
    if grid is not None and not sample.mask.all():
        gradient = derivative(grid)
    if gradient is not None and grid is not None:
        gradient = _unscaled(gradient, sample, grid)
    return _figure(sample, metric, gradient)


def _unscaled(gradient: Map, sample: Sample, grid: Map) -> Map:
    """Return a derivative by the values as they are instead of by those of `finite_map`."""
    scaled: Map = gradient * (grid.max() / sample.filled.max())
    return scaled


def _asymmetry(sample: Sample) -> Figure:
    pairs = sample.mask & np.flip(sample.mask)
    probes = int(np.count_nonzero(pairs))
    if sample.mask.all():
        return _figure(sample, point_asymmetry, None)
    value = point_asymmetry(sample.filled, sample.mask)
    if value is not None:
        return Figure(value, None, probes)
    reason = weightless(sample.values, sample.mask) if probes else NO_PAIR
    return Figure(None, None, probes, reason)


def _ripple(sample: Sample, axis: int) -> Figure:
    found = ripple(sample.filled, axis)
    if not found:
        finite = bool(np.isfinite(sample.values).all())
        reason = TOO_SHORT if finite else weightless(sample.values, sample.mask)
        return Figure(None, None, sample.mask.size, reason)
    top = strongest(found)
    if top is None:
        return Figure(0.0, 0.0, sample.mask.size)

    def amplitude(grid: Map) -> float | None:
        found = ripple(grid, axis, [top.period])
        return found[0].amplitude if found else None

    return _figure(sample, amplitude, None)


def _mask(shape: tuple[int, ...], parts: Sequence[tuple[slice, ...]]) -> Mask:
    mask = np.zeros(shape, bool)
    for part in parts:
        mask[part] = True
    return mask


def _stepped(figure: Figure, sample: Sample) -> Figure:
    """Add half a step of the width to its error."""
    if figure.error is None or sample.mask.all():
        return figure
    return Figure(figure.value, math.hypot(figure.error, WIDTH_STEP / 2), figure.probes)


def _scaled(figure: Figure, field: int) -> Figure:
    if figure.value is None or field < 1:
        reason = figure.reason or NO_FIELD
        return Figure(None, None, figure.probes, reason)
    error = None if figure.error is None else figure.error / field
    return Figure(figure.value / field, error, figure.probes)
