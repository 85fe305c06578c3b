"""Reductions over the batch, which make the result of one image depend on the others.

What it finds
-------------
Sums, means, maxima and softmaxes whose axes include the batch, if what they make meets single
samples again on the way to an output: batch normalisation in training mode that an exporter took
apart, a division by the maximum of the whole batch, a softmax along the wrong axis. The batch is
followed from the first axis of the input through transposes and reshapes that keep it apart.

Why it matters
--------------
The same image gets another result in another batch. It does not show in a test with one image.

What to do
----------
Take the batch out of the axes. For moments of a batch normalisation, export in inference mode
(``training=False``, ``track_running_stats=True``) so that the stored statistics are used.

Limits
------
An error where the batch is open or larger than one. In a file that fixes a batch of 1 nothing can
leak: there it is a warning where a mean per channel is taken off its own data, because that is what
batch normalisation in training mode looks like, and else a note. A note as well where the whole
batch ends in one result; losses (a single number) are left out.

References
----------
onnx operators ReduceMean and BatchNormalization.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.auto_pad import numbers
from scotoma.evidence.batch import Leak, batch_declared, batch_leaks
from scotoma.evidence.hidden import hidden, reduced_axes
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

SOFT = frozenset({"Hardmax", "LogSoftmax", "Softmax"})
"""Operators that divide by a sum along one axis."""


class BatchLeak(Rule):
    """Samples of a batch influence each other."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC505",
        name="batch-leak",
        severity=Severity.ERROR,
        since="0.1.0",
        references=("https://onnx.ai/onnx/operators/onnx__ReduceMean.html",),
    )

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one finding per severity with every operator that mixes samples."""
        if (unseen := hidden(facts, may_mix)) is not None:
            yield self.undecided(unseen.reason, unseen.cause)
        fixed = batch_declared(facts)
        leaks = batch_leaks(facts)
        back = [leak for leak in leaks if leak.returns]
        ahead = [leak for leak in leaks if not leak.returns and leak.per_channel]
        if fixed != 1:
            if back:
                yield self._finding(back, Severity.ERROR, _OPEN)
            if ahead:
                yield self._finding(ahead, Severity.NOTE, _ENDS)
            return
        channels = [leak for leak in back if leak.per_channel]
        normalises = any(leak.centres for leak in channels)
        if normalises:
            yield self._finding(channels, Severity.WARNING, _TRAINING)
        rest = [leak for leak in back if not (normalises and leak.per_channel)]
        if rest:
            yield self._finding(rest, Severity.NOTE, _FIXED)

    def _finding(self, leaks: Sequence[Leak], severity: Severity, claim: str) -> Finding:
        single = len(leaks) == 1
        plural = "" if len(leaks) == 2 else "s"
        subject = "reduces" if single else f"it and {len(leaks) - 1} more operator{plural} reduce"
        return self.finding(
            [Location(leak.operator.name, leak.operator.op_type) for leak in leaks],
            f"{subject} over the axis of the batch, {claim}",
            Measurement("mixing_operators", len(leaks), "operators", limit=0),
            remedy="take the batch out of the axes, or export normalisation in inference mode",
            severity=severity,
        )


_OPEN = "so that the result of an image depends on the other images of its batch"
_ENDS = "so that all images of a batch end in one result"
_TRAINING = (
    "for a mean that is taken off its own data: the file fixes a batch of 1, but this is batch "
    "normalisation in training mode, by the statistics of the image in hand, not the stored ones"
)
_FIXED = "which mixes images as soon as the batch is not 1, as the file fixes it"


def may_mix(facts: Facts, operator: Operator) -> bool:
    """Tell whether an operator reduces its first axis, which may be that of the batch."""
    axes = reduced_axes(facts, operator)
    if operator.op_type in SOFT and not operator.domain:
        axis = operator.attributes.get("axis", -1)
        axes = (axis,) if isinstance(axis, int) else None
    if axes is None:
        return operator.op_type == "MeanVarianceNormalization"
    maker = facts.producers.get(operator.inputs[0])
    order = numbers(maker, "perm") if maker is not None and maker.op_type == "Transpose" else ()
    rank = len(order)
    return not axes or 0 in axes or any(-rank <= a < rank and order[a] == 0 for a in axes)
