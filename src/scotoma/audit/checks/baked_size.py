"""Baked sizes: another size is given to the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scotoma.audit.errors import NotMeasuredError
from scotoma.errors import UsageError
from scotoma.evidence.baked import baked_size
from scotoma.facts import Facts
from scotoma.findings import CONFIRMED, CONTRADICTED, Evidence, Finding, Measurement

if TYPE_CHECKING:
    from scotoma.audit.exam import Exam

CODES = ("SC801",)
USES_MAP = False
TENSORS = ()


def check(finding: Finding, exam: Exam) -> Evidence:  # noqa: ARG001  there is one such claim
    """Run the model at the sizes that the rule tried, until one works."""
    baked = baked_size(exam.facts)
    if baked is None:
        raise NotMeasuredError("no other size to try is known")
    if (own := exam.bench.refusal) is not None:
        raise NotMeasuredError(f"onnxruntime refuses the model at its own size, too: {own}")
    examined = exam.facts.resolution.examined
    said = ""
    for size in baked.tried:
        name = examined.name if examined is not None else None
        try:
            facts = Facts.of(exam.facts.model, size=size, input_name=name)
        except UsageError as error:
            raise NotMeasuredError(str(error)) from error
        shape = "x".join(map(str, size))
        bench = exam.bench.at(facts)
        refused = bench.refusal
        if refused is None:
            return Evidence(CONTRADICTED, f"onnxruntime runs it at {shape}")
        said = said or f"at {shape}: {refused}"
    count = len(baked.tried)
    return Evidence(
        CONFIRMED,
        f"onnxruntime refuses all {count} other sizes that were tried, {said}",
        (Measurement("refused_sizes", count, "sizes"),),
    )
