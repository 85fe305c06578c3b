"""From a resolved model to its geometry: which cells of which input every operator reads."""

from __future__ import annotations

from scotoma.trace.geometry import Geometry, Unanalysed
from scotoma.trace.trace import trace

__all__ = ["Geometry", "Unanalysed", "trace"]
