"""Position sensitivity: how much the answer to the same stimulus depends on where it stands.

Every probe puts the same stimulus somewhere else. A model that is shift-invariant, as a sum over
convolutions without a border would be, answers the same everywhere; a strided one answers the same
at places that lie a whole number of effective strides apart, those of one phase.

Measured on a textured input the answers also differ because the image does. What remains of a
place on *another* input is the place's own: with ``c[i, p]`` the answer on input i at place p less
the mean of its phase on that input, the variance between places is the mean of ``c[i, p] c[j, p]``
over places and pairs of different inputs. That is the place component of a two-way analysis of
variance (Searle, Casella and McCulloch, Variance Components, 1992, section 4.7), and 0 on average
for a shift-invariant model. With one input it is the whole variance between places; on a constant
image that is exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scotoma.metrics import Figure, Partition, input_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Numbers = npt.NDArray[np.float64]
    Indices = npt.NDArray[np.int64]

LEAST_FREEDOM = 8
"""Fewer places that can be compared within their phase say nothing."""
ONE_INPUT = "with one input the image's own texture counts as place, unless it is constant"
NO_STRIDE = "the effective stride is not known"
TOO_FEW = "too few probed places share a phase of the stride"
ROUNDING = 1e-12
"""A smaller deviation, relative to the mean answer, is rounding."""


@dataclass(frozen=True, slots=True)
class Position:
    """How much the answer depends on the place of the stimulus; all over the mean answer.

    Each is at least 0: 0 for an answer that is the same everywhere, 1 where the standard deviation
    between places is as large as the mean answer.
    """

    sensitivity: Figure
    """Between places of the same phase: 0 is what a shift-invariant model gives."""
    phase: Figure
    """Between phases: what the stride does, also to a model that is otherwise shift-invariant."""
    spread: Figure
    """Between all places, whatever their phase."""
    reason: str | None
    """Why a value is None, or what must be kept in mind; None: nothing."""


def position(
    responses: Numbers, probed: npt.NDArray[np.bool_], strides: Sequence[int] | None = None
) -> Position:
    """Return how much the answer depends on the place of the stimulus.

    Parameters
    ----------
    responses
        Influence, (inputs, places); the places in row-major order of `probed`. One stimulus, the
        same at every place.
    probed
        Which pixels are the places; one axis per spatial axis of the input.
    strides
        By axis, the shift in pixels that moves the measured tensor by whole cells; None: unknown,
        and then only the spread over all places can be told.

    Returns
    -------
    Position
        Errors come from the places that were not probed and from the spread over the inputs (three
        at least); 0 where all places were probed in one input.

    Examples
    --------
    The article's experiment: a valid 3-tap convolution of ones on 5 pixels, influence 1 2 3 2 1.

    >>> found = position(np.array([[1.0, 2, 3, 2, 1]]), np.ones(5, bool), (1,))
    >>> round(found.sensitivity.value, 6), found.sensitivity.value == found.spread.value
    (0.464811, True)

    A stride that reads every other pixel twice is no position sensitivity, but a phase.

    >>> found = position(np.array([[2.0, 1] * 12]), np.ones(24, bool), (2,))
    >>> found.sensitivity.value, round(found.phase.value, 6)
    (0.0, 0.471405)
    """
    partition = Partition(np.asarray(probed, dtype=bool))
    places = np.argwhere(partition.probed)
    one_phase = np.zeros(len(places), dtype=np.int64)
    weights = partition.weights if partition.probed.any() else np.ones(0)
    spread = _figure(responses, weights, one_phase, partition)
    if spread.value is None:
        return Position(spread, spread, spread, spread.reason)
    phases = None if strides is None else _phases(places, strides)
    if phases is None:
        unknown = Figure(None, None, len(places), NO_STRIDE)
        return Position(unknown, unknown, spread, NO_STRIDE)
    shared = np.bincount(phases)[phases] > 1
    if np.count_nonzero(shared) - len(np.unique(phases[shared])) < min(
        LEAST_FREEDOM, partition.probed.size - 1
    ):
        unknown = Figure(None, None, len(places), TOO_FEW)
        return Position(unknown, unknown, spread, TOO_FEW)
    within = _figure(responses, weights, phases, partition)
    between = (
        _phase_figure(responses, weights, phases, partition)
        if phases.any()
        else Figure(0.0, 0.0, len(places))
    )
    return Position(within, between, spread, ONE_INPUT if len(responses) == 1 else None)


def _phases(places: Indices, strides: Sequence[int]) -> Indices:
    """Return the number of each place's phase, from 0 on without gaps."""
    rests = places % np.asarray(strides, dtype=np.int64)
    return np.unique(rests, axis=0, return_inverse=True)[1].reshape(-1)


