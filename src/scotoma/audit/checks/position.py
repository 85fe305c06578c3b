"""Position leaks: how much the measured answer to the same stimulus depends on its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scotoma.audit.errors import NotMeasuredError
from scotoma.audit.figures import against
from scotoma.findings import CONTRADICTED, Evidence, Finding, Measurement

if TYPE_CHECKING:
    from scotoma.audit.exam import Exam

CODES = ("SC306",)
USES_MAP = True
TENSORS = ()

LIMIT = 0.05
"""Deviation between places, over the mean answer; less is no dependence worth the name."""


def check(finding: Finding, exam: Exam) -> Evidence:  # noqa: ARG001  there is one such claim
    """Hold the position sensitivity against `LIMIT`."""
    place = exam.summary.position
    if place is None or place.sensitivity.value is None:
        reason = None if place is None else place.reason
        raise NotMeasuredError(reason or "the position sensitivity is not known")
    figure = place.sensitivity
    status = against(figure, LIMIT, below=CONTRADICTED)
    error = f" ± {figure.error:.1g}" if figure.error else ""
    return Evidence(
        status,
        f"the answer to the same stimulus deviates by {figure.value:.2g}{error} of its mean between"
        " places",
        (Measurement("position_sensitivity", figure.value, "1", limit=LIMIT),),
    )
