"""Dropout and random operators: the same input again and again, in one session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scotoma.audit.bench import differing
from scotoma.audit.errors import BudgetSpentError, NotMeasuredError
from scotoma.findings import (
    CONFIRMED,
    CONTRADICTED,
    NOT_MEASURED,
    Evidence,
    Finding,
    Measurement,
    OutputEvidence,
)

if TYPE_CHECKING:
    from scotoma.audit.bench import Feed
    from scotoma.audit.exam import Exam

CODES = ("SC501", "SC503")
USES_MAP = False
TENSORS = ("outputs",)

MOST_RUNS = 64
"""A path that is dropped with probability 0.05 is caught in so many runs with 96 %."""
LEAST_RUNS = 8
"""Fewer equal runs say nothing."""


def check(finding: Finding, exam: Exam) -> Evidence:
    """Run one input until both the operator and an output have changed."""
    bench = exam.bench
    operators = {operator.name: operator for operator in exam.facts.operators}
    named = [operators[loc.node] for loc in finding.locations if loc.node in operators]
    own = [op.outputs[0] for op in named if op.op_type in _SOURCES and bench.has(op.outputs[0])]
    seen = [_repeated(feed, own, exam) for feed in bench.switched(bench.feeds[0])]
    best = max(seen, key=lambda item: (bool(item.shown), bool(item.inner)))
    measured = (
        Measurement("runs", best.runs, "runs"),
        Measurement("random_outputs", len(best.varied), "outputs", limit=0),
    )
    if best.shown:
        reason = f"the same input gave another output in {best.runs} runs of one session"
        return Evidence(CONFIRMED, reason, measured, _by_output(best, exam))
    if exam.is_in_body(finding):
        raise NotMeasuredError("it stands in a body that may not have run: no output changed")
    if all(_is_whole(exam, name) for name in bench.outputs):
        raise NotMeasuredError("all outputs are whole numbers, which hide small changes")
    what = "no output changed"
    if own and not best.inner:
        what = f"'{named[0].name}' made the same values"
    elif best.inner:
        what = f"'{named[0].name}' made other values every time, but no output changed"
    return Evidence(CONTRADICTED, f"in {best.runs} runs of one session {what}", measured)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What several runs on the same input showed."""

    runs: int
    varied: frozenset[str]
    """Outputs that changed."""
    inner: frozenset[str]
    """The operators' own tensors that did."""
    asked: bool
    """Some of those could be looked at."""

    @property
    def shown(self) -> bool:
        return bool(self.varied) and (bool(self.inner) or not self.asked)


def _repeated(feed: Feed, own: list[str], exam: Exam) -> _Seen:
    bench = exam.bench
    first = bench.run(feed)
    varied: set[str] = set()
    inner: set[str] = set()
    runs = 1
    while runs < MOST_RUNS and not (varied and (inner or not own)):
        try:
            again = bench.run(feed)
        except BudgetSpentError:
            if runs < LEAST_RUNS and not varied:
                raise
            break
        runs += 1
        varied.update(differing(first, again, bench.outputs))
        inner.update(differing(first, again, own))
    return _Seen(runs, frozenset(varied), frozenset(inner), bool(own))


def _by_output(seen: _Seen, exam: Exam) -> tuple[OutputEvidence, ...]:
    """Say which outputs changed; a few runs do not show that one does not."""
    if len(exam.bench.outputs) == 1:
        return ()
    return tuple(
        OutputEvidence(name, CONFIRMED if name in seen.varied else NOT_MEASURED)
        for name in exam.bench.outputs
    )


_SOURCES = frozenset(
    {
        "Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike",
        "RandomUniform", "RandomUniformLike",
    }
)  # fmt: skip


def _is_whole(exam: Exam, name: str) -> bool:
    dtype = exam.facts.resolution.dtypes.get(name)
    return dtype is not None and dtype.kind != "f"
