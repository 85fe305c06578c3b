"""The backward sweep: one pass from chosen tensors to the pixels of the examined input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.sweep.along import Semiring
from scotoma.sweep.piece import Piece, add, pulled_pieces
from scotoma.sweep.pull import steps_of
from scotoma.trace.layout import cells_per_place, tracked_sizes
from scotoma.trace.reading import Flow, Reading, used_readings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.sweep.along import Array
    from scotoma.sweep.pull import Steps
    from scotoma.trace.geometry import Geometry

LEAST_LOSS = 1e-14
"""What rounding may lose of a walk; padding absorbs more."""


@dataclass(frozen=True, slots=True, eq=False)
class Map:
    """A map over the pixels of the examined input."""

    values: NDArray[Any]
    """Shape: the spatial sizes of the input, in the input's order."""
    exponent: int
    """The values are to be multiplied by ``2 ** exponent``; 0 but for enormous path counts."""
    absorbed: Mapping[str, float]
    """Random walk: the mass that padding absorbed, by name of the operator's first output."""


Arrows = tuple[list[tuple[Reading, "Steps | None"]], int]
"""The readings of a flow that count, with what they come down to, and the sum of their shares."""


@dataclass(frozen=True, slots=True)
class Other:
    """What is other in a graph that is like the traced one but for some sizes and windows."""

    arrows: Mapping[str, Arrows]
    """Of the tensors whose arrows are others; `local` ones."""
    sizes: Mapping[str, tuple[int, ...]]
    """Of the tensors whose sizes are others: the shapes of their arrays."""


def sweep(
    geometry: Geometry,
    tensors: Sequence[str],
    semiring: Semiring,
    *,
    local: bool = False,
    other: Other | None = None,
) -> Map:
    """Sweep from the sum of some tensors back to the examined input.

    Parameters
    ----------
    tensors
        Names of tensors that depend on the examined input; a random walk starts on one of their
        elements, chosen uniformly.
    local
        Leave out the paths through whole-map operators wherever a local one exists.
    other
        Sweep over another graph that is like this one but for what it says.

    Returns
    -------
    Map
        REACH: True where some path arrives. COUNT: number of kernel-tap paths. WALK:
        probabilities that sum to 1 minus what padding absorbed.
    """
    starts = _starts(geometry, tensors, semiring, other)
    return run(geometry, starts, semiring, local=local, other=other)


def sweep_both(
    geometry: Geometry,
    tensors: Sequence[str],
    semiring: Semiring,
    other: Other,
    *,
    end: str | None = None,
) -> tuple[Map, Map]:
    """Sweep over the local paths of a graph and of one that is like it but for what `other` says.

    What both have in common behind the last difference is swept once.

    Parameters
    ----------
    end
        The tensor to stop at, whose followed axes are those of the image in the input's order;
        None: the examined input.

    Returns
    -------
    (Map, Map)
        As of `sweep`: of the graph as it is, and of the other.
    """
    here = _Way(geometry, _starts(geometry, tensors, semiring), semiring, local=True, end=end)
    names, first = tuple(reversed(tuple(geometry.flows))), 0
    if other.sizes.keys().isdisjoint(tensors):
        differ = (i for i, name in enumerate(names) if name in other.sizes or name in other.arrows)
        first = next(differ, len(names))
        here.back(names[:first])
        there = here.branch(other)
    else:
        starts = _starts(geometry, tensors, semiring, other)
        there = _Way(geometry, starts, semiring, local=True, other=other, end=end)
    for way in (here, there):
        way.back(names[first:])
    return here.map, there.map


def run(
    geometry: Geometry,
    starts: Mapping[str, Array | Piece],
    semiring: Semiring,
    *,
    local: bool = False,
    visit: Callable[[str, Piece], None] | None = None,
    other: Other | None = None,
) -> Map:
    """Sweep from given arrays back to the examined input.

    Parameters
    ----------
    starts
        Arrays by tensor, each of shape ``tracked_sizes`` of the tensor's layout.
    visit
        Called with the name of every tensor that is passed, and what arrived there.
    other
        As in `sweep`.
    """
    way = _Way(geometry, starts, semiring, local=local, other=other)
    way.back(reversed(tuple(geometry.flows)), visit)
    return way.map


