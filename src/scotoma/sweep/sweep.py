"""The backward sweep: one pass from chosen tensors to the pixels of the examined input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.sweep.pull import Semiring, pull
from scotoma.trace.layout import cells_per_place, tracked_sizes
from scotoma.trace.reading import Flow, used_readings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.sweep.pull import Array
    from scotoma.trace.geometry import Geometry

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
    for name in reversed(tuple(flows)):
        if name not in arrays:
            continue
        if visit is not None:
            visit(name, arrays[name])
        if name == end:
            continue
        flow, array, exponent = flows[name], arrays.pop(name), exponents.pop(name)
        if semiring is Semiring.COUNT:
            array, exponent = _scaled(array, exponent)
        readings = used_readings(flow, flows, local=local)
        total = sum(r.share for r in readings if r.share is not None)
        arrived = 0.0
        for reading in readings:
            given = array
            if semiring is Semiring.WALK and reading.share is not None and reading.share != total:
                given = array * (reading.share / total)
            piece = pull(reading, flow.layout, given, semiring)
            if semiring is Semiring.WALK:
                arrived += float(piece.sum())
            _accumulate(arrays, exponents, reading.tensor, piece, exponent)
        if semiring is Semiring.WALK and (lost := float(array.sum()) - arrived) > LEAST_LOSS:
            absorbed[name] = lost
    final = arrays.get(end)
    if final is None:
        shape = tracked_sizes(flows[end].layout)
        final = np.zeros(shape, bool if semiring is Semiring.REACH else np.float64)
    return Map(_in_order(geometry, final), exponents.get(end, 0), absorbed)


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
