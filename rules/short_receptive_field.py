"""A receptive field smaller than the image, before a head that pools all places into one.

What it finds
-------------
Models that end in a global pooling, a sum or a maximum over the whole map, and whose map just
before it sees less than the image along some axis (than the share of it that the option ``limit``
says, all of it). Whole-map gates (squeeze-and-excitation) are left out: they see everything but
tell no place. A pooling of the pixels themselves is no network.

Why it matters
--------------
Each unit judges what fits its field, and the pooling drops where each of them lies. An object
larger than the field is told by its texture and its parts, never as a whole; a larger input makes
it worse.

What to do
----------
Nothing where local texture decides. Else a smaller input, more depth, stride or dilation.

Limits
------
The field is the theoretical one of an interior unit; what training makes effective is smaller.

References
----------
https://distill.pub/2019/computing-receptive-fields, https://arxiv.org/abs/1904.00760 (BagNets)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.axes import axis_suffixes
from scotoma.evidence.hidden import hidden, pools_places
from scotoma.evidence.position import blind_heads
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option

if TYPE_CHECKING:
    from scotoma.facts import Facts


@dataclass(frozen=True, slots=True)
class Options(RuleOptions):
    """What a user can set."""

    limit: Fraction = option(
        Fraction(1), "share of the image, along every axis, that a unit should see", 0, 1
    )


class ShortReceptiveField(Rule):
    """No unit sees the image as a whole, and the head cannot put the parts together."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC105", name="short-receptive-field", severity=Severity.NOTE, since="0.1.0",
        references=("https://distill.pub/2019/computing-receptive-fields",
                    "https://arxiv.org/abs/1904.00760"),
    )  # fmt: skip

    options = Options

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one note, about the head with the widest field."""
        if (unseen := hidden(facts, pools_places)) is not None:
            yield self.undecided(unseen.reason, unseen.cause)
        heads = facts.once(blind_heads)
        fields = {head: facts.receptive_field(head.tensor) for head in heads}
        known = {head: field for head, field in fields.items() if field is not None}
        if not known or len(known) < len(heads):
            return
        image = facts.image_size
        seen = {
            head: min(Fraction(min(f, n), n) for f, n in zip(field, image, strict=True))
            for head, field in known.items()
        }
        best = max(heads, key=seen.__getitem__)
        limit = facts.options(Options).limit
        if seen[best] >= limit or all(size == 1 for size in known[best]):
            return
        pool = best.summaries[0]
        yield self.finding(
            Location(pool.name, pool.op_type, best.tensor, "pools the whole map"),
            f"'{pool.name}' pools units that see {'x'.join(map(str, known[best]))} of the "
            f"{'x'.join(map(str, image))} px: nothing larger is seen as a whole",
            *(
                Measurement(f"receptive_field_{axis}", field, "px", limit=ceil(limit * size))
                for axis, field, size in zip(
                    axis_suffixes(len(image)), known[best], image, strict=True
                )
            ),
            remedy="nothing where local texture decides; else a smaller input, or more depth, "
            "stride or dilation",
        )
