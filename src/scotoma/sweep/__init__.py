"""From the geometry to maps over the input's pixels: reachability, path counts, random walks."""

from __future__ import annotations

from scotoma.sweep.along import Semiring
from scotoma.sweep.coverage import Coverage, Dead, coverage, dead_pixels, path_counts
from scotoma.sweep.losses import Loss, losses
from scotoma.sweep.sweep import Map, Other, sweep, sweep_both

__all__ = [
    "Coverage", "Dead", "Loss", "Map", "Other", "Semiring", "coverage", "dead_pixels", "losses",
    "path_counts", "sweep", "sweep_both",
]  # fmt: skip
