"""Renders the settings of models: every value with where it was set, and the rules that run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from scotoma.report.document import SCHEMA_VERSION, Document
from scotoma.report.escape import escape
from scotoma.report.json import dump
from scotoma.report.text import counted
from scotoma.settings.files import shown_path
from scotoma.settings.layers import document

if TYPE_CHECKING:
    from scotoma.settings.plan import Plan


def settings_document(plans: Mapping[str, Plan]) -> Document:
    """Return the settings of models, by path."""
    return {
        "schema_version": SCHEMA_VERSION,
        "models": [
            {
                "path": path,
                "configuration": plan.settings.configuration,
                "settings": _settings(plan),
                "rules": [
                    {
                        "code": rule.meta.code,
                        "name": rule.meta.name,
                        "severity": str(plan.severities.get(rule.meta.code, rule.meta.severity)),
                    }
                    for rule in plan.rules
                ],
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


def render_json(plans: Mapping[str, Plan]) -> str:
    """Return the settings as JSON."""
    return dump(settings_document(plans))


def render_text(plans: Mapping[str, Plan]) -> str:
    """Return the settings as a block of lines for each model."""
    blocks = []
    for model in settings_document(plans)["models"]:
        lines = [click.style(escape(model["path"]), bold=True)]
        for key, item in model["settings"].items():
            value, origin = json.dumps(item["value"]), str(item["origin"])
            lines.append(f"  {key} = {escape(value)}  ({escape(origin)})")
        lines.append(f"  rules that run: {counted(len(model['rules']), 'rule')}")
        lines += [
            f"    {escape(r['code'])} {escape(r['name'])}: {r['severity']}" for r in model["rules"]
        ]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)
