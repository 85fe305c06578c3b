from __future__ import annotations

import dataclasses
import importlib
import json
import math
import unicodedata
from fractions import Fraction
from typing import Any

import click
import example_rules
import pytest
from example_reports import REPORTS
from golden_files import check_golden
from hypothesis import given
from hypothesis import strategies as st

from scotoma.findings import Location, Severity, Suppressed
from scotoma.report import REPORTERS, render
from scotoma.report.document import number
from scotoma.report.escape import escape
from scotoma.report.rules import explain, render_json, render_markdown, render_table
from scotoma.report.table import table
from scotoma.results import Report
from scotoma.unanalysed import Unanalysed

SUFFIXES = {"text": "txt", "junit": "junit.xml", "github": "github.txt", "gitlab": "gitlab.json",
            "markdown": "md"}  # fmt: skip


@pytest.mark.parametrize("format_name", [name for name in REPORTERS if name != "html"])
@pytest.mark.parametrize("kind", REPORTS)
def test_each_format_renders_each_report_as_before(kind: str, format_name: str) -> None:
    suffix = SUFFIXES.get(format_name, format_name)
    check_golden(f"{kind}.{suffix}", click.unstyle(render(REPORTS[kind](), format_name)))


@pytest.mark.parametrize("format_name", REPORTERS)
def test_every_format_is_a_module_of_its_own(format_name: str) -> None:
    assert callable(importlib.import_module(REPORTERS[format_name]).render)


def test_json_has_the_keys_of_the_contract() -> None:
    document = json.loads(render(example_rules.report_with_findings(), "json"))
    assert list(document) == [
        "schema_version", "tool", "models", "summary", "unused_suppressions", "baselines",
    ]  # fmt: skip
    assert document["schema_version"] == "1"
    assert document["tool"]["name"] == "scotoma"
    assert [
        (r["code"], r["name"], r["severity"], r["summary"]) for r in document["tool"]["rules"]
    ] == [
        ("XX101", "lost-pixels", "warning", SUMMARY),
        ("XX201", "other-rule", "error", SUMMARY),
    ]
    assert document["summary"] == {
        "error": 1,
        "warning": 1,
        "note": 0,
        "undecided": 2,
        "suppressed": 0,
        "hidden": 0,
        "models": 2,
    }
    bad, cut = document["models"]
    assert bad["input"] == {
        "name": "x",
        "shape": [1, 3, 32, 32],
        "spatial_axes": [2, 3],
        "assumed": True,
    }
    assert bad["inputs"][1]["shape"] is None
    assert (bad["opset"], bad["sha256"], bad["error"]) == (17, None, None)
    assert bad["rule_errors"] == [{"code": "XX201", "error": "ValueError: no"}]
    assert bad["undecided"][1] == {
        "code": "XX201",
        "node": "pool",
        "reason": "external data is missing",
    }
    assert set(bad["findings"][1]) == {
        "code", "name", "severity", "confidence", "message", "node", "op_type", "tensor",
        "locations", "measurements", "remedy", "fingerprint", "suppressed",
        "runtimes",
    }  # fmt: skip
    assert bad["findings"][1]["node"] == example_rules.NASTY
    assert bad["findings"][1]["confidence"] == "medium"
    assert cut["error"] == {
        "kind": "truncated",
        "message": "the file ends after 12 of 99 bytes",
    }
    assert (cut["status"], cut["input"], cut["findings"]) == ("error", None, [])


SUMMARY = "A window that loses pixels, for tests of what surrounds the rules"


def test_the_primary_location_stands_beside_the_list_of_all() -> None:
    document = json.loads(render(example_rules.report_with_findings(), "json"))
    finding = document["models"][0]["findings"][1]
    primary = finding["locations"][0]
    assert [finding[key] for key in ("node", "op_type", "tensor")] == [
        primary[key] for key in ("node", "op_type", "tensor")
    ]
    assert [location["node"] for location in finding["locations"]] == [example_rules.NASTY, "pool"]


@pytest.mark.parametrize("format_name", REPORTERS)
def test_no_format_lets_a_name_reach_the_terminal_raw(format_name: str) -> None:
    text = click.unstyle(render(example_rules.report_with_findings(), format_name))
    harmful = [c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl")]
    assert harmful == []
    assert not any(line.lstrip().startswith("RTL") for line in text.splitlines())


@given(st.text(st.characters(), max_size=40))
def test_escaped_text_is_one_printable_line(text: str) -> None:
    escaped = escape(text)
    assert len(escaped.splitlines()) <= 1
    assert escaped == escape(escaped)
    escaped.encode("utf-8")  # no lone surrogates
    if text.isprintable() and not any(unicodedata.category(c) in ("Co", "Cn") for c in text):
        assert escaped == text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Fraction(1, 4), 0.25),
        (Fraction(6, 2), 3),
        (7, 7),
        (2**60 + 1, 2**60 + 1),
        (0.5, 0.5),
        ("31/2", "31/2"),
        (None, None),
        (math.nan, None),
        (math.inf, None),
        (10**400, None),
        (Fraction(10**400, 3), None),
    ],
)
def test_numbers_survive_json(value: Any, shown: Any) -> None:
    assert number(value) == shown
    assert type(number(value)) is type(shown)


