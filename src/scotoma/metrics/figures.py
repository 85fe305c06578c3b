"""All figures of a map, each with the number of probes it comes from and its standard error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from scotoma.metrics import blocks, border, derivatives, moments
from scotoma.metrics.estimates import (
    Figure,
    Part,
    Sample,
    by_derivative,
    of_map,
    of_parts,
    quotient_variance,
    with_error,
)
from scotoma.metrics.maps import border_depth, ratio
from scotoma.metrics.reasons import NO_FIELD, NO_PAIR, TOO_SHORT, unprobed, weightless
from scotoma.metrics.ripples import ripple, strongest
from scotoma.metrics.symmetry import point_asymmetry

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.metrics.estimates import Metric
    from scotoma.metrics.maps import Map, Mask


WIDTH_STEP = 2.0
"""A width moves by about two pixels at a time."""
AXES = ((-2, "rows"), (-1, "cols"), (-3, "slices"))
"""Axes of a map, counted from the end, with the ending of their keys."""


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

    Examples
    --------
    >>> figures(Sample(np.ones((4, 4))))["corner_over_centre"]
    Figure(value=1.0, error=0.0, probes=8, reason=None)
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
        "corner_over_centre": of_parts(
            sample, blocks.corner_over_centre, Part("corners", corners), middle
        ),
        "edge_over_centre": of_parts(
            sample, blocks.edge_over_centre, Part("middles of the sides", edges), middle
        ),
        "border_over_interior": of_parts(
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
        found[f"centroid_offset_{name}"] = by_derivative(
            sample, offset, partial(derivatives.centroid, axis=axis)
        )
    for axis, name in axes:
        radius = partial(moments.effective_radius, axis=axis)
        found[f"effective_radius_{name}"] = by_derivative(
            sample, radius, partial(derivatives.radius, axis=axis)
        )
    for axis, name in axes:
        width = partial(moments.effective_width, axis=axis)
        figure = _stepped(
            by_derivative(sample, width, partial(derivatives.width, axis=axis)), sample
        )
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
            quotient_variance(value, float(error), *map(float, inner))
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
            found.append(with_error(value, variance, without, count))
    return tuple(found)


def _ring_means(
    sample: Sample, grid: Map, distance: npt.NDArray[np.int64], last: int
) -> tuple[tuple[Map, Map], tuple[float, float]]:
    """Return means and errors of the rings up to `last`, and those of the interior."""
    labels = np.minimum(distance, last + 1).ravel()
    means, errors = sample.partition.means(grid, labels, last + 2)
    inner, inner_error = sample.partition.means(grid, (labels >= last).astype(np.int64), 2)
    return (means[: last + 1], errors[: last + 1]), (inner[1], inner_error[1])


def _of_halves(sample: Sample, metric: Metric, axis: int) -> Figure:
    """Return the sum over the first half of an axis over that over the second."""
    return by_derivative(sample, metric, partial(derivatives.halves, axis=axis))


def _asymmetry(sample: Sample) -> Figure:
    pairs = sample.mask & np.flip(sample.mask)
    probes = int(np.count_nonzero(pairs))
    if sample.mask.all():
        return of_map(sample, point_asymmetry, None)
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

    return of_map(sample, amplitude, None)


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
