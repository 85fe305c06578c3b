"""Cells of a transposed convolution's output that no tap writes.

What it finds
-------------
Transposed convolutions that leave rows or columns of their output without any input: a kernel
smaller than the stride (or whose dilation shares a factor with it) leaves gaps between the cells,
and ``output_padding`` beyond the reach of the last tap leaves rows and columns at the end.

Why it matters
--------------
These cells hold the bias alone, whatever the image: lines through a mask, or a border of it.

What to do
----------
Use a kernel at least as large as the stride, and an ``output_padding`` of at most
``(kernel - 1) * dilation + 1 - stride + pads``; or pad or resize to reach the size.

Limits
------
The option ``limit`` allows a share of the output to be unwritten (0). A note where all that reads
the output are windows that reach past the gaps, as in upsampling by inserting zeros and filtering.

References
----------
onnx operator ConvTranspose.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.gaps import Gap, gaps, is_blended
from scotoma.findings import Finding, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

AXES = {1: ("cells",), 2: ("rows", "columns"), 3: ("slices", "rows", "columns")}
"""What the cells along each spatial axis are called, by the number of axes."""


@dataclass(frozen=True, slots=True)
class Options(RuleOptions):
    """What a user can set."""

    limit: Fraction = option(Fraction(0), "share of the output that may be unwritten", 0, 1)


class UnwrittenOutput(Rule):
    """Parts of the output hold the bias alone."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC602",
        name="unwritten-output",
        severity=Severity.WARNING,
        since="0.1.0",
        references=("https://onnx.ai/onnx/operators/onnx__ConvTranspose.html",),
    )

    options = Options

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield every transposed convolution that leaves cells unwritten."""
        limit = facts.options(Options).limit
        for operator in facts.operators:
            windows = facts.windows(operator)
            if operator.op_type != "ConvTranspose":
                continue
            if windows is None:
                yield self.undecided("the size of its input is not known", operator)
                continue
            found = [gap for a, w in enumerate(windows) if (gap := gaps(w, a)) is not None]
            if found and unwritten_fraction(found) > limit:
                blended = is_blended(facts, operator, max(gap.run for gap in found))
                yield self._finding(operator, found, len(windows), limit, blended=blended)

    def _finding(
        self, operator: Operator, found: list[Gap], rank: int, limit: Fraction, *, blended: bool
    ) -> Finding:
        names = AXES.get(rank, ("cells",) * rank)
        lines = " and ".join(
            f"{gap.unwritten} of {gap.size} {names[gap.axis]}{_where(gap)}" for gap in found
        )
        share = unwritten_fraction(found)
        end = ", which the windows behind it blend with written cells" if blended else ""
        return self.finding(
            operator,
            f"no tap writes {lines}: {float(share):.1%} of the output is the bias alone{end}",
            Measurement("unwritten_fraction", share, "1", limit=limit),
            remedy=(
                "use a kernel of at least the stride"
                if any(gap.interior for gap in found)
                else "lower output_padding, or resize to reach the size"
            ),
            severity=Severity.NOTE if blended else None,
        )


def _where(gap: Gap) -> str:
    return " in between" if gap.interior else " at the border"


def unwritten_fraction(found: list[Gap]) -> Fraction:
    """Return the part of the cells that lie in some unwritten row or column.

    Examples
    --------
    >>> unwritten_fraction([Gap(0, 1, 4, True, 1), Gap(1, 1, 2, True, 1)])
    Fraction(5, 8)
    """
    return 1 - prod(
        (Fraction(gap.size - gap.unwritten, gap.size) for gap in found), start=Fraction(1)
    )
