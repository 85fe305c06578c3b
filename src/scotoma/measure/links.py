"""Goes back over a model link by link, so that the residuals of all of it are never held at once.

A model is cut between two operators. The gradients by the tensors that are read behind the cut,
skip connections included, are all that the links before it need of those behind it: their residuals
are made again, from the image, when their turn comes. That trades a forward for each link and
cotangent for memory (checkpointing: Griewank and Walther 2000, doi 10.1145/347837.347846).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from scotoma import adjoint
from scotoma.adjoint.forward import all_captured
from scotoma.adjoint.packing import packed_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from scotoma.adjoint import Adjoint, Tape
    from scotoma.facts import Facts

    Array = npt.NDArray[Any]

SLACK = 1.5
"""A residual is counted where it is made, not where it is read; so much may a link be off."""


def cuts(
    facts: Facts, name: str, targets: Sequence[str], whole: Adjoint, limit: float
) -> list[tuple[str, ...]]:
    """Return where a model is cut into links of residuals below a limit, about.

    Parameters
    ----------
    name
        The input.
    targets
        The tensors that are looked at.
    whole
        The model in one link.
    limit
        Bytes that one link may leave.

    Returns
    -------
    list
        From the image to the target, the tensors that are read behind each cut: one, where that
        makes no short link; empty where the model cannot be cut.
    """
    levels = list(_levels(facts, name, targets, frozenset(whole.residuals)))
    share = whole.residual_bytes / max(1, sum(size for size, _ in levels))
    chosen: list[tuple[str, ...]] = []
    total = start = 0.0
    one = several = (0.0, ())  # type: tuple[float, tuple[str, ...]]
    for size, crossing in levels:
        total += size * share
        if (total - start) * SLACK > limit:
            best = one if 2 * (one[0] - start) >= several[0] - start else several
            if best[0] > start:
                start = best[0]
                chosen.append(best[1])
        if crossing:
            several = total, crossing
            one = several if len(crossing) == 1 else one
    return chosen


def _levels(
    facts: Facts, name: str, targets: Sequence[str], residuals: frozenset[str]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield, operator by operator, the bytes of residuals that it makes.

    With them come the tensors on paths from the input to the targets that are read behind it;
    none, where the model cannot be cut there.
    """
    operators, captured = facts.resolution.operators, all_captured(facts.resolution)
    live = adjoint.reached(facts.resolution, [name])
    last = dict.fromkeys(targets, len(operators))
    """The last operator that reads each tensor on a path."""
    for number, operator in reversed(list(enumerate(operators))):
        if not last.keys().isdisjoint(operator.outputs):
            for read in (*operator.inputs, *captured.get(operator, ())):
                if read in live:
                    last.setdefault(read, number)
    waiting, packed = {name} & last.keys(), packed_tensors(facts.resolution)
    for number, operator in enumerate(operators):
        waiting.update(live.intersection(operator.outputs) & last.keys())
        waiting = {tensor for tensor in waiting if last[tensor] > number}
        crossing = tuple(sorted(waiting))
        possible = all(at not in packed and _can_end(facts, at) for at in crossing)
        if waiting in ({name}, set(targets)) or not possible:
            crossing = ()
        kept = residuals.intersection(operator.outputs)
        yield sum(_bytes(facts, output) for output in kept), crossing


def _can_end(facts: Facts, name: str) -> bool:
    """Tell whether a tensor has a gradient that a link can begin with."""
    dtype = facts.resolution.dtypes.get(name)
    return facts.shape(name) is not None and dtype is not None and dtype.kind == "f"


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
        From the image to the target: each goes from the targets of the link before it.
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
