"""Exit statuses, and which one a report deserves."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scotoma.results import Report

FINE = 0
FINDINGS = 1
WRONG_CALL = 2
FAILED = 3
INTERRUPTED = 130


def of_report(report: Report, *, failed: bool, exit_zero: bool) -> int:
    """Return the exit status of ``scotoma lint``.

    Parameters
    ----------
    report
        What was found.
    failed
        Something was found that gives status 1.
    exit_zero
        It gives 0. A wrong call or a failure still has its own status.
    """
    kinds = {model.failure.kind for model in report.models if model.failure}
    if "usage" in kinds or any(model.refusal for model in report.models):
        return WRONG_CALL
    if kinds or any(model.rule_failures for model in report.models):
        return FAILED
    return FINDINGS if failed and not exit_zero else FINE
