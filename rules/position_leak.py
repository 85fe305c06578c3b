"""The mark of the border in a map that is summed up blind to position.

What it finds
-------------
Models that end in a global pooling, a sum or a maximum over the whole map, as if it did not matter
where something lies, and whose windows read zeros beyond the border on the way. The note says how
far the mark of the border travels: the share of cells of the last map with some path to a padded
zero, and the share of all backward random walks that padding absorbs.

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
All padded classifiers do it, more so the deeper they are: a fact worth knowing. Windows that leave
padding out (max pools, averages of real cells) and reflected borders leave no mark here. The share
is left out where the map cannot be followed.

References
----------
https://arxiv.org/abs/2001.08248 (How much position information do CNNs encode?),
https://arxiv.org/abs/2003.07064 (On translation invariance in CNNs)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.position import blind_heads, marked_share
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta

if TYPE_CHECKING:
    from scotoma.facts import Facts


class PositionLeak(Rule):
    """Padding tells a head that is blind to position where things are."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC306", name="position-leak", severity=Severity.NOTE, since="0.1.0",
        references=("https://arxiv.org/abs/2001.08248", "https://arxiv.org/abs/2003.07064"),
    )  # fmt: skip

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one note for the model."""
        heads = blind_heads(facts)
        if not heads:
            return
        shares = [marked_share(facts, head.tensor) for head in heads]
        known = [share for share in shares if share is not None]
        marked = max(known, default=None)
        coverage = facts.coverage(local=True) if marked else None
        if marked is None or coverage is None:
            return
        absorbed = coverage.absorbed_by_padding
        head = heads[shares.index(marked)]
        pool = head.summaries[0]
        yield self.finding(
            [Location(pool.name, pool.op_type, head.tensor, "pools marked and unmarked cells"),
             *padded(facts, coverage.absorbed)],
            f"'{pool.name}' pools a map of which {float(marked):.0%} of the cells see zero "
            f"padding, which absorbs {absorbed:.1%} of the paths: the answer can depend on place",
            Measurement("marked_cell_fraction", marked, "1", limit=0),
            Measurement("absorbed_by_padding", absorbed, "1", limit=0),
            remedy="nothing where place may count; else pad by reflection, or train with shifts",
        )  # fmt: skip


def padded(facts: Facts, absorbed: dict[str, float], shown: int = 3) -> list[Location]:
    """Return the layers whose padding absorbs most of the walk."""
    most = sorted(absorbed, key=lambda name: -absorbed[name])[:shown]
    return [
        Location(
            op.name, op.op_type, None, f"its padding absorbs {absorbed[name]:.1%} of the paths"
        )
        for name in most
        if (op := facts.producers.get(name)) is not None
    ]
