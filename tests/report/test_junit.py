from __future__ import annotations

import dataclasses
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import xmlschema
from example_reports import REPORTS, finding
from example_rules import report_clean, report_with_findings

from scotoma.findings import Severity, Suppressed, Undecided
from scotoma.report import render
from scotoma.results import Gate, Report

SCHEMA = xmlschema.XMLSchema(str(Path(__file__).parents[1] / "schemas" / "junit-10.xsd"))

Outcome = tuple[str, str, tuple[tuple[str, str, str], ...]]


def outcomes(report: Report) -> list[Outcome]:
    """Return of each test case the model, its name, and the tag, type and message of how it went.

    The counts of the document must be those of its elements.
    """
    text = render(report, "junit")
    SCHEMA.validate(text)
    root = ET.fromstring(text)
    for suite in [root, *root.iter("testsuite")]:
        counts = {"tests": "testcase", "failures": "failure", "errors": "error"}
        if suite.tag == "testsuite":
            counts["skipped"] = "skipped"
        assert {k: suite.get(k) for k in counts} == {
            k: str(len(list(suite.iter(tag)))) for k, tag in counts.items()
        }
    return [
        (
            case.get("classname", ""),
            case.get("name", ""),
            tuple((item.tag, item.get("type", ""), item.get("message", "")) for item in case),
        )
        for case in root.iter("testcase")
    ]


@pytest.mark.parametrize("kind", REPORTS)
def test_every_document_fits_the_schema(kind: str) -> None:
    outcomes(REPORTS[kind]())


def test_there_is_a_test_case_for_every_rule_that_ran() -> None:
    assert outcomes(report_with_findings()) == [
        ("models/bad.onnx", "load", ()),
        ("models/bad.onnx", "XX101 lost-pixels", (
            ("failure", "error",
             "the centre of 'evil\\x1b[31m[bold]\\n\\u202eRTL</script>\\udc80' drifts by 0.5 px"),
            ("system-out", "", ""),
        )),
        ("models/bad.onnx", "XX201 other-rule", (("error", "crashed", "ValueError: no"),)),
        ("models/cut.onnx", "load",
         (("error", "truncated", "the file ends after 12 of 99 bytes"),)),
    ]  # fmt: skip
    assert [case[:2] for case in outcomes(REPORTS["known"]())] == [
        ("models/old one.onnx", "load"),
        ("models/old one.onnx", "XX101 lost-pixels"),
        ("models/old one.onnx", "XX201 other-rule"),
        ("../elsewhere/quiet.onnx", "load"),
        ("../elsewhere/quiet.onnx", "XX101 lost-pixels"),
    ]


def judged(*levels: Severity, gate: Gate, suppressed: Suppressed | None = None) -> Outcome:
    """Return how the rule fares that has findings of these severities on a model."""
    clean = report_clean()
    found = tuple(finding(f"n{i}", level, suppressed) for i, level in enumerate(levels))
    model = dataclasses.replace(clean.models[0], findings=found, gate=gate)
    return outcomes(dataclasses.replace(clean, models=(model,)))[1]


LOW = (Severity.NOTE, Severity.WARNING)


@pytest.mark.parametrize(
    ("fail_on", "tags"),
    [
        (None, [("system-out", "")]),
        (Severity.ERROR, [("system-out", "")]),
        (Severity.WARNING, [("failure", "warning"), ("system-out", "")]),
        (Severity.NOTE, [("failure", "warning")]),
    ],
)
def test_what_fails_the_run_fails(fail_on: Severity | None, tags: list[tuple[str, str]]) -> None:
    case = judged(*LOW, gate=Gate(fail_on))
    assert [item[:2] for item in case[2]] == tags


def test_a_failure_says_how_many_there_are() -> None:
    case = judged(*LOW, gate=Gate(Severity.NOTE))
    assert case[2] == (("failure", "warning", "'n0' loses 3 px (and 1 more)"),)


def test_what_is_suppressed_is_skipped() -> None:
    why = Suppressed("configuration", "masked", "scotoma.toml")
    assert judged(Severity.ERROR, gate=Gate(), suppressed=why)[2] == (
        ("skipped", "suppressed", "suppressed: masked"),
    )


def test_what_is_undecided_is_skipped_or_fails() -> None:
    clean = report_clean()
    model = dataclasses.replace(clean.models[0], undecided=(Undecided("XX101", "a", "why"),))
    report = dataclasses.replace(clean, models=(model,))
    assert outcomes(report)[1][2] == (("skipped", "undecided", "a: why"),)
    strict = dataclasses.replace(model, gate=Gate(undecided=True))
    report = dataclasses.replace(clean, models=(strict,))
    assert outcomes(report)[1][2] == (("failure", "undecided", "a: why"),)


def test_what_is_hidden_fails_all_the_same() -> None:
    clean = report_clean()
    hidden = (finding("a", Severity.NOTE), finding("b", Severity.NOTE))
    model = dataclasses.replace(clean.models[0], hidden=hidden, gate=Gate(Severity.NOTE))
    report = dataclasses.replace(clean, models=(model,))
    message = "2 findings of lower severity than --min-severity"
    assert outcomes(report)[0][2] == (("failure", "hidden", message),)
    assert model.failed


def test_the_failures_are_what_gives_status_1() -> None:
    for make in REPORTS.values():
        for model in make().models:
            report = dataclasses.replace(make(), models=(model,))
            failures = [item for case in outcomes(report) for item in case[2]]
            crashed = {failure.code for failure in model.rule_failures}
            if not crashed:  # which hides that the rule failed as well
                assert any(item[0] == "failure" for item in failures) == model.failed
