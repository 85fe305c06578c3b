"""Skip connections that crop, pad or stretch because the strides do not divide the input size.

What it finds
-------------
A network that goes down by strides and up again meets its own maps at skip connections. Where the
input is no multiple of the total stride, a division drops a row or column on the way down, and the
way up must make up for it: by a Pad, a Slice or a Resize to a size that is no whole multiple. These
operators are named, with the nearest input sizes that need none of them.

Why it matters
--------------
The coarse map no longer covers the same part of the image as the fine one that it is joined with:
padded rows hold nothing, cropped ones are computed for nothing, and a stretched map drifts against
the other by up to a cell. The last rows and columns of masks and boxes are the ones that suffer.

What to do
----------
Run the model at one of the sizes named, padding the image rather than the maps.

Limits
------
Crops and pads of more cells than the option ``limit`` says (0) count. Crops of as many cells as the
upsampling factor or more are taken for part of the plan (U-Nets without padding), gates are left
out, and a model that needs the same operators at a divisible size too is not reported. A model with
a fixed input size cannot be tried at another: there the nearest multiples of the total stride are
named.

References
----------
https://arxiv.org/abs/1505.04597 (U-Net: choose the tile size so that all poolings divide)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.axes import by_axis
from scotoma.evidence.hidden import hidden, is_join
from scotoma.evidence.misfits import misfits, sizes_around, total_stride
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option

if TYPE_CHECKING:
    from scotoma.evidence.misfits import Misfit
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator


UPSAMPLING = frozenset({"ConvTranspose", "DepthToSpace", "Resize", "Upsample"})


@dataclass(frozen=True, slots=True)
class Options(RuleOptions):
    """What a user can set."""

    limit: int = option(0, "cells that a branch may be cropped or padded by", 0)


class IndivisibleInputSize(Rule):
    """Skip connections are made to fit at this input size."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC802", name="indivisible-input-size", severity=Severity.WARNING, since="0.1.0",
        references=("https://arxiv.org/abs/1505.04597",),
    )  # fmt: skip

    options = Options

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one finding with every operator that makes a branch fit."""
        if any(op.op_type in UPSAMPLING for op in facts.operators):
            unseen = hidden(facts, is_join)
            if unseen is not None:
                yield self.undecided(unseen.reason, unseen.cause)
        examined = facts.resolution.examined
        if examined is None or examined.shape is None:
            return
        size = tuple(examined.shape[a] for a in examined.spatial_axes)
        limit = facts.options(Options).limit
        found = [m for m in misfits(facts) if abs(m.after - m.before) > limit]
        if not found:
            return
        strides = total_stride(facts)
        found = [m for m in found if size[m.label] % strides[m.label]]
        candidates = sizes_around(size, strides) if found else []
        tried = [(c, other) for c in candidates if (other := facts.at(c)) is not None]
        fits = [c for c, other in tried if not misfits(other)]
        if not found or (tried and not fits):
            return
        names = list(dict.fromkeys(m.operator.name for m in found))
        worst = found[0]
        many = f"{len(names)} operators, first '{names[0]}'," if len(names) > 1 else f"'{names[0]}'"
        does = "make" if len(names) > 1 else "makes"
        stride = max(strides)
        sizes = " or ".join("x".join(map(str, c)) for c in (fits or candidates))
        yield self.finding(
            places(found, len(size)),
            f"{many} {does} branches fit that do not ({worst.before} to {worst.after} cells for "
            f"'{worst.join.operator.name}'): {'x'.join(map(str, size))} is no multiple of the "
            f"total stride {stride}",
            Measurement("total_stride", stride, "px"),
            Measurement("remainder", size[worst.label] % strides[worst.label], "px", limit=0),
            Measurement("operators", len(names), "operators", limit=0),
            remedy=f"run it at {sizes}, where every branch fits"
            if fits
            else f"export it for {sizes}: multiples of the total stride",
        )


def places(found: Iterable[Misfit], rank: int) -> list[Location]:
    """Return every operator with what it does to fit, once where its axes agree."""
    by_operator: dict[Operator, dict[int, str]] = {}
    for misfit in found:
        by_operator.setdefault(misfit.operator, {})[misfit.label] = said(misfit)
    return [
        Location(operator.name, operator.op_type, None, by_axis(axes, rank))
        for operator, axes in by_operator.items()
    ]


def said(misfit: Misfit) -> str:
    """Say what an operator does to fit along one axis."""
    kind = {"Pad": "pads", "Slice": "crops"}.get(misfit.operator.op_type, "resizes")
    return f"{kind} {misfit.before} to {misfit.after} cells for '{misfit.join.operator.name}'"
