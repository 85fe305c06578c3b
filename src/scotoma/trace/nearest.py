"""The cells that Resize copies with the mode ``nearest``, rounded as onnxruntime rounds.

At a tie the rounding of the coordinates to single precision, step by step, decides which cell is
read; the exact coordinate would name a neighbour of it, and call a cell unread that is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.trace.resample import Resampling

    Cells = NDArray[np.int64]
    Places = NDArray[np.float32]

TIE = np.float32(1e-6)
"""How close to the middle of two cells a rounded coordinate counts as being there."""


@dataclass(frozen=True, slots=True)
class Region:
    """The part of an axis that a crop looks at, in shares of the axis from its first cell."""

    start: float
    end: float


def coordinates(r: Resampling, region: Region | None = None) -> Places | None:
    """Return the input coordinate of every output, with the rounding errors of onnxruntime.

    Parameters
    ----------
    r
        How the axis is resized.
    region
        What ``tf_crop_and_resize`` crops to.

    Returns
    -------
    array or None
        Shape (outputs,). None if the transformation is not known.
    """
    found = _rounded(r, region)
    return None if found is None else np.asarray(found, np.float32)


def _rounded(r: Resampling, region: Region | None) -> Any:
    one: Any = np.float32
    o = np.arange(r.size_out, dtype=one)
    scale, size_in, size_out = one(float(r.scale)), one(r.size_in), one(r.size_out)
    half, last = one(0.5), one(r.size_in - 1)
    if region is not None:
        start, end = one(region.start), one(region.end)
        if r.size_out == 1:
            return np.full(1, 0.5 * float(start + end) * float(last), one)
        return start * last + (o * (end - start) * last) / (size_out - one(1))
    match r.transformation:
        case "half_pixel":
            return (o + half) / scale - half
        case "pytorch_half_pixel":
            return (o + half) / scale - half if r.size_out > 1 else np.zeros_like(o)
        case "half_pixel_symmetric":
            offset = size_in / one(2) * (one(1) - size_out / (scale * size_in))
            # This one is in double precision there.
            exact = float(offset) + (o.astype(float) + 0.5) / float(scale) - 0.5
            return exact.astype(one)
        case "align_corners":
            return o * last / (size_out - one(1)) if r.size_out > 1 else np.zeros_like(o)
        case "asymmetric":
            return o / scale
        case "tf_half_pixel_for_nn":
            return (o + half) / scale
    return None


def copied(r: Resampling, places: Places) -> Cells | None:
    """Return the cell that each output copies, given its coordinates; None: unknown rounding."""
    whole = np.floor(places)
    match r.nearest_mode:
        case "floor":
            chosen = whole
        case "ceil":
            chosen = np.ceil(places)
        case "round_prefer_ceil":
            chosen = np.where(places - whole >= 0.5 - TIE, whole + 1, whole)
        case "round_prefer_floor":
            chosen = np.where(places - whole > 0.5 + TIE, whole + 1, whole)
        case _:
            return None
    return np.clip(chosen, 0, r.size_in - 1).astype(np.int64)
