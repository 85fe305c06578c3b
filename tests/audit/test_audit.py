"""The audit of a whole model: severities, region, outputs, failures, budget."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from audit.claims import STRIDED, Audit, Examine, figures_of, limits

from scotoma.audit import Budget, demoted
from scotoma.audit.errors import NotMeasuredError
from scotoma.audit.figures import restricted
from scotoma.findings import (
    CONFIRMED,
    CONTRADICTED,
    NOT_MEASURED,
    Confidence,
    Evidence,
    Finding,
    Location,
    Severity,
)
from scotoma.measure.summary import summarise
from scotoma.results import KEPT, NOT_JUDGED, ModelReport, Report

TWO = """model (float[1, 1, 8, 8] x) => (float[1, 1, 4, 4] a, float[1, 1, 8, 8] b)
{ a = MaxPool <kernel_shape = [1, 1], strides = [2, 2]> (x)  b = Neg (x) }"""


# ---- severity


@pytest.mark.parametrize(
    ("status", "severity", "left"),
    [
        (CONTRADICTED, Severity.ERROR, Severity.WARNING),
        (CONTRADICTED, Severity.NOTE, Severity.NOTE),
        (CONFIRMED, Severity.ERROR, Severity.ERROR),
        (NOT_MEASURED, Severity.ERROR, Severity.ERROR),
    ],
)
def test_only_a_contradicted_error_becomes_a_warning(
    status: str, severity: Severity, left: Severity
) -> None:
    finding = Finding(
        "SC1", "a", severity, Confidence.HIGH, "is", (Location(None),),
        evidence=Evidence(status, "seen"),
    )  # fmt: skip
    report = Report((), (ModelReport(path="m", status="complete", findings=(finding,)),))
    (found,) = demoted(report).models[0].findings
    assert found.severity == left
    assert found.evidence is not None
    lowered = severity != left
    assert found.evidence.reason == "seen" + "; a warning instead of an error" * lowered


# ---- region and outputs


def test_figures_of_a_region_are_those_of_its_pixels(audited: Audit) -> None:
    whole = audited(STRIDED, "SC101", thresholds={"max-dead-pixels": 100})
    assert figures_of(whole)["dead_pixel_fraction"]["value"] == 0.75
    part = audited(STRIDED, "SC101", region=(1, 2, 1, 3), thresholds={"max-dead-pixels": 100})
    dead = figures_of(part)["dead_pixel_fraction"]
    assert (dead["value"], dead["probes"]) == (1.0, 3)
    assert limits(part) == [("max-dead-pixels", 3.0, KEPT)]
    assert part.measured is not None
    assert part.measured.influence is not None
    assert part.measured.influence["region"] == [1, 2, 1, 3]


def test_the_region_of_a_map_is_cut_out_of_it(examine: Examine) -> None:
    exam = examine(STRIDED)
    part = restricted(exam.influence, (2, 4, 3, 2))
    assert np.array_equal(part.values, exam.influence.values[4:6, 2:5])
    assert np.array_equal(part.places, np.argwhere(part.probed))
    assert np.allclose(part.responses.mean(axis=0), part.values[part.probed])
    assert summarise(part).figures["dead_pixel_fraction"].value == pytest.approx(4 / 6)


def test_a_region_beside_the_image_is_a_wrong_call(audited: Audit) -> None:
    report = audited(STRIDED, "SC101", region=(6, 0, 3, 8))
    assert report.failure is not None
    assert (report.failure.kind, report.failure.message) == (
        "usage",
        "the region 6,0,3,8 does not lie on an image of 8x8 pixels",
    )


def test_every_output_has_coverage_and_figures(audited: Audit) -> None:
    report = audited(TWO, "SC101")
    assert report.measured is not None
    found = [
        (o["output"], o["coverage"]["dead_pixel_fraction"], o["figures"]["dead_pixel_fraction"])
        for o in report.measured.outputs
    ]
    assert [(name, static, figure["value"]) for name, static, figure in found] == [
        ("a", 0.75, 0.75),
        ("b", 0.0, 0.0),
    ]


def test_a_single_output_is_not_told_twice(audited: Audit) -> None:
    report = audited(STRIDED, "SC101")
    assert report.measured is not None
    assert report.measured.outputs == ()


# ---- failures


def test_a_model_that_cannot_run_is_still_linted(audited: Audit) -> None:
    text = """model (float[1, 1, 8, 8] x) => (float[1, 1, 4, 4] y)
    <float[1, 1, 3, 3] w = {1, 1, 1, 1, 1, 1, 1, 1, 1}>
    { [conv] y = Conv <auto_pad = "SAME_UPPER", pads = [1, 1, 1, 1], strides = [2, 2]> (x, w) }"""
    report = audited(text, "SC407", thresholds={"max-dead-pixels": 0})
    (finding,) = report.findings
    assert finding.evidence is not None
    assert finding.evidence.status == CONFIRMED
    assert finding.evidence.reason.startswith("onnxruntime")
    assert report.measured is not None
    assert report.measured.status == "unavailable"
    assert report.measured.skipped == ()
    assert limits(report) == [("max-dead-pixels", None, NOT_JUDGED)]


# ---- the budget


def test_a_part_of_a_budget_ends_where_it_should() -> None:
    now = [10.0]
    budget = Budget.of(60.0, clock=lambda: now[0])
    first = budget.part(3)
    assert (first.left, budget.left) == (20.0, 60.0)
    now[0] = 25.0
    assert (first.left, budget.part(2).left) == (5.0, 22.5)
    first.require(4.0)
    with pytest.raises(NotMeasuredError, match="ran out"):
        first.require(5.0)


def test_a_report_without_evidence_has_no_keys_of_it() -> None:
    from scotoma.report.document import finding_document

    finding = Finding("SC1", "a", Severity.NOTE, Confidence.LOW, "is", (Location(None),))
    assert "evidence" not in finding_document(finding)
    shown = finding_document(replace(finding, evidence=Evidence(NOT_MEASURED, "no")))
    evidence: Any = shown["evidence"]
    assert evidence == {
        "status": "not measured", "reason": "no", "measurements": [], "outputs": [],
    }  # fmt: skip
