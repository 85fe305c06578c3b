"""Writes the page of a rule from its module and its fixtures, and the list of all pages."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import click

from scotoma.report.text import render
from scotoma.results import Report
from scotoma.rule import DeclaredOption, Rule
from scotoma.testing import Fixture

FIXTURES = Path(__file__).parent / "rules"
FAMILIES = {
    "SC1": "Coverage",
    "SC2": "Alignment",
    "SC3": "Borders",
    "SC4": "Pooling and padding quirks",
    "SC5": "Inference state",
    "SC6": "Upsampling",
    "SC7": "Aliasing",
    "SC8": "Size hazards",
}
MODEL = "model.onnx"
SHOWN = "shown"
"""Key of the comment that makes a fixture the one that its rule's page shows."""
UPDATE = "`UPDATE_GOLDEN=1 pytest tests/test_rule_pages.py` makes it anew"


def file_name(rule: Rule) -> str:
    """Return the name of a rule's page."""
    return f"{rule.meta.code}-{rule.meta.name}.md"


def index(rules: Sequence[Rule]) -> str:
    """Return the list of all pages, by family."""
    lines = ["# Rules", "", f"<!-- Made of the modules in rules/; {UPDATE}. -->"]
    for prefix, members in groupby(rules, key=lambda rule: rule.meta.code[:3]):
        lines += ["", f"## {prefix}xx {FAMILIES[prefix]}", ""]
        lines += ["| rule | severity | what it finds |", "| --- | --- | --- |"]
        for rule in members:
            link = f"[{rule.meta.code} {rule.meta.name}]({file_name(rule)})"
            lines.append(f"| {link} | {_severity(rule)} | {_cell(rule.summary)} |")
    return "\n".join(lines) + "\n"


def page(rule: Rule, fixtures: Iterable[Fixture]) -> str:
    """Return the page of a rule.

    Parameters
    ----------
    fixtures
        Those of the rule, of which one at least fires and one is silent.
    """
    meta, documentation = rule.meta, rule.documentation
    module = f"rules/{meta.name.replace('-', '_')}.py"
    source = f"{module} and tests/rules/{meta.name}"
    fixtures = list(fixtures)
    firing = sorted((f for f in fixtures if _fires(rule, f)), key=lambda f: _order(rule, f))
    silent = sorted((f for f in fixtures if not _speaks(rule, f)), key=lambda f: _order(rule, f))
    unsure = [f for f in fixtures if _speaks(rule, f) and not _fires(rule, f)]
    sections = dict(documentation.sections)
    references = _references(sections.pop("References", ""), meta.references)
    lines = [
        f"# {meta.code} {meta.name}",
        "",
        f"<!-- Made of {source}; {UPDATE}. -->",
        "",
        f"**{documentation.summary}**",
        "",
        f"Severity: {_severity(rule)}. Confidence: {meta.confidence}. Since: {meta.since}.",
        *_selection(rule),
    ]
    for heading, text in sections.items():
        lines += ["", f"## {heading}", "", text]
    lines += _options(rule)
    lines += ["", "## Example", "", _prose(firing[0]), "", *_model(firing[0])]
    lines += ["", f"`scotoma lint {MODEL} --select {meta.code}` prints:", ""]
    lines += ["```text", _output(rule, firing[0]), "```"]
    lines += ["", "## Where it says nothing", "", _prose(silent[0]), "", *_model(silent[0])]
    if len(fixtures) > 2:
        lines += ["", "## More models"]
    lines += _others("It speaks:", meta.name, firing[1:])
    lines += _others("It says nothing:", meta.name, silent[1:])
    lines += _others("It cannot tell:", meta.name, unsure)
    if references:
        lines += ["", "## References", "", *references]
    lines += ["", "---", "", f"[All rules](README.md) · [source](../../{module})"]
    return "\n".join(lines) + "\n"


def _references(text: str, addresses: Sequence[str]) -> list[str]:
    """Return the references in words, and the addresses that are not among them."""
    more = [f"- {address}" for address in addresses if address.removesuffix("/") not in text]
    return [*([text] if text else []), *([""] if text and more else []), *more]


