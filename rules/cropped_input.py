"""Pixels that an operator cuts off and nothing else reads.

What it finds
-------------
Slices, splits, gathers by index and paddings with negative numbers that keep a part of the image
or of a feature map, where the rest has no other path to the output. And downscaling by factors
that do not divide the size: the number of outputs is rounded down, and the last cells fall behind
the end of the grid.

Why it matters
--------------
What lies there is invisible to the model. A crop may be meant; the same crop left over from
another input size is not.

What to do
----------
If the crop is meant, give the model the cropped image. Else remove it, or give Resize the sizes
instead of the scales.

Limits
------
A single pixel is reported, unless the option ``limit`` allows a share of them. A pixel that another
path reads is not lost: the four slices of a focus stem lose nothing. That the pixels are unread is
what unread-pixels says too; this rule says that they are cut off.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from scotoma.evidence.hidden import hidden, may_crop, may_shrink
from scotoma.evidence.resampling import crops_of
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

RESIZES = frozenset({"Resize", "Upsample"})
SIDES = {
    1: (("begin", "end"),),
    2: (("top", "bottom"), ("left", "right")),
}
"""What the two ends of each axis are called, by the number of axes."""


@dataclass(frozen=True, slots=True)
class Options(RuleOptions):
    """What a user can set."""

    limit: Fraction = option(Fraction(0), "share of the pixels that may be cut off", 0, 1)


class CroppedInput(Rule):
    """An operator keeps a part of the image, and nothing reads the rest."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC107", name="cropped-input", severity=Severity.WARNING, since="0.1.0",
    )  # fmt: skip

    options = Options

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one finding for every operator that cuts pixels off."""
        if (unseen := hidden(facts, is_concerned)) is not None:
            yield self.undecided(unseen.reason, unseen.cause)
        limit = facts.options(Options).limit
        for crop in crops_of(facts):
            count, total = int(crop.pixels.sum()), crop.pixels.size
            if count <= limit * total:
                continue
            resizes = crop.operator.op_type in RESIZES
            how = (
                "rounds its number of outputs down and so leaves"
                if resizes
                else f"keeps a part of '{crop.tensor}' and leaves"
            )
            yield self.finding(
                Location(crop.operator.name, crop.operator.op_type, crop.tensor),
                f"{how} {count:,} of {total:,} pixels ({count / total:.2%}) without a path to the "
                f"output{ends(crop.pixels)}",
                Measurement("cropped_pixels", count, "px", limit=int(limit * total)),
                Measurement("cropped_pixel_fraction", Fraction(count, total), "1", limit=limit),
                remedy="give it the output sizes instead of the scales"
                if resizes
                else "remove the crop, or give the model the cropped image if it is meant",
            )


def ends(lost: NDArray[np.bool_]) -> str:
    """Say how much is lost throughout at each end of each axis.

    Examples
    --------
    >>> lost = np.ones((6, 6), bool)
    >>> lost[1:4, 2:] = False
    >>> ends(lost)
    ': 1 px at the top, 2 at the bottom, 2 at the left'
    """
    names = SIDES.get(lost.ndim, tuple((f"axis {i}'s begin", f"axis {i}'s end")
                                       for i in range(lost.ndim)))  # fmt: skip
    parts = []
    for axis, sides in enumerate(names):
        others = tuple(other for other in range(lost.ndim) if other != axis)
        kept = np.flatnonzero(~lost.all(axis=others))
        if len(kept) == 0:
            return ""
        widths = int(kept[0]), lost.shape[axis] - 1 - int(kept[-1])
        parts += [(width, side) for width, side in zip(widths, sides, strict=True) if width]
    said = [f"{n}{'' if i else ' px'} at the {side}" for i, (n, side) in enumerate(parts)]
    return f": {', '.join(said)}" if said else ""


def is_concerned(facts: Facts, operator: Operator) -> bool:
    """Tell whether an operator may cut cells of a map off."""
    return may_crop(facts, operator) or may_shrink(facts, operator)
