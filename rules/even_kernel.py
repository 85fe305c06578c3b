"""Even kernels whose padding moves the feature map off its place.

What it finds
-------------
A kernel of even size has no central cell. Where such a layer keeps the size of its map, it pads
one cell more on one side, and its output lies half a cell off its input. The drift of all such
layers on a path adds up, in pixels of the input, with its sign: layers that pad in turns cancel.
Even kernels that move nothing are not reported: pools with kernel 2 and stride 2, kernel 4 with
stride 2 and padding 1, patch embeddings.

Why it matters
--------------
Every position that the model answers with (boxes, masks, key points) is off by the drift, and a
branch that goes round the layer no longer fits the one that goes through it.

What to do
----------
Use an odd kernel, pad in turns (left, then right), or correct the coordinates by the drift.

Limits
------
A warning where the drift passes 1 px of the input (option ``limit``), a note below and in
classifiers: one answer for the whole image has no place that could be off. Signals (one spatial
axis) that are padded at the begin only are causal by design and left out.

References
----------
https://arxiv.org/abs/1903.08385 (Convolution with even-sized kernels and symmetric padding)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.drift import accumulated, own_drifts, pixels, places
from scotoma.evidence.hidden import hidden, slide
from scotoma.findings import Finding, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option
from scotoma.task import Task

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window


@dataclass(frozen=True, slots=True)
class Options(RuleOptions):
    """What a user can set."""

    limit: Fraction = option(
        Fraction(1), "drift in pixels of the input beyond which it is a warning", 0
    )


class EvenKernel(Rule):
    """An even kernel without a centre shifts the feature map."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC201", name="even-kernel", severity=Severity.WARNING, since="0.1.0",
        references=("https://arxiv.org/abs/1903.08385",),
        severity_by_task={Task.CLASSIFY: Severity.NOTE},
    )  # fmt: skip

    options = Options

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one finding with every even kernel that moves the map."""
        if (unseen := hidden(facts, may_drift)) is not None:
            yield self.undecided(unseen.reason, unseen.cause)
        drifts, blind = own_drifts(facts, has_no_centre)
        for operator in blind:
            yield self.undecided("the effective stride of its input is not known", operator)
        if not drifts:
            return
        total = accumulated(facts, drifts)
        if total == 0:
            return
        names = list(dict.fromkeys(d.operator.name for d in drifts))
        limit = facts.options(Options).limit
        severity = Severity.WARNING if total > limit else Severity.NOTE
        kernels = "x".join(str(k) for k in facts_kernel(facts, drifts[0].operator))
        layers = (
            f"the {kernels} kernel of '{names[0]}' moves"
            if len(names) == 1
            else f"{len(names)} layers with even kernels, first '{names[0]}' ({kernels}), move"
        )
        where = places(facts, drifts, lambda d: f"moves the map by {pixels(d.pixels)} of the input")
        yield self.finding(
            where,
            f"{layers} the feature map off its place, by {pixels(total)} of the input in all",
            Measurement("drift", total, "px", limit=limit),
            Measurement("layers", len(names), "layers", limit=0),
            remedy="use odd kernels, or pad such layers in turns on opposite sides",
            severity=severity,
        )


def facts_kernel(facts: Facts, operator: Operator) -> tuple[int, ...]:
    """Return the kernel of an operator along every axis."""
    return tuple(w.kernel for w in facts.windows(operator) or ())


def has_no_centre(window: Window, begin: int, end: int) -> bool:  # noqa: ARG001  one of drift's
    """Tell whether a window has an even extent."""
    return window.extent % 2 == 0


def may_drift(facts: Facts, operator: Operator) -> bool:
    """Tell whether a layer declares an even kernel that may move its map."""
    found = slide(facts, operator)
    return found is not None and found.leans(even=True)
