"""The backward sweep: one pass from chosen tensors to the pixels of the examined input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.sweep.pull import Semiring, pull, pull_steps, steps_of
from scotoma.trace.layout import cells_per_place, tracked_sizes
from scotoma.trace.reading import Flow, Reading, used_readings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.sweep.pull import Array, Steps
    from scotoma.trace.geometry import Geometry
    from scotoma.trace.layout import Layout

LARGE = 2.0**512
"""A path count above this is scaled down, with the exponent kept beside it."""
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


def sweep(
    geometry: Geometry, tensors: Sequence[str], semiring: Semiring, *, local: bool = False
) -> Map:
    """Sweep from the sum of some tensors back to the examined input.

    Parameters
    ----------
    tensors
        Names of tensors that depend on the examined input; a random walk starts on one of their
        elements, chosen uniformly.
    local
        Leave out the paths through whole-map operators wherever a local one exists.

    Returns
    -------
    Map
        REACH: True where some path arrives. COUNT: number of kernel-tap paths. WALK:
        probabilities that sum to 1 minus what padding absorbed.
    """
    weights = _start_weights(geometry, tensors)
    starts = {name: _start(geometry.flows[name], weights[name], semiring) for name in tensors}
    return run(geometry, starts, semiring, local=local)


def run(
    geometry: Geometry,
    starts: Mapping[str, Array],
    semiring: Semiring,
    *,
    local: bool = False,
    visit: Callable[[str, Array], None] | None = None,
) -> Map:
    """Sweep from given arrays back to the examined input.

    Parameters
    ----------
    starts
        Arrays by tensor, each of shape ``tracked_sizes`` of the tensor's layout.
    visit
        Called with the name and the finished array of every tensor that is passed.
    """
    flows = geometry.flows
    arrays: dict[str, Array] = {}
    exponents: dict[str, int] = {}
    for name, start in starts.items():
        _accumulate(arrays, exponents, name, start, 0)
    absorbed: dict[str, float] = {}
    end = geometry.input.name
    known = arrows(geometry, local=local)
    for name in reversed(tuple(flows)):
        if name not in arrays:
            continue
        if visit is not None:
            visit(name, arrays[name])
        if name == end:
            continue
        readings, total = known[name]
        flow, array, exponent = flows[name], arrays.pop(name), exponents.pop(name)
        if semiring is Semiring.COUNT:
            array, exponent = _scaled(array, exponent)
        if len(readings) == 1 and readings[0][1] == ():
            _accumulate(arrays, exponents, readings[0][0].tensor, array, exponent)
            continue
        arrived = 0.0
        for tensor, piece in _pulled((readings, total), flow.layout, array, semiring):
            if semiring is Semiring.WALK:
                arrived += float(piece.sum())
            _accumulate(arrays, exponents, tensor, piece, exponent)
        if semiring is Semiring.WALK and (lost := float(array.sum()) - arrived) > LEAST_LOSS:
            absorbed[name] = lost
    final = arrays.get(end)
    if final is None:
        shape = tracked_sizes(flows[end].layout)
        final = np.zeros(shape, bool if semiring is Semiring.REACH else np.float64)
    return Map(_in_order(geometry, final), exponents.get(end, 0), absorbed)


def _pulled(
    known: Arrows, layout: Layout, array: Array, semiring: Semiring
) -> Iterator[tuple[str, Array]]:
    """Yield what an array says of every tensor that is read, with the tensor's name."""
    readings, total = known
    for reading, steps in readings:
        given = array
        if semiring is Semiring.WALK and reading.share is not None and reading.share != total:
            given = array * (reading.share / total)
        if steps is None:
            yield reading.tensor, pull(reading, layout, given, semiring)
        else:
            yield reading.tensor, pull_steps(steps, given, semiring)


Arrows = tuple[list[tuple[Reading, "Steps | None"]], int]
"""The readings of a flow that count, with what they come down to, and the sum of their shares."""


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


def _start_weights(geometry: Geometry, tensors: Sequence[str]) -> dict[str, float]:
    """Return the probability of starting on each tensor: in proportion to its elements."""
    sizes = {name: prod(geometry.resolution.shapes.get(name) or (1,)) or 1 for name in tensors}
    total = sum(sizes.values())
    return {name: size / total for name, size in sizes.items()}


def _start(flow: Flow, weight: float, semiring: Semiring) -> Array:
    """Return the array of a tensor on which the sweep starts."""
    shape = tracked_sizes(flow.layout)
    if semiring is Semiring.REACH:
        return np.ones(shape, bool)
    if semiring is Semiring.COUNT:
        return np.full(shape, float(prod(map(cells_per_place, flow.layout))))
    return np.full(shape, weight / max(prod(shape), 1))


def _accumulate(
    arrays: dict[str, Array], exponents: dict[str, int], name: str, piece: Array, exponent: int
) -> None:
    """Add a contribution to the array of a tensor, aligning exponents."""
    old = arrays.get(name)
    if old is None:
        arrays[name], exponents[name] = piece, exponent
    elif piece.dtype == bool:
        arrays[name] = old | piece
    else:
        top = max(exponents[name], exponent)
        if exponents[name] != top:
            old = np.ldexp(old, exponents[name] - top)
        if exponent != top:
            piece = np.ldexp(piece, exponent - top)
        arrays[name], exponents[name] = old + piece, top


def _scaled(array: Array, exponent: int) -> tuple[Array, int]:
    """Scale a count array down where it grows out of range."""
    peak = float(array.max(initial=0.0))
    if peak <= LARGE:
        return array, exponent
    shift = int(np.frexp(peak)[1])
    return np.ldexp(array, -shift), exponent + shift


def _in_order(geometry: Geometry, array: Array) -> Array:
    """Return the input's array with its axes in the order of the image's axes."""
    axes = geometry.input.spatial_axes
    order = sorted(axes)
    return np.ascontiguousarray(array.transpose([order.index(a) for a in axes]))
