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
    weights = partition.weights if partition.probed.any() else np.ones(0)
    alike = _Spread(responses, weights, np.zeros(len(places), dtype=np.int64))
    spread = _figure(alike, partition)
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
    split = _Spread(responses, weights, phases)
    between = _phase_figure(split, partition) if phases.any() else Figure(0.0, 0.0, len(places))
    reason = ONE_INPUT if len(responses) == 1 else None
    return Position(_figure(split, partition), between, spread, reason)


def _phases(places: Indices, strides: Sequence[int]) -> Indices:
    """Return the number of each place's phase, from 0 on without gaps."""
    rests = (places % np.asarray(strides, dtype=np.int64)).T
    numbers = np.ravel_multi_index(tuple(rests), tuple(rests.max(axis=1) + 1))
    return np.unique(numbers, return_inverse=True)[1].reshape(-1)


class _Spread:
    """Responses as deviations from the mean of their phase, input by input."""

    def __init__(self, responses: Numbers, weights: Numbers, phases: Indices) -> None:
        self.weights = weights
        self.sums = np.bincount(phases, weights=weights)
        """Weight of each phase."""
        self.own = np.bincount(phases, weights=weights**2)
        self.means = np.stack(
            [np.bincount(phases, weights=row * weights) / self.sums for row in responses]
        )
        """Mean answer by input and phase."""
        self.centred = responses - self.means[:, phases]
        self.count = responses.shape[1]
        total = float(weights.sum())
        self.mean = float(responses.mean(axis=0) @ weights) / total if self.count else 0.0

    def within(self, without: int | None = None) -> tuple[float | None, Numbers]:
        """Return the variance between places of one phase, and what each place adds to it.

        `without` leaves an input out.
        """
        products = _pair_products(_without(self.centred, without))
        freedom = float((self.sums - self.own / self.sums).sum())
        if freedom <= 0:
            return None, products
        share = self.weights.sum() / freedom
        return float(products @ self.weights) / freedom, products * share

    def between(self, without: int | None = None) -> float | None:
        """Return the variance between phases that is not that between places."""
        within, _ = self.within(without)
        sums, total = self.sums, self.sums.sum()
        if len(sums) < 2 or within is None:
            return None
        means = _without(self.means, without)
        centred = means - (means @ sums / total)[:, None]
        squares = float(_pair_products(centred) @ sums)
        noise = float((self.own / sums).sum() - self.own.sum() / total)
        return (squares - within * noise) / float(total - (sums**2).sum() / total)

    @property
    def left_out(self) -> range:
        """The inputs that the jackknife leaves out, one after the other."""
        return range(len(self.centred) if len(self.centred) > 1 else 0)


def _figure(spread: _Spread, partition: Partition) -> Figure:
    """Return the deviation between places of one phase over the mean, with its error."""
    variance, contributions = spread.within()
    without = [spread.within(index)[0] for index in spread.left_out]
    return _relative(spread, variance, without, _unseen(contributions, partition))


def _phase_figure(spread: _Spread, partition: Partition) -> Figure:
    """Return the deviation between the means of the phases over the mean, with its error."""
    without = [spread.between(index) for index in spread.left_out]
    unseen = 0.0 if partition.probed.all() else None
    return _relative(spread, spread.between(), without, unseen)


def _relative(
    spread: _Spread,
    variance: float | None,
    without: list[float | None],
    unseen: float | None,
) -> Figure:
    """Return the root of a variance over the mean answer."""
    count, mean = spread.count, spread.mean
    if not count:
        return Figure(None, None, count, "nothing was probed")
    if not mean > 0:
        return Figure(None, None, count, "nothing that was probed moved the target")
    if variance is None or not math.isfinite(variance):
        return Figure(None, None, count, "too few places were probed")
    deviation = math.sqrt(max(0.0, variance))
    if deviation < ROUNDING * mean:
        deviation = 0.0
    varied = input_error(without) if len(without) != 2 else None
    if unseen is None or varied is None:
        return Figure(deviation / mean, None, count)
    error = math.sqrt(unseen + varied**2)
    # The root of a variance near 0: its error is at most the root of the variance's error.
    step = min(math.sqrt(error), error / (2 * deviation)) if deviation else math.sqrt(error)
    return Figure(deviation / mean, step / mean, count)


def _pair_products(centred: Numbers) -> Numbers:
    """Return the mean product over pairs of different inputs; the square for one input."""
    inputs = len(centred)
    squares: Numbers = (centred**2).sum(axis=0)
    if inputs == 1:
        return squares
    products: Numbers = (centred.sum(axis=0) ** 2 - squares) / (inputs * (inputs - 1))
    return products


def _without(rows: Numbers, index: int | None) -> Numbers:
    return rows if index is None else np.delete(rows, index, axis=0)


def _unseen(contributions: Numbers, partition: Partition) -> float | None:
    """Return the variance of the mean contribution that unprobed places leave."""
    if partition.probed.all():
        return 0.0
    values = np.zeros(partition.probed.shape)
    values[partition.probed] = contributions
    even = np.full(values.shape, 1 / values.size)
    return partition.variance(values, even)
