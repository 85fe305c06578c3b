"""Layers behind a receptive field that already covers the image.

What it finds
-------------
Convolutions with kernels larger than one cell on maps of which an interior unit already has the
whole image in its receptive field, with their share of the model's parameters and multiply-adds.
One note for the model.

Why it matters
--------------
Such a layer adds no context any more, and much of what it reads lies beyond the image: padding.
Measured on several families of networks, these layers add little to the accuracy, so a model with
many of them is larger and slower than the image needs.

What to do
----------
Nothing for a pretrained model that is good enough. When designing for this size: a larger input,
less downsampling in the stem, or fewer late layers.

Limits
------
Most classifiers have some at their native size: a fact worth knowing, no defect. Fields are
theoretical, along local paths.

References
----------
https://arxiv.org/abs/2106.12307 (Should you go deeper?)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator


class BorderLayer(Rule):
    """Convolutions that can see no more than their input has seen."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC106", name="border-layer", severity=Severity.NOTE, since="0.1.0",
        references=("https://arxiv.org/abs/2106.12307",),
    )  # fmt: skip

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one note with every such layer."""
        wide = [op for op in facts.operators if is_wide(facts, op)]
        found = [op for op in wide if covers(facts, op.inputs[0])]
        if not found:
            return
        layers = [op for op in facts.operators if facts.multiply_adds(op) is not None]
        parameters = share(map(facts.parameters, found), map(facts.parameters, layers))
        work = share(map(facts.multiply_adds, found), map(facts.multiply_adds, layers))
        yield self.finding(
            [Location(op.name, op.op_type, op.inputs[0], field(facts, op)) for op in found],
            f"{len(found)} of {len(wide)} convolutions with kernels larger than one cell read a "
            f"map whose receptive field already covers the "
            f"{'x'.join(map(str, facts.image_size))} image, first '{found[0].name}': "
            f"{float(parameters):.1%} of the parameters, {float(work):.1%} of the multiply-adds",
            Measurement("border_layers", len(found), "layers", limit=0),
            Measurement("parameter_share", parameters, "1"),
            Measurement("multiply_add_share", work, "1"),
            remedy="nothing if accuracy is good; else a larger input or fewer late layers",
        )


def is_wide(facts: Facts, operator: Operator) -> bool:
    """Tell whether an operator is a convolution with a kernel larger than one cell."""
    windows = facts.windows(operator)
    return (
        bool(windows)
        and "Conv" in operator.op_type
        and operator.op_type != "ConvTranspose"
        and any(window.kernel > 1 for window in windows or ())
    )


def covers(facts: Facts, tensor: str) -> bool:
    """Tell whether the receptive field of a map is as large as the image along every axis."""
    known, image = facts.receptive_field(tensor), facts.image_size
    return known is not None and all(f >= n for f, n in zip(known, image, strict=True))


def field(facts: Facts, operator: Operator) -> str:
    """Say how much of the image a layer's input has seen."""
    known = facts.receptive_field(operator.inputs[0]) or ()
    return f"its input has a receptive field of {'x'.join(map(str, known))} px"


def share(part: Iterable[int | None], whole: Iterable[int | None]) -> Fraction:
    """Return the sum of some numbers in units of the sum of others, zero for nothing.

    Examples
    --------
    >>> share([1, None], [2, 3, None])
    Fraction(1, 5)
    """
    total = sum(number or 0 for number in whole)
    return Fraction(sum(number or 0 for number in part), total) if total else Fraction(0)
