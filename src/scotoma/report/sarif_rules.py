"""Describes rules in SARIF's terms: what a viewer shows of a rule beside its results."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from scotoma.findings import Severity

if TYPE_CHECKING:
    from scotoma.rule import Rule

LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}
_PROBLEMS = {
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.NOTE: "recommendation",
}
"""What GitHub's code scanning calls the severities."""
_ADDRESS = ("https://", "http://")


def descriptor(rule: Rule) -> dict[str, Any]:
    """Return the reportingDescriptor of a rule (SARIF 2.1.0, 3.49)."""
    meta, documentation = rule.meta, rule.documentation
    what = documentation.sections.get("What it finds", documentation.summary)
    found: dict[str, Any] = {
        "id": meta.code,
        "name": meta.name,
        "shortDescription": {"text": documentation.summary},
        "fullDescription": {"text": " ".join(what.split())},
        "help": {"text": _help(rule, ""), "markdown": _help(rule, "## ")},
        "defaultConfiguration": {"level": LEVELS[meta.severity], "enabled": meta.default},
        "properties": {
            "precision": str(meta.confidence),
            "problem.severity": _PROBLEMS[meta.severity],
            "since": meta.since,
        },
    }
    pages = [address for address in meta.references if address.startswith(_ADDRESS)]
    if pages:
        found["helpUri"] = pages[0]
    if meta.severity_by_task:
        levels = {str(task): LEVELS[level] for task, level in meta.severity_by_task.items()}
        found["properties"]["levelByTask"] = levels
    return found


def _help(rule: Rule, heading: str) -> str:
    """Return the documentation of a rule, its headings behind a mark."""
    documentation = rule.documentation
    parts = [documentation.summary]
    parts += [f"{heading}{name}\n\n{text}" for name, text in documentation.sections.items()]
    if rule.declared_options:
        lines = [f"- {item.name} = {item.default}: {item.what}" for item in rule.declared_options]
        parts.append(f"{heading}Options\n\n" + "\n".join(lines))
    return textwrap.dedent("\n\n".join(parts))