def _severity(rule: Rule) -> str:
    meta = rule.meta
    parts = [str(meta.severity)]
    parts += [f"{level} where the task is {task}" for task, level in meta.severity_by_task.items()]
    return "; ".join(parts) + ("" if meta.default else "; off by default")


def _selection(rule: Rule) -> list[str]:
    """Return what a user should know of how the rule is chosen and judged."""
    meta, lines = rule.meta, []
    if not meta.default:
        lines += ["", f"It runs only where it is selected: `--extend-select {meta.code}`."]
    if meta.severity_by_task:
        lines += ["", "The task is derived from the graph, or given with `--task`."]
    if meta.runtimes:
        known = " and ".join(meta.runtimes)
        note = (
            f"Part of it concerns certain versions of {known} only: `--runtime` says which count."
        )
        lines += ["", note]
    return lines


def _options(rule: Rule) -> list[str]:
    declared = rule.declared_options
    if not declared:
        return []
    lines = ["", "## Options", "", "| option | default | what it is |", "| --- | --- | --- |"]
    lines += [f"| `{item.name}` | {item.default} | {_cell(item.what)} |" for item in declared]
    table = [f"[rules.{rule.meta.name}]", *map(_assignment, declared)]
    tomllib.loads("\n".join(table))
    return [*lines, "", "In `scotoma.toml`, with the defaults:", "", "```toml", *table, "```"]


def _assignment(item: DeclaredOption) -> str:
    """Return an option with its default as TOML."""
    value = item.default
    if isinstance(value, bool):
        return f"{item.name} = {str(value).lower()}"
    if isinstance(value, int | float):
        return f"{item.name} = {value}"
    if isinstance(value, tuple):
        return f"{item.name} = {list(value)}"
    return f'{item.name} = "{value}"'


def _speaks(rule: Rule, fixture: Fixture) -> bool:
    return any(e.code == rule.meta.code for e in fixture.expected)


def _fires(rule: Rule, fixture: Fixture) -> bool:
    return any((e.kind, e.code) == ("finding", rule.meta.code) for e in fixture.expected)


def _order(rule: Rule, fixture: Fixture) -> tuple[bool, bool, int, int, str]:
    """Return a sort key that puts first what shows most: what is marked, then what is simple."""
    lowered = False
    if _fires(rule, fixture):
        found = fixture.lint([rule]).findings
        lowered = max(f.severity for f in found if f.code == rule.meta.code) < rule.meta.severity
    others = {e for e in fixture.expected if e.code != rule.meta.code}
    marked = re.search(rf"^# {SHOWN}:", fixture.text, re.MULTILINE) is not None
    return (not marked, lowered, len(others), len(fixture.text), fixture.path.stem)


def _prose(fixture: Fixture) -> str:
    """Return the comment in which a fixture says why, without its expectations."""
    comments = [line for line in fixture.text.splitlines() if line.startswith("#")]
    keys = ("expect", "only", SHOWN)
    return " ".join(
        text for line in comments if not (text := line.removeprefix("#").strip()).startswith(keys)
    )


def _model(fixture: Fixture) -> list[str]:
    lines = [line for line in fixture.text.splitlines() if not line.startswith("#")]
    return ["```text", *lines, "```"]


def _output(rule: Rule, fixture: Fixture) -> str:
    """Return what the command line prints of a fixture's model."""
    found = replace(fixture.lint([rule]), path=MODEL)
    return click.unstyle(render(Report((rule,), (found,)))).rstrip()


def _others(title: str, name: str, fixtures: Sequence[Fixture]) -> list[str]:
    if not fixtures:
        return []
    links = [f"../../tests/rules/{name}/{fixture.path.name}" for fixture in fixtures]
    items = [
        f"- [{fixture.path.stem.replace('_', ' ')}]({link}): {_prose(fixture)}"
        for fixture, link in zip(fixtures, links, strict=True)
    ]
    return ["", title, "", *sorted(items)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
