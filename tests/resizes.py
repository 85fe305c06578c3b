"""The ways in which Resize reads its input, and what onnxruntime copies at the nearest cell."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from networks import Network

from scotoma.trace.resample import Resampling

NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
TRANSFORMATIONS = (
    "half_pixel", "pytorch_half_pixel", "half_pixel_symmetric", "align_corners", "asymmetric",
)  # fmt: skip


def copied(
    before: int, after: int, transformation: str, nearest: str
) -> tuple[Resampling, list[int]]:
    """Return a resampling of one axis, and the cell that onnxruntime copies into each output."""
    net = Network(1, 1, before, value=np.arange(before, dtype=np.float32)[None, None])
    made = net.add(
        "Resize", "x", "", "", net.ints(1, 1, after), mode="nearest", nearest_mode=nearest,
        coordinate_transformation_mode=transformation,
    )  # fmt: skip
    ratio = Fraction(after, before)
    resampling = Resampling(before, after, ratio, "nearest", transformation, nearest)
    return resampling, net.values[made][0, 0].tolist()
