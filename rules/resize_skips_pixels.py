"""Downscaling without antialiasing that steps over cells.

What it finds
-------------
Resize operators that make the image or a feature map smaller and interpolate between the nearest
cells only, so that some cells count for no output: linear by a quarter reads two of four, nearest
by a half one of two, along each axis. Only cells that no other operator reads, and the share of
them (silent up to the option ``limit``, 0). Linear halving with half-pixel centres averages all
cells and is silent.

Why it matters
--------------
Thin lines, small letters and single pixels vanish or flicker with a shift by a pixel, and what is
skipped cannot be learned. Preprocessing in training usually averaged.

What to do
----------
Set antialias=1 (opset 18), scale by halves, or pool by the average before.

References
----------
https://github.com/pytorch/pytorch/issues/80033, https://arxiv.org/abs/2104.11222 (On aliased
resizing)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from scotoma.evidence.axes import axis_names
from scotoma.evidence.hidden import hidden, is_gate, may_shrink
from scotoma.evidence.resampling import Resized, readers, resized_axes, spread, unread_cells
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

RESIZES = frozenset({"Resize", "Upsample"})


@dataclass(frozen=True, slots=True)
class Options(RuleOptions):
    """What a user can set."""

    limit: Fraction = option(Fraction(0), "share of the cells that may be skipped", 0, 1)


class ResizeSkipsPixels(Rule):
    """A downscaling that reads only some of its input."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC108", name="resize-skips-pixels", severity=Severity.WARNING, since="0.1.0",
        references=("https://github.com/pytorch/pytorch/issues/80033",
                    "https://arxiv.org/abs/2104.11222"),
    )  # fmt: skip

    options = Options

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one finding for every such operator."""
        geometry = facts.geometry
        resizes = [op for op in facts.operators if op.op_type in RESIZES]
        unseen = hidden(facts, is_concerned) if resizes else None
        if unseen is not None:
            yield self.undecided(unseen.reason, unseen.cause)
        if geometry is None or not resizes:
            return
        limit = facts.options(Options).limit
        read_by = readers(geometry, facts.functional())
        for operator in resizes:
            axes = [a for a in resized_axes(geometry, operator) if a.skipped.any()]
            if not axes:
                continue
            tensor = operator.inputs[0]
            if tensor in facts.functional() or not leads_on(facts, operator, read_by):
                continue
            unread = unread_cells(geometry, tensor, read_by[tensor])
            skipped = np.zeros(unread.shape, bool)
            for axis in axes:
                skipped = skipped | spread(geometry, tensor, axis.label, axis.skipped)
            skipped &= unread
            share = Fraction(int(skipped.sum()), skipped.size)
            if share <= limit:
                continue
            yield self.finding(
                Location(operator.name, operator.op_type, tensor),
                f"reads {listed(axes, geometry.rank)} of {whose(facts, tensor)} and has no "
                f"antialiasing: {float(share):.1%} of the cells count for nothing",
                Measurement("skipped_cell_fraction", share, "1", limit=limit),
                remedy="set antialias=1 (opset 18), or average before: by a half, linear reads all",
            )


def leads_on(facts: Facts, operator: Operator, read_by: Mapping[str, object]) -> bool:
    """Tell whether an operator's output is read on the way to an output of the model, or is one."""
    out = operator.outputs[0]
    return out in read_by or out in facts.functional()


def listed(axes: list[Resized], rank: int) -> str:
    """Say how many cells are read along each axis, once where they agree.

    Examples
    --------
    >>> half = Resized(0, 8, 4, np.arange(8) % 2 == 0, Fraction(8))
    >>> listed([half], 2), listed([half, half], 2), listed([half], 1)
    ('4 of 8 cells along the height', '4 of 8 cells along each axis', '4 of 8 cells')
    """
    said = [f"{int(a.read.sum())} of {a.size_in}" for a in axes]
    if len(axes) == rank and len(set(said)) == 1:
        return f"{said[0]} cells{' along each axis' if rank > 1 else ''}"
    names = axis_names(rank)
    return " and ".join(
        f"{text} cells along the {names[a.label]}" for text, a in zip(said, axes, strict=True)
    )


def whose(facts: Facts, tensor: str) -> str:
    """Say whether a tensor has the pixels of the image as its cells."""
    image = all(f == 1 for f in facts.receptive_field(tensor) or (0,))
    return "the image" if image else f"the feature map '{tensor}'"


def is_concerned(facts: Facts, operator: Operator) -> bool:
    """Tell whether an operator may step over cells of a map, or read what others step over."""
    return may_shrink(facts, operator) or is_gate(facts, operator)
