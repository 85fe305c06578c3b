"""What an operator's output reads of one of its inputs, axis by axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scotoma.trace.index_map import IndexMap
from scotoma.trace.layout import Layout

if TYPE_CHECKING:
    from scotoma.loader.model import Operator


@dataclass(frozen=True, slots=True)
class Same:
    """The input axis is read at the place of output axis `out`."""

    out: int


@dataclass(frozen=True, slots=True, eq=False)
class Mapped:
    """The input axis is read through an index map from output axis `out`."""

    out: int
    map: IndexMap


@dataclass(frozen=True, slots=True)
class Mixed:
    """Every output reads every cell of the input axis."""


@dataclass(frozen=True, slots=True, eq=False)
class Faded:
    """A window over an axis that is not followed: no places, but some taps fall on padding."""

    map: IndexMap


AxisRead = Same | Mapped | Mixed | Faded


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One arrow of the backward sweep: from an output tensor to one of the operator's inputs."""

    tensor: str
    """The tensor that is read."""
    layout: Layout
    """Its layout."""
    axes: tuple[AxisRead, ...] | None
    """One entry per axis of the tensor read; None: the digits are the output's, regrouped."""
    share: int | None = None
    """Weight in the choice of a random walk among the operator's inputs; None: no choice, the
    position decides (concatenation along a followed axis)."""
    whole: bool = False
    """Reads whole maps: left out where only local paths count."""
    local_only: bool = False
    """Counts only where whole-map paths are left out; elsewhere a whole reading contains it."""


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """How a tensor depends on the examined input. Constants have none."""

    layout: Layout
    readings: tuple[Reading, ...]
    operator: Operator | None
    """None for the examined input itself."""
    local: bool
    """Some path from the image passes no whole-map operator."""
    whole: bool
    """Some path passes a whole-map operator, or an operator that is not understood."""


def used_readings(flow: Flow, flows: Mapping[str, Flow], *, local: bool) -> list[Reading]:
    """Return the readings of a flow that count: all, or the local ones where there are any."""
    if local and flow.local:
        return [r for r in flow.readings if not r.whole and flows[r.tensor].local]
    return [r for r in flow.readings if not r.local_only]