def _figure(responses: Numbers, weights: Numbers, phases: Indices, partition: Partition) -> Figure:
    """Return the deviation between places of one phase over the mean, with its error."""
    variance, contributions = _within(responses, weights, phases)
    without = [_within(rest, weights, phases)[0] for rest in _replicates(responses)]
    return _relative(responses, weights, variance, without, _unseen(contributions, partition))


def _phase_figure(
    responses: Numbers, weights: Numbers, phases: Indices, partition: Partition
) -> Figure:
    """Return the deviation between the means of the phases over the mean, with its error."""
    variance = _between(responses, weights, phases)
    without = [_between(rest, weights, phases) for rest in _replicates(responses)]
    unseen = 0.0 if partition.probed.all() else None
    return _relative(responses, weights, variance, without, unseen)


def _relative(
    responses: Numbers,
    weights: Numbers,
    variance: float | None,
    without: list[float | None],
    unseen: float | None,
) -> Figure:
    """Return the root of a variance over the mean answer."""
    count = responses.shape[1]
    mean = float(responses.mean(axis=0) @ weights) / float(weights.sum()) if count else 0.0
    if not count:
        return Figure(None, None, count, "nothing was probed")
    if not mean > 0:
        return Figure(None, None, count, "nothing that was probed moved the target")
    if variance is None or not math.isfinite(variance):
        return Figure(None, None, count, "too few places were probed")
    deviation = math.sqrt(max(0.0, variance))
    if deviation < ROUNDING * mean:
        deviation = 0.0
    spread = input_error(without) if len(without) != 2 else None
    if unseen is None or spread is None:
        return Figure(deviation / mean, None, count)
    error = math.sqrt(unseen + spread**2)
    # The root of a variance near 0: its error is at most the root of the variance's error.
    step = min(math.sqrt(error), error / (2 * deviation)) if deviation else math.sqrt(error)
    return Figure(deviation / mean, step / mean, count)


def _within(responses: Numbers, weights: Numbers, phases: Indices) -> tuple[float | None, Numbers]:
    """Return the variance between places of one phase, and what each place adds to it."""
    sums = np.bincount(phases, weights=weights)
    centred = responses - _phase_means(responses, weights, phases)[:, phases]
    products = _pair_products(centred)
    freedom = float((sums - np.bincount(phases, weights=weights**2) / sums).sum())
    if freedom <= 0:
        return None, products
    return float(products @ weights) / freedom, products * (weights.sum() / freedom)


def _between(responses: Numbers, weights: Numbers, phases: Indices) -> float | None:
    """Return the variance between phases that is not that between places."""
    within, _ = _within(responses, weights, phases)
    sums = np.bincount(phases, weights=weights)
    total = sums.sum()
    if len(sums) < 2 or within is None:
        return None
    means = _phase_means(responses, weights, phases)
    centred = means - (means @ sums / total)[:, None]
    squares = float(_pair_products(centred) @ sums)
    own = np.bincount(phases, weights=weights**2)
    noise = float((own / sums).sum() - own.sum() / total)
    return (squares - within * noise) / float(total - (sums**2).sum() / total)


def _phase_means(responses: Numbers, weights: Numbers, phases: Indices) -> Numbers:
    """Return the mean answer by input and phase."""
    sums = np.bincount(phases, weights=weights)
    return np.stack([np.bincount(phases, weights=row * weights) / sums for row in responses])


def _pair_products(centred: Numbers) -> Numbers:
    """Return the mean product over pairs of different inputs; the square for one input."""
    inputs = len(centred)
    squares: Numbers = (centred**2).sum(axis=0)
    if inputs == 1:
        return squares
    products: Numbers = (centred.sum(axis=0) ** 2 - squares) / (inputs * (inputs - 1))
    return products


def _replicates(responses: Numbers) -> list[Numbers]:
    if len(responses) < 2:
        return []
    return [np.delete(responses, index, axis=0) for index in range(len(responses))]


def _unseen(contributions: Numbers, partition: Partition) -> float | None:
    """Return the variance of the mean contribution that unprobed places leave."""
    if partition.probed.all():
        return 0.0
    values = np.zeros(partition.probed.shape)
    values[partition.probed] = contributions
    even = np.full(values.shape, 1 / values.size)
    return partition.variance(values, even)
