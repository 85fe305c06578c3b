"""Refusals: what onnxruntime is said not to load or to run is given to it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from scotoma.audit.errors import NotMeasuredError
from scotoma.audit.runtime import runtime, short
from scotoma.findings import CONFIRMED, CONTRADICTED, Evidence, Finding

if TYPE_CHECKING:
    from scotoma.audit.exam import Exam

CODES = ("SC304", "SC305", "SC405", "SC406", "SC407")
USES_MAP = False
TENSORS = ()

REFUSES = {
    "SC304": "padding",
    "SC305": "reflected",
    "SC405": "dilation",
    "SC406": "automatic_padding",
    "SC407": "ways_of_padding",
}
"""The number that a finding holds which says that the model is refused."""
SAYS = {
    "SC304": r"pool_attributes|kernel_shape\[",
    "SC305": r"reflect",
    "SC405": r"Dilation not supported",
    "SC406": r"must be non-negative",
    "SC407": r"auto_pad",
}
"""What onnxruntime writes then; when it loads a model it often names no operator."""
WORKS = {"SC406": "window_shift"}
"""The number of one that says that it runs and does something else."""


def check(finding: Finding, exam: Exam) -> Evidence:
    """Load the model, and run it."""
    numbers = {m.name for m in finding.measurements}
    if REFUSES[finding.code] not in numbers or WORKS.get(finding.code) in numbers:
        raise NotMeasuredError("the claim is what a run makes of it, not that it is refused")
    if finding.code == "SC304" and finding.runtimes is not None:
        raise NotMeasuredError("an optimisation is at fault that is switched off here")
    said = exam.bench.refusal
    if said is None:
        return Evidence(CONTRADICTED, f"{runtime()} loads it and runs it")
    node = finding.primary.node
    named = node is not None and f"Name:'{node}'" in said
    if not named and re.search(SAYS[finding.code], said) is None:
        raise NotMeasuredError(f"{runtime()} refuses the model for another reason: {said}")
    return Evidence(CONFIRMED, f"{runtime()} refuses it: {short(said)}")
