"""Pixels of the input that no path connects to any output.

What it finds
-------------
Input pixels that cannot change the output, whatever the weights: strided windows that drop the
last rows and columns, strides wider than their kernel, crops, downscaling that skips cells. The
union over all paths counts: a pixel that one branch skips and another reads is not reported.
Paths through whole-map gates (squeeze-and-excitation, attention weights) do not count, since a
gate scales the whole map and says nothing of a place.

Why it matters
--------------
What falls on these pixels is invisible to the model: an object at the edge of the frame, a thin
line between two sampled rows. No training can mend it.

What to do
----------
Choose an input size at which the strides fit, pad the end of the window that drops the rows, or
pool before a stride that is wider than its kernel.

Limits
------
A single unread pixel is reported, unless the option ``limit`` allows a share of them. Proven from
the graph: an operator that is not understood is taken to read everything, so that a pixel is never
called unread by mistake, and such operators are listed as not analysed.

References
----------
https://arxiv.org/abs/2010.02178 (Mind the Pad: CNNs can develop blind spots)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from scotoma.evidence.hidden import hidden, is_gate, may_crop, may_shrink, slide
from scotoma.evidence.unread import every_pixel_read
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

    Ranges = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Options(RuleOptions):
    """What a user can set."""

    limit: Fraction = option(Fraction(0), "share of unread pixels that is allowed", 0, 1)


class UnreadPixels(Rule):
    """Some input pixels have no path to the output."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC101", name="unread-pixels", severity=Severity.WARNING, since="0.1.0",
        references=("https://arxiv.org/abs/2010.02178",),
    )  # fmt: skip

    options = Options

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one finding for the whole graph."""
        if (unseen := hidden(facts, is_concerned)) is not None:
            yield self.undecided(unseen.reason, unseen.cause)
        dead = facts.dead(local=True)
        limit = facts.options(Options).limit
        if dead is None or dead.fraction <= limit:
            return
        count, total = dead.count, dead.mask.size
        gated = facts.dead()
        through = " but through whole-map gates" if gated is None or gated.fraction == 0 else ""
        losses = facts.losses()
        names = [loss.operator.name for loss in losses]
        blame = f": {listing(names)} {'leaves' if len(names) == 1 else 'leave'} them unread"
        where = [
            Location(
                loss.operator.name, loss.operator.op_type, loss.tensor,
                f"{np.count_nonzero(loss.pixels)} of the pixels are lost here",
            )
            for loss in losses
        ] or [Location(None)]  # fmt: skip
        yield self.finding(
            where,
            f"{count:,} of {total:,} pixels ({float(dead.fraction):.2%}) have no path to the "
            f"output{through}{places(*dead.ranges)}{blame if names else ''}",
            Measurement("dead_pixels", count, "px", limit=int(limit * total)),
            Measurement("dead_pixel_fraction", dead.fraction, "1", limit=limit),
            remedy=remedy(facts),
        )


def places(rows: Ranges, columns: Ranges) -> str:
    """Say which rows and columns are unread throughout.

    Examples
    --------
    >>> places([(223, 223)], [(223, 223)])
    ' (all of row 223 and column 223)'
    >>> places([(0, 1), (5, 6)], [])
    ' (all of rows 0-1, 5-6)'
    """
    parts = [part for part in (_axis("row", rows), _axis("column", columns)) if part]
    return f" (all of {' and '.join(parts)})" if parts else ""


def _axis(word: str, ranges: Ranges, shown: int = 4) -> str:
    if not ranges:
        return ""
    spans = [str(a) if a == b else f"{a}-{b}" for a, b in ranges[:shown]]
    if len(ranges) > shown:
        spans.append(f"… {len(ranges) - shown} more ranges")
    single = len(ranges) == 1 and ranges[0][0] == ranges[0][1]
    return f"{word if single else word + 's'} {', '.join(spans)}"


def listing(names: Sequence[str], shown: int = 3) -> str:
    """Name some operators.

    Examples
    --------
    >>> listing(["a", "b"]), listing(["a", "b", "c", "d"])
    ("'a' and 'b'", "'a', 'b', 'c' and 1 more")
    """
    quoted = [f"'{name}'" for name in names[:shown]]
    if len(names) > shown:
        return f"{', '.join(quoted)} and {len(names) - shown} more"
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def remedy(facts: Facts, reach: int = 8) -> str:
    """Name the nearest input sizes at which every pixel is read, if there are any close by."""
    examined = facts.resolution.examined
    if examined is not None and examined.shape is not None:
        size = [examined.shape[a] for a in examined.spatial_axes]
        reach = min(reach, min(size) // 8)
        found = [
            _nearest(facts, size, range(-1, -reach - 1, -1)),
            _nearest(facts, size, range(1, reach + 1)),
        ]
        if any(found):
            sizes = " or ".join(text for text in found if text)
            return f"at {sizes} every pixel is read; or pad the lossy window at its end"
    return "pad the end of the window that drops cells, or read them in another branch"


def _nearest(facts: Facts, size: Sequence[int], steps: Iterable[int]) -> str:
    """Return the first size, moved by the steps in turn, at which every pixel is read."""
    for step in steps:
        other = [n + step for n in size]
        if every_pixel_read(facts, other):
            return "x".join(map(str, other))
    return ""


def is_concerned(facts: Facts, operator: Operator) -> bool:
    """Tell whether an operator may leave cells of a map unread, or read what others leave."""
    found = slide(facts, operator)
    strided = found is not None and found.is_strided
    return strided or any(may(facts, operator) for may in (may_shrink, may_crop, is_gate))
