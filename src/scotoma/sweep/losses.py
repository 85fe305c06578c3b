"""Who loses the dead pixels: operators that leave cells unread which nothing else reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scotoma.sweep.along import Semiring, Slide
from scotoma.sweep.piece import Piece
from scotoma.sweep.pull import pull, pull_steps
from scotoma.sweep.sweep import arrows, run
from scotoma.trace.layout import tracked_sizes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.loader.model import Operator
    from scotoma.trace.geometry import Geometry
    from scotoma.trace.index_map import TapsMap

MAX_SUSPECTS = 64
"""A model with more lossy operators than this gets the first ones, from the input on."""


@dataclass(frozen=True, slots=True, eq=False)
class Loss:
    """An operator that leaves cells unread, so that pixels die."""

    operator: Operator
    tensor: str
    """The tensor whose cells it leaves unread."""
    pixels: NDArray[np.bool_]
    """The dead pixels that would have had a path through those cells."""


def losses(
    geometry: Geometry, tensors: Sequence[str], dead: NDArray[np.bool_], *, local: bool = False
) -> list[Loss]:
    """Return the operators that lose dead pixels, in the order of the graph.

    An operator is one of them if some cell that it leaves unread is read by nothing that reaches
    `tensors`, and a dead pixel has a path to that cell.
    """
    flows, known = geometry.flows, arrows(geometry, local=local)
    wanted = {
        reading.tensor
        for name in flows
        for reading, steps in known[name][0]
        if steps is None or not all(_reads_all(index_map) for _, index_map in steps)
    }
    unreached: dict[str, NDArray[np.bool_]] = {}

    def keep(name: str, piece: Piece) -> None:
        if name in wanted and not piece.is_full:
            unreached[name] = ~piece.array

    starts = {n: Piece.constant(tracked_sizes(flows[n].layout), value=True) for n in tensors}
    run(geometry, starts, Semiring.REACH, local=local, visit=keep)
    found: list[Loss] = []
    for name, flow in flows.items():
        if len(found) == MAX_SUSPECTS:
            break
        for reading, steps in known[name][0]:
            cells = unreached.get(reading.tensor)
            if cells is None or flow.operator is None or steps == ():
                continue
            full = np.ones(tracked_sizes(flow.layout), bool)
            read = (
                pull(reading, flow.layout, full, Semiring.REACH)
                if steps is None
                else pull_steps(steps, full, Semiring.REACH)
            )
            unread = cells & ~read.astype(bool)
            if not unread.any():
                continue
            pixels = np.zeros_like(dead)
            for part in _parts(unread):
                pixels |= run(geometry, {reading.tensor: part}, Semiring.REACH, local=local).values
            pixels &= dead
            if pixels.any():
                found.append(Loss(flow.operator, reading.tensor, pixels))
    return found


def _parts(mask: NDArray[np.bool_]) -> list[Piece]:
    """Return what a mask is the union of: whole rows and whole columns, where it is no more."""
    if mask.ndim == 2:
        rows, columns = (np.asarray(mask.all(axis=axis)) for axis in (1, 0))
        if np.array_equal(rows[:, None] | columns, mask):
            lines = (rows, np.ones_like(columns)), (np.ones_like(rows), columns)
            return [Piece(None, lines=pair) for pair in lines if all(map(np.any, pair))]
    return [Piece(mask)]


def _reads_all(index_map: TapsMap | Slide) -> bool:
    """Tell whether every cell along an axis is certainly read."""
    return isinstance(index_map, Slide) and index_map.reads_all
