"""A reflecting Pad that asks for more cells than its input has to reflect.

What it finds
-------------
Pads with ``mode="reflect"`` that add as many cells to some axis as it has, or more, at the examined
input size. What the same Pad crops is taken off first.

Why it matters
--------------
Without its border cell, which is not repeated, an axis of ``n`` cells has ``n - 1`` to reflect.
onnxruntime since 1.27 refuses more when it runs; up to 1.22 it read zeros, or memory that is not
the tensor's, and said nothing. PyTorch refuses it as well; onnx's shape inference does not.

What to do
----------
Feed an input large enough for the map in front of the Pad, or pad with ``edge`` or ``wrap``, which
know no such limit.

Limits
------
A model with a dynamic size is judged at the examined one; a smaller input may be refused as well.

References
----------
onnxruntime issues 8265, 11828 and 20801 and pull request 27652.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.borders import padding_of, reflections
from scotoma.findings import Finding, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta

if TYPE_CHECKING:
    from scotoma.evidence.borders import Padding
    from scotoma.facts import Facts


class ReflectPadTooLarge(Rule):
    """More reflected than there is."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC305", name="reflect-pad-too-large", severity=Severity.ERROR, since="0.1.0",
        references=(
            "https://github.com/microsoft/onnxruntime/issues/11828",
            "https://github.com/microsoft/onnxruntime/pull/27652",
        ),
    )  # fmt: skip

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield every reflecting Pad that is too wide."""
        for operator in facts.operators:
            if operator.op_type != "Pad" or operator.domain:
                continue
            if operator.attributes.get("mode") != "reflect":
                continue
            padding = padding_of(facts, operator)
            shape = facts.shape(operator.inputs[0])
            if padding is None or shape is None:
                yield self.undecided("its pads or the size of its input are not known", operator)
            elif wide := reflections(padding, shape):
                yield self._finding(padding, shape, max(wide, key=lambda axis: wide[axis][0]))

    def _finding(self, padding: Padding, shape: tuple[int, ...], axis: int) -> Finding:
        asked, most = reflections(padding, shape)[axis]
        return self.finding(
            padding.operator,
            f"it reflects {asked} {'cell' if asked == 1 else 'cells'} on axis {axis}, which has "
            f"{most} to reflect at this size (it is {shape[axis]} long); onnxruntime since 1.27 "
            "refuses that when it runs, up to 1.22 it read zeros",
            Measurement("reflected", asked, "cells", limit=most),
            remedy="use a larger input, or pad with edge or wrap",
        )
