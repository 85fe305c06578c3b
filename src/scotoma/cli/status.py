"""Exit statuses, and which one a report deserves."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scotoma.findings import Severity
    from scotoma.results import Report

FINE = 0
FINDINGS = 1
WRONG_CALL = 2
FAILED = 3
INTERRUPTED = 130


def of_report(
    report: Report, *, fail_on: Severity | None, fail_on_undecided: bool, exit_zero: bool
) -> int:
    """Return the exit status of ``scotoma lint``.

    Parameters
    ----------
    report
        What was found.
    fail_on
        Findings from this severity on give status 1; None: no finding does.
    fail_on_undecided
        So does an undecided rule.
    exit_zero
        Neither does. A wrong call or a failure still has its own status.
    """
    kinds = {model.failure.kind for model in report.models if model.failure}
    if "usage" in kinds:
        return WRONG_CALL
    if kinds or any(model.rule_failures for model in report.models):
        return FAILED
    worst = report.worst
    found = fail_on is not None and worst is not None and worst >= fail_on
    if (found or (fail_on_undecided and report.undecided)) and not exit_zero:
        return FINDINGS
    return FINE
