"""What a report says as one flat list, for formats that know annotations but no outcomes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scotoma.findings import Severity
from scotoma.report.escape import clip, escape
from scotoma.report.paths import path_from
from scotoma.report.text import evidence_reason, place_of

if TYPE_CHECKING:
    from scotoma.findings import Finding, Undecided
    from scotoma.results import ModelReport, Report

MAX_EVIDENCE = 300
"""Characters of what a run said, so that the remedy behind it is not cut off."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing that is said of a model; its texts are lines that are safe to print."""

    path: str
    """Of the model, from the report's folder."""
    check: str
    """Code of the rule, or a name for what else it is about."""
    subject: str
    """The same for a person."""
    text: str
    severity: Severity | None
    """None: a rule could not tell."""
    broken: bool = False
    """The model, or a rule, could not be examined at all."""
    identity: tuple[str | None, ...] = ()
    """What makes it the same in another run."""

    @property
    def rank(self) -> int:
        """The most severe ones have the lowest."""
        return 0 if self.broken else 4 - int(self.severity or 0)

    @property
    def fingerprint(self) -> str:
        """SHA-256 in hexadecimal over path and identity."""
        return hashlib.sha256(json.dumps([self.path, *self.identity]).encode()).hexdigest()


def statements(report: Report) -> list[Statement]:
    """Return what counts, in the order of the report; what is suppressed or hidden is left out."""
    names = {rule.meta.code: f"{rule.meta.code} {rule.meta.name}" for rule in report.rules}
    return [
        statement
        for model in report.models
        for statement in _of_model(model, path_from(model.path, report.folder), names)
    ]


def _of_model(model: ModelReport, path: str, names: dict[str, str]) -> Iterator[Statement]:
    shown = escape(path)
    if model.failure:
        kind, message = escape(model.failure.kind), escape(model.failure.message)
        text = f"{kind}: {message}"
        yield _broken(shown, "unreadable-model", "not examined", text)
        return
    if model.refusal:
        text = escape(model.refusal)
        yield _broken(shown, "refused-size", "cannot run at this size", text)
    for failure in model.rule_failures:
        check, subject = escape(failure.code), escape(names.get(failure.code, failure.code))
        yield _broken(shown, check, f"{subject} crashed", escape(failure.error))
    for finding in model.findings:
        if finding.suppressed is None:
            yield _found(shown, finding)
    for item in model.undecided:
        yield _undecided(shown, item, names)


def _broken(path: str, check: str, subject: str, text: str) -> Statement:
    identity = ("broken", check)
    return Statement(path, check, subject, text, Severity.ERROR, broken=True, identity=identity)


def _found(path: str, finding: Finding) -> Statement:
    place = place_of(finding.primary)
    text = escape(finding.message) + (f" (at {place})" if place else "")
    if (evidence := finding.evidence) is not None:
        text += f"; {evidence.status}: {clip(escape(evidence_reason(evidence)), MAX_EVIDENCE)}"
    if finding.remedy:
        text += f"; remedy: {escape(finding.remedy)}"
    check, subject = escape(finding.code), escape(f"{finding.code} {finding.name}")
    return Statement(path, check, subject, text, finding.severity, identity=(finding.fingerprint,))


def _undecided(path: str, item: Undecided, names: dict[str, str]) -> Statement:
    place = "" if item.node is None else f" (at {escape(item.node)})"
    subject = f"{escape(names.get(item.code, item.code))} undecided"
    text, identity = escape(item.reason) + place, ("undecided", item.code, item.node, item.reason)
    return Statement(path, escape(item.code), subject, text, None, identity=identity)
