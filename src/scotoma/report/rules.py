"""Renders what is known of the rules: their table and one rule's documentation."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from scotoma.report.document import SCHEMA_VERSION, tool_document
from scotoma.report.json import dump
from scotoma.report.table import table
from scotoma.report.text import counted

if TYPE_CHECKING:
    from scotoma.findings import Severity
    from scotoma.rule import Rule, RuleMeta

WIDTH = 88


def render_table(rules: Iterable[Rule], *, when: str | None = None) -> str:
    """Return the rules as a table, one line each; what stands for on and off may be given."""
    rows = [
        (
            rule.meta.code,
            rule.meta.name,
            severity_text(rule.meta),
            when or ("on" if rule.meta.default else "off"),
            rule.summary,
        )
        for rule in rules
    ]
    return table(("code", "name", "severity", "default", "what it finds"), rows)


def render_markdown(rules: Iterable[Rule]) -> str:
    """Return the rules as a Markdown table, as the README shows it."""
    lines = ["| code | name | severity | what it finds |", "| --- | --- | --- | --- |"]
    for rule in rules:
        meta = rule.meta
        severity = severity_text(meta) + ("" if meta.default else ", off by default")
        cells = (meta.code, f"`{meta.name}`", severity, rule.summary.replace("|", "\\|"))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def severity_text(meta: RuleMeta) -> str:
    """Return the severity of a rule, and those that it has by the task of a model.

    Examples
    --------
    >>> from scotoma.findings import Severity
    >>> from scotoma.rule import RuleMeta
    >>> from scotoma.task import Task
    >>> low = {Task.CLASSIFY: Severity.NOTE}
    >>> severity_text(
    ...     RuleMeta(
    ...         code="XX1", name="x", severity=Severity.WARNING, since="1", severity_by_task=low
    ...     )
    ... )
    'warning (classify: note)'
    """
    levels: dict[Severity, list[str]] = {}
    for task, severity in meta.severity_by_task.items():
        levels.setdefault(severity, []).append(str(task))
    parts = [f"{', '.join(tasks)}: {severity}" for severity, tasks in levels.items()]
    return f"{meta.severity} ({'; '.join(parts)})" if parts else str(meta.severity)


def render_family(
    family: str, rules: Sequence[Rule], *, kind: str = "rule", when: str | None = None
) -> str:
    """Return the rules whose codes begin alike, and how to read about one.

    Parameters
    ----------
    kind
        What they are.
    when
        When they run; None: their metadata say so.
    """
    count, first = counted(len(rules), kind), rules[0].meta.code
    head = f"{family.upper()} is a family of {count}; `scotoma explain {first}` explains one."
    return f"{head}\n\n{render_table(rules, when=when)}"


def render_json(rules: Iterable[Rule]) -> str:
    """Return the rules as JSON."""
    tool = tool_document(tuple(rules))
    rule_documents = tool.pop("rules")
    return dump({"schema_version": SCHEMA_VERSION, "tool": tool, "rules": rule_documents})


def explain(rule: Rule, *, when: str | None = None) -> str:
    """Return the documentation of one rule.

    Parameters
    ----------
    when
        When it runs; None: its metadata say so.
    """
    meta = rule.meta
    title = click.style(f"{meta.code} {meta.name}", bold=True)
    default = when or ("on by default" if meta.default else "off by default")
    lines = [
        title,
        f"{severity_text(meta)}, confidence {meta.confidence}, {default}, since {meta.since}",
        "",
        *textwrap.wrap(rule.documentation.summary, WIDTH),
    ]
    for heading, text in rule.documentation.sections.items():
        lines += ["", click.style(heading, bold=True), *_indented(text)]
    if rule.declared_options:
        table = f"Options, set in the table [rules.{meta.name}]"
        lines += ["", click.style(table, bold=True)]
        for item in rule.declared_options:
            lines += _indented(f"{item.name} = {item.default}: {item.what}")
    if meta.runtimes:
        known = f"--runtime leaves out what other versions do: {', '.join(meta.runtimes)}"
        lines += ["", click.style("Runtimes", bold=True), *_indented(known)]
    if meta.references and "References" not in rule.documentation.sections:
        lines += ["", click.style("References", bold=True), *_indented("\n".join(meta.references))]
    return "\n".join(lines) + "\n"


def _indented(text: str) -> list[str]:
    return [f"  {line}".rstrip() for line in text.replace("``", "`").splitlines()]
