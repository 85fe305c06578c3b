"""Output maps whose grid does not lie centred on the image.

What it finds
-------------
Where a graph output is a feature map, its cells stand for places in the image: the centre of the
whole grid should be the centre of the image, and the first cell should be centred on
``(stride - 1) / 2``, the middle of the first block of pixels. Reported is how far the receptive
fields of the cells lie off that, in pixels, for the output where it is most.

Why it matters
--------------
Whoever turns cells into coordinates by ``(cell + 0.5) * stride`` is off by this much. Most
networks with padded 3x3 layers of stride 2 are, by half their stride and less; a detector trained
that way has learnt it, but a decoder, a new head or a comparison with another model has not.

What to do
----------
Add the offset when cells are turned into pixels, or train with a backbone and a size that keep the
grid centred: 2x2 or 4x4 windows with stride 2, or sizes at which no padding is left over.

Limits
------
A note whatever the model is for: the grid of most padded detectors and segmenters is off, and one
that was trained so has learnt it. Only outputs that keep the image's axes; boxes and scores that
were flattened into a list are left out. Along a U-Net's skips the widest path counts. Offsets of
half a pixel and less (option ``limit``) are not reported, and neither is the first cell of a
centred map that unpadded layers made smaller.

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
from scotoma.evidence.hidden import causes, reads_a_map
from scotoma.evidence.joins import grid_offsets
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option

if TYPE_CHECKING:
    from scotoma.evidence.joins import Offset
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator, Value


@dataclass(frozen=True, slots=True)
class Options(RuleOptions):
    """What a user can set."""

    limit: Fraction = option(
        Fraction(1, 2), "pixels of the input that a grid may lie off without a note", 0
    )


class ShiftedOutputGrid(Rule):
    """The cells of a dense output are centred beside their places."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC207", name="shifted-output-grid", severity=Severity.NOTE, since="0.1.0",
        references=("https://distill.pub/2019/computing-receptive-fields/",),
    )  # fmt: skip

    options = Options

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one note with every output that is off."""
        for value in facts.model.main.outputs:
            cause = facts.once(causes).get(value.name)
            if cause is not None and may_be_map(facts, value, cause):
                reason = f"it is not analysed, so that the grid of output '{value.name}' is unknown"
                yield self.undecided(reason, cause)
                break
        causal, limit = facts.once(causal_axes), facts.options(Options).limit
        off = [o for o in grid_offsets(facts) if o.label not in causal and is_off(o, limit)]
        if not off:
            return
        worst = max(off, key=lambda o: max(abs(o.grid), abs(o.first)))
        by_output: dict[str, dict[int, str]] = {}
        for o in off:
            by_output.setdefault(o.tensor, {})[o.label] = (
                f"grid {pixels(o.grid)} off the centre of the image, first cell "
                f"{pixels(o.first)} off {float(o.ideal):.3g}"
            )
        where = [
            Location(None, None, tensor, by_axis(said, facts.image_rank))
            for tensor, said in by_output.items()
        ]
        names = len(by_output)
        yield self.finding(
            where,
            f"the grid of output '{worst.tensor}'{'' if names == 1 else f' ({names} outputs)'} "
            f"lies {pixels(worst.grid)} off the centre of the image, and its first cell is "
            f"centred on {float(worst.ideal + worst.first):.3g} instead of "
            f"{float(worst.ideal):.3g} px",
            Measurement("grid_offset", worst.grid, "px", limit=limit),
            Measurement("first_cell_offset", worst.first, "px", limit=limit),
            Measurement("effective_stride", worst.stride, "px"),
            remedy=f"add {pixels(worst.first)} when cells are turned into pixels, unless the "
            f"model's answers were trained to hold it"
            if worst.first
            else "the cells lie in place; choose an input size that they cover evenly",
        )


def is_off(offset: Offset, limit: Fraction) -> bool:
    """Tell whether a grid is off, or the first cell of one that covers the image."""
    covers = offset.stride > 1 and offset.stride * offset.cells >= offset.size
    return abs(offset.grid) > limit or (covers and abs(offset.first) > limit)


def may_be_map(facts: Facts, output: Value, cause: Operator) -> bool:
    """Tell whether an output that is made by, or behind, an unknown operator may be a map."""
    examined = facts.resolution.examined
    if examined is None or examined.shape is None or not reads_a_map(facts, cause):
        return False
    if facts.geometry is not None and facts.geometry.local_grids(output.name) is not None:
        return False
    return output.shape is None or len(output.shape) == len(examined.shape)
