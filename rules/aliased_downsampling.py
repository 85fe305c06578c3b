"""Strided convolutions and max pools that fold fine patterns onto coarse ones.

What it finds
-------------
A stride of 2 cannot tell an alternating pattern from an even one: what passes the window at such
frequencies folds onto the rest. For a convolution, the response of its weights at the frequencies
that its stride folds onto a constant is compared with their response to a constant, the largest
over those frequencies, as root mean square over the channels; listed are those of 0.5 and more
(option ``limit``). Max pools have no such response and
count as they are. Both are left out behind a layer with stride 1 that takes these frequencies away
(a blur, an average pool).

Why it matters
--------------
The output of the network changes when the image moves by one pixel. Most networks are like this
and work, so the rule runs only where it is selected: for tracking, registration, measuring, and
wherever a flickering answer hurts.

What to do
----------
Put a blur in front of the stride (BlurPool: max pool with stride 1, then a fixed low-pass with
stride 2), or pool on the mean.

Limits
------
Activations in between are not looked at. Weights that are quantised or not there leave the layer
undecided.

References
----------
https://arxiv.org/abs/1904.11486 (Making convolutional networks shift-invariant again)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scotoma.errors import WeightsUnavailableError
from scotoma.evidence.aliasing import filtered, response, strided_windows
from scotoma.evidence.hidden import hidden, slide
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator


@dataclass(frozen=True, slots=True)
class Options(RuleOptions):
    """What a user can set."""

    limit: float = option(
        0.5,
        "folded response, over that to a constant, from which on a layer is listed",
        0,
    )


class AliasedDownsampling(Rule):
    """Strides without a low-pass before them."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC701", name="aliased-downsampling", severity=Severity.NOTE, since="0.1.0",
        references=("https://arxiv.org/abs/1904.11486",), default=False,
    )  # fmt: skip

    options = Options

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one note with every layer that folds."""
        if (unseen := hidden(facts, is_concerned)) is not None:
            yield self.undecided(unseen.reason, unseen.cause)
        limit = facts.options(Options).limit
        where: list[Location] = []
        unread: list[tuple[Operator, str]] = []
        worst = 0.0
        layers = strided_windows(facts)
        for operator, windows in layers:
            strides = tuple(w.stride for w in windows)
            try:
                if filtered(facts, operator.inputs[0], strides, limit):
                    continue
                passed = None if "Pool" in operator.op_type else response(facts, operator, strides)
            except WeightsUnavailableError as error:
                unread.append((operator, str(error)))
                continue
            if "Pool" in operator.op_type:
                note = "a maximum over each window, without a low-pass"
            elif passed is None:
                note = "passes nothing of a constant"
            elif passed < limit:
                continue
            else:
                worst = max(worst, passed)
                note = f"passes a folded pattern at {passed:.3g} of the strength of a constant"
            where.append(Location(operator.name, operator.op_type, operator.inputs[0], note))
        if len(unread) == 1:
            yield self.undecided(unread[0][1], unread[0][0])
        elif unread:
            yield self.undecided(f"of {len(unread)} strided layers: {unread[0][1]}")
        if not where:
            return
        many = "1 strided layer folds" if len(where) == 1 else f"{len(where)} strided layers fold"
        most = f", at up to {worst:.3g} of the strength of a constant" if worst else ""
        yield self.finding(
            where,
            f"{many} fine patterns onto coarse ones, first '{where[0].node}'{most}",
            Measurement("folded_response", worst or None, "1", limit=limit),
            Measurement("layers", len(where), "layers", limit=0),
            remedy="put a low-pass in front of the stride (BlurPool, average pooling)",
        )


def is_concerned(facts: Facts, operator: Operator) -> bool:
    """Tell whether an operator declares to be a strided convolution or max pool."""
    found = slide(facts, operator) if "Average" not in operator.op_type else None
    return found is not None and found.is_strided
