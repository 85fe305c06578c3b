"""Odd kernels that keep the size of their map with padding on one side only.

What it finds
-------------
An odd kernel has a central cell; padded alike on both sides, its output lies where its input lies.
Found are layers with stride 1 that pad more on one side than on the other (a Pad in front of them
included), so that every window looks past the place it is for. The drift of all such layers on a
path adds up, in pixels of the input, with its sign: layers that pad in turns cancel. Even kernels
are the subject of even-kernel.

Why it matters
--------------
Every position that the model answers with (boxes, masks, key points) is off by the drift, the
receptive field reaches further to one side than to the other, and a branch that goes round the
layers no longer fits the one that goes through them. Conversions that write a framework's
padding by hand do this.

What to do
----------
Pad ``(extent - 1) / 2`` on both sides; the sizes of all maps stay the same.

Limits
------
A warning in classifiers as well: no design asks for it, and where a conversion brought it in, every
weight reads beside the place that it was trained for. The option ``limit`` allows a drift, in
pixels. Windows that are centred on their own place counted from the begin or from the end are left
out: the cells that they have more or less on the other side fit a map to a size. Signals padded at
the begin only are causal by design, and so is one axis of several (time, beside frequency or space)
of which no layer pads the end. TensorFlow's "same" at strides above 1 is not one-sided:
mixed-padding-convention and uneven-padding are about it.

References
----------
https://distill.pub/2019/computing-receptive-fields/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.drift import accumulated, causal_axes, own_drifts, pixels, places
from scotoma.evidence.hidden import hidden, slide
from scotoma.findings import Finding, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window


@dataclass(frozen=True, slots=True)
class Options(RuleOptions):
    """What a user can set."""

    limit: Fraction = option(Fraction(0), "drift in pixels of the input that is allowed", 0)


class OneSidedPadding(Rule):
    """Uneven padding of an odd kernel shifts the feature map."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC203", name="one-sided-padding", severity=Severity.WARNING, since="0.1.0",
        references=("https://distill.pub/2019/computing-receptive-fields/",),
    )  # fmt: skip

    options = Options

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one finding with every odd kernel that moves the map."""
        if (unseen := hidden(facts, may_drift)) is not None:
            yield self.undecided(unseen.reason, unseen.cause)
        drifts, blind = own_drifts(facts, looks_aside)
        causal = facts.once(causal_axes) if drifts else frozenset()
        drifts = [d for d in drifts if d.label not in causal]
        for operator in blind:
            yield self.undecided("the effective stride of its input is not known", operator)
        total, limit = accumulated(facts, drifts), facts.options(Options).limit
        if total <= limit:
            return
        names = list(dict.fromkeys(d.operator.name for d in drifts))
        first = drifts[0]
        layers = (
            f"'{names[0]}' pads"
            if len(names) == 1
            else f"{len(names)} layers with odd kernels, first '{names[0]}', pad"
        )
        where = places(facts, drifts, lambda d: (
            f"{d.begin} before the first cell and {d.end} after the last, "
            f"moves the map by {pixels(d.pixels)} of the input"
        ))  # fmt: skip
        half, rest = divmod(first.begin + first.end, 2)
        alike = "alike" if rest else f"alike, {half} and {half} for '{names[0]}'"
        yield self.finding(
            where,
            f"{layers} one side more than the other ({first.begin} before, {first.end} after) and "
            f"{'moves' if len(names) == 1 else 'move'} the feature map off its place, "
            f"by {pixels(total)} of the input in all",
            Measurement("drift", total, "px", limit=limit),
            Measurement("layers", len(names), "layers", limit=0),
            remedy=f"pad both sides {alike}",
        )


def looks_aside(window: Window, begin: int, end: int) -> bool:
    """Tell whether a window of odd extent is centred on its place from neither end of the axis."""
    half, rest = divmod(window.extent - 1, 2)
    return rest == 0 and half not in (begin, end)


def may_drift(facts: Facts, operator: Operator) -> bool:
    """Tell whether a layer declares an odd kernel that may move its map."""
    found = slide(facts, operator)
    return found is not None and found.leans(even=False)
