"""Zero padding that reaches a head which pools all places alike, and so tells it of the border.

What it finds
-------------
Models that end in a global pooling, a sum or a maximum over the whole map, as if it did not matter
where something lies, and whose windows read zeros beyond the border on the way. The note says how
far the zeros reach: the share of cells of the last map with some path to one, and the share of all
random walks from the last map back to the image that end in padding. Silent where no more cells see
padding than the option ``limit`` allows (none).

Why it matters
--------------
Zeros around the image tell every unit near them where it is, and the sum passes it on: the answer
can depend on the place of an object although the head is blind to places. A trained 3x3
convolution with a sum behind it tells a pixel in a corner from all others by its padding alone.

What to do
----------
Nothing where objects may depend on their place. Where the answer must not change with a shift:
pad with reflection, or train with full padding and shifted images, and measure.

Limits
------
Only heads that are blind to places: where an answer has its place anyway, the zeros tell it nothing
new. All padded classifiers do it, more so the deeper they are: a fact worth knowing. Windows that
leave padding out (max pools, averages of real cells) and reflected borders tell nothing here. The
share is left out where the map cannot be followed.

References
----------
https://arxiv.org/abs/2001.08248 (How much position information do CNNs encode?),
https://arxiv.org/abs/2003.07064 (On translation invariance in CNNs)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from heapq import nlargest
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.hidden import hidden, pools_places, slide
from scotoma.evidence.position import blind_heads, reached_share
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator


@dataclass(frozen=True, slots=True)
class Options(RuleOptions):
    """What a user can set."""

    limit: Fraction = option(
        Fraction(0), "share of the last map that zero padding may reach without a note", 0, 1
    )


class PositionLeak(Rule):
    """Padding tells a head that is blind to position where things are."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC306", name="position-leak", severity=Severity.NOTE, since="0.1.0",
        references=("https://arxiv.org/abs/2001.08248", "https://arxiv.org/abs/2003.07064"),
    )  # fmt: skip

    options = Options

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one note for the model."""
        unseen = hidden(facts, pools_places)
        if unseen is not None and any(is_padded(facts, op) for op in facts.operators):
            yield self.undecided(unseen.reason, unseen.cause)
        heads = facts.once(blind_heads)
        if not heads:
            return
        shares = [reached_share(facts, head.tensor) for head in heads]
        known = [share for share in shares if share is not None]
        reached = max(known, default=None)
        limit = facts.options(Options).limit
        if reached is None or reached <= limit:
            return
        coverage = facts.coverage(local=True)
        if coverage is None:
            return
        absorbed = coverage.absorbed_by_padding
        head = heads[shares.index(reached)]
        pool = head.summaries[0]
        note = "all cells that it pools see padding"
        if reached < 1:
            note = "pools cells that see padding with cells that see none"
        yield self.finding(
            [Location(pool.name, pool.op_type, head.tensor, note),
             *padded(facts, coverage.absorbed)],
            f"'{pool.name}' pools a map of which {described(reached)} of the cells see zero "
            f"padding, which absorbs {absorbed:.1%} of the paths: the answer can depend on place",
            Measurement("reached_cell_fraction", reached, "1", limit=limit),
            Measurement("absorbed_by_padding", absorbed, "1", limit=0),
            remedy="nothing where place may count; else pad by reflection, or train with shifts",
        )  # fmt: skip


def described(share: Fraction) -> str:
    """Write a share in percent; only all is 100%.

    Examples
    --------
    >>> described(Fraction(1, 3)), described(Fraction(999, 1000)), described(Fraction(1))
    ('33%', 'more than 99%', '100%')
    """
    return "more than 99%" if Fraction(199, 200) <= share < 1 else f"{float(share):.0%}"


def padded(facts: Facts, absorbed: dict[str, float], shown: int = 3) -> list[Location]:
    """Return the layers whose padding absorbs most of the walk."""
    most = nlargest(shown, absorbed, key=absorbed.__getitem__)
    return [
        Location(
            op.name, op.op_type, None, f"its padding absorbs {absorbed[name]:.1%} of the paths"
        )
        for name in most
        if (op := facts.producers.get(name)) is not None
    ]


def is_padded(facts: Facts, operator: Operator) -> bool:
    """Tell whether a layer declares padding."""
    found = slide(facts, operator)
    return found is not None and found.is_padded
