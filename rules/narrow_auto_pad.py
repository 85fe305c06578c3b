"""SAME_UPPER or SAME_LOWER padding of a window that is narrower than its stride.

What it finds
-------------
Windows with ``auto_pad`` SAME_UPPER or SAME_LOWER for which, with input ``n``, kernel ``k`` and
stride ``s``, ``(ceil(n / s) - 1) * s + k - n`` is below zero: they need less than no padding.

Why it matters
--------------
The specification pads by nothing then. onnxruntime keeps the negative number. Max pools, and
average pools of opset 18 and below, are refused when they run, since 1.30: "padding values must be
non-negative". Other pools and convolutions run with windows that are moved: of 8 cells, a 1x1
kernel with stride 4 reads cells 1 and 5 instead of 0 and 4. PyTorch, TensorFlow and other runtimes
read 0 and 4. What a runtime refuses is an error, windows that only move are a warning.

What to do
----------
Take ``auto_pad`` out and write pads of zero.

References
----------
onnx operators MaxPool and Conv, attribute auto_pad.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.auto_pad import (
    automatic,
    declared_pads,
    is_dilated,
    is_pool,
    narrow,
    numbers,
    remedy,
    same_total,
)
from scotoma.findings import Finding, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator


class NarrowAutoPad(Rule):
    """Automatic padding below zero."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC406", name="narrow-auto-pad", severity=Severity.ERROR, since="0.1.0",
        references=("https://onnx.ai/onnx/operators/onnx__MaxPool.html",),
        runtimes=("onnxruntime",),
    )  # fmt: skip

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield every window whose automatic padding is negative."""
        for operator in facts.operators:
            if not automatic(operator).startswith("SAME") or is_dilated(operator):
                continue
            if declared_pads(operator):
                continue
            if facts.windows(operator) is None:
                if _may_be_narrow(operator):
                    yield self.undecided("the size of its input is not known", operator)
                continue
            moved = narrow(facts, operator)
            if moved is not None:
                yield self._finding(facts, operator, moved)

    def _finding(self, facts: Facts, operator: Operator, moved: tuple[int, ...]) -> Finding:
        windows = facts.windows(operator) or ()
        kernel = "x".join(str(w.kernel) for w in windows)
        stride = "x".join(str(w.stride) for w in windows)
        total = min(same_total(w.size_in, w.kernel, w.stride) for w in windows)
        if moved:
            what = (
                f"onnxruntime moves its windows by {' and '.join(map(str, moved))} cells, where "
                "the specification moves them by none"
            )
        else:
            what = "onnxruntime since 1.30 refuses that when it runs"
        return self.finding(
            operator,
            f"auto_pad={automatic(operator)} gives its {kernel} window with stride {stride} "
            f"a padding of {total} cells, below zero; {what}",
            Measurement("automatic_padding", total, "cells", limit=0),
            *([Measurement("window_shift", max(moved), "cells", limit=0)] if moved else []),
            remedy=remedy(facts, operator),
            severity=Severity.WARNING if moved else None,
            runtimes=None if moved else "onnxruntime>=1.30",
        )


def _may_be_narrow(operator: Operator) -> bool:
    """Tell whether at some size its automatic padding is negative and does harm.

    A convolution moves from three cells too few on.
    """
    least = 1 if is_pool(operator) else 3
    kernel, strides = numbers(operator, "kernel_shape"), numbers(operator, "strides")
    return any(s - k >= least for k, s in zip(kernel, strides, strict=False))
