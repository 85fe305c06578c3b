"""Makes sure that the model answers alike every time: shows that it is random, then freezes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from scotoma.errors import MeasurementError
from scotoma.measure import freeze
from scotoma.measure.boxes import same_bits
from scotoma.measure.session import Session

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.loader.model import Operator
    from scotoma.measure.options import MeasureOptions
    from scotoma.measure.target import Target
    from scotoma.resolve.resolution import Resolution

    Feed = Mapping[str, npt.NDArray[Any]]

REPEATS = 3
REPEATS_IF_RANDOM = 64
"""A drop path that keeps a block with probability 0.95 is caught in 64 runs with 96 %."""
PATIENCE = 10.0
"""Seconds after which a model that seems random but repeats itself is believed."""
MOST_NAMED = 3


def settled(
    resolution: Resolution, target: Target, options: MeasureOptions, session: Session, feed: Feed
) -> tuple[Session, list[str]]:
    """Return a session that repeats itself, and what to say of it.

    Parameters
    ----------
    session
        The model as it is.
    feed
        An input to try it on.

    Raises
    ------
    MeasurementError
        If the model is random, and still is in a copy with its random operators frozen.
    """
    suspects = freeze.suspects(resolution.model)
    patience = min(PATIENCE, (options.seconds or PATIENCE) / 4)
    runs, same = _repeats(lambda: session.run(feed), bool(suspects), patience)
    if same:
        if not suspects:
            return session, []
        return session, [
            f"the model holds random operators ({_named(suspects)}), but {runs} runs were identical"
        ]
    if not suspects:
        raise MeasurementError("the model is random, the same input gave two different outputs")
    copy = Session(resolution, target, options.data, frozen=True)
    if not _repeats(lambda: copy.run(feed), False, patience)[1]:
        left = [op for op in suspects if op.op_type == "Multinomial"] or suspects
        raise MeasurementError(
            "the model is random, the same input gave two different outputs, and it cannot be"
            f" frozen: {_named(left)}"
        )
    said = "the model is random, the same input gave two different outputs: measured on a copy in"
    return copy, [f"{said} which {_frozen(suspects)}"]


def _repeats(run: Callable[[], Any], doubtful: bool, patience: float) -> tuple[int, bool]:
    """Return how often the model was run, and whether all answers were the same."""
    start, first, runs = perf_counter(), run(), 1
    while runs <= REPEATS or (
        doubtful and runs <= REPEATS_IF_RANDOM and perf_counter() - start < patience
    ):
        runs += 1
        if not same_bits(first, run()):
            return runs, False
    return runs, True


def _frozen(suspects: Sequence[Operator]) -> str:
    """Say what was done to the random operators."""
    dropouts = [operator for operator in suspects if operator.op_type == "Dropout"]
    others = [operator for operator in suspects if operator.op_type != "Dropout"]
    parts = []
    if dropouts:
        parts.append(f"{_named(dropouts)} {'is' if len(dropouts) == 1 else 'are'} off")
    if others:
        verb = "gives its" if len(others) == 1 else "give their"
        parts.append(f"{_named(others)} {verb} expectation")
    return " and ".join(parts)


def _named(operators: Sequence[Operator]) -> str:
    named = ", ".join(f"'{op.name}' ({op.op_type})" for op in operators[:MOST_NAMED])
    more = len(operators) - MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named
