"""Goes back over a model link by link, so that the residuals of all of it are never held at once.

A model is cut at tensors that every path from the input to the target runs through. The gradient by
such a tensor is all that the links before it need of those behind it: their residuals are made
again, from the image, when their turn comes. That trades a forward for each link and cotangent for
memory (checkpointing: Griewank and Walther 2000, doi 10.1145/347837.347846).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from scotoma import adjoint
from scotoma.measure.cut import dominators

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from scotoma.adjoint import Adjoint, Tape
    from scotoma.facts import Facts

    Array = npt.NDArray[Any]

SLACK = 1.5
"""Tensors are counted instead of residuals where links are chosen; so much may one be off."""


def cuts(facts: Facts, targets: Sequence[str], residuals: int, limit: float) -> list[str]:
    """Return tensors that split a model into links of residuals below a limit, about.

    Parameters
    ----------
    targets
        The tensors that are looked at.
    residuals
        Bytes that the whole model leaves.
    limit
        Bytes that one link may leave.

    Returns
    -------
    list
        From the image to the target; empty where the model has no such tensor.
    """
    if facts.geometry is None:
        return []
    sizes = {name: _bytes(facts, name) for name in facts.geometry.flows}
    share = residuals / max(1, sum(sizes.values()))
    possible = set(dominators(facts, targets))
    chosen: list[str] = []
    held, candidate, behind = 0.0, None, 0.0
    for name, size in sizes.items():
        held += size * share
        behind += size * share
        if candidate is not None and held * SLACK > limit:
            chosen.append(candidate)
            held, candidate = behind, None
        dtype = facts.resolution.dtypes.get(name)
        if name in possible and dtype is not None and dtype.kind == "f":
            candidate, behind = name, 0.0
    return chosen


def _bytes(facts: Facts, name: str) -> int:
    shape, dtype = facts.shape(name), facts.resolution.dtypes.get(name)
    return 0 if shape is None or dtype is None else prod(shape) * dtype.itemsize


def held(links: Sequence[Adjoint]) -> int:
    """Return the bytes of residuals that are held at once: of the last link and of one other."""
    last = links[-1].residual_bytes
    return last + max((link.residual_bytes for link in links[:-1]), default=0)


@dataclass(frozen=True, slots=True)
class Record:
    """One forward: the targets, what the last link keeps, and the inputs to go again from."""

    targets: Mapping[str, Array]
    tape: Tape
    feed: Mapping[str, Array]


class Links:
    """The links of a model, loaded; goes back over them as `scotoma.adjoint.Runner` over one.

    Parameters
    ----------
    links
        From the image to the target: each goes from the one target of the link before it.
    """

    def __init__(self, links: Sequence[Adjoint]) -> None:
        # One thread for each pass, so that the map does not depend on the cores at hand.
        self._runners = [adjoint.Runner(link, threads=1) for link in links]

    def forward(self, feed: Mapping[str, Array]) -> Record:
        """Run the model; see `scotoma.adjoint.Runner.forward`."""
        tape = self._runners[-1].forward(feed)
        return Record(tape.targets, tape, feed)

    def backward(self, record: Record, cotangents: Mapping[str, Array]) -> dict[str, Array]:
        """Return the gradients by the image; see `scotoma.adjoint.Runner.backward`."""
        found = self._runners[-1].backward(record.tape, cotangents)
        for runner in reversed(self._runners[:-1]):
            found = runner.backward(runner.forward(record.feed), found)
        return found
