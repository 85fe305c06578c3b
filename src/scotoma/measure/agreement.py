"""Compares two maps of the same model: the graph's against the measured one, or two measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma import metrics

if TYPE_CHECKING:
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

ALIKE = 1e-5
"""Values that differ by about this, relative to them, are equal in the order of the pixels."""
NAMED = 16
"""Pixels that are named one by one at most."""
SIDE_BY_SIDE: dict[str, Callable[[npt.ArrayLike], float | None]] = {
    "corner_over_centre": metrics.corner_over_centre,
    "edge_over_centre": metrics.edge_over_centre,
    "border_over_interior": metrics.border_over_interior,
    "left_right_ratio": metrics.left_right_ratio,
    "top_bottom_ratio": metrics.top_bottom_ratio,
}


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two maps agree: the reference (what should be) and the measured one."""

    compared_pixels: int
    """Pixels that are known in both maps and dead in neither."""
    correlation: float | None
    """Pearson's correlation of the logarithms over these, -1 to 1; None where a map is constant."""
    rank_correlation: float | None
    """Spearman's, -1 to 1: 1 where both maps order the pixels alike. Values that differ by less
    than a hundred-thousandth share a rank: rounding is no order."""
    max_relative_error: float | None
    """Largest difference over the larger of both, 0 to 1, each map scaled to a mean of 1: 0 where
    the maps are proportional."""
    relative_error: float | None
    """Euclidean norm of the difference over that of the reference, scaled likewise; from 0."""
    contradictions: int
    """Pixels that are dead in the reference, but moved the output. Must be 0."""
    contradicting: tuple[tuple[int, ...], ...]
    """The first of them."""
    unmoved: int
    """Pixels that live in the reference, were probed and moved nothing on any input."""
    unmoved_pixels: tuple[tuple[int, ...], ...]
    """The first of them."""
    figures: dict[str, tuple[float | None, float | None]]
    """The same figure of the reference and of the measured map."""

    def in_pixels(self, tile: int) -> Agreement:
        """Return the same of a map in tiles, which are named by their first pixel."""
        named = (self.contradicting, self.unmoved_pixels)
        contradicting, unmoved = (
            tuple(tuple(place * tile for place in cell) for cell in cells) for cells in named
        )
        return replace(self, contradicting=contradicting, unmoved_pixels=unmoved)

    def document(self) -> dict[str, Any]:
        """Return the comparison under the keys of the JSON contract."""
        return {
            "compared_pixels": self.compared_pixels,
            "correlation": self.correlation,
            "rank_correlation": self.rank_correlation,
            "max_relative_error": self.max_relative_error,
            "relative_error": self.relative_error,
            "contradictions": self.contradictions,
            "contradicting_pixels": [list(pixel) for pixel in self.contradicting],
            "unmoved": self.unmoved,
            "unmoved_pixels": [list(pixel) for pixel in self.unmoved_pixels],
            "figures": {
                key: {"reference": reference, "measured": measured}
                for key, (reference, measured) in self.figures.items()
            },
        }


def agree(
    reference: Numbers,
    measured: Numbers,
    *,
    probed: Mask | None = None,
    reference_dead: Mask | None = None,
    measured_dead: Mask | None = None,
    figures: Mapping[str, float | None] | None = None,
) -> Agreement:
    """Compare two maps of one shape, each up to a factor of its own.

    Parameters
    ----------
    reference
        What the other map is held against: the walk map of the graph, or an adjoint map.
    measured
        Read where `probed` only.
    probed
        Which pixels of `measured` are known; None: all.
    reference_dead, measured_dead
        Which pixels are dead; None: those of value 0.
    figures
        Those of the measured map by key, as they are told elsewhere; None: they are taken here.

    Examples
    --------
    >>> found = agree(np.array([0.0, 1, 2, 4]), np.array([0.0, 3, 6, 12]))
    >>> found.compared_pixels, round(found.correlation, 9), found.max_relative_error
    (3, 1.0, 0.0)
    >>> agree(np.array([0.0, 1, 2]), np.array([5.0, 1, 2])).contradicting
    ((0,),)
    """
    known = np.ones(np.shape(measured), bool) if probed is None else np.asarray(probed, bool)
    dead_there = reference == 0 if reference_dead is None else reference_dead
    dead_here = measured == 0 if measured_dead is None else measured_dead
    compared = known & ~dead_there & ~dead_here & (reference > 0) & (measured > 0)
    compared &= np.isfinite(reference) & np.isfinite(measured)
    first, second = reference[compared], measured[compared]
    contradicting, unmoved = known & dead_there & ~dead_here, known & ~dead_there & dead_here
    largest, overall = _errors(first, second)
    if figures is None:
        figures = _figures(measured, known)
    return Agreement(
        compared_pixels=len(first),
        correlation=_pearson(np.log(first), np.log(second)),
        rank_correlation=_pearson(_ranks(_steps(first)), _ranks(_steps(second))),
        max_relative_error=largest,
        relative_error=overall,
        contradictions=int(np.count_nonzero(contradicting)),
        contradicting=_first(contradicting),
        unmoved=int(np.count_nonzero(unmoved)),
        unmoved_pixels=_first(unmoved),
        figures={
            key: (metric(reference), figures.get(key)) for key, metric in SIDE_BY_SIDE.items()
        },
    )


def _figures(measured: Numbers, known: Mask) -> dict[str, float | None]:
    """Return the figures of a map of which only some pixels are known; none if none is."""
    if not known.any():
        return {}
    found = metrics.figures(metrics.Sample(measured, known))
    return {key: figure.value for key, figure in found.items()}


def _errors(reference: Numbers, measured: Numbers) -> tuple[float | None, float | None]:
    """Return the largest relative difference and the relative norm of the difference."""
    if not len(reference):
        return None, None
    # Divided by the largest first: a mean of huge numbers would leave the range of float64.
    first, second = reference / reference.max(), measured / measured.max()
    first, second = first / first.mean(), second / second.mean()
    gaps = np.abs(first - second)
    largest = float((gaps / np.maximum(first, second)).max())
    return largest, float(np.linalg.norm(gaps) / np.linalg.norm(first))


def _pearson(first: Numbers, second: Numbers) -> float | None:
    """Return Pearson's correlation; None for fewer than two values or a constant side."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    first, second = first - first.mean(), second - second.mean()
    scale = math.sqrt(float(first @ first)) * math.sqrt(float(second @ second))
    return min(1.0, max(-1.0, float(first @ second) / scale)) if scale > 0 else None


def _steps(values: Numbers) -> Numbers:
    """Return the values as numbers of relative steps of `ALIKE`."""
    steps: Numbers = np.round(np.log(values) / ALIKE)
    return steps


def _ranks(values: Numbers) -> Numbers:
    """Return ranks from 0 on; equal values share the mean of theirs.

    Examples
    --------
    >>> _ranks(np.array([10.0, 30.0, 10.0])).tolist()
    [0.5, 2.0, 0.5]
    """
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Numbers = (np.cumsum(counts) - (counts + 1) / 2)[places.reshape(-1)]
    return ranks


def _first(mask: Mask) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(pixel) for pixel in np.argwhere(mask)[:NAMED].tolist())
