"""A dilated window with SAME_UPPER or SAME_LOWER padding, which onnxruntime cannot do.

What it finds
-------------
Convolutions with ``auto_pad`` SAME_UPPER or SAME_LOWER and a dilation above 1 on some axis, a 1x1
kernel included, and pools of which the same padding comes out wrong for the dilation.

Why it matters
--------------
onnxruntime refuses such a convolution when it runs: "Dilation not supported for AutoPadType". The
checker and the shape inference of onnx say nothing. Of such a pool it leaves the dilation out of
the padding, so that the map is smaller than the specification says. PyTorch writes these models:
``padding="same"`` with a dilation, by the TorchScript exporter.

What to do
----------
Write the pads out: with extent ``(kernel - 1) * dilation + 1`` and stride 1, ``extent - 1`` cells,
half of them on each side. The finding says which pads fit the examined size.

References
----------
onnxruntime issue 20582.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.auto_pad import (
    automatic,
    declared_pads,
    explicit_pads,
    is_convolution,
    is_dilated,
    is_pool,
    is_pool_beyond_specification,
    numbers,
    remedy,
)
from scotoma.evidence.scopes import scopes
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator


class DilatedAutoPad(Rule):
    """Automatic padding of a dilated window."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC405", name="dilated-auto-pad", severity=Severity.ERROR, since="0.1.0",
        references=("https://github.com/microsoft/onnxruntime/issues/20582",),
    )  # fmt: skip

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one finding with all convolutions that are refused, and every pool."""
        for _, operator in facts.walk():
            if automatic(operator).startswith("SAME") and is_dilated(operator):
                break
        else:
            return
        refused: list[Operator] = []
        for scope in scopes(facts):
            for operator in scope.operators:
                if not automatic(operator).startswith("SAME") or not is_dilated(operator):
                    continue
                if declared_pads(operator) or operator.op_type == "ConvTranspose":
                    continue
                if is_convolution(operator):
                    refused.append(operator)
                elif is_pool(operator):
                    wrong = is_pool_beyond_specification(facts, operator)
                    if wrong is None:
                        yield self.undecided("the size of its input is not known", operator)
                    elif wrong:
                        yield self._smaller(facts, operator)
        if refused:
            yield self._refused(facts, refused)

    def _refused(self, facts: Facts, operators: list[Operator]) -> Finding:
        first, widest = operators[0], max(map(dilation_of, operators))
        modes = " or ".join(sorted(set(map(automatic, operators))))
        if len(operators) == 1:
            what = f"it has a dilation of {widest} and auto_pad={modes}"
        else:
            what = f"it and {len(operators) - 1} more convolutions have dilations of up to "
            what += f"{widest} and auto_pad={modes}"
        return self.finding(
            [Location(op.name, op.op_type, None, described(facts, op)) for op in operators],
            f"{what}, which onnxruntime refuses when it runs (dilation 1 at most)",
            Measurement("dilation", widest, "1", limit=1),
            Measurement("convolutions", len(operators), "operators", limit=0),
            remedy=remedy(facts, first)
            if len({remedy(facts, op) for op in operators}) == 1
            else "take auto_pad out and write the pads that each place needs",
        )

    def _smaller(self, facts: Facts, operator: Operator) -> Finding:
        windows, pads = facts.windows(operator) or (), explicit_pads(facts, operator) or ()
        actual = [*(w.pad_begin for w in windows), *(w.pad_end for w in windows)]
        return self.finding(
            operator,
            f"auto_pad={automatic(operator)} means pads of {list(pads)} with its dilation of "
            f"{dilation_of(operator)}; onnxruntime leaves the dilation out and pads by {actual}, "
            f"which makes {'x'.join(str(w.size_out) for w in windows)} windows instead of "
            f"{'x'.join(str(-(-w.size_in // w.stride)) for w in windows)}",
            Measurement("padding", sum(actual), "cells", limit=sum(pads)),
            remedy=remedy(facts, operator),
        )


def described(facts: Facts, operator: Operator) -> str:
    """Say how wide a convolution's dilation is and which pads it needs at the examined size."""
    pads = explicit_pads(facts, operator)
    needed = "" if pads is None else f", needs pads={list(pads)} at this size"
    return f"dilation {dilation_of(operator)}{needed}"


def dilation_of(operator: Operator) -> int:
    """Return the widest dilation of an operator's window."""
    return max(numbers(operator, "dilations"))
