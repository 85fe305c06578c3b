"""Renders the settings of models: every value with where it was set, and the rules that run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from scotoma.report.document import SCHEMA_VERSION
from scotoma.report.escape import escape
from scotoma.report.json import dump
from scotoma.report.text import counted
from scotoma.settings.files import shown_path
from scotoma.settings.layers import document

if TYPE_CHECKING:
    from scotoma.rule import Rule
    from scotoma.settings.plan import Plan

    Document = dict[str, Any]


def settings_document(plans: Mapping[str, Plan]) -> Document:
    """Return the settings of models, by path."""
    return {
        "schema_version": SCHEMA_VERSION,
        "models": [
            {
                "path": path,
                "configuration": plan.settings.configuration,
                "settings": _settings(plan),
                "rules": [_rule(plan, rule) for rule in plan.rules],
            }
            for path, plan in plans.items()
        ],
    }


def _settings(plan: Plan) -> Document:
    found = document(plan.settings)
    baseline = found["baseline"]
    if isinstance(baseline["value"], str):
        baseline["value"] = shown_path(baseline["value"])
    return found


def _rule(plan: Plan, rule: Rule) -> Document:
    """Return a rule with its severity, by task where that is left to the graph."""
    severity = plan.severity(rule)
    open_ones = rule.meta.severity_by_task if severity is None else {}
    return {
        "code": rule.meta.code,
        "name": rule.meta.name,
        "severity": str(rule.meta.severity if severity is None else severity),
        "severity_by_task": {str(task): str(level) for task, level in open_ones.items()},
    }


def render_json(plans: Mapping[str, Plan]) -> str:
    """Return the settings as JSON."""
    return dump(settings_document(plans))


def render_text(plans: Mapping[str, Plan]) -> str:
    """Return what all models share as a block of lines, and what each one has besides.

    With one model everything is in its block.
    """
    models = settings_document(plans)["models"]
    settings = {model["path"]: _setting_lines(model) for model in models}
    rules = {model["path"]: _rule_lines(model) for model in models}
    if len(models) == 1:
        ((path, lines),) = settings.items()
        return _block(path, lines, rules[path], "rules that run")
    shared, run_by_all = _in_all(settings.values()), _in_all(rules.values())
    blocks = [_block(f"all {len(models)} models", shared, run_by_all, "rules that run on all")]
    for path, lines in settings.items():
        own = [line for line in lines if line not in shared]
        more = [line for line in rules[path] if line not in run_by_all]
        blocks.append(_block(path, own, more, "more rules that run"))
    return "\n".join(blocks)


def _setting_lines(model: Document) -> list[str]:
    return [
        f"{key} = {escape(json.dumps(item['value']))}  ({escape(str(item['origin']))})"
        for key, item in model["settings"].items()
    ]


def _rule_lines(model: Document) -> list[str]:
    lines = []
    for rule in model["rules"]:
        by_task = "".join(f", {task}: {level}" for task, level in rule["severity_by_task"].items())
        lines.append(f"{escape(rule['code'])} {escape(rule['name'])}: {rule['severity']}{by_task}")
    return lines


def _in_all(lists: Iterable[list[str]]) -> list[str]:
    """Return the lines of the first list that are in all of them."""
    first, *others = lists
    return [line for line in first if all(line in other for other in others)]


def _block(title: str, settings: list[str], rules: list[str], heading: str) -> str:
    lines = [click.style(escape(title), bold=True), *(f"  {line}" for line in settings)]
    if rules:
        lines += [f"  {heading}: {counted(len(rules), 'rule')}", *(f"    {line}" for line in rules)]
    if not settings and not rules:
        lines.append("  nothing else")
    return "\n".join([*lines, ""])
