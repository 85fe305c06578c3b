"""Renders results as HTML fragments for notebooks; every string of a model is escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape as html_escape
from typing import TYPE_CHECKING

from scotoma.report.escape import escape

if TYPE_CHECKING:
    from scotoma.report.contract.lint import LintDocument, ModelDocument
    from scotoma.report.contract.trace import TraceDocument

MAX_ROWS = 200
"""Rows of a table at most; a notebook keeps its output."""
COLUMNS = ("name", "op_type", "shape", "receptive_field", "effective_stride", "centre")


def lint_html(document: LintDocument) -> str:
    """Return a heading and a table of what was found for each model."""
    return "".join(_model(model) for model in document["models"])


def _model(model: ModelDocument) -> str:
    head = f"<p><b>{_safe(model['path'])}</b>"
    if model["error"] is not None:
        return f"{head}: not examined: {_safe(model['error']['message'])}</p>"
    counted = [finding for finding in model["findings"] if finding["suppressed"] is None]
    rows: list[tuple[str, ...]] = [
        (f["severity"], f"{f['code']} {f['name']}", f["node"] or "", f["message"], f["remedy"])
        for f in counted
    ]
    rows += [
        ("undecided", item["code"], item["node"] or "", item["reason"], "")
        for item in model["undecided"]
    ]
    rows += [("crashed", item["code"], "", item["error"], "") for item in model["rule_errors"]]
    if not rows:
        return f"{head}: nothing found</p>"
    return f"{head}</p>{_table(('', 'rule', 'node', 'what', 'remedy'), rows)}"


def trace_html(document: TraceDocument) -> str:
    """Return the receptive-field table."""
    rows = [[_cell(key, row.get(key)) for key in COLUMNS] for row in document["tensors"]]
    heads = [key.replace("_", " ") for key in COLUMNS]
    path = _safe(document["model"]["path"])
    return f"<p><b>{path}</b></p>{_table(heads, rows)}"


def _cell(key: str, value: object) -> str:
    """Return a size as ``7x7``, a place as ``5/2, 5/2``."""
    if value is None:
        return "-"
    between = ", " if key == "centre" else "x"
    return between.join(map(str, value)) if isinstance(value, list) else str(value)


def measure_html(text: str, picture: bytes | None) -> str:
    """Return the picture of a measurement, a PNG, and its figures."""
    if picture is None:
        return text_html(text)
    data = base64.b64encode(picture).decode("ascii")
    source = f"data:image/png;base64,{data}"
    picture_tag = f'<img alt="influence map" style="max-width: 100%" src="{source}">'
    return f"{picture_tag}{text_html(text)}"


def text_html(text: str) -> str:
    """Return a text with its columns kept; lines are what they were."""
    lines = "\n".join(_safe(line) for line in text.splitlines())
    return f"<pre>{lines}</pre>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rows = list(rows)
    head = "".join(f"<th>{_safe(cell)}</th>" for cell in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{_safe(cell)}</td>' for cell in row)}</tr>" for row in rows[:MAX_ROWS]
    )
    more = len(rows) - MAX_ROWS
    left = f"<p>and {more} more rows</p>" if more > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{left}"


def _safe(text: str) -> str:
    """Return a text that is harmless in HTML, its invisible characters as escapes."""
    return html_escape(escape(text), quote=True)
