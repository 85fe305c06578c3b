"""Renders results as SARIF 2.1.0, the exchange format for static analysis of OASIS.

A node is a logical location beside the model's file, which has no lines. A rule that could not
tell is a result of kind ``open``; what is suppressed or known is there with its suppression.
Unreadable models, crashed rules and what was not analysed are notifications, for they are no
results. Findings that vanished from a baseline are notifications too: as results of baseline state
``absent`` GitHub would show them as open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scotoma import __version__
from scotoma.report.document import number
from scotoma.report.escape import escape
from scotoma.report.json import dump
from scotoma.report.paths import path_from, uri_from
from scotoma.report.sarif_notes import DESCRIPTORS, configuration_notes, execution_notes
from scotoma.report.sarif_rules import LEVELS, descriptor
from scotoma.report.sarif_text import plain
from scotoma.report.text import evidence_reason

if TYPE_CHECKING:
    from scotoma.findings import Finding, Location, Suppressed, Undecided
    from scotoma.results import ModelReport, Report

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
BASE = "%SRCROOT%"
"""What GitHub and others call the folder that paths start from."""

Object = dict[str, Any]


def render(report: Report) -> str:
    """Return a log with one run."""
    return dump({"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(report)]})


def _run(report: Report) -> Object:
    index = {rule.meta.code: i for i, rule in enumerate(report.rules)}
    artifacts = [_artifact(report, model) for model in report.models]
    failed = any(model.failure or model.rule_failures or model.refusal for model in report.models)
    return {
        "tool": {
            "driver": {
                "name": "Scotoma",
                "semanticVersion": __version__,
                "rules": [descriptor(rule) for rule in report.rules],
                "notifications": DESCRIPTORS,
            }
        },
        "originalUriBaseIds": {BASE: {"description": {"text": "The folder of the call."}}},
        "invocations": [
            {
                "executionSuccessful": not failed,
                "toolExecutionNotifications": execution_notes(
                    report, [artifact["location"] for artifact in artifacts], index
                ),
                "toolConfigurationNotifications": configuration_notes(report),
            }
        ],
        "artifacts": artifacts,
        "results": _results(report, artifacts, index),
    }


def _results(report: Report, artifacts: list[Object], index: dict[str, int]) -> list[Object]:
    results = []
    for i, model in enumerate(report.models):
        place = {**artifacts[i]["location"], "index": i}
        for finding in model.findings:
            result = _finding(finding, place, index)
            suppressed = finding.suppressed
            result["suppressions"] = [_suppression(report, suppressed)] if suppressed else []
            results.append(result)
        results += [_undecided(item, place, index) for item in model.undecided]
    if report.baselines:
        # A result has a baseline state only if all have one.
        for result in results:
            known = any(s["properties"]["by"] == "baseline" for s in result["suppressions"])
            result["baselineState"] = "unchanged" if known else "new"
    return results


def _artifact(report: Report, model: ModelReport) -> Object:
    location = {"uri": uri_from(model.path, report.folder)}
    if not path_from(model.path, report.folder).startswith(("../", "/")):
        location["uriBaseId"] = BASE
    found: Object = {"location": location, "roles": ["analysisTarget"]}
    if model.sha256:
        found["hashes"] = {"sha-256": model.sha256}
    return found


def _finding(finding: Finding, place: Object, index: dict[str, int]) -> Object:
    text = escape(finding.message)
    evidence = finding.evidence
    if evidence is not None:
        text += f"; {evidence.status}: {escape(evidence_reason(evidence))}"
    if finding.remedy:
        text += f"; remedy: {escape(finding.remedy)}"
    found: Object = {
        **_rule(finding.code, index),
        "kind": "fail",
        "level": LEVELS[finding.severity],
        "message": {"text": plain(text)},
        "locations": [_location(finding.primary, place)],
        "partialFingerprints": {
            "scotoma/v1": finding.fingerprint,
            # The only one that GitHub looks at.
            "primaryLocationLineHash": f"{finding.fingerprint}:1",
        },
        "properties": {
            "confidence": str(finding.confidence),
            "measurements": [
                {
                    "name": escape(item.name),
                    "value": _number(item.value),
                    "unit": escape(item.unit),
                    "limit": _number(item.limit),
                }
                for item in finding.measurements
            ],
        },
    }
    if evidence is not None:
        found["properties"]["evidence"] = evidence.status
    if len(finding.locations) > 1:
        found["relatedLocations"] = [
            {"id": i, **_location(location, place)}
            for i, location in enumerate(finding.locations[1:])
        ]
    return found


def _number(value: Any) -> int | float | str | None:
    found = number(value)
    return escape(found) if isinstance(found, str) else found


def _undecided(item: Undecided, place: Object, index: dict[str, int]) -> Object:
    location: Object = {"physicalLocation": {"artifactLocation": place}}
    if item.node is not None:
        location["logicalLocations"] = [_logical(item.node, "operator")]
    return {
        **_rule(item.code, index),
        "kind": "open",
        "level": "none",
        "message": {"text": plain(escape(item.reason))},
        "locations": [location],
        "suppressions": [],
    }


def _rule(code: str, index: dict[str, int]) -> Object:
    return {"ruleId": code, "ruleIndex": index[code]} if code in index else {"ruleId": code}


def _location(location: Location, place: Object) -> Object:
    """Return the model's file with the operator or tensor in it."""
    found: Object = {"physicalLocation": {"artifactLocation": place}}
    if location.node is not None:
        found["logicalLocations"] = [_logical(location.node, "operator", location)]
    elif location.tensor is not None:
        found["logicalLocations"] = [_logical(location.tensor, "tensor")]
    if location.note:
        found["message"] = {"text": plain(escape(location.note))}
    return found


def _logical(name: str, kind: str, location: Location | None = None) -> Object:
    found: Object = {"fullyQualifiedName": escape(name), "kind": kind}
    if location is not None:
        values = {"op_type": location.op_type, "tensor": location.tensor}
        given = {key: escape(value) for key, value in values.items() if value}
        if given:
            found["properties"] = given
    return found


def _suppression(report: Report, suppressed: Suppressed) -> Object:
    own = suppressed.by == "model"
    source = path_from(suppressed.source, report.folder) if own else suppressed.source
    return {
        "kind": "inSource" if own else "external",
        "status": "accepted",
        "justification": escape(suppressed.reason),
        "properties": {"by": suppressed.by, "source": escape(source)},
    }
