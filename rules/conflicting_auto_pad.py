"""A window with both auto_pad and pads: runtimes refuse it, or take one or the other.

What it finds
-------------
Convolutions with ``auto_pad`` other than NOTSET and ``pads`` as well, whatever these are; and pools
with both, where the two give different windows.

Why it matters
--------------
The specification allows one of them only. onnxruntime does not load such a convolution. Of a pool
it takes ``auto_pad``, and the shape inference of onnx takes ``pads``: the map has one size by the
file and another at run time, and a runtime that trusts the file reads other pixels.

What to do
----------
Keep the one that was trained with. ``pads`` says the same at every input size to every runtime.

References
----------
onnx operator Conv, attribute pads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.auto_pad import automatic, declared_pads, is_convolution
from scotoma.findings import Finding, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window


class ConflictingAutoPad(Rule):
    """Two ways of padding at once."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC407", name="conflicting-auto-pad", severity=Severity.ERROR, since="0.1.0",
        references=("https://onnx.ai/onnx/operators/onnx__Conv.html",),
    )  # fmt: skip

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield every operator with both attributes, those in bodies included."""
        for _, operator in facts.walk():
            pads = declared_pads(operator)
            if not pads:
                continue
            if is_convolution(operator):
                yield self._refused(operator, pads)
                continue
            windows = facts.windows(operator)
            if windows is not None:
                if automatic_pads(windows) != pads:
                    yield self._two_sizes(operator, pads, windows)
            elif any(pads) or automatic(operator) != "VALID":
                yield self.undecided("the size of its input is not known", operator)

    def _refused(self, operator: Operator, pads: tuple[int, ...]) -> Finding:
        return self.finding(
            operator,
            f"it has auto_pad={automatic(operator)} and pads={list(pads)}; onnxruntime does not "
            "load a model with both",
            Measurement("ways_of_padding", 2, "1", limit=1),
            remedy="take out the one of the two that was not trained with",
        )

    def _two_sizes(
        self, operator: Operator, pads: tuple[int, ...], windows: tuple[Window, ...]
    ) -> Finding:
        automatic_ = automatic_pads(windows)
        return self.finding(
            operator,
            f"auto_pad={automatic(operator)} pads it by {list(automatic_)} and its pads are "
            f"{list(pads)}; onnxruntime takes the first and onnx's shape inference the second",
            Measurement("padding", sum(automatic_), "cells", limit=sum(pads)),
            remedy="take out the one of the two that was not trained with",
        )


def automatic_pads(windows: tuple[Window, ...]) -> tuple[int, ...]:
    """Return the padding in force, all begins before all ends.

    Examples
    --------
    >>> from scotoma.resolve.window import Window
    >>> automatic_pads((Window(3, 2, 1, 0, 1, 8, 4, auto_pad="SAME_UPPER"),))
    (0, 1)
    """
    return (*(w.pad_begin for w in windows), *(w.pad_end for w in windows))
