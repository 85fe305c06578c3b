"""Holes inside the receptive field: dilated windows that read only a lattice of pixels.

What it finds
-------------
For the central unit of each last feature map, the exact set of pixels that it reads, against the
smallest box around them. Where less than three quarters of the box (option ``limit``) are read and
the gaps come from dilated windows or from strides wider than their kernel, the layers are named.
Pixels that no unit at all reads are left out of the count: they are unread-pixels'.

Why it matters
--------------
Neighbouring pixels fall to neighbouring units and never meet in one: fine texture, thin lines and
small objects break up, and dense outputs show a grid. The receptive field promises a context of
which the unit has seen a sample.

What to do
----------
Use dilations without a common factor, small ones among them (1, 2, 5 instead of 2, 2, 2), or
follow the dilated layers by undilated ones that fill the gaps.

Limits
------
Sets are followed along local paths, one unit a map, of 16 last maps at most (option ``maps``).
Three 3x3 layers with dilations 1, 2, 5 read their whole field, 1, 2, 9 read 71 % of it, 2, 2, 2
read 29 %.

References
----------
https://arxiv.org/abs/1702.08502 (Understanding convolution for semantic segmentation),
https://arxiv.org/abs/1705.09914 (Dilated residual networks)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.gridding import gap_makers, reading_unlike, sparse_layers
from scotoma.evidence.hidden import hidden, slide
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.sweep.support import Support

MAX_LAYERS = 32
"""Layers of which each is tested for being a cause."""


@dataclass(frozen=True, slots=True)
class Options(RuleOptions):
    """What a user can set."""

    limit: Fraction = option(Fraction(3, 4), "share of its box that a unit should read", 0, 1)
    maps: int = option(16, "last feature maps that are looked at", 1)


class DilationGridding(Rule):
    """Units of the last feature maps read a lattice instead of their whole field."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC103", name="dilation-gridding", severity=Severity.WARNING, since="0.1.0",
        references=("https://arxiv.org/abs/1702.08502", "https://arxiv.org/abs/1705.09914"),
    )  # fmt: skip

    options = Options

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one finding, about the map with the most gaps."""
        unseen = hidden(facts, is_wide)
        if unseen is not None and any(is_sparse(facts, op) for op in facts.operators):
            yield self.undecided(unseen.reason, unseen.cause)
        geometry, dead = facts.geometry, facts.dead(local=True)
        if geometry is None or dead is None:
            return
        wanted = facts.options(Options)
        worst: tuple[Fraction, str, Support, list[Operator]] | None = None
        heads = {head: sparse_layers(geometry, head) for head in facts.heads[: wanted.maps]}
        for head in reading_unlike(geometry, [head for head, layers in heads.items() if layers]):
            layers, read = heads[head], facts.support(head)
            if read is None or (density := read.density(dead.mask)) >= wanted.limit:
                continue
            makers = gap_makers(geometry, head, read, layers[:MAX_LAYERS], dead.mask)
            if makers and (worst is None or density < worst[0]):
                worst = density, head, read, makers
        if worst is None:
            return
        density, head, read, makers = worst
        yield self.finding(
            [Location(op.name, op.op_type, op.inputs[0], steps(facts, op)) for op in makers],
            f"a central unit of '{head}' reads {float(density):.1%} of the "
            f"{'x'.join(map(str, read.extent))} px that it spans, a lattice with gaps: "
            f"{listing([op.name for op in makers])}",
            Measurement("read_share", density, "1", limit=wanted.limit),
            remedy="use dilations without a common factor, or undilated layers behind them that "
            "fill the gaps",
        )


def steps(facts: Facts, operator: Operator) -> str:
    """Say how wide the gaps of a layer's windows are."""
    windows = facts.windows(operator) or ()
    dilations = {w.dilation for w in windows if w.kernel > 1 and w.dilation > 1}
    if dilations:
        return f"dilation {max(dilations)}"
    wide = [w for w in windows if w.stride > w.extent]
    return f"stride {wide[0].stride} over a window of {wide[0].extent}" if wide else ""


def listing(names: list[str], shown: int = 3) -> str:
    """Name some operators.

    Examples
    --------
    >>> listing(["a"]), listing(["a", "b", "c", "d"])
    ("'a'", "'a', 'b', 'c' and 1 more")
    """
    quoted = ", ".join(f"'{name}'" for name in names[:shown])
    return f"{quoted} and {len(names) - shown} more" if len(names) > shown else quoted


def is_sparse(facts: Facts, operator: Operator) -> bool:
    """Tell whether a layer declares windows that have or leave gaps."""
    found = slide(facts, operator)
    return found is not None and found.is_sparse


def is_wide(facts: Facts, operator: Operator) -> bool:
    """Tell whether a layer declares windows of more than one cell, or with gaps between them."""
    found = slide(facts, operator)
    return found is not None and (found.is_wide or found.is_sparse)
