"""Learned upsampling whose weights fill the cells of a tile unevenly: a checkerboard.

What it finds
-------------
The last upsampling before an output that is a map (an image, a mask): a transposed convolution with
a stride, or a convolution followed by a pixel shuffle (``DepthToSpace``, or the same by Reshape and
Transpose). Its weights are added up for each place in a tile of stride by stride cells; on a flat
input these sums are the output, exactly, and the tile repeats. Reported where they differ by more
than 30 % (option ``limit``) of their mean size. Where the network in front can be followed, the
flat input is what it makes of a flat image, so that a trained net whose sums differ for other
inputs only stays silent.

Why it matters
--------------
A pattern with the period of the stride lies over flat areas of every output. Kernels that are no
multiple of their stride tend to it, because neighbours get different numbers of taps, but training
may even them out, and a kernel that is a multiple guarantees nothing.

What to do
----------
Resize (nearest or linear) and convolve instead, or start from weights that are even (ICNR for pixel
shuffles, bilinear for transposed convolutions) and train on. A convolution of 3x3 behind the
upsampling, or a blur, attenuates the pattern.

Limits
------
Silent where a window of more than one cell follows: it blends the phases. Where the weights cannot
be read, a kernel that is no multiple of its stride is a note. Cells that get no tap at all belong
to unwritten-output. The borders of the flat image are left out, although averages over whole maps
see them, so that the number differs a little from what a runtime shows.

References
----------
Odena et al. 2016, Deconvolution and checkerboard artifacts; Aitken et al. 2017.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scotoma.errors import WeightsUnavailableError
from scotoma.evidence.auto_pad import numbers
from scotoma.evidence.gaps import gaps
from scotoma.evidence.hidden import hidden
from scotoma.evidence.pointwise import UNARY, ends_in_a_map, pointwise
from scotoma.evidence.upsampling import Unevenness, Upsampling, unevenness, upsamplings
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator


@dataclass(frozen=True, slots=True)
class Options(RuleOptions):
    """What a user can set."""

    limit: float = option(0.3, "difference of the phases over their mean size that is allowed", 0)


class CheckerboardUpsampling(Rule):
    """A pattern with the period of the stride lies over the output."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC601",
        name="checkerboard-upsampling",
        severity=Severity.WARNING,
        since="0.1.0",
        references=(
            "https://distill.pub/2016/deconv-checkerboard/",
            "https://arxiv.org/abs/1707.02937",
        ),
    )

    options = Options

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield every last upsampling with uneven phases."""
        limit = facts.options(Options).limit
        if (unseen := hidden(facts, may_upsample)) is not None:
            yield self.undecided(unseen.reason, unseen.cause)
        for shuffle in facts.operators:
            if shuffle.op_type == "DepthToSpace" and is_blocked(facts, shuffle):
                reason = "the weights in front of it are stored in blocks, which are not read"
                yield self.undecided(reason, shuffle)
        for item in upsamplings(facts):
            if not ends_in_a_map(facts, item.operator.outputs[0]):
                if (reader := unknown_reader(facts, item)) is not None:
                    reason = f"it is not analysed, and reads the map of '{item.operator.name}'"
                    yield self.undecided(reason, reader)
                continue
            windows = facts.windows(item.operator) or ()
            found = [gaps(window, axis) for axis, window in enumerate(windows)]
            if any(gap is not None and gap.interior for gap in found):
                continue
            try:
                uneven = unevenness(facts, item, limit)
            except WeightsUnavailableError as error:
                if item.overlaps_evenly:
                    reason = f"whether its phases are even depends on its weights: {error}"
                    yield self.undecided(reason, item.operator)
                else:
                    yield self._by_structure(item)
                continue
            if uneven is not None and uneven.score > limit:
                yield self._finding(item, uneven, limit)

    def _finding(self, item: Upsampling, uneven: Unevenness, limit: float) -> Finding:
        tile = "x".join(map(str, item.strides))
        flat = "flat image" if uneven.flat_image else "flat input"
        places = [Location(item.operator.name, item.operator.op_type)]
        if item.convolution is not item.operator:
            note = "its weights decide"
            places.append(Location(item.convolution.name, item.convolution.op_type, None, note))
        return self.finding(
            places,
            f"on a {flat} the values in each tile of {tile} cells differ by {uneven.score:.0%} of "
            f"their mean size (channel {uneven.channel}, limit {limit:.0%})",
            Measurement("phase_unevenness", round(uneven.score, 6), "1", limit=limit),
            remedy="resize and convolve instead, or train from weights with even phases (ICNR, "
            "bilinear), or blur the output",
        )

    def _by_structure(self, item: Upsampling) -> Finding:
        kernel, strides = ("x".join(map(str, pair)) for pair in (item.kernel, item.strides))
        return self.finding(
            item.operator,
            f"its {kernel} kernel is no multiple of its stride {strides}, so that neighbouring "
            "cells get different numbers of taps; whether the weights even it out cannot be told, "
            "because they cannot be read",
            remedy="use a kernel that is a multiple of the stride, or resize and convolve",
            severity=Severity.NOTE,
        )


def may_upsample(facts: Facts, operator: Operator) -> bool:
    """Tell whether an operator whose windows are not known may be a learned upsampling."""
    if operator.op_type == "ConvTranspose":
        strided = max(numbers(operator, "strides"), default=1) > 1
        return strided and facts.windows(operator) is None
    shuffles = len(numbers(operator, "perm")) == 6 and operator.op_type == "Transpose"
    return (operator.op_type == "DepthToSpace" or shuffles) and not operator.domain


def unknown_reader(facts: Facts, item: Upsampling) -> Operator | None:
    """Return an operator that is not analysed and reads what an upsampling makes, if any does."""
    unknown = {entry.node for entry in facts.unanalysed}
    readers = (
        reader
        for name in (pointwise(facts, item.operator.outputs[0]) if unknown else ())
        for reader in facts.consumers.get(name, ())
    )
    return next((reader for reader in readers if reader.name in unknown), None)


def is_blocked(facts: Facts, shuffle: Operator) -> bool:
    """Tell whether onnxruntime's layout optimisation has rearranged a shuffle's convolution."""
    maker = facts.producers.get(shuffle.inputs[0]) if shuffle.inputs else None
    while maker is not None and maker.inputs and maker.op_type in {"ReorderOutput", *UNARY}:
        maker = facts.producers.get(maker.inputs[0])
    return maker is not None and maker.domain == "com.microsoft.nchwc" and "Conv" in maker.op_type
