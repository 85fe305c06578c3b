"""Average pools that count zeros beyond the border as cells, and so dim the border of the map.

What it finds
-------------
Average pools with ``count_include_pad=1`` and padding, and average pools behind a Pad with zeros:
at the border part of the divisor stands for cells that are not there. All of a model's are in one
finding, each with its gain, the share of a window's divisor that stands on real cells: of a 3x3
window with padding 1 it is 2/3 at the sides and 4/9 in the corners.

Pools that leave as much of a constant image as the option ``gain`` says (all of it), pools without
padding, though ``count_include_pad`` is set (as PyTorch writes every average pool),
and pools that make a single cell of their map say nothing.

Why it matters
--------------
A constant image comes out darker at the border: what lies there counts for less, and later layers
learn where the border is. It is a warning where the corners of the image, 1/32 of its shorter side
deep, lose more than a quarter (option ``limit``) of their paths to the output through these pools,
counted against the same graph with the zeros left out; a note otherwise. A pool in one of several
branches, or on a map so fine that its border is a small part of the image, takes less than that.
Inception-v3, with nine such pools, loses 30 %.

It is a note in classifiers: one vector is drawn from the whole map, of which the corners are a
small part, and has been trained with them dimmed. In a map or a detector the answers in the corners
are drawn from little else.

What to do
----------
Set ``count_include_pad=0``, best before training: a trained network has learnt to live with it, and
without training again its border values change. Instead of a Pad use the pads of the pool.

References
----------
onnx operator AveragePool, attribute count_include_pad.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.borders import (
    DimmedPool,
    counts_declared_padding,
    dimmed_pool,
    lost_in_corners,
    may_read_zeros,
    pool_kind,
)
from scotoma.findings import Confidence, Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option
from scotoma.task import Task

if TYPE_CHECKING:
    from scotoma.facts import Facts


@dataclass(frozen=True, slots=True)
class Options(RuleOptions):
    """What a user can set."""

    limit: float = option(
        0.25, "share of the corners' paths that may be lost without a warning", 0, 1
    )
    gain: float = option(
        1.0,
        "share of a constant image that a pool must leave in its corners to be left out",
        0,
        1,
    )


class BorderDimmingPool(Rule):
    """A mean over zeros that are not there."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC301", name="border-dimming-pool", severity=Severity.WARNING, since="0.1.0",
        references=("https://onnx.ai/onnx/operators/onnx__AveragePool.html",),
        severity_by_task={Task.CLASSIFY: Severity.NOTE},
    )  # fmt: skip

    options = Options

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one finding for the whole graph."""
        wanted = facts.options(Options)
        pools: list[DimmedPool] = []
        for operator in facts.operators:
            if pool_kind(operator) != "average":
                continue
            windows = facts.windows(operator)
            if windows is None:
                if counts_declared_padding(operator) or may_read_zeros(facts, operator):
                    yield self.undecided("the size of its input is not known", operator)
                continue
            pool = dimmed_pool(facts, operator, windows)
            if pool is not None and pool.corner_gain < wanted.gain:
                pools.append(pool)
        if not pools:
            return
        lost = lost_in_corners(facts, pools)
        worst = min(pools, key=lambda pool: pool.corner_gain)
        many = "1 average pool counts" if len(pools) == 1 else f"{len(pools)} average pools count"
        loss = "" if lost is None else f"; the image's corners lose {lost:.1%} of their paths by it"
        yield self.finding(
            [_location(pool) for pool in pools],
            f"{many} zeros beyond the border as cells, which leaves {worst.corner_gain:.3g} of a "
            f"constant image in the corners of '{worst.operator.name}'{loss}",
            Measurement("border_gain", round(worst.corner_gain, 6), "1", limit=wanted.gain),
            Measurement("lost_path_share", lost, "1", limit=wanted.limit),
            remedy="set count_include_pad=0 and use the pool's own pads, and train again",
            severity=Severity.NOTE if lost is not None and lost <= wanted.limit else None,
            confidence=Confidence.MEDIUM if lost is None else None,
        )


def _location(pool: DimmedPool) -> Location:
    size = "x".join(str(window.size_out) for window in pool.windows)
    behind = f" behind '{pool.front.padding.operator.name}'" if pool.front is not None else ""
    note = (
        f"{pool.dimmed:,} cells of its {size} map{behind} dimmed, to "
        f"{min(pool.gains):.3g} at the sides and {pool.corner_gain:.3g} in the corners"
    )
    return Location(pool.operator.name, pool.operator.op_type, pool.operator.outputs[0], note)
