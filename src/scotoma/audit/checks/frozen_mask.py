"""Frozen masks: cells that are zero behind the product on every image, and before it on none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scotoma.audit.errors import NotMeasuredError
from scotoma.findings import CONFIRMED, CONTRADICTED, Evidence, Finding, Measurement

if TYPE_CHECKING:
    from scotoma.audit.exam import Exam

CODES = ("SC504",)
USES_MAP = False
TENSORS = ("inputs", "outputs")


def check(finding: Finding, exam: Exam) -> Evidence:
    """Count the cells that the operator makes zero, whatever stands there."""
    claimed = next((m.value for m in finding.measurements if m.name == "zeroed_fraction"), None)
    if claimed is None:
        raise NotMeasuredError("that a constant is noise is seen in its numbers alone")
    bench = exam.bench
    operator = next((op for op in exam.facts.operators if op.name == finding.primary.node), None)
    data = [
        name
        for name in (operator.inputs if operator is not None else ())
        if name not in exam.facts.resolution.constants
    ]
    if (
        operator is None
        or len(data) != 1
        or not bench.has(operator.outputs[0])
        or not (bench.has(data[0]) or data[0] == bench.image)
    ):
        raise NotMeasuredError("onnxruntime cannot be asked for what goes in and what comes out")
    zero = alive = None
    for feed in bench.feeds:
        answer = bench.run(feed)
        before = {**feed, **answer}[data[0]]
        after = answer[operator.outputs[0]]
        if before.shape != after.shape:
            raise NotMeasuredError("the mask stretches what goes in")
        zero = (after == 0) if zero is None else zero & (after == 0)
        alive = (before != 0) if alive is None else alive | (before != 0)
    if zero is None or alive is None or not alive.any():
        raise NotMeasuredError("nothing but zeros goes in, whatever the image is")
    share = float(np.count_nonzero(zero & alive)) / np.count_nonzero(alive)
    return Evidence(
        CONFIRMED if share >= float(claimed) / 2 else CONTRADICTED,
        f"on {len(bench.feeds)} inputs {share:.1%} of the cells that held numbers before"
        f" '{operator.name}' are zero behind it every time",
        (Measurement("zeroed_fraction", share, "1", limit=0),),
    )
