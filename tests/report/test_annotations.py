"""The formats for GitHub's annotations and GitLab's code quality."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import pytest
from example_reports import REPORTS, finding, report_hostile
from example_rules import report_clean, report_with_findings

from scotoma.findings import (
    CONFIRMED,
    CONTRADICTED,
    NOT_MEASURED,
    Evidence,
    Finding,
    OutputEvidence,
    Severity,
)
from scotoma.report import render
from scotoma.report.statements import statements
from scotoma.results import Report

COMMAND = re.compile(r"::(error|warning|notice) (?:file=([^,:]+),)?title=([^,:]+)::(.*)")


def decoded(text: str) -> str:
    for code, char in (("%3A", ":"), ("%2C", ","), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(code, char)
    return text


def commands(report: Report) -> tuple[list[tuple[str, ...]], str]:
    """Return kind, file, title and text of every annotation, and the last line."""
    *lines, last = render(report, "github").splitlines()
    found = []
    for line in lines:
        match = COMMAND.fullmatch(line)
        assert match, line
        found.append(tuple(decoded(part or "") for part in match.groups()))
    return found, last


def of(*findings: Finding) -> Report:
    clean = report_clean()
    model = dataclasses.replace(clean.models[0], findings=findings)
    return dataclasses.replace(clean, models=(model,))


def many(*levels: Severity) -> Report:
    return of(*(finding(f"n{i}", level) for i, level in enumerate(levels)))


def test_annotations_come_the_most_severe_first() -> None:
    found, last = commands(report_with_findings())
    assert [item[:3] for item in found] == [
        ("error", "models/bad.onnx", "XX201 other-rule crashed"),
        ("error", "models/cut.onnx", "not examined"),
        ("error", "models/bad.onnx", "XX101 lost-pixels"),
        ("warning", "models/bad.onnx", "XX101 lost-pixels"),
        ("notice", "models/bad.onnx", "XX101 lost-pixels undecided"),
        ("notice", "models/bad.onnx", "XX201 other-rule undecided"),
    ]
    assert found[3][3] == (
        "63 of 1024 pixels have no path to the output: row 31, column 31 (at tensor 'x'); remedy: "
        "use 33x33"
    )
    assert last == (
        "2 models, 1 not examined: 1 error, 1 warning, 0 notes, 2 undecided, 1 rule crash"
    )


def test_only_what_github_shows_is_annotated_and_the_rest_is_counted() -> None:
    found, _ = commands(many(*[Severity.NOTE] * 12, *[Severity.ERROR] * 11))
    kinds = [item[0] for item in found]
    assert kinds == ["error"] * 10 + ["notice"] * 10
    assert [item[3][:4] for item in found[:3]] == ["'n12", "'n13", "'n14"]
    assert found[-1] == (
        "notice", "", "Scotoma", "4 more than GitHub shows; the other formats have all",
    )  # fmt: skip
    for level in Severity:
        found, _ = commands(many(*[level] * 10))
        assert [item[2] for item in found] == ["XX101 lost-pixels"] * 10


def test_names_cannot_end_a_property_or_a_line() -> None:
    report = report_hostile()
    clean = report_clean()
    model = dataclasses.replace(clean.models[0], path="a,b:c%d\n.onnx", findings=())
    found, _ = commands(Report(report.rules, (*report.models, model)))
    assert {item[2] for item in found} >= {"XX101 lost-pixels", "XX201 other-rule crashed"}
    broken = dataclasses.replace(report.models[1], path="a,b:c%d\n.onnx")
    assert render(Report((), (broken,)), "github").startswith(
        "::error file=a%2Cb%3Ac%25d\\n.onnx,title=not examined::unreadable: ::error file=x::owned "
        "%250A::add-mask::x,y:z"
    )
    long = dataclasses.replace(finding("a", Severity.NOTE), message="x" * 9000)
    model = dataclasses.replace(clean.models[0], findings=(long,))
    (line,) = commands(dataclasses.replace(clean, models=(model,)))[0]
    assert (len(line[3]), line[3][-1]) == (1000, "…")


@pytest.mark.parametrize("status", [CONFIRMED, CONTRADICTED, NOT_MEASURED])
def test_what_a_run_said_stands_between_the_claim_and_the_remedy(status: str) -> None:
    evidence = Evidence(status, "moved x\n", outputs=(OutputEvidence("y", CONFIRMED),))
    found = dataclasses.replace(finding("a", Severity.ERROR), evidence=evidence)
    said = f"'a' loses 3 px (at a (Conv)); {status}: moved x\\n (y confirmed); remedy: pad it"
    ((_, _, _, text),) = commands(of(found))[0]
    assert text == said
    (issue,) = issues(of(found))
    assert issue["description"] == f"XX101 lost-pixels: {said}"
    without = issues(of(dataclasses.replace(found, evidence=None)))[0]
    assert issue["fingerprint"] == without["fingerprint"]


def test_much_that_a_run_said_leaves_room_for_the_remedy() -> None:
    evidence = Evidence(CONFIRMED, "%" * 9000)
    found = dataclasses.replace(finding("a", Severity.ERROR), evidence=evidence)
    ((_, _, _, text),) = commands(of(found))[0]
    assert text.endswith("%%…; remedy: pad it")
    assert len(text) < 400


def issues(report: Report) -> list[dict[str, Any]]:
    """Return the issues of a GitLab report, each with all the fields that it wants."""
    found = json.loads(render(report, "gitlab"))
    for issue in found:
        assert set(issue) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert set(issue["location"]) == {"path", "lines"}
        assert issue["location"]["lines"] == {"begin": 1}
        assert not issue["location"]["path"].startswith(("/", "./"))
        assert re.fullmatch("[0-9a-f]{64}", issue["fingerprint"])
        assert issue["severity"] in {"info", "minor", "major", "critical", "blocker"}
    assert len({issue["fingerprint"] for issue in found}) == len(found)
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("kind", REPORTS)
def test_gitlab_gets_the_documented_fields(kind: str) -> None:
    report = REPORTS[kind]()
    assert len(issues(report)) == len(statements(report))


def test_gitlab_knows_how_severe_it_is() -> None:
    found = issues(report_with_findings())
    assert [(i["check_name"], i["severity"], i["location"]["path"]) for i in found] == [
        ("scotoma/XX201", "blocker", "models/bad.onnx"),
        ("scotoma/XX101", "major", "models/bad.onnx"),
        ("scotoma/XX101", "critical", "models/bad.onnx"),
        ("scotoma/XX101", "info", "models/bad.onnx"),
        ("scotoma/XX201", "info", "models/bad.onnx"),
        ("scotoma/unreadable-model", "blocker", "models/cut.onnx"),
    ]
    assert issues(many(Severity.NOTE))[0]["severity"] == "minor"
    assert found[1]["description"].startswith("XX101 lost-pixels: 63 of 1024 pixels have no path")


def test_fingerprints_stay_and_differ_by_model() -> None:
    report = many(Severity.NOTE)
    model = report.models[0]
    again = dataclasses.replace(
        model, findings=(dataclasses.replace(model.findings[0], message="other words"),)
    )
    other = dataclasses.replace(model, path="other.onnx")
    first, _, third = (
        issues(dataclasses.replace(report, models=models))[0]["fingerprint"]
        for models in ((model,), (again,), (other,))
    )
    assert issues(dataclasses.replace(report, models=(again,)))[0]["fingerprint"] == first != third
    twice = dataclasses.replace(model, findings=model.findings * 2)
    one, two = issues(dataclasses.replace(report, models=(twice,)))
    assert one["fingerprint"] == first != two["fingerprint"]


def test_what_does_not_count_is_not_annotated() -> None:
    report = REPORTS["known"]()
    assert [s.text for s in statements(report)] == [
        "'new' loses 3 px (at new (Conv)); remedy: pad it",
        "'small' loses 3 px (at small (Conv)); remedy: pad it",
        "the size is not known",
    ]
