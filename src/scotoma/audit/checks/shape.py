"""Shapes: what the operator really makes, beside what the file says and what the rule says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scotoma.audit.errors import NotMeasuredError
from scotoma.findings import CONFIRMED, CONTRADICTED, Evidence, Finding, Measurement

if TYPE_CHECKING:
    from scotoma.audit.exam import Exam

CODES = ("SC404",)
USES_MAP = False
TENSORS = ("outputs",)


def check(finding: Finding, exam: Exam) -> Evidence:
    """Run the model and look at the first tensor of the claim."""
    bench, tensor = exam.bench, finding.primary.tensor
    claims = [m for m in finding.measurements if m.name == "stated_shape"]
    if tensor is None or not claims:
        raise NotMeasuredError("the finding names no tensor")
    answer = bench.run(bench.feeds[0])
    if tensor not in answer:
        raise NotMeasuredError(f"onnxruntime cannot be asked for '{tensor}'")
    shape = "x".join(map(str, answer[tensor].shape)) or "a single number"
    claim = claims[0]
    return Evidence(
        CONFIRMED if shape == claim.limit else CONTRADICTED,
        f"in a run '{tensor}' is {shape}",
        (Measurement("run_shape", shape, "cells", limit=claim.limit),),
    )
