"""A ceil-mode pool whose last window starts in the end padding: runtimes disagree on its size.

What it finds
-------------
Max, average and Lp pools with ``ceil_mode=1``, of an opset below 22, whose last window along some
axis would start wholly in the padding at the end. With input ``n``, kernel ``k``, stride ``s`` and
padding ``p`` and ``q``, that is where ``n + p + q - k`` leaves a remainder by ``s`` and
``((n + p + q - k) // s + 1) * s >= n + p``. It needs ``q + s > k``: the usual 3x3 window with
stride 2 and padding 1 never does it, a 2x2 window with stride 2 and padding 1 does.

Why it matters
--------------
The specification counts that window before opset 22 and leaves it out since. PyTorch and
onnxruntime since 1.21 leave it out at every opset; onnxruntime up to 1.20 computes it from padding
alone, as -3.4e38 in a max pool, as NaN or 0 in an average pool and as 0 in an Lp pool. TFLite,
CoreML and older OpenVINO have an extra row too.

Where a fully connected layer of fixed size follows, no size fits both: onnxruntime checks shapes by
the letter of the opset when it loads a model and computes the other ones when it runs it. Such a
model does not load, or does not run; this is then an error.

What to do
----------
Set ``ceil_mode=0``: in this case the windows are identical, in every runtime. Or convert the model
to opset 22 or later. Where another axis of the same pool has a last window that really reads
something, ``ceil_mode=0`` would lose that one, and only the conversion is left.

Limits
------
The sizes are those of the examined input; another input size can have the window or not.

References
----------
onnxruntime issues 15446, 16350 and 16351 and pull request 16752; onnx pull request 5741.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.ceil_mode import (
    Conflict,
    conflicts,
    counted,
    disputed_pools,
    is_phantom,
    letter_size,
    overhang,
)
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window


class CeilModePhantomWindow(Rule):
    """A pool's output size depends on the runtime."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC401",
        name="ceil-mode-phantom-window",
        severity=Severity.WARNING,
        since="0.1.0",
        runtimes=("onnxruntime",),
        references=(
            "https://onnx.ai/onnx/operators/onnx__MaxPool.html",
            "https://github.com/microsoft/onnxruntime/pull/16752",
            "https://github.com/onnx/onnx/pull/5741",
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield every pool with such a window, as an error where a runtime refuses the model."""
        pools: list[tuple[Operator, tuple[Window, ...]]] = []
        for operator, windows in disputed_pools(facts):
            if windows is None:
                yield self.undecided("the size of its input is not known", operator)
            elif any(map(is_phantom, windows)):
                pools.append((operator, windows))
        refused = conflicts(facts) if pools else {}
        for operator, windows in pools:
            yield self._finding(operator, windows, refused.get(operator))

    def _finding(
        self, operator: Operator, windows: tuple[Window, ...], conflict: Conflict | None
    ) -> Finding:
        letter = _times(letter_size(window) for window in windows)
        actual = _times(window.size_out for window in windows)
        extra = counted(tuple(letter_size(w) - w.size_out for w in windows))
        message = (
            f"its last ceil-mode window starts in the end padding, so opset {operator.version} "
            f"makes the output {letter} and onnxruntime since 1.21 and PyTorch make it {actual}; "
            f"onnxruntime up to 1.20 adds {extra} of {_filling(operator, windows)}"
        )
        places: list[Location | Operator] = [operator]
        measured = [Measurement("output_size_by_specification", letter, "cells", limit=actual)]
        if conflict is not None:
            message += f"; {_refusal(conflict, operator)}"
            note = f"takes {conflict.wanted}"
            places.append(Location(conflict.operator.name, conflict.operator.op_type, None, note))
            measured.append(
                Measurement("features_by_specification", conflict.letter, "1", conflict.actual)
            )
        partial = any(overhang(w) for w in windows)
        return self.finding(
            places,
            message,
            *measured,
            remedy=(
                "convert to opset 22 or later (ceil_mode=0 would lose the window of another axis)"
                if partial
                else "set ceil_mode=0, which has the same windows, or convert to opset 22 or later"
            ),
            severity=Severity.WARNING if conflict is None else Severity.ERROR,
            runtimes="onnxruntime<1.21" if conflict is None else None,
        )


def _times(sizes: Iterator[int]) -> str:
    return "x".join(map(str, sizes))


def _filling(operator: Operator, windows: tuple[Window, ...]) -> str:
    """Return what onnxruntime up to 1.20 computes for a window without a cell (measured)."""
    if operator.op_type == "MaxPool":
        return "-3.4e38"
    average = operator.op_type == "AveragePool" and not windows[0].count_include_pad
    return "NaN" if average and (operator.version or 0) < 19 else "0"


def _refusal(conflict: Conflict, pool: Operator) -> str:
    node = f"'{conflict.operator.name}' ({conflict.operator.op_type})"
    if conflict.loads:
        return (
            f"{node} takes the {conflict.wanted} features that opset {pool.version} promises and "
            f"gets {conflict.actual}, so onnxruntime since 1.21 cannot run the model"
        )
    since = " since 1.28" if conflict.operator.op_type == "Gemm" else ""
    return (
        f"{node} gets {conflict.actual} features where opset {pool.version} promises "
        f"{conflict.letter}, so onnxruntime{since} refuses to load the model"
    )
