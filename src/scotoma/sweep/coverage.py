"""Coverage: which pixels reach the chosen outputs, how evenly, and what padding swallows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from scotoma import metrics
from scotoma.sweep.along import Semiring
from scotoma.sweep.sweep import sweep

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.trace.geometry import Geometry

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Dead:
    """The pixels that no path connects to the output: a proof, not a measurement."""

    mask: NDArray[np.bool_]
    """True where a pixel is dead; shape: the spatial sizes of the input."""

    @property
    def fraction(self) -> Fraction:
        """Share of dead pixels, exact."""
        return Fraction(self.count, self.mask.size) if self.mask.size else Fraction(0)

    @property
    def count(self) -> int:
        """Number of dead pixels."""
        return int(np.count_nonzero(self.mask))

    @property
    def ranges(self) -> tuple[Ranges, Ranges]:
        """The rows and the columns that are dead throughout, as (first, last) ranges."""
        return metrics.dead_ranges(self.mask)

    @property
    def rows(self) -> Ranges:
        """Rows that are dead throughout, as (first, last) ranges."""
        return self.ranges[0]

    @property
    def columns(self) -> Ranges:
        """Columns that are dead throughout, as (first, last) ranges."""
        return self.ranges[1]


@dataclass(frozen=True, slots=True, eq=False)
class Coverage:
    """How the random walk from the outputs spreads over the pixels."""

    dead: Dead
    walk: NDArray[np.float64]
    """Probability by pixel; sums to ``1 - absorbed_by_padding``."""
    absorbed: dict[str, float]
    """Mass absorbed by padding, by first output of the operator that pads."""

    @property
    def absorbed_by_padding(self) -> float:
        """1 minus the sum of the walk, 0 to 1."""
        return max(0.0, 1.0 - float(self.walk.sum()))

    def document(self) -> dict[str, object]:
        """Return the figures under the keys of the JSON contract."""
        return {
            "dead_pixel_fraction": float(self.dead.fraction),
            "dead_rows": [list(r) for r in self.dead.rows],
            "dead_cols": [list(r) for r in self.dead.columns],
            "corner_over_centre": metrics.corner_over_centre(self.walk),
            "edge_over_centre": metrics.edge_over_centre(self.walk),
            "left_right_ratio": metrics.left_right_ratio(self.walk),
            "top_bottom_ratio": metrics.top_bottom_ratio(self.walk),
            "absorbed_by_padding": self.absorbed_by_padding,
        }


def dead_pixels(geometry: Geometry, tensors: Sequence[str], *, local: bool = False) -> Dead:
    """Return the pixels without a path to any of the tensors."""
    reached = sweep(geometry, tensors, Semiring.REACH, local=local)
    return Dead(~reached.values.astype(bool))


def coverage(
    geometry: Geometry, tensors: Sequence[str], *, local: bool = False, dead: Dead | None = None
) -> Coverage:
    """Return dead pixels and the random walk from the tensors.

    Parameters
    ----------
    dead
        The dead pixels, where they are known already.
    """
    walk = sweep(geometry, tensors, Semiring.WALK, local=local)
    return Coverage(
        dead_pixels(geometry, tensors, local=local) if dead is None else dead,
        walk.values.astype(np.float64),
        dict(walk.absorbed),
    )


def path_counts(geometry: Geometry, tensors: Sequence[str]) -> NDArray[np.float64]:
    """Return the number of kernel-tap paths from every pixel to the sum of the tensors.

    Enormous counts are scaled by a power of two that all pixels share.
    """
    return sweep(geometry, tensors, Semiring.COUNT).values.astype(np.float64)
