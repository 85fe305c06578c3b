"""Why a figure has no value, in words that complete "unknown: …"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scotoma.metrics.maps import Map, Mask

NOTHING_PROBED = "nothing was probed"
NO_PAIR = "no two opposite pixels were probed"
NO_FIELD = "the receptive field is not known"
TOO_SHORT = "the map is too short for a pattern"
COMPARED = "part that it is compared with"


def unprobed(names: Sequence[str]) -> str:
    """Return that parts of the map hold no probe.

    Examples
    --------
    >>> unprobed(["corners", "centre"])
    'no probe fell into the corners or the centre'
    """
    return f"no probe fell into the {' or the '.join(names)}"


def missing(name: str) -> str:
    """Return that the map is too small to have a part."""
    return f"the map is too small to have an {name}"


def weightless(values: Map, probed: Mask, below: str = COMPARED) -> str:
    """Return why a figure of a probed map is not defined; `below` is what it divides by.

    Examples
    --------
    >>> weightless(np.array([0.0, 2.0]), np.array([True, True]), "centre")
    'the centre has no weight'
    >>> weightless(np.array([0.0, 2.0]), np.array([True, False]), "centre")
    'nothing that was probed has weight'
    """
    known = values[probed]
    if not np.isfinite(known).all():
        return "the map holds numbers that are not finite"
    return f"the {below} has no weight" if known.any() else "nothing that was probed has weight"
