"""Zeros before a max pool: windows where they were larger than every cell that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scotoma.audit.errors import NotMeasuredError
from scotoma.evidence.borders import spatial_axes, zeros_in_front
from scotoma.findings import CONFIRMED, CONTRADICTED, Evidence, Finding, Measurement

if TYPE_CHECKING:
    from scotoma.audit.bench import Array
    from scotoma.audit.exam import Exam
    from scotoma.evidence.borders import Front
    from scotoma.resolve.window import Window

CODES = ("SC302",)
USES_MAP = False
TENSORS = ("inputs", "outputs")


def check(finding: Finding, exam: Exam) -> Evidence:
    """Count the pool's answers that lie above the maximum over the cells of its windows."""
    bench, facts = exam.bench, exam.facts
    operator = next((op for op in facts.operators if op.name == finding.primary.node), None)
    windows = facts.windows(operator) if operator is not None else None
    front = zeros_in_front(facts, operator, len(windows)) if operator and windows else None
    if operator is None or not windows or front is None or not front.direct:
        raise NotMeasuredError("the Pad does not stand right in front of the pool")
    source, made = front.padding.operator.inputs[0], operator.outputs[0]
    if not (bench.has(source) or source == bench.image) or not bench.has(made):
        raise NotMeasuredError(f"onnxruntime cannot be asked for the map of '{operator.name}'")
    axes = spatial_axes(operator, len(windows))
    won = cells = negative = 0
    for feed in bench.feeds:
        answer = bench.run(feed)
        before = feed[source] if source == bench.image else answer[source]
        real = _maximum(before, windows, axes, front)
        won += int((answer[made] > real).sum())
        negative += int((before < 0).sum())
        cells += real.size
    if negative and not won:
        raise NotMeasuredError(
            "negative numbers reach the pool, but on these inputs no window held nothing else"
        )
    return Evidence(
        CONFIRMED if won else CONTRADICTED,
        f"on {len(bench.feeds)} inputs the zeros were the largest in {won:,} of {cells:,} windows",
        (Measurement("windows_won_by_zeros", won, "windows", limit=0),),
    )


def _maximum(
    values: Array, windows: tuple[Window, ...], axes: tuple[int, ...], front: Front
) -> Array:
    """Return the maximum over the cells of every window that are there; its largest where none."""
    if values.dtype.kind != "f":
        raise NotMeasuredError("only pools of floats are looked at")
    for label, (axis, window) in enumerate(zip(axes, windows, strict=True)):
        lines = []
        for output in range(window.size_out):
            taps = (
                output * window.stride
                - window.pad_begin
                + window.dilation * np.arange(window.kernel)
            )
            reads = taps - front.begins[label]
            reads = reads[(reads >= 0) & (reads < values.shape[axis])]
            part = values.take(reads, axis=axis)
            # A window of zeros alone has nothing that they could win over.
            lines.append(part.max(axis=axis, initial=-np.inf if len(reads) else np.inf))
        values = np.stack(lines, axis=axis)
    return values
