"""Blind spots: the measured corner beside the centre, where the graph counts few paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scotoma.audit.figures import against
from scotoma.findings import CONFIRMED, Evidence, Finding, Measurement

if TYPE_CHECKING:
    from scotoma.audit.exam import Exam

CODES = ("SC102",)
USES_MAP = True
TENSORS = ()

LIMIT = 0.5
"""Of the centre's influence; a corner that keeps more is not blind. Random weights make of nine
tenths of the paths lost a ratio of a third: influence goes with the root of their number."""


def check(finding: Finding, exam: Exam) -> Evidence:
    """Hold the measured ratio of corners to centre against `LIMIT`."""
    corner = exam.figure("corner_over_centre")
    status = against(corner, LIMIT, below=CONFIRMED)
    paths = next((m for m in finding.measurements if m.name == "corner_over_centre_paths"), None)
    beside = ""
    if paths is not None and isinstance(paths.value, int | float):
        beside = f", where the graph counts {paths.value:.2g} of the paths"
    error = f" ± {corner.error:.1g}" if corner.error else ""
    measured = [Measurement("corner_over_centre", corner.value, "1", limit=LIMIT)]
    if corner.error is not None:
        measured.append(Measurement("standard_error", corner.error, "1"))
    edge = exam.summary.figures.get("border_over_interior")
    if edge is not None and edge.value is not None:
        measured.append(Measurement("border_over_interior", edge.value, "1"))
    return Evidence(
        status,
        f"measured, the corners have {corner.value:.2g}{error} of the centre's influence{beside}",
        tuple(measured),
    )
