"""Chooses where a model is cut: a tensor all paths run through, of which many pixels share a pass.

What a tensor early in the network does when pixels move is had exactly, in a few passes of the part
before it: pixels that no cell of the tensor shares move together. The later the tensor, the more
passes, and the less of the network is left to a gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from scotoma.measure.reach import colours, reaches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scotoma.facts import Facts
    from scotoma.measure.plan import Lattice
    from scotoma.measure.reach import Reach

MOST_PASSES = 256
"""Passes of the part before the cut, for each input, direction and channel that moves alone."""
LARGEST_TENSOR = 2**26
"""Elements of the cut tensor times the gradients that are held of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A tensor that everything the input does to the target goes through."""

    tensor: str
    reach: tuple[Reach, ...]
    """By axis of the image and place of the lattice."""
    passes: int
    """Passes that move every place once."""


def choose(facts: Facts, targets: Sequence[str], lattice: Lattice, gradients: int) -> Cut | None:
    """Return the last tensor of the graph whose passes and memory fit; None: there is none.

    Parameters
    ----------
    targets
        The tensors that are looked at; the cut lies before them.
    lattice
        The places that are moved.
    gradients
        How many gradients of the tensor are held at once.
    """
    geometry = facts.geometry
    if geometry is None:
        return None
    for tensor in reversed(list(dominators(facts, targets))):
        shape, dtype = facts.shape(tensor), facts.resolution.dtypes.get(tensor)
        flow = facts.flow(tensor)
        if shape is None or dtype is None or dtype.kind != "f" or flow is None or not flow.local:
            continue
        if prod(shape) * gradients > LARGEST_TENSOR:
            continue
        along = reaches(geometry, tensor)
        if along is None:
            continue
        along = tuple(reach.of_tiles(lattice.patch) for reach in along)
        passes = prod(int(colours([reach]).max()) + 1 for reach in along)
        if passes <= MOST_PASSES:
            return Cut(tensor, along, passes)
    return None


def dominators(facts: Facts, targets: Sequence[str]) -> Iterator[str]:
    """Yield the tensors that every path from the input to a target runs through, in order.

    Neither the input nor the targets are among them.

    Of the operators on such paths all that lead to the tensor come before it and all others after
    it, in any order of the graph. So behind it no other tensor is left that is still read.
    """
    geometry = facts.geometry
    if geometry is None:
        return
    flows = geometry.flows
    if any(name not in flows for name in targets):
        return
    order = list(flows)
    place = {name: number for number, name in enumerate(order)}
    last = {name: len(order) for name in targets}
    """The last place where each tensor on a path is read."""
    for name in reversed(order):
        if name in last:
            for reading in flows[name].readings:
                last[reading.tensor] = max(last.get(reading.tensor, 0), place[name])
    on_paths = [name for name in order if name in last]
    named = {name for operator in facts.resolution.operators for name in operator.outputs}
    read_until = 0
    for name in on_paths:
        if read_until <= place[name] and name in named and name not in targets:
            yield name
        read_until = max(read_until, last[name])
