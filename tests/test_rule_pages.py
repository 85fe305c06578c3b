"""The pages of the rules are what their modules and fixtures say; UPDATE_GOLDEN=1 writes them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from rule_pages import FAMILIES, FIXTURES, file_name, index, page

from scotoma.registry import builtin_package, load_rules
from scotoma.rule import Rule
from scotoma.testing import find_fixtures

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "rules"
INDEX = "README.md"
PACKAGE = builtin_package().__name__
RULES = tuple(r for r in load_rules().rules if type(r).__module__.startswith(f"{PACKAGE}."))

each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.meta.name)


def check(name: str, text: str) -> None:
    path = PAGES / name
    if os.environ.get("UPDATE_GOLDEN"):
        PAGES.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@each_rule
def test_page(rule: Rule) -> None:
    check(file_name(rule), page(rule, find_fixtures(FIXTURES / rule.meta.name)))


def test_index() -> None:
    check(INDEX, index(RULES))


def test_there_is_no_page_without_a_rule() -> None:
    expected = {INDEX, *map(file_name, RULES)}
    if os.environ.get("UPDATE_GOLDEN"):
        for path in PAGES.glob("*.md"):
            if path.name not in expected:
                path.unlink()
    assert {path.name for path in PAGES.iterdir()} == expected


def test_every_family_has_a_title() -> None:
    assert {rule.meta.code[:3] for rule in RULES} == set(FAMILIES)


@each_rule
def test_a_docstring_reads_as_markdown(rule: Rule) -> None:
    """Text that an editor wrapped must not begin a list, a heading or a quotation by accident."""
    for text in rule.documentation.sections.values():
        assert re.findall(r"^(?:[-+*#>]|\d+[.)])\s.*", text, re.MULTILINE) == []


@each_rule
def test_links_lead_somewhere(rule: Rule) -> None:
    text = (PAGES / file_name(rule)).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) >= 2
    assert [link for link in links if not (PAGES / link).is_file()] == []
