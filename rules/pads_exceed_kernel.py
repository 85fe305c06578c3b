"""A pool that is padded by as much as its kernel or more, which onnxruntime does not load.

What it finds
-------------
Max, average and Lp pools with an entry of ``pads`` as large as their kernel along that axis, or
larger. The kernel counts without its dilation. Likewise max and average pools right behind a Pad
with zeros that onnxruntime folds into them, where both together are that much.

Why it matters
--------------
The first or last window then holds padding only: a maximum or a mean of nothing. onnxruntime
refuses the model when it loads it ("Pad should be smaller than kernel"), PyTorch allows half the
kernel. The checker and the shape inference of onnx say nothing, and other runtimes give NaN, zero
or the lowest number there is. A Pad in front is lawful in itself; but at its default optimisation
level onnxruntime 1.20 to 1.31 folds it into the pool, and then refuses what it made: a warning,
since other versions load it.

What to do
----------
Pad by half the kernel at most, ``(kernel - 1) / 2`` for a map of the same size. For more of a
border put a Pad in front that says what to fill it with.

References
----------
onnx issue 5235.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.auto_pad import numbers
from scotoma.evidence.borders import is_folded, may_read_zeros, pool_kind, zeros_in_front
from scotoma.evidence.hidden import hidden
from scotoma.findings import Finding, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta

if TYPE_CHECKING:
    from scotoma.evidence.borders import Front
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator


class PadsExceedKernel(Rule):
    """Padding as wide as the window."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC304", name="pads-exceed-kernel", severity=Severity.ERROR, since="0.1.0",
        references=("https://github.com/onnx/onnx/issues/5235",), runtimes=("onnxruntime",),
    )  # fmt: skip

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield every such pool, those in bodies included."""
        told = set()
        for _, operator in facts.walk():
            if not pool_kind(operator):
                continue
            worst = widest(numbers(operator, "kernel_shape"), numbers(operator, "pads"))
            if worst is not None:
                told.add(operator)
                yield self._finding(operator, *worst)
        if (unseen := hidden(facts, may_be_folded)) is not None:
            yield self.undecided(unseen.reason, unseen.cause)
        for operator, windows in facts.windowed:
            front = zeros_in_front(facts, operator, len(windows)) if pool_kind(operator) else None
            if operator in told or front is None or not is_folded(facts, operator, front):
                continue
            kernel = numbers(operator, "kernel_shape")
            own = numbers(operator, "pads") or (0,) * len(front.added)
            both = [a + b for a, b in zip(own, front.added, strict=False)]
            worst = widest(kernel, both)
            if worst is not None:
                yield self._folded(operator, front, *worst)

    def _folded(self, operator: Operator, front: Front, pad: int, kernel: int) -> Finding:
        name = front.padding.operator.name
        return self.finding(
            operator,
            f"with the zeros of '{name}' it is padded by {pad} cells beside a kernel of {kernel}; "
            "onnxruntime 1.20 to 1.31 folds that Pad into it and then does not load more than "
            f"{kernel - 1}, unless its optimisation is off",
            Measurement("padding", pad, "cells", limit=kernel - 1),
            remedy="pad by less than the kernel, or disable Pad_Fusion when the session is made",
            severity=Severity.WARNING,
            runtimes="onnxruntime>=1.20,<1.32",
        )

    def _finding(self, operator: Operator, pad: int, kernel: int) -> Finding:
        return self.finding(
            operator,
            f"it is padded by {pad} cells beside a kernel of {kernel}, so that whole windows lie "
            f"in the padding; onnxruntime does not load more than {kernel - 1}",
            Measurement("padding", pad, "cells", limit=kernel - 1),
            remedy=f"pad by {kernel // 2} at most, or pad with a Pad in front",
        )


def may_be_folded(facts: Facts, operator: Operator) -> bool:
    """Tell whether a pool whose windows are not known may take over too much padding of a Pad."""
    if pool_kind(operator) not in {"average", "max"} or facts.windows(operator) is not None:
        return False
    pad = may_read_zeros(facts, operator)
    given = facts.value(pad.inputs[1]) if pad is not None and len(pad.inputs) > 1 else None
    if pad is None or pad.outputs[0] != operator.inputs[0]:
        return False
    added = numbers(pad, "pads") if given is None else tuple(int(n) for n in given.reshape(-1))
    both = max(added, default=0) + max(numbers(operator, "pads"), default=0)
    return both >= min(numbers(operator, "kernel_shape"), default=0)


def widest(kernel: Sequence[int], pads: Sequence[int]) -> tuple[int, int] | None:
    """Return the padding that exceeds its kernel the most, and the kernel; None if none does.

    Examples
    --------
    >>> widest((3, 3), (1, 1, 1, 4))
    (4, 3)
    """
    if len(pads) != 2 * len(kernel):
        return None
    pairs = [pair for pair in zip(pads, [*kernel, *kernel], strict=True) if pair[0] >= pair[1]]
    return max(pairs, key=lambda pair: pair[0] - pair[1], default=None)