class _Way:
    """A sweep on its way back to the examined input."""

    def __init__(
        self,
        geometry: Geometry,
        starts: Mapping[str, Array | Piece],
        semiring: Semiring,
        *,
        local: bool,
        other: Other | None = None,
        end: str | None = None,
    ) -> None:
        self.geometry, self.semiring = geometry, semiring
        self.end = geometry.input.name if end is None else end
        self.known = arrows(geometry, local=local)
        self.other = other or Other({}, {})
        self.absorbed: dict[str, float] = {}
        self.pieces: dict[str, Piece] = {}
        for name, start in starts.items():
            add(self.pieces, name, Piece.of(start), semiring)

    def branch(self, other: Other) -> _Way:
        """Return a sweep over another graph that has come as far as this one."""
        found = _Way(self.geometry, {}, self.semiring, local=True, other=other, end=self.end)
        found.absorbed.update(self.absorbed)
        found.pieces.update((name, copy(piece)) for name, piece in self.pieces.items())
        return found

    def back(self, names: Iterable[str], visit: Callable[[str, Piece], None] | None = None) -> None:
        """Pass some tensors, the last ones of the graph first."""
        pieces, semiring, known, changed = self.pieces, self.semiring, self.known, self.other.arrows
        flows, end = self.geometry.flows, self.end
        for name in names:
            if name not in pieces:
                continue
            if visit is not None:
                visit(name, pieces[name])
            if name == end:
                continue
            used, piece = changed[name] if name in changed else known[name], pieces.pop(name)
            if semiring is Semiring.COUNT:
                piece.scale_down()
            if len(used[0]) == 1 and used[0][0][1] == ():
                add(pieces, used[0][0][0].tensor, piece, semiring)
                continue
            arrived = 0.0
            for tensor, pulled in pulled_pieces(*used, flows[name].layout, piece, semiring):
                if semiring is Semiring.WALK:
                    arrived += pulled.sum()
                add(pieces, tensor, pulled, semiring)
            if semiring is Semiring.WALK and (lost := piece.sum() - arrived) > LEAST_LOSS:
                self.absorbed[name] = lost

    @property
    def map(self) -> Map:
        """What arrived at the end."""
        end = self.end
        final = self.pieces.get(end)
        if final is None:
            shape = self.other.sizes.get(end) or tracked_sizes(self.geometry.flows[end].layout)
            kind = bool if self.semiring is Semiring.REACH else np.float64
            final = Piece(np.zeros(shape, kind))
        return Map(_in_order(self.geometry, final.array), final.exponent, self.absorbed)


class _Arrows(dict[str, Arrows]):
    """The arrows of all tensors, each worked out when it is first asked for."""

    def __init__(self, flows: Mapping[str, Flow], *, local: bool) -> None:
        super().__init__()
        self.flows, self.local = flows, local

    def __missing__(self, tensor: str) -> Arrows:
        flow = self.flows[tensor]
        readings = used_readings(flow, self.flows, local=self.local)
        total = sum(r.share for r in readings if r.share is not None)
        self[tensor] = [(reading, steps_of(reading, flow.layout)) for reading in readings], total
        return self[tensor]


def arrows(geometry: Geometry, *, local: bool) -> Mapping[str, Arrows]:
    """Return what sweeps have to know of every tensor, the same for all of them."""
    key = ("arrows", local and geometry.gated)
    if key not in geometry.kept:
        geometry.kept[key] = _Arrows(geometry.flows, local=key[1])
    found: Mapping[str, Arrows] = geometry.kept[key]
    return found


def _starts(
    geometry: Geometry, tensors: Sequence[str], semiring: Semiring, other: Other | None = None
) -> dict[str, Piece]:
    """Return the arrays that a sweep from the sum of some tensors starts from."""
    weights = _start_weights(geometry, tensors)
    sizes = other.sizes if other is not None else {}
    return {
        name: _start(geometry.flows[name], weights[name], semiring, sizes.get(name))
        for name in tensors
    }


def _start_weights(geometry: Geometry, tensors: Sequence[str]) -> dict[str, float]:
    """Return the probability of starting on each tensor: in proportion to its elements."""
    sizes = {name: prod(geometry.resolution.shapes.get(name) or (1,)) or 1 for name in tensors}
    total = sum(sizes.values())
    return {name: size / total for name, size in sizes.items()}


def _start(
    flow: Flow, weight: float, semiring: Semiring, sizes: tuple[int, ...] | None = None
) -> Piece:
    """Return the array of a tensor on which the sweep starts."""
    shape = tracked_sizes(flow.layout) if sizes is None else sizes
    if semiring is Semiring.WALK:
        return Piece(np.full(shape, weight / max(prod(shape), 1)))
    if semiring is Semiring.REACH:
        return Piece.constant(shape, value=True)
    return Piece.constant(shape, value=float(prod(map(cells_per_place, flow.layout))))


def _in_order(geometry: Geometry, array: Array) -> Array:
    """Return the input's array with its axes in the order of the image's axes."""
    axes = geometry.input.spatial_axes
    order = sorted(axes)
    return np.ascontiguousarray(array.transpose([order.index(a) for a in axes]))
