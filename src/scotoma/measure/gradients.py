"""The whole map from gradients: a few backward passes for each input instead of one per pixel."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma import adjoint
from scotoma.errors import MeasurementError
from scotoma.measure import directions
from scotoma.measure.influence import Gradients
from scotoma.measure.links import Links, cuts, held

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.adjoint import Adjoint
    from scotoma.facts import Facts
    from scotoma.measure.links import Record
    from scotoma.measure.setup import Setup

    Array = npt.NDArray[Any]
    Numbers = npt.NDArray[np.float64]
    Cotangents = Mapping[str, Array]

FEWEST = 4
"""Fewer random cotangents are no estimate."""
PARTS = 4
"""Parts of the cotangents whose spread tells their noise."""
LARGEST_RESIDUALS = 2**31
"""Bytes of residuals that one forward may leave."""
MOST_WORKERS = 8
"""Backward passes at once: each holds the gradients of the activations that it is at."""
ALIKE = 1e-3
"""Relative difference that other fusions may make between two runs of the same model."""


class NoGradientError(MeasurementError):
    """Gradients cannot answer; the text says why, and starts like a part of a sentence."""


def build(facts: Facts, tensors: Sequence[str], name: str) -> Adjoint:
    """Return forward and backward of the model between an input and target tensors.

    Raises
    ------
    NoGradientError
        If an operator on the way has no adjoint, a weight cannot be read, or the residuals take
        too much memory.
    """
    made = _build(facts, tensors, [name])
    _require_memory(made.residual_bytes, made.residual_bytes)
    return made


def build_links(facts: Facts, tensors: Sequence[str], name: str) -> tuple[Adjoint, ...]:
    """Return the same in as many links as it takes to hold few residuals; see `Links`.

    Raises
    ------
    NoGradientError
        As `build`; of the memory only where the model cannot be cut into links that are small
        enough.
    """
    made = _build(facts, tensors, [name])
    if made.residual_bytes <= LARGEST_RESIDUALS:
        return (made,)
    ends = cuts(facts, name, tensors, made, LARGEST_RESIDUALS / 2)
    if not ends:
        _require_memory(made.residual_bytes, made.residual_bytes)
    starts, targets = [(name,), *ends], [*ends, tensors]
    links = tuple(_build(facts, *link) for link in zip(targets, starts, strict=True))
    _require_memory(held(links), made.residual_bytes)
    return links


def _build(facts: Facts, tensors: Sequence[str], names: Sequence[str]) -> Adjoint:
    made = adjoint.build(facts.resolution, tensors, names, apart=True)
    for missing in made.incomplete.values():
        first, more = missing[0], len(missing) - 1
        others = f" and {more} more operator{'' if more == 1 else 's'}" if more else ""
        raise NoGradientError(
            f"'{first.node}' ({first.op_type}){others} stopped the gradient: {first.reason}"
        )
    return made


def _require_memory(residuals: int, whole: int) -> None:
    if residuals > LARGEST_RESIDUALS:
        raise NoGradientError(
            f"the gradient needs {whole / 2**30:.1f} GiB of intermediate results,"
            f" more than {LARGEST_RESIDUALS / 2**30:.0f} GiB"
        )


def gradients(
    setup: Setup, links: Sequence[Adjoint], seed: int, seconds: float | None
) -> Gradients:
    """Return the map of every input.

    Of ``sum``, ``max`` and ``logit`` it is the absolute gradient. Of ``l2`` it is the norm of the
    target's derivative: exact for a target of few elements, else the root of the mean square of
    derivatives along random directions of +1 and -1 (Hutchinson, 1990), which are other ones for
    each input. All channels of a pixel move together, or each alone and the mean is taken.

    Parameters
    ----------
    links
        The model, in one link or several; see `build_links`.
    seed
        Of the random cotangents.
    seconds
        Time that this may take; fewer random cotangents are used to keep it. None: no limit.

    Raises
    ------
    NoGradientError
        If the adjoint gives other answers than the model, a gradient is not finite, or the time
        is not enough.
    """
    start = perf_counter()
    subject = setup.subject
    count = len(subject.baselines)
    # The residuals of links are made again in every pass: two passes would hold them twice.
    runner, workers = Links(links), _workers() if len(links) == 1 else 1
    shape = subject.lattice.pixels
    random = directions.is_random(setup)
    responses = np.zeros((count, math.prod(shape)))
    linked = np.zeros(responses.shape[1], bool)
    variance = np.zeros(responses.shape[1])
    groups = np.zeros((PARTS if random else 0, responses.shape[1]))
    total = 0
    for number, baseline in enumerate(subject.baselines):
        tape = runner.forward(baseline.feed)
        require_same(setup, number, tape)
        if number == 0:
            total = _affordable(setup, tape, runner, workers, seconds=seconds, start=start)
        sums = _Sums(setup)
        pending = directions.cotangents(setup, number, total, seed)
        with ThreadPoolExecutor(workers) as pool:
            passes: deque[tuple[bool, Future[dict[str, Array]]]] = deque()
            for counts, array in pending:
                if len(passes) > workers:  # one is ready for whoever is first
                    _take(sums, passes, subject.name)
                passes.append((counts, pool.submit(back, setup, runner, tape, array)))
            while passes:
                _take(sums, passes, subject.name)
        responses[number] = sums.norm()
        linked |= sums.linked
        if random:
            groups += sums.parts() / count
            variance += sums.variance() / count**2
        del tape  # or the next forward would hold its residuals beside
    return Gradients(
        responses=responses,
        linked=linked.reshape(shape),
        groups=groups,
        cotangents=total,
        error=_relative(variance, responses.mean(axis=0)),
        residual_bytes=held(links),
        seconds=perf_counter() - start,
    )


def _take(sums: _Sums, passes: deque[tuple[bool, Future[dict[str, Array]]]], name: str) -> None:
    """Add the result of the pass that was begun first."""
    counts, done = passes.popleft()
    sums.add(done.result()[name][0], counts=counts)


def _workers() -> int:
    """Return how many backward passes are run at once."""
    known = hasattr(os, "sched_getaffinity")
    return min(MOST_WORKERS, len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1)


def _looked_at(setup: Setup, array: Array) -> Array:
    """Return the part of a target tensor that is looked at."""
    return array if setup.target.index is None else array[setup.target.index]


def back(
    setup: Setup, runner: adjoint.Runner | Links, tape: Any, cotangents: Cotangents
) -> dict[str, Array]:
    """Run one backward pass."""
    whole = {}
    for name, array in cotangents.items():
        full = array
        if setup.target.index is not None:
            full = np.zeros(tape.targets[name].shape, array.dtype)
            full[setup.target.index] = array
        whole[name] = full[None]
    return runner.backward(tape, whole)


class _Sums:
    """What the cotangents of one input have given: sums of squares by channel and pixel."""

    def __init__(self, setup: Setup) -> None:
        subject = setup.subject
        rank, axis = subject.baseline(0).ndim, subject.channel_axis
        axes = subject.examined.spatial_axes
        kept = () if axis is None else (axis,)
        summed = (a for a in range(rank) if a not in axes and a not in kept)
        self._order = (*summed, *kept, *axes)
        channels = 1 if axis is None else subject.baseline(0).shape[axis]
        shape = (channels, math.prod(subject.lattice.pixels))
        self._random = directions.is_random(setup)
        self._squares = np.zeros((PARTS if self._random else 1, *shape))
        self._fourths = np.zeros(shape)
        self._number = 0
        self.linked = np.zeros(shape[1], bool)

    def add(self, gradient: Array, *, counts: bool) -> None:
        """Add the gradient by one cotangent; one that does not count only tells what is linked."""
        stacked = np.transpose(gradient, self._order).reshape(-1, *self._squares.shape[1:])
        if not np.isfinite(stacked).all():
            raise NoGradientError("a gradient is not finite")
        self.linked |= (stacked != 0).any(axis=(0, 1))
        if counts:
            squares = stacked.sum(axis=0, dtype=np.float64) ** 2
            self._squares[self._number % len(self._squares)] += squares
            if self._random:
                self._fourths += squares**2
            self._number += 1

    def norm(self) -> Numbers:
        """Return the influence by pixel: the mean over the channels that moved alone."""
        squares = self._squares.sum(axis=0)
        return np.asarray(np.sqrt(squares / (self._number if self._random else 1)).mean(axis=0))

    def parts(self) -> Numbers:
        """Return the influence from each part of the random cotangents, (parts, pixels)."""
        sizes = [len(range(part, self._number, PARTS)) for part in range(PARTS)]
        return np.stack(
            [np.sqrt(s / n).mean(axis=0) for s, n in zip(self._squares, sizes, strict=True)]
        )

    def variance(self) -> Numbers:
        """Return the variance of `norm` that the random cotangents leave, by pixel.

        That of the mean square is had from the squares, that of its root to first order.
        """
        mean = self._squares.sum(axis=0) / self._number
        spread = np.maximum(self._fourths / self._number - mean**2, 0) / (self._number - 1)
        roots = np.divide(spread, 4 * mean, out=np.zeros_like(mean), where=mean > 0)
        return np.asarray(roots.sum(axis=0) / len(roots) ** 2)


def _relative(variance: Numbers, values: Numbers) -> float:
    """Return the root mean square of the relative error over the live pixels."""
    live = values > 0
    return float(np.sqrt(np.mean(variance[live] / values[live] ** 2))) if live.any() else 0.0


def _affordable(
    setup: Setup,
    tape: Record,
    runner: Links,
    workers: int,
    *,
    seconds: float | None,
    start: float,
) -> int:
    """Return the cotangents for each input that there is time for."""
    inputs = len(setup.subject.baselines)
    wanted, random = directions.count(setup)
    if setup.functional.kind != "l2":
        wanted += 1  # that which does not count
    least = FEWEST if random else wanted
    if seconds is None:
        return wanted
    ones = {name: np.ones((1, *array.shape)) for name, array in tape.targets.items()}
    times = []
    for _ in range(2):  # the first run allocates
        before = perf_counter()
        runner.backward(tape, ones)
        times.append(perf_counter() - before)
        if times[0] * least * inputs < seconds / 100:
            break
    left = (seconds - (perf_counter() - start)) * workers
    possible = int(left / (min(times) * inputs)) if min(times) else wanted
    if possible < least:
        need = min(times) * inputs * least / workers
        raise NoGradientError(
            f"gradients would take about {need:.0f} s, more than the budget leaves"
        )
    return min(wanted, possible)


def require_same(setup: Setup, number: int, tape: adjoint.Tape | Record) -> None:
    """Refuse an adjoint whose forward does not answer as the model does.

    Raises
    ------
    NoGradientError
        If its answer to an input is another one.
    """
    found = [_looked_at(setup, tape.targets[name]) for name in setup.target.tensors]
    for answer, other in zip(setup.subject.answer(number), found, strict=True):
        expected = answer.astype(np.float64)
        same = answer.shape == other.shape
        if not same or np.linalg.norm(other - expected) > ALIKE * np.linalg.norm(expected):
            raise NoGradientError("the model answers otherwise where its gradients are taken")