def test_text_lists_the_first_places_and_the_most_frequent_gaps() -> None:
    report = example_rules.report_clean()
    places = [Location(f"conv{index}", "Conv") for index in range(9)]
    gaps = [Unanalysed(f"n{index}", f"Op{index}", "why") for index in range(7)]
    gaps += [Unanalysed("again", "Op6", "why")]
    finding = report.rules[0].finding(places, "many", remedy="")
    model = dataclasses.replace(report.models[0], findings=(finding,), unanalysed=tuple(gaps))
    lines = click.unstyle(render(Report(report.rules, (model,)), "text")).splitlines()
    assert lines[4:-2] == [
        "  warning XX101 lost-pixels at conv0 (Conv)",
        "    many",
        *(f"    also conv{index} (Conv)" for index in range(1, 6)),
        "    and 3 other places (see --format json)",
        "",
        "  not analysed: 8 operators",
        "    2 x Op6, first n6: why",
        *(f"    Op{index} n{index}: why" for index in range(4)),
        "    and 2 other kinds (see --format json)",
    ]


def test_text_names_first_what_cannot_run() -> None:
    report = example_rules.report_clean()
    gaps = [Unanalysed(f"n{index}", f"Op{index % 6}", "why") for index in range(18)]
    gaps.append(Unanalysed("conv", "Conv", "cannot run at this size: too small"))
    refusal = "'conv' (Conv) cannot run at this size: too small"
    model = dataclasses.replace(report.models[0], unanalysed=tuple(gaps), refusal=refusal)
    lines = click.unstyle(render(Report(report.rules, (model,)), "text")).splitlines()
    assert lines[4:7] == [
        "  not analysed: 19 operators",
        "    Conv conv: cannot run at this size: too small",
        "    3 x Op0, first n0: why",
    ]


def test_the_task_is_told_in_every_document() -> None:
    document = json.loads(render(example_rules.report_with_findings(), "json"))
    because = f"output 'y' of '{example_rules.NASTY}' (Conv)"
    assert [model["task"] for model in document["models"]] == [
        {"value": "dense", "assumed": True, "because": because}, None,
    ]  # fmt: skip
    report = example_rules.report_clean()
    model = dataclasses.replace(report.models[0], task=None)
    assert "  task unknown (--task sets it)\n" in render(Report(report.rules, (model,)), "text")
    assert "task" not in render(example_rules.report_undecided(), "text")


def test_what_is_hidden_counts_all_the_same() -> None:
    report = example_rules.report_with_findings().shown_from(Severity.ERROR)
    document = json.loads(render(report, "json"))
    assert [f["severity"] for f in document["models"][0]["findings"]] == ["error"]
    assert document["summary"] == {
        "error": 1, "warning": 1, "note": 0, "undecided": 2, "suppressed": 0, "hidden": 1,
        "models": 2,
    }  # fmt: skip
    text = click.unstyle(render(dataclasses.replace(report, statistics=True), "text"))
    assert "warning XX101" not in text
    assert "  1 finding of lower severity hidden\n" in text
    assert "XX101  lost-pixels         2       1\n" in text
    assert "1 error, 1 warning, 0 notes, 2 undecided, 1 hidden, 1 rule crash\n" in text


def test_what_is_suppressed_is_not_hidden() -> None:
    report = example_rules.report_with_findings()
    known = Suppressed("baseline", "known", "known.json")
    bad = report.models[0]
    findings = tuple(dataclasses.replace(f, suppressed=known) for f in bad.findings)
    low = dataclasses.replace(bad, findings=findings).shown_from(Severity.ERROR)
    assert (low.findings, low.hidden, low.counted) == (findings, (), ())


def test_table_is_aligned() -> None:
    text = click.unstyle(table(("name", "n"), [("a", "1"), ("bbbbb", "22")], right=frozenset({1})))
    assert text == "name    n\na       1\nbbbbb  22\n"


def test_rules_are_listed() -> None:
    rules = (example_rules.LostPixels(), example_rules.OtherRule())
    assert click.unstyle(render_table(rules)).splitlines() == [
        "code   name         severity  default  what it finds",
        f"XX101  lost-pixels  warning   on       {SUMMARY}",
        f"XX201  other-rule   error     off      {SUMMARY}",
    ]
    assert render_markdown(rules).splitlines()[2:] == [
        f"| XX101 | `lost-pixels` | warning | {SUMMARY} |",
        f"| XX201 | `other-rule` | error, off by default | {SUMMARY} |",
    ]
    document = json.loads(render_json(rules))
    assert [(rule["code"], rule["default"]) for rule in document["rules"]] == [
        ("XX101", True),
        ("XX201", False),
    ]
    assert document["rules"][0]["references"] == ["https://example.org/lost"]


def test_a_rule_explains_itself() -> None:
    assert click.unstyle(explain(example_rules.LostPixels())) == (
        "XX101 lost-pixels\n"
        "warning, confidence high, on by default, since 0.1.0\n"
        "\n"
        f"{SUMMARY}.\n"
        "\n"
        "What it finds\n"
        "  Nothing: it yields what it is told to.\n"
        "\n"
        "Why it matters\n"
        "  The engine and the reporters are tested without any real rule.\n"
        "\n"
        "What to do\n"
        "  Read the tests\n"
        "  that use it.\n"
        "\n"
        "References\n"
        "  https://example.org/lost\n"
    )
