"""Every rule on its fixtures, and what every rule module must have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import scotoma
from scotoma import testing
from scotoma.registry import builtin_package, load_rules
from scotoma.rule import OPTIONAL_SECTIONS, REQUIRED_SECTIONS, Rule
from scotoma.testing import Expectation, Fixture, find_fixtures

FOLDER = Path(__file__).parent / "rules"
FIXTURES = find_fixtures(FOLDER)
PACKAGE = builtin_package().__name__
RULES = tuple(r for r in load_rules().rules if type(r).__module__.startswith(f"{PACKAGE}."))

each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.meta.name)


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda f: f"{f.rule}/{f.path.stem}")
def test_rules_say_exactly_what_the_fixture_states(fixture: Fixture) -> None:
    report = fixture.lint(RULES)
    assert report.failure is None
    assert testing.said(report) == fixture.expected


@each_rule
def test_a_fixture_fires_and_another_does_not(rule: Rule) -> None:
    own = [f for f in FIXTURES if f.rule == rule.meta.name]
    fires = {
        any((e.kind, e.code) == ("finding", rule.meta.code) for e in fixture.expected)
        for fixture in own
    }
    assert fires == {True, False}


def test_fixtures_are_of_rules_that_exist() -> None:
    names = {rule.meta.name for rule in RULES}
    words = names | {rule.meta.code for rule in RULES}
    assert {f.rule for f in FIXTURES} <= names
    assert {word for f in FIXTURES for word in f.only} <= words
    assert {e.code for f in FIXTURES for e in f.expected} <= words
    assert {f.path.parent.parent for f in FIXTURES} <= {FOLDER}


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda f: f"{f.rule}/{f.path.stem}")
def test_a_fixture_says_why(fixture: Fixture) -> None:
    first = fixture.text.splitlines()[0]
    assert re.fullmatch(r"# (?!expect|only).{20,}", first)


@each_rule
def test_module_name_and_code_agree(rule: Rule) -> None:
    assert type(rule).__module__ == f"{PACKAGE}.{rule.meta.name.replace('-', '_')}"
    assert type(rule).__name__ == rule.meta.name.title().replace("-", "")
    assert re.fullmatch(r"SC[1-9][0-9]{2}", rule.meta.code)
    assert rule.meta.name == rule.meta.name.lower()


@each_rule
def test_documentation(rule: Rule) -> None:
    sections = rule.documentation.sections
    extra = [heading for heading in sections if heading not in REQUIRED_SECTIONS]
    assert tuple(sections) == (*REQUIRED_SECTIONS, *extra)
    assert extra == [heading for heading in OPTIONAL_SECTIONS if heading in extra]
    assert all(sections.values())
    assert re.fullmatch(r"[A-Z0-9].{9,98}\.", rule.documentation.summary)


@each_rule
def test_since_is_a_version(rule: Rule) -> None:
    since = tuple(int(number) for number in rule.meta.since.split("."))
    current = tuple(int(number) for number in scotoma.__version__.split("."))
    assert len(since) == 3
    assert (0, 1, 0) <= since <= current


@each_rule
def test_references_are_addresses(rule: Rule) -> None:
    assert [r for r in rule.meta.references if not re.fullmatch(r"https://\S+", r)] == []


def write(folder: Path, text: str) -> Fixture:
    path = folder / "some-rule" / "case.onnxtxt"
    path.parent.mkdir()
    path.write_text(text)
    return testing.read_fixture(path)


def test_reader_takes_expectations_from_comments(tmp_path: Path) -> None:
    fixture = write(
        tmp_path,
        "# Why: prose.\n# expect-undecided: SC102 a node\n# expect: SC101\n# only: SC101 b\n",
    )
    assert fixture.expected == (
        Expectation("finding", "SC101", ""),
        Expectation("undecided", "SC102", "a node"),
    )
    assert fixture.only == ("SC101", "b")
    assert fixture.rule == "some-rule"


@pytest.mark.parametrize("line", ["# expects: SC101 a", "# expect:", "# expect-nothing: SC101"])
def test_reader_refuses_what_looks_like_an_expectation(tmp_path: Path, line: str) -> None:
    with pytest.raises(ValueError, match="expect"):
        write(tmp_path, line)


def test_reader_makes_initializers_of_tensors_without_a_producer() -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    model (float[1, 1, 4, 4] x) => (float[1, 1, 4, 4] y)
    <float[2, 3] w, bool[2] b, float[1, 1, 4, 4] a>
    # A comment among the operators, as on <this> line.
    { a = Relu (x) y = Relu (a) }
    """
    first, second = (testing.read_text_model(text).graph.initializer for _ in range(2))
    assert [(t.name, tuple(t.dims)) for t in first] == [("w", (2, 3)), ("b", (2,))]
    assert list(first) == list(second)
