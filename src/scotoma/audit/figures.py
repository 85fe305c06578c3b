"""Figures of a measured map: beside a limit, of a part of the input, and as JSON types."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.audit.errors import NotMeasuredError
from scotoma.findings import CONFIRMED, CONTRADICTED
from scotoma.measure.influence import Structural
from scotoma.measure.summary import Summary, figure_document
from scotoma.metrics import Figure

if TYPE_CHECKING:
    from scotoma.measure import Influence

Region = tuple[int, ...]
"""Column and row of the first pixel, width and height."""

DOUBT = 2.0
"""Standard errors on either side that hold the true value in nine of ten cases."""


def side(figure: Figure, limit: float) -> int | None:
    """Return 1 where a figure is above a limit, -1 where not, None where its error leaves it open.

    Examples
    --------
    >>> side(Figure(0.5, 0.1, 9), 0.8), side(Figure(0.5, 0.1, 9), 0.6), side(Figure(2.0, 0, 9), 2)
    (-1, None, -1)
    """
    if figure.value is None:
        return None
    doubt = DOUBT * (figure.error or 0.0)
    if figure.value - doubt > limit:
        return 1
    return -1 if figure.value + doubt <= limit else None


def against(figure: Figure, limit: float, *, below: str) -> str:
    """Return the status of a claim that a figure decides.

    Parameters
    ----------
    below
        The status where the figure is at most the limit; above it is the other one.

    Raises
    ------
    NotMeasuredError
        If the standard error leaves it open.
    """
    found = side(figure, limit)
    if found is None:
        raise NotMeasuredError(
            f"{figure.value:.2g} ± {figure.error or 0:.1g} lies too near to {limit:g} to tell: a"
            " larger budget, or more inputs, may"
        )
    above = CONTRADICTED if below == CONFIRMED else CONFIRMED
    return below if found < 0 else above


def restricted(influence: Influence, region: Region) -> Influence:
    """Return the part of a map that lies in a rectangle of the input.

    Parameters
    ----------
    region
        Column and row of its first pixel, width and height; it lies on the image.

    Raises
    ------
    NotMeasuredError
        If no pixel of it has a value of its own.
    """
    if influence.tile > 1:
        raise NotMeasuredError("the map is kept in tiles, which a region may cut")
    left, top, width, height = region
    index = (slice(top, top + height), slice(left, left + width))
    probed, structural = influence.probed[index], influence.structural
    if not probed.any():
        raise NotMeasuredError("no pixel of the region was perturbed")
    inside = np.zeros(influence.probed.shape, bool)
    inside[index] = True
    kept = inside[influence.probed]
    if structural is not None:
        structural = Structural(structural.walk[index], structural.dead[index], structural.absorbed)
    gradients = influence.gradients
    if gradients is not None:
        flat = inside.ravel()
        groups = gradients.groups[:, flat] if gradients.groups.size else gradients.groups
        gradients = replace(
            gradients,
            responses=gradients.responses[:, flat],
            linked=gradients.linked[index],
            groups=groups,
        )
    return replace(
        influence,
        values=influence.values[index],
        dead=influence.dead[index],
        probed=probed,
        places=influence.places[kept] - np.array([top, left]),
        responses=influence.responses[:, kept],
        row_profile=None,
        column_profile=None,
        structural=structural,
        gradients=gradients,
        confirmation=None,
    )


def map_document(influence: Influence, summary: Summary, region: Region | None) -> dict[str, Any]:
    """Return how a map was measured, and its figures, as JSON types."""
    blocks = summary.document()
    return {
        "method": influence.method,
        "functional": influence.functional.name,
        "outputs": list(influence.target.tensors),
        "target": influence.target.why,
        "inputs": [baseline.label for baseline in influence.baselines],
        "probed": int(influence.probed.sum()),
        "pixels": int(influence.probed.size),
        "region": None if region is None else list(region),
        "figures": blocks["figures"],
        "position": blocks["position"],
        "agreement": blocks["agreement"],
        "notes": list(influence.notes),
    }


def figure_documents(summary: Summary) -> dict[str, Any]:
    """Return the figures of a map as JSON types."""
    return {key: figure_document(figure) for key, figure in summary.figures.items()}
