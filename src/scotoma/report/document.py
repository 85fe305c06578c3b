"""Turns results into the plain dictionaries of the JSON contract."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scotoma import __version__
from scotoma.findings import Severity

if TYPE_CHECKING:
    from scotoma.findings import Finding, Location, Measurement, Quantity
    from scotoma.resolve.resolution import InputShape
    from scotoma.results import ModelReport, Report
    from scotoma.rule import Rule

SCHEMA_VERSION = "1"

Document = dict[str, Any]


def report_document(report: Report) -> Document:
    """Return the document of ``scotoma lint``."""
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": tool_document(report.rules),
        "models": [
            {
                **model_document(model),
                "findings": [finding_document(finding) for finding in model.findings],
                "undecided": [
                    {"code": item.code, "node": item.node, "reason": item.reason}
                    for item in model.undecided
                ],
                "rule_errors": [
                    {"code": item.code, "error": item.error} for item in model.rule_failures
                ],
            }
            for model in report.models
        ],
        "summary": {
            **{str(severity): report.count(severity) for severity in reversed(Severity)},
            "undecided": report.undecided,
            "suppressed": 0,
            "models": len(report.models),
        },
    }


def tool_document(rules: Sequence[Rule]) -> Document:
    """Return what made a document: the program, its version and the rules that ran."""
    return {"name": "scotoma", "version": __version__, "rules": [rule_document(r) for r in rules]}


def rule_document(rule: Rule) -> Document:
    """Return what a rule says of itself."""
    meta = rule.meta
    return {
        "code": meta.code,
        "name": meta.name,
        "severity": str(meta.severity),
        "confidence": str(meta.confidence),
        "summary": rule.summary,
        "since": meta.since,
        "default": meta.default,
        "references": list(meta.references),
    }


def model_document(model: ModelReport) -> Document:
    """Return what identifies a model, how it was examined and what could not be analysed."""
    failure = model.failure
    return {
        "path": model.path,
        "graph_sha256": model.graph_sha256,
        "sha256": model.sha256,
        "producer": model.producer,
        "opset": model.opsets.get(""),
        "opsets": dict(sorted(model.opsets.items())),
        "input": input_document(model.examined) if model.examined else None,
        "inputs": [input_document(item) for item in model.inputs],
        "status": model.status,
        "error": {"kind": failure.kind, "message": failure.message} if failure else None,
        "unanalysed": [
            {"node": item.node, "op_type": item.op_type, "reason": item.reason}
            for item in model.unanalysed
        ],
    }


def input_document(item: InputShape) -> Document:
    """Return an input with the shape that it is examined at."""
    return {
        "name": item.name,
        "shape": None if item.shape is None else list(item.shape),
        "spatial_axes": list(item.spatial_axes),
        "assumed": item.assumed,
    }


def finding_document(finding: Finding) -> Document:
    """Return a finding; its node, operator type and tensor are those of the primary location."""
    return {
        "code": finding.code,
        "name": finding.name,
        "severity": str(finding.severity),
        "confidence": str(finding.confidence),
        "message": finding.message,
        "node": finding.primary.node,
        "op_type": finding.primary.op_type,
        "tensor": finding.primary.tensor,
        "locations": [_location_document(location) for location in finding.locations],
        "measurements": [_measurement_document(item) for item in finding.measurements],
        "remedy": finding.remedy,
        "fingerprint": finding.fingerprint,
        "suppressed": None,
    }


def _location_document(location: Location) -> Document:
    return {
        "node": location.node,
        "op_type": location.op_type,
        "tensor": location.tensor,
        "note": location.note,
    }


def _measurement_document(measurement: Measurement) -> Document:
    return {
        "name": measurement.name,
        "value": number(measurement.value),
        "unit": measurement.unit,
        "limit": number(measurement.limit),
    }


def number(value: Quantity | None) -> int | float | str | None:
    """Return a quantity as JSON can carry it; None where no JSON number can.

    Examples
    --------
    >>> number(0.5), number(3), number(math.inf)
    (0.5, 3, None)
    """
    if value is None or isinstance(value, str):
        return value
    try:
        rounded = float(value)
    except OverflowError:
        return None
    if not math.isfinite(rounded):
        return None
    return int(value) if value == int(value) and not isinstance(value, float) else rounded
