"""Cells that no image reaches: they must hold the same value whatever the image is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scotoma.audit.errors import NotMeasuredError
from scotoma.findings import CONFIRMED, CONTRADICTED, Evidence, Finding, Measurement

if TYPE_CHECKING:
    from scotoma.audit.exam import Exam

CODES = ("SC303", "SC602")
USES_MAP = False
TENSORS = ("outputs",)

ROUNDING = 1e-9


def check(finding: Finding, exam: Exam) -> Evidence:
    """Count the cells of the operator's map that are the same on all inputs, in all channels."""
    bench = exam.bench
    operators = {operator.name: operator for operator in exam.facts.operators}
    operator = operators.get(finding.primary.node or "")
    if operator is None or not bench.has(operator.outputs[0]):
        raise NotMeasuredError("onnxruntime cannot be asked for the map of this operator")
    made = operator.outputs[0]
    answers = [bench.run(feed)[made] for feed in bench.feeds]
    rank = len(exam.facts.windows(operator) or ())
    first = answers[0]
    if rank < 1 or first.ndim != rank + 2 or any(a.shape != first.shape for a in answers):
        raise NotMeasuredError("its output is no map of known axes")
    still = np.ones(first.shape, bool)
    for other in answers[1:]:
        same = first == other
        if first.dtype.kind == "f":
            same |= np.isnan(first) & np.isnan(other)
        still &= same
    cells = still.all(axis=(0, 1))
    if cells.all():
        raise NotMeasuredError("its whole map stays the same whatever the image is")
    claimed = _claimed(finding, cells.size)
    count = int(cells.sum())
    return Evidence(
        CONFIRMED if count >= claimed else CONTRADICTED,
        f"on {len(answers)} inputs {count:,} of {cells.size:,} cells of '{made}' hold the same"
        " value",
        (
            Measurement("constant_cells", count, "cells", limit=0),
            Measurement("constant_cell_fraction", count / cells.size, "1", limit=0),
        ),
    )


def _claimed(finding: Finding, cells: int) -> float:
    """Return how many cells the finding says no image reaches."""
    for item in finding.measurements:
        if item.name == "padding_only_windows" and isinstance(item.value, int):
            return item.value
        if item.name == "unwritten_fraction" and item.value is not None:
            return float(item.value) * cells - ROUNDING * cells
    raise NotMeasuredError("the finding does not say how many cells it is about")
