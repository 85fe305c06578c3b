"""Renders results as GitLab's code quality report.

The fields are those of "Code Quality report format" in GitLab's documentation. It wants a line,
which a binary file does not have: every finding is put at the first.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any

from scotoma.findings import Severity
from scotoma.report.json import dump
from scotoma.report.statements import Statement, statements

if TYPE_CHECKING:
    from scotoma.results import Report

_SEVERITIES = {
    Severity.ERROR: "critical",
    Severity.WARNING: "major",
    Severity.NOTE: "minor",
    None: "info",
}
_BROKEN = "blocker"


def render(report: Report) -> str:
    """Return a list of findings; what could not be examined is a blocker, undecided is info."""
    seen: Counter[str] = Counter()
    issues = []
    for statement in statements(report):
        seen[statement.fingerprint] += 1
        issues.append(_issue(statement, seen[statement.fingerprint]))
    return dump(issues)


def _issue(statement: Statement, number: int) -> dict[str, Any]:
    """Return a finding; GitLab drops all but the first with one fingerprint, so they differ."""
    fingerprint = statement.fingerprint
    if number > 1:
        fingerprint = hashlib.sha256(f"{fingerprint}+{number}".encode()).hexdigest()
    return {
        "description": f"{statement.subject}: {statement.text}",
        "check_name": f"scotoma/{statement.check}",
        "fingerprint": fingerprint,
        "severity": _BROKEN if statement.broken else _SEVERITIES[statement.severity],
        "location": {"path": statement.path, "lines": {"begin": 1}},
    }
