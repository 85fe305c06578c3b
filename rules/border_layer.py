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
Most classifiers have some at their native size: a fact worth knowing, no defect. The option
``limit`` silences those that take less than a share of the multiply-adds. Fields are theoretical,
along local paths.

References
----------
https://arxiv.org/abs/2106.12307 (Should you go deeper?)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.hidden import hidden, slide
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window


@dataclass(frozen=True, slots=True)
class Options(RuleOptions):
    """What a user can set."""

    limit: Fraction = option(
        Fraction(0), "share of the multiply-adds from which on such layers are worth a note", 0, 1
    )


class BorderLayer(Rule):
    """Convolutions that can see no more than their input has seen."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC106", name="border-layer", severity=Severity.NOTE, since="0.1.0",
        references=("https://arxiv.org/abs/2106.12307",),
    )  # fmt: skip

    options = Options

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one note with every such layer."""
        if (unseen := hidden(facts, is_declared_wide)) is not None:
            yield self.undecided(unseen.reason, unseen.cause)
        wide = [op for op, windows in facts.windowed if is_wide(op, windows)]
        fields = {op: facts.receptive_field(op.inputs[0]) for op in wide}
        found = [op for op in wide if covers(fields[op], facts.image_size)]
        if not found:
            return
        done = {op: facts.multiply_adds(op) for op in facts.operators}
        stored = {op: facts.parameters(op) for op, number in done.items() if number is not None}
        parameters = share(map(stored.get, found), stored.values())
        work = share(map(done.get, found), done.values())
        limit = facts.options(Options).limit
        if work < limit:
            return
        yield self.finding(
            [Location(op.name, op.op_type, op.inputs[0], described(fields[op])) for op in found],
            f"{len(found)} of {len(wide)} convolutions with kernels larger than one cell "
            f"{'reads' if len(found) == 1 else 'read'} a "
            f"map whose receptive field already covers the "
            f"{'x'.join(map(str, facts.image_size))} image, first '{found[0].name}': "
            f"{float(parameters):.1%} of the parameters, {float(work):.1%} of the multiply-adds",
            Measurement("border_layers", len(found), "layers", limit=0),
            Measurement("parameter_share", parameters, "1"),
            Measurement("multiply_add_share", work, "1", limit=limit),
            remedy="nothing if accuracy is good; else a larger input or fewer late layers",
        )


def is_wide(operator: Operator, windows: tuple[Window, ...]) -> bool:
    """Tell whether an operator is a convolution with a kernel larger than one cell."""
    return (
        "Conv" in operator.op_type
        and operator.op_type != "ConvTranspose"
        and any(window.kernel > 1 for window in windows)
    )


def covers(field: tuple[int, ...] | None, image: tuple[int, ...]) -> bool:
    """Tell whether a receptive field is as large as the image along every axis.

    Examples
    --------
    >>> covers((224, 231), (224, 224)), covers((223, 231), (224, 224)), covers(None, (224, 224))
    (True, False, False)
    """
    return field is not None and all(f >= n for f, n in zip(field, image, strict=True))


def described(field: tuple[int, ...] | None) -> str:
    """Say how much of the image a layer's input has seen."""
    return f"its input has a receptive field of {'x'.join(map(str, field or ()))} px"


def share(part: Iterable[int | None], whole: Iterable[int | None]) -> Fraction:
    """Return the sum of some numbers in units of the sum of others, zero for nothing.

    Examples
    --------
    >>> share([1, None], [2, 3, None])
    Fraction(1, 5)
    """
    total = sum(number or 0 for number in whole)
    return Fraction(sum(number or 0 for number in part), total) if total else Fraction(0)


def is_declared_wide(facts: Facts, operator: Operator) -> bool:
    """Tell whether an operator declares to be a convolution with a kernel larger than one cell."""
    found = slide(facts, operator) if "Conv" in operator.op_type else None
    return found is not None and found.is_wide
