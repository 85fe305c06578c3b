"""A ceil-mode average pool whose border divisor differs between versions of onnxruntime.

What it finds
-------------
Average pools with ``ceil_mode=1`` and ``count_include_pad=1`` whose last window along some axis
hangs over the end of the padded input, of opset 18 or below; and the quantised average pool of
onnxruntime (``com.microsoft.QLinearAveragePool``) of any opset. Of opset 19 to 21 it is a note.

Why it matters
--------------
A mean over a window that hangs over has to be divided by the cells that exist, padding included, as
PyTorch and opset 19 say. onnxruntime up to 1.28 divides by the full kernel at opset 18 and below,
up to 1.20 also at opset 19 to 21, and its quantised pool does so still (1.32). The last row and
column then come out smaller, by the part of the window that exists: a 3x3 window that hangs over by
one row and one column gives 2/3 of the border values and 4/9 of the corner's.

What to do
----------
Set ``count_include_pad=0`` if the pads are all zero or the dimming of borders is not wanted: all
versions agree on it. Or convert to opset 19 or later and require onnxruntime 1.21 or later. Write
the overhang as explicit end padding only if dividing by the full kernel is what was trained with.

References
----------
onnxruntime pull request 29629; onnx operator AveragePool.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.ceil_mode import ceil_pools, counted, overhang
from scotoma.findings import Finding, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window

LAST_OPEN_OPSET = 18
LAST_OPSET = 21
"""Versions of onnxruntime that divide by the full kernel load no later one."""


class CeilModeDivisor(Rule):
    """Border values of a mean depend on the version of the runtime."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC402",
        name="ceil-mode-divisor",
        severity=Severity.WARNING,
        since="0.1.0",
        runtimes=("onnxruntime",),
        references=(
            "https://onnx.ai/onnx/operators/onnx__AveragePool.html",
            "https://github.com/microsoft/onnxruntime/pull/29629",
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield every average pool whose last window is divided in two ways."""
        for operator, windows in ceil_pools(facts):
            if not _concerned(operator):
                continue
            if windows is None:
                yield self.undecided("the size of its input is not known", operator)
            elif any(overhang(window) for window in windows):
                yield self._finding(operator, windows)

    def _finding(self, operator: Operator, windows: tuple[Window, ...]) -> Finding:
        gains = [border_gain(window) for window in windows]
        edge, corner = min(gains), prod(gains, start=Fraction(1))
        kernel = "x".join(str(window.kernel) for window in windows)
        share = f"{edge} of the mean at the border"
        if sum(gain < 1 for gain in gains) > 1:
            share += f" and {corner} in the corner"
        late = (operator.version or 0) > LAST_OPEN_OPSET
        fixed = "1.21" if late else "1.29"
        versions = f"up to {'1.20' if late else '1.28'} at opset {operator.version}"
        if operator.domain:
            versions = "up to 1.32"
        return self.finding(
            operator,
            f"its last window hangs over by {counted(tuple(map(overhang, windows)))}; onnxruntime "
            f"{versions} divides its sum by the full {kernel} kernel, which gives {share}, where "
            "PyTorch divides by the cells that exist",
            Measurement("border_gain", edge, "1", limit=1),
            Measurement("corner_gain", corner, "1", limit=1),
            remedy=(
                "set count_include_pad=0, or write the overhang as explicit end padding if the "
                "full kernel is the divisor that was trained with"
            ),
            severity=Severity.NOTE if late and not operator.domain else None,
            runtimes=None if operator.domain else f"onnxruntime<{fixed}",
        )


def _concerned(operator: Operator) -> bool:
    if not operator.attributes.get("count_include_pad", 0):
        return False
    if operator.domain:
        return operator.domain == "com.microsoft" and operator.op_type == "QLinearAveragePool"
    return operator.op_type == "AveragePool" and (operator.version or 0) <= LAST_OPSET


def border_gain(window: Window) -> Fraction:
    """Return the part of the last window's taps that exist, padding included.

    Examples
    --------
    >>> from scotoma.resolve.window import Window
    >>> border_gain(Window(3, 2, 1, 1, 1, 4, 3, ceil_mode=True, count_include_pad=True))
    Fraction(2, 3)
    >>> border_gain(Window(3, 2, 2, 0, 0, 8, 3, ceil_mode=True, count_include_pad=True))
    Fraction(2, 3)
    """
    beyond = -(-overhang(window) // window.dilation)
    return Fraction(window.kernel - beyond, window.kernel)
