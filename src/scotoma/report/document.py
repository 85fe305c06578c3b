"""Turns results into the plain dictionaries of the JSON contract, `scotoma.report.contract`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from scotoma import __version__
from scotoma.findings import Severity
from scotoma.report.paths import path_from

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.findings import Evidence, Finding, Location, Measurement, Quantity, Suppressed
    from scotoma.report.contract.common import (
        Certainty,
        ExaminedFoot,
        ExaminedHead,
        Goal,
        InputDocument,
        Level,
        RuleDocument,
        Status,
        ToolDocument,
    )
    from scotoma.report.contract.lint import (
        BaselineDocument,
        EvidenceDocument,
        FindingDocument,
        LintDocument,
        LocationDocument,
        MeasuredDocument,
        MeasurementDocument,
        ModelDocument,
        ModelHead,
        StatisticsDocument,
        SuppressedDocument,
        Suppressor,
        TaskDocument,
    )
    from scotoma.resolve.resolution import InputShape
    from scotoma.results import BaselineUse, Measured, ModelReport, Report
    from scotoma.rule import Rule
    from scotoma.task import TaskTaken

SCHEMA_VERSION: Final = "1"


def report_document(report: Report) -> LintDocument:
    """Return the document of ``scotoma lint``."""
    document: LintDocument = {
        "schema_version": SCHEMA_VERSION,
        "tool": tool_document(report.rules),
        "models": [_whole_model(model, report.folder) for model in report.models],
        "summary": {
            "error": report.count(Severity.ERROR),
            "warning": report.count(Severity.WARNING),
            "note": report.count(Severity.NOTE),
            "undecided": report.undecided,
            "suppressed": report.suppressed,
            "hidden": report.hidden,
            "models": len(report.models),
        },
        "unused_suppressions": [
            {"rule": u.rule, "node": u.node, "reason": u.reason, "source": u.source}
            for u in report.unused_suppressions
        ],
        "baselines": [_baseline_document(use) for use in report.baselines],
    }
    if report.statistics:
        document["statistics"] = statistics_document(report)
    return document


def _whole_model(model: ModelReport, folder: str | None) -> ModelDocument:
    said: ModelDocument = {
        **model_document(model, folder),  # type: ignore[typeddict-item]  # `measure` need not be there
        "findings": [finding_document(finding) for finding in model.findings],
        "undecided": [
            {"code": item.code, "node": item.node, "reason": item.reason}
            for item in model.undecided
        ],
        "rule_errors": [{"code": item.code, "error": item.error} for item in model.rule_failures],
    }
    if model.measured is not None:
        said["measure"] = _measured_document(model.measured)
    return said


def _measured_document(measured: Measured) -> MeasuredDocument:
    return {
        "status": cast("Any", measured.status),
        "reason": measured.reason,
        "seconds": measured.seconds,
        "passes": measured.passes,
        "influence": cast("Any", measured.influence),
        "outputs": cast("Any", list(measured.outputs)),
        "thresholds": [
            {
                "name": item.name,
                "limit": item.limit,
                "value": item.value,
                "standard_error": item.error,
                "verdict": cast("Any", item.verdict),
                "judged_on": item.judged_on,
            }
            for item in measured.thresholds
        ],
        "skipped": list(measured.skipped),
    }


def statistics_document(report: Report) -> list[StatisticsDocument]:
    """Return how many findings that count each rule has, the most frequent first."""
    counted = report.counted
    names = {finding.code: finding.name for finding in counted}
    counts = Counter(finding.code for finding in counted)
    models = Counter(code for model in report.models for code in {f.code for f in model.counted})
    order = sorted(counts, key=lambda code: (-counts[code], code))
    return [
        {"code": code, "name": names[code], "findings": counts[code], "models": models[code]}
        for code in order
    ]


def _baseline_document(use: BaselineUse) -> BaselineDocument:
    return {
        "path": use.path,
        "known": use.known,
        "new": use.new,
        "vanished": [
            {
                "path": k.path,
                "code": k.code,
                "severity": cast("Level", k.severity),
                "node": k.node,
                "message": k.message,
                "fingerprint": k.fingerprint,
            }
            for k in use.vanished
        ],
    }


def tool_document(rules: Sequence[Rule]) -> ToolDocument:
    """Return what made a document: the program, its version and the rules that ran."""
    return {"name": "scotoma", "version": __version__, "rules": [rule_document(r) for r in rules]}


def rule_document(rule: Rule) -> RuleDocument:
    """Return what a rule says of itself."""
    meta = rule.meta
    return {
        "code": meta.code,
        "name": meta.name,
        "severity": _level(meta.severity),
        "severity_by_task": {str(task): _level(s) for task, s in meta.severity_by_task.items()},
        "confidence": cast("Certainty", str(meta.confidence)),
        "summary": rule.summary,
        "since": meta.since,
        "default": meta.default,
        "references": list(meta.references),
        "runtimes": list(meta.runtimes),
        "options": [
            {"name": item.name, "default": _plain(item.default), "what": item.what}
            for item in rule.declared_options
        ],
    }


def _level(severity: Severity) -> Level:
    return cast("Level", str(severity))


def _plain(value: object) -> Any:
    """Return a default as JSON can carry it, a fraction as it is written in a configuration."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def model_document(model: ModelReport, folder: str | None) -> ModelHead:
    """Return what identifies a model, how it was examined and what could not be analysed."""
    failure = model.failure
    return {
        "path": path_from(model.path, folder),
        "graph_sha256": model.graph_sha256,
        "sha256": model.sha256,
        "producer": model.producer,
        "opset": model.opsets.get(""),
        "opsets": dict(sorted(model.opsets.items())),
        "input": input_document(model.examined) if model.examined else None,
        "inputs": [input_document(item) for item in model.inputs],
        "task": _task_document(model.task) if model.task else None,
        "status": cast("Status", model.status),
        "error": {"kind": failure.kind, "message": failure.message} if failure else None,
        "refusal": model.refusal,
        "unanalysed": [
            {"node": item.node, "op_type": item.op_type, "reason": item.reason}
            for item in model.unanalysed
        ],
    }


