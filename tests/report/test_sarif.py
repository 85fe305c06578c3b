from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from example_reports import REPORTS, finding, report_hostile
from example_rules import NASTY, LostPixels, report_clean, report_with_findings

from scotoma.findings import Location, Severity, Suppressed
from scotoma.registry import load_rules
from scotoma.report import render
from scotoma.report.sarif_rules import descriptor
from scotoma.report.sarif_text import plain
from scotoma.results import Report

SCHEMA = Path(__file__).parents[1] / "schemas" / "sarif-2.1.0.json"
VALIDATOR = jsonschema.Draft4Validator(
    json.loads(SCHEMA.read_text("utf-8")), format_checker=jsonschema.FormatChecker()
)


def messages(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every message below a value."""
    if isinstance(value, dict):
        if isinstance(value.get("message"), dict):
            yield value["message"]
        for item in value.values():
            yield from messages(item)
    elif isinstance(value, list):
        for item in value:
            yield from messages(item)


def run_of(report: Report) -> dict[str, Any]:
    log = json.loads(render(report, "sarif"))
    VALIDATOR.validate(log)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    assert isinstance(run, dict)
    return run


@pytest.mark.parametrize("kind", REPORTS)
def test_every_log_fits_the_schema(kind: str) -> None:
    run_of(REPORTS[kind]())


def test_the_schema_refuses_what_sarif_lacks() -> None:
    log = json.loads(render(report_clean(), "sarif"))
    log["runs"][0]["results"] = [{"message": {"text": "x"}, "kind": "undecided"}]
    with pytest.raises(jsonschema.ValidationError, match="'undecided' is not one of"):
        VALIDATOR.validate(log)


def test_a_node_is_a_logical_location_in_the_file_of_the_model() -> None:
    results = run_of(report_with_findings())["results"]
    file = {"uri": "models/bad.onnx", "uriBaseId": "%SRCROOT%", "index": 0}
    shown = "evil\\x1b[31m[bold]\\n\\u202eRTL</script>\\udc80"
    assert results[1]["locations"] == [
        {
            "physicalLocation": {"artifactLocation": file},
            "logicalLocations": [
                {
                    "fullyQualifiedName": shown,
                    "kind": "operator",
                    "properties": {"op_type": "Conv", "tensor": f"{shown}_out"},
                }
            ],
            "message": {"text": "reads 30 of 31 rows"},
        }
    ]
    (related,) = results[1]["relatedLocations"]
    assert (related["id"], related["message"]) == (0, {"text": "the other branch"})
    assert related["logicalLocations"][0]["fullyQualifiedName"] == "pool"
    assert results[0]["locations"][0]["logicalLocations"] == [
        {"fullyQualifiedName": "x", "kind": "tensor"}
    ]
    assert "region" not in json.dumps(results)


def test_results_say_rule_level_and_fingerprint() -> None:
    report = report_with_findings()
    run = run_of(report)
    found = [
        (r["ruleId"], run["tool"]["driver"]["rules"][r["ruleIndex"]]["id"], r["kind"], r["level"])
        for r in run["results"]
    ]
    assert found == [
        ("XX101", "XX101", "fail", "warning"),
        ("XX101", "XX101", "fail", "error"),
        ("XX101", "XX101", "open", "none"),
        ("XX201", "XX201", "open", "none"),
    ]
    marks = [r.get("partialFingerprints") for r in run["results"]]
    fingerprints = [f.fingerprint for f in report.models[0].findings]
    assert marks == [
        *({"scotoma/v1": f, "primaryLocationLineHash": f"{f}:1"} for f in fingerprints), None, None,
    ]  # fmt: skip
    assert run["results"][3]["locations"][0]["logicalLocations"] == [
        {"fullyQualifiedName": "pool", "kind": "operator"}
    ]


def test_levels_are_those_of_the_findings_and_of_the_rules() -> None:
    clean = report_clean()
    found = tuple(finding(str(level), level) for level in Severity)
    report = dataclasses.replace(
        clean, models=(dataclasses.replace(clean.models[0], findings=found),)
    )
    assert [r["level"] for r in run_of(report)["results"]] == ["note", "warning", "error"]
    rules = run_of(report_with_findings())["tool"]["driver"]["rules"]
    assert [r["defaultConfiguration"] for r in rules] == [
        {"level": "warning", "enabled": True}, {"level": "error", "enabled": False},
    ]  # fmt: skip


def test_suppressions_and_baselines_are_in_the_terms_of_sarif() -> None:
    run = run_of(REPORTS["known"]())
    found = [
        (r["locations"][0].get("logicalLocations", [{}])[0].get("fullyQualifiedName"),
         r["baselineState"], [(s["kind"], s["status"], s["justification"],
                               s["properties"]["source"]) for s in r["suppressions"]])
        for r in run["results"]
    ]  # fmt: skip
    known = ("external", "accepted", "known: it is in the baseline", "known.json")
    assert found == [
        ("stem", "unchanged", [known]),
        ("a", "new", [("external", "accepted", "masked", "scotoma.toml")]),
        ("b", "new", [("inSource", "accepted", "meant", "models/old one.onnx")]),
        ("c", "new", [("external", "accepted", "not in 1.22", "--runtime")]),
        ("new", "new", []),
        ("small", "new", []),
        (None, "new", []),
        ("x", "unchanged", [known]),
    ]
    (invocation,) = run["invocations"]
    assert [
        (note["descriptor"]["id"], note["level"], note["message"]["text"])
        for key in ("toolExecutionNotifications", "toolConfigurationNotifications")
        for note in invocation[key]
    ] == [
        ("vanished-finding", "note", "vanished from models/old one.onnx: XX101 at gone: lost"),
        ("unused-suppression", "warning", "scotoma.toml: unused suppression of XX2 at '*' (never)"),
    ]
    assert "baselineState" not in json.dumps(run_of(report_with_findings()))


def test_what_cannot_be_examined_is_notified() -> None:
    run = run_of(REPORTS["error"]())
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert [
        (
            note["descriptor"]["id"],
            run["tool"]["driver"]["notifications"][note["descriptor"]["index"]]["id"],
            note["level"],
            note["message"]["text"],
            note["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            note.get("associatedRule"),
        )
        for note in invocation["toolExecutionNotifications"]
    ] == [
        ("unreadable-model", "unreadable-model", "error", "missing: there is no such file",
         "models/gone.onnx", None),
        ("refused-size", "refused-size", "error",
         "'conv' (Conv) cannot run at this size: the kernel is wider than its input",
         "models/small.onnx", None),
        ("not-analysed", "not-analysed", "note", "Conv conv: the kernel is wider than its input",
         "models/small.onnx", None),
        ("crashed-rule", "crashed-rule", "error", "XX101: ValueError: no", "models/crash.onnx",
         {"id": "XX101", "index": 0}),
        ("crashed-rule", "crashed-rule", "error", "XX201: KeyError: 'x'", "models/crash.onnx",
         {"id": "XX201", "index": 1}),
    ]  # fmt: skip
    assert run_of(report_clean())["invocations"][0]["executionSuccessful"] is True


def test_paths_are_relative_and_percent_encoded() -> None:
    clean = report_clean()
    paths = ["/project/a b#ö%.onnx", "/else/x.onnx", "./c:d.onnx", "-", f"/project/{NASTY}.onnx"]
    models = tuple(dataclasses.replace(clean.models[0], path=path) for path in paths)
    run = run_of(dataclasses.replace(clean, models=models, folder="/project"))
    assert [item["location"] for item in run["artifacts"]] == [
        {"uri": "a%20b%23%C3%B6%25.onnx", "uriBaseId": "%SRCROOT%"},
        {"uri": "../else/x.onnx"},
        {"uri": "c%3Ad.onnx", "uriBaseId": "%SRCROOT%"},
        {"uri": "-", "uriBaseId": "%SRCROOT%"},
        {"uri": "evil%1B%5B31m%5Bbold%5D%0A%E2%80%AERTL%3C/script%3E%80.onnx",
         "uriBaseId": "%SRCROOT%"},
    ]  # fmt: skip
    assert "/project" not in json.dumps(run)


def test_rules_bring_their_documentation() -> None:
    for rule in load_rules().rules:
        found = descriptor(rule)
        sections = rule.documentation.sections
        assert found["id"] == rule.meta.code
        assert found["help"]["markdown"].startswith(f"{rule.documentation.summary}\n\n## What it")
        for name, text in sections.items():
            assert f"\n\n## {name}\n\n{text}" in found["help"]["markdown"]
            assert f"\n\n{name}\n\n{text}" in found["help"]["text"]
        for item in rule.declared_options:
            assert f"\n- {item.name} = {item.default}: {item.what}" in found["help"]["markdown"]
        assert found.get("helpUri", "https://").startswith("https://")
    assert descriptor(LostPixels())["helpUri"] == "https://example.org/lost"


def test_names_make_no_links_and_no_placeholders() -> None:
    log = json.loads(render(report_hostile(), "sarif"))
    texts = [m["text"] for m in messages(log)]
    assert any("\\[text\\](1)" in text for text in texts)
    assert not [text for text in texts if re.search(r"(?<!\\)\]\(|(?<!{)\{\d", text)]
    assert plain("{0} {x} [a](b)") == r"{{0}} {x} \[a\](b)"
    suppressed = Suppressed("model", "[x](y)", "m")
    made = dataclasses.replace(finding("a", Severity.NOTE), suppressed=suppressed)
    made = dataclasses.replace(made, locations=(Location(None, note="[x](y)"),))
    clean = report_clean()
    model = dataclasses.replace(clean.models[0], findings=(made,))
    (result,) = run_of(dataclasses.replace(clean, models=(model,)))["results"]
    assert result["locations"][0]["message"]["text"] == r"\[x\](y)"
    assert "logicalLocations" not in result["locations"][0]


def test_what_counts_can_be_told_apart_for_github() -> None:
    results = run_of(REPORTS["known"]())["results"]
    kept = [r for r in results if r["kind"] == "fail" and r["suppressions"] == []]
    names = [r["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] for r in kept]
    assert names == ["new", "small"]
