"""All figures of a measurement: of the map, of its rings and ripple, of place, and of agreement."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from scotoma import metrics
from scotoma.measure.agreement import Agreement, agree
from scotoma.measure.position import Position, position
from scotoma.metrics import Figure, Ripple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from scotoma.facts import Facts
    from scotoma.measure.influence import Influence

AXES = {"rows": -2, "cols": -1, "slices": -3}
LENGTHS = ("centroid_offset", "effective_radius", "effective_width", "effective_share")
"""Figures that are lengths along an axis, and what a length is divided by a length of pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """What is said of one measurement in figures."""

    figures: dict[str, Figure]
    """By key; `docs/measure.md` says what each means."""
    rings: tuple[Figure, ...]
    """Mean of each ring over that of the interior, from the border inwards."""
    ripple: dict[str, Ripple | None]
    """By axis (``rows``, ``cols``, ``slices``); None where there is none or it is not known."""
    position: Position | None
    """None where nothing was measured, of a single unit, and of tiles."""
    agreement: Agreement | None
    """The graph's map against the measured one; None where the graph could not be followed."""
    receptive_field: tuple[int, ...] | None
    """Theoretical, of a cell of the target, in pixels; None: unknown or several."""
    tile: int = 1
    """Pixels along each axis of a cell of the map: rings are so far apart."""

    def document(self) -> dict[str, Any]:
        """Return the blocks ``figures``, ``rings``, ``ripple``, ``position`` and ``agreement``."""
        place = self.position
        return {
            "figures": {key: figure_document(figure) for key, figure in self.figures.items()},
            "rings": [
                {"distance": number * self.tile, **figure_document(figure)}
                for number, figure in enumerate(self.rings)
            ],
            "ripple": {
                axis: None
                if found is None
                else {"period": found.period, "share": found.share, "amplitude": found.amplitude}
                for axis, found in self.ripple.items()
            },
            "position": None
            if place is None
            else {
                "sensitivity": figure_document(place.sensitivity),
                "phase": figure_document(place.phase),
                "spread": figure_document(place.spread),
                "reason": place.reason,
            },
            "agreement": None if self.agreement is None else self.agreement.document(),
        }


def figure_document(figure: Figure) -> dict[str, Any]:
    """Return a figure as JSON types."""
    return {
        "value": figure.value,
        "standard_error": figure.error,
        "probes": figure.probes,
        "reason": figure.reason,
    }


def summarise(influence: Influence) -> Summary:
    """Return the figures of a measurement; with nothing probed only those of the graph."""
    values, probed = influence.values, influence.probed
    structural = influence.structural
    figures: dict[str, Figure] = {}
    if structural is not None:
        figures["structural_dead_pixel_fraction"] = metrics.fraction(structural.dead)
        absorbed = Figure(structural.absorbed, 0.0, values.size)
        figures["absorbed_by_padding"] = absorbed
    if not probed.any():
        return Summary(figures, (), {}, None, None, None)
    field = _receptive_field(influence)
    sample = metrics.Sample(values, probed, _replicates(influence))
    figures["dead_pixel_fraction"] = metrics.fraction(influence.dead, probed)
    found = metrics.figures(sample, field if _is_one_cell(influence) else None)
    found = _in_pixels(found, influence.tile)
    ripple = _ripple(influence)
    for axis in AXES:
        seen = ripple.get(axis)
        if seen is not None and f"ripple_{axis}" not in found:
            found[f"ripple_{axis}"] = Figure(seen.amplitude, None, values.shape[AXES[axis]])
    return Summary(
        figures=figures | found,
        rings=metrics.ring_figures(sample),
        ripple=ripple,
        position=None
        if influence.target.unit is not None or influence.tile > 1
        else position(influence.responses, probed, _strides(influence)),
        agreement=None
        if structural is None
        else agree(
            structural.walk,
            values,
            probed=probed,
            reference_dead=structural.dead,
            measured_dead=influence.dead,
            figures={key: figure.value for key, figure in found.items()},
        ).in_pixels(influence.tile),
        receptive_field=field,
        tile=influence.tile,
    )


def _in_pixels(found: dict[str, Figure], tile: int) -> dict[str, Figure]:
    """Return figures of a map in tiles with the lengths in pixels."""
    return {
        key: replace(
            figure,
            value=None if figure.value is None else figure.value * tile,
            error=None if figure.error is None else figure.error * tile,
        )
        if tile > 1 and key.startswith(LENGTHS)
        else figure
        for key, figure in found.items()
    }


def _replicates(influence: Influence) -> npt.NDArray[np.float64]:
    """Return responses whose spread is the error of the map, (inputs or parts, pixels).

    Each input has random cotangents of its own, so that the spread over inputs holds their noise;
    of one input the parts of the cotangents tell it.
    """
    found = influence.gradients
    alone = found is not None and len(found.responses) == 1 and len(found.groups)
    return found.groups if found is not None and alone else influence.responses


def _ripple(influence: Influence) -> dict[str, Ripple | None]:
    """Return the strongest ripple along every axis, of the map or else of whole rows and columns.

    Pixels far apart cannot show a pattern of few pixels.
    """
    found: dict[str, Ripple | None] = {}
    profiles = {"rows": influence.row_profile, "cols": influence.column_profile}
    for name, axis in AXES.items():
        if influence.values.ndim < -axis:
            continue
        profile = profiles.get(name)
        if influence.probed.all():
            found[name] = metrics.strongest(metrics.ripple(influence.values, axis))
        elif profile is not None:
            found[name] = metrics.strongest(metrics.ripple(profile))
        else:
            found[name] = None
    tile = influence.tile
    return {
        name: None if one is None else replace(one, period=one.period * tile)
        for name, one in found.items()
    }


def _strides(influence: Influence) -> tuple[int, ...] | None:
    """Return by axis the shift in pixels that moves every target tensor by whole cells."""
    shifts = []
    for tensor in influence.target.tensors:
        strides = influence.facts.strides(tensor)
        if strides is None:
            return None
        shifts.append([stride.numerator for stride in strides])
    return tuple(math.lcm(*by_axis) for by_axis in zip(*shifts, strict=True)) or None


def _receptive_field(influence: Influence) -> tuple[int, ...] | None:
    """Return the receptive field of a cell of the target as far as it lies on the image."""
    tensors = influence.target.tensors
    if len(tensors) != 1:
        return None
    field = influence.facts.receptive_field(tensors[0])
    shape = [size * influence.tile for size in influence.values.shape]
    if field is None or len(field) != len(shape):
        return None
    return tuple(min(size, length) for size, length in zip(field, shape, strict=True))


def _is_one_cell(influence: Influence) -> bool:
    """Tell whether the map is that of a single place of the target: its effective field."""
    if influence.target.unit is not None:
        return True
    return spatial_cells(influence.facts, influence.target.tensors[0]) == 1


def spatial_cells(facts: Facts, tensor: str) -> int | None:
    """Return how many places of the image a tensor has; None if its axes are not followed."""
    shape = facts.shape(tensor)
    axes = None if facts.geometry is None else facts.geometry.spatial_axes(tensor)
    if shape is None or axes is None:
        return None
    return math.prod(shape[axis] for axis in axes)