def _task_document(task: TaskTaken) -> TaskDocument:
    return {
        "value": cast("Goal", str(task.value)),
        "assumed": task.assumed,
        "because": task.because,
    }


def input_document(item: InputShape) -> InputDocument:
    """Return an input with the shape that it is examined at."""
    return {
        "name": item.name,
        "shape": None if item.shape is None else list(item.shape),
        "spatial_axes": list(item.spatial_axes),
        "assumed": item.assumed,
    }


def examined_head(facts: Facts) -> ExaminedHead:
    """Return what the document of one examined model begins with."""
    model, examined = facts.model, facts.resolution.examined
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "scotoma", "version": __version__},
        "model": {
            "path": path_from(model.path, str(Path.cwd())),
            "graph_sha256": model.graph_sha256,
            "producer": model.producer,
            "opset": model.opsets.get(""),
        },
        "input": None if examined is None or examined.shape is None else input_document(examined),
    }


def examined_foot(facts: Facts) -> ExaminedFoot:
    """Return what the document of one examined model ends with."""
    return {
        "status": cast("Status", facts.status),
        "unanalysed": [
            {"node": u.node, "op_type": u.op_type, "reason": u.reason} for u in facts.unanalysed
        ],
    }


def finding_document(finding: Finding) -> FindingDocument:
    """Return a finding; its node, operator type and tensor are those of the primary location."""
    document: FindingDocument = {
        "code": finding.code,
        "name": finding.name,
        "severity": _level(finding.severity),
        "confidence": cast("Certainty", str(finding.confidence)),
        "message": finding.message,
        "node": finding.primary.node,
        "op_type": finding.primary.op_type,
        "tensor": finding.primary.tensor,
        "locations": [_location_document(location) for location in finding.locations],
        "measurements": [_measurement_document(item) for item in finding.measurements],
        "remedy": finding.remedy,
        "fingerprint": finding.fingerprint,
        "suppressed": _suppressed_document(finding.suppressed),
        "runtimes": finding.runtimes,
    }
    if finding.evidence is not None:
        document["evidence"] = _evidence_document(finding.evidence)
    return document


def _evidence_document(evidence: Evidence) -> EvidenceDocument:
    return {
        "status": cast("Any", evidence.status),
        "reason": evidence.reason,
        "measurements": [_measurement_document(item) for item in evidence.measurements],
        "outputs": [
            {"output": item.output, "status": cast("Any", item.status)} for item in evidence.outputs
        ],
    }


def _suppressed_document(suppressed: Suppressed | None) -> SuppressedDocument | None:
    if suppressed is None:
        return None
    by = cast("Suppressor", suppressed.by)
    return {"reason": suppressed.reason, "by": by, "source": suppressed.source}


def _location_document(location: Location) -> LocationDocument:
    return {
        "node": location.node,
        "op_type": location.op_type,
        "tensor": location.tensor,
        "note": location.note,
    }


def _measurement_document(measurement: Measurement) -> MeasurementDocument:
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
