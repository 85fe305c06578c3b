"""Branches that meet place by place although their cells lie at different places of the image.

What it finds
-------------
Every cell of a feature map is centred on some pixel. Found are the operators (Add, Mul, Concat
and their like) that join maps whose cells of the same index are centred on different pixels, or
that lie at different distances from each other. The gap is given in cells of the merged map, at
its middle, and in pixels of the input; all such joins of a model are in one finding per severity.

A 3x3 window with stride 2 and padding 1 puts its map half a cell to the begin, and an upsampled
branch brings that along: every feature pyramid on such a backbone joins maps that lie half a cell
apart for each stage between them. What the strides of an upsampled branch explain is a note.

Why it matters
--------------
Features of one object are added where they belong to different places: edges blur, small objects
suffer most, and masks and boxes inherit the shift. A network can be trained around a constant
gap, but not where the branch is resized, padded or cropped in another way than in training.

What to do
----------
Pad all branches alike, resize with ``half_pixel`` coordinates, crop and pad both sides alike, and
bring a branch back by the ratio that it was taken down by.

Limits
------
A warning where more than half a cell of the merged map (option ``limit``), and more than 0 px of
the input (option ``limit-px``), is not explained by strides, but a note in
classifiers, which answer with no place and can be trained around a gap that stays. Gates (a sigmoid
that multiplies) get a note at most; gates without places, slices of one map that are stacked
(space-to-depth) and causal signals are left out, and so are maps whose places are not known.

References
----------
https://distill.pub/2019/computing-receptive-fields/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.axes import by_axis
from scotoma.evidence.drift import causal_axes, pixels
from scotoma.evidence.hidden import hidden, is_join
from scotoma.evidence.joins import gaps, is_gate, slices_of_one
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option
from scotoma.task import Task

if TYPE_CHECKING:
    from scotoma.evidence.joins import Gap
    from scotoma.facts import Facts


@dataclass(frozen=True, slots=True)
class Options(RuleOptions):
    """What a user can set."""

    limit: Fraction = option(
        Fraction(1, 2), "cells of the merged map, beyond which an unexplained gap is a warning", 0
    )
    limit_px: Fraction = option(
        Fraction(0), "pixels of the input, beyond which an unexplained gap is a warning", 0
    )


class MisalignedMerge(Rule):
    """Feature maps with different centres are joined."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC204", name="misaligned-merge", severity=Severity.WARNING, since="0.1.0",
        references=("https://distill.pub/2019/computing-receptive-fields/",),
        severity_by_task={Task.CLASSIFY: Severity.NOTE},
    )  # fmt: skip

    options = Options

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one warning and one note, each with all of its joins."""
        if (unseen := hidden(facts, is_join)) is not None:
            yield self.undecided(unseen.reason, unseen.cause)
        found = [
            g for g in gaps(facts, facts.once(causal_axes)) if not slices_of_one(facts, g.join)
        ]
        wanted = facts.options(Options)
        loud = [
            g for g in found if g.unexplained > limit_of(g, wanted) and not is_gate(facts, g.join)
        ]
        quiet = [g for g in found if g not in loud]
        if loud:
            yield self._finding(facts, loud, Severity.WARNING)
        if quiet:
            yield self._finding(facts, quiet, Severity.NOTE)

    def _finding(self, facts: Facts, found: list[Gap], severity: Severity) -> Finding:
        loud = severity is Severity.WARNING
        worst = max(found, key=lambda g: (g.unexplained if loud else 0, g.cells, g.border))
        limit = limit_of(worst, facts.options(Options)) if loud else None
        first = found[0].join.operator.name
        number = worst.cells or worst.border
        joins = (
            f"'{first}' joins" if len(found) == 1 else f"{len(found)} joins, first '{first}', join"
        )
        edge = "" if worst.cells else " at the border"
        by_strides = worst.cells - worst.unexplained
        why = f"; {float(by_strides):.3g} of it by the strides before them" if by_strides else ""
        return self.finding(
            [
                Location(at.name, at.op_type, g.join.output, said(facts, g))
                for g in found
                for at in (g.join.operator,)
            ],
            f"{joins} feature maps that lie up to {float(number):.3g} "
            f"{'cell' if number <= 1 else 'cells'} ({pixels(number * worst.stride)} of the input) "
            f"apart{edge}{why}",
            Measurement("offset_cells", number, "cells", limit=None if loud else 0),
            Measurement("offset", number * worst.stride, "px", limit=None if loud else 0),
            Measurement("unexplained_cells", worst.unexplained, "cells", limit=limit),
            Measurement("joins", len(found), "joins", limit=0),
            remedy="pad, crop and resize the branches so that their centres agree"
            if loud
            else "nothing where the network was trained like this",
            severity=severity,
        )


def limit_of(gap: Gap, wanted: Options) -> Fraction:
    """Return the cells beyond which an unexplained gap is a warning."""
    return max(wanted.limit, wanted.limit_px / gap.stride)


def said(facts: Facts, gap: Gap) -> str:
    """Say of one join how far apart its maps lie.

    The numbers are those of the axis where it is most.
    """
    cells = f"{float(gap.cells):.3g}"
    parts = [f"{cells} {'cell' if cells == '1' else 'cells'} apart at the middle"]
    if gap.border > gap.cells:
        parts.append(f"{float(gap.border):.3g} at the border")
    if gap.unexplained < gap.cells:
        parts.append(f"{float(gap.cells - gap.unexplained):.3g} of it by strides")
    if len(gap.strides) > 1:
        parts.append("effective strides " + " and ".join(f"{float(s):.4g}" for s in gap.strides))
    if is_gate(facts, gap.join):
        parts.append("a gate")
    return by_axis(dict.fromkeys(gap.labels, ", ".join(parts)), facts.image_rank)
