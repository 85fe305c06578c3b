"""A window that lies wholly in padding: its output says nothing of the image.

What it finds
-------------
Convolutions and pools with outputs of which no tap falls on a cell of the input: kernels padded by
their own width (a 1x1 kernel with padding 1), and dilated windows that step over a map smaller
than their dilation. Pools padded by their kernel and more, which onnxruntime does not load, have a
rule of their own.

Why it matters
--------------
Such an output is the bias of a convolution or the zero of a mean, the same for every image: a frame
of dead cells around the map, which every later layer mistakes for content. Of a max pool it is
-3.4e38 in onnxruntime and -inf in PyTorch; what follows becomes infinite or NaN. That is an error,
the rest a warning.

What to do
----------
Pad by at most ``(kernel - 1) / 2`` times the dilation, and use a dilation smaller than the map, or
a larger input.

References
----------
onnx issue 5235.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.auto_pad import numbers
from scotoma.evidence.borders import padding_only, pool_kind
from scotoma.evidence.hidden import hidden, slide
from scotoma.findings import Finding, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator


class PaddingOnlyWindow(Rule):
    """Outputs made of padding alone."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC303", name="padding-only-window", severity=Severity.WARNING, since="0.1.0",
        references=("https://github.com/onnx/onnx/issues/5235",),
    )  # fmt: skip

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield every layer with such a window."""
        if (unseen := hidden(facts, is_concerned)) is not None:
            yield self.undecided(unseen.reason, unseen.cause)
        for operator, windows in facts.windowed:
            if any(window.transposed for window in windows):
                continue
            kernel = numbers(operator, "kernel_shape")
            if pool_kind(operator) and any(
                pad >= k for pad, k in zip(numbers(operator, "pads"), kernel * 2, strict=False)
            ):
                continue  # does not load
            counted = padding_only(windows)
            if counted is None:
                yield self.undecided("it has too many windows to look at each", operator)
            elif counted[0]:
                yield self._finding(facts, operator, *counted)

    def _finding(self, facts: Facts, operator: Operator, empty: int, total: int) -> Finding:
        lowest = pool_kind(operator) == "max"
        kind = facts.resolution.dtypes.get(operator.inputs[0])
        real = lowest and (kind is None or kind.kind not in "iub")
        if real:
            what = "onnxruntime makes -3.4e38 of nothing and PyTorch -inf"
        elif lowest:
            what = "they come out as the lowest number of their type"
        elif pool_kind(operator):
            what = "they come out as 0 for every image"
        else:
            what = "they come out as the bias for every image"
        return self.finding(
            operator,
            f"{empty:,} of its {total:,} windows hold padding only; {what}",
            Measurement("padding_only_windows", empty, "windows", limit=0),
            remedy=(
                "pad by no more than (kernel - 1) / 2 times the dilation, or use a smaller "
                "dilation or a larger input"
            ),
            severity=Severity.ERROR if real else None,
        )


def is_concerned(facts: Facts, operator: Operator) -> bool:
    """Tell whether a window may lie wholly in the padding that its layer declares."""
    found = slide(facts, operator)
    if found is None or not found.is_padded:
        return False
    return found.is_sparse or any(
        max(begin, end) >= extent
        for begin, end, extent in zip(found.begins, found.ends, found.extents, strict=True)
    )
