"""A feature map whose declared or inferred shape is not the one that its operator makes.

What it finds
-------------
Shapes of feature maps in the file (``value_info`` and graph outputs) that differ from what their
operators make of the declared input, and ceil-mode pools with automatic padding of which onnx's
own shape inference makes another size than the runtime. The first on every path is named: all that
lies behind it follows. Ceil-mode windows and automatic padding that runtimes disagree on have
rules of their own.

Why it matters
--------------
Programs that believe the file, such as compilers, memory planners and shape checks in front of a
server, reserve and slice by a size that never comes. onnxruntime logs a warning and goes on with
the real shape, so that nobody notices until the next tool.

What to do
----------
Export again, or take the declared shapes of inner tensors out and let a current onnx infer them.

Limits
------
Only where the model is examined at the shapes that it declares for its inputs; a declared size
means nothing at another one.

References
----------
onnx pull request 5741; onnxruntime issue 16203.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.declared import declares_a_map, disagreements
from scotoma.evidence.hidden import hidden
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta

if TYPE_CHECKING:
    from scotoma.facts import Facts


class ShapeDisagreement(Rule):
    """The file says another shape than the operators make."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC404", name="shape-disagreement", severity=Severity.WARNING, since="0.1.0",
        references=("https://github.com/onnx/onnx/pull/5741",),
    )  # fmt: skip

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one finding with the first disagreement on every path."""
        if (unseen := hidden(facts, declares_a_map)) is not None:
            yield self.undecided(unseen.reason, unseen.cause)
        found = list(disagreements(facts))
        if not found:
            return
        first = found[0]
        said, actual = times(first.said), times(first.actual)
        who = "the file declares" if first.declared else "onnx infers"
        more = f"; so it is with {len(found) - 1} more" if len(found) > 1 else ""
        yield self.finding(
            [
                Location(
                    d.operator.name, d.operator.op_type, d.tensor,
                    f"{times(d.said)} {'declared' if d.declared else 'inferred'}, "
                    f"{times(d.actual)} made",
                )
                for d in found
            ],
            f"{who} {said} for '{first.tensor}', its operator makes {actual}{more}",
            Measurement("stated_shape", said, "cells", limit=actual),
            remedy=(
                "export again, or take the declared shapes out and infer them anew"
                if first.declared
                else "write the pads that are meant instead of auto_pad, or set ceil_mode=0"
            ),
        )  # fmt: skip


def times(shape: Sequence[int | str | None]) -> str:
    """Write a shape; a dimension that is left open is its name or a question mark.

    Examples
    --------
    >>> times((1, "n", None, 7))
    '1xnx?x7'
    """
    return "x".join("?" if n is None else str(n) for n in shape) or "a single number"
