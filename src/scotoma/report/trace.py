"""Renders the document of ``scotoma trace`` as a receptive-field table for a person to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, TypeVar

import click

from scotoma.report.escape import escape
from scotoma.report.table import table
from scotoma.report.text import counted, input_line, short_number

Document = Mapping[str, Any]
Row = TypeVar("Row", bound=Document)

UNKNOWN = "-"
MAX_NAME = 40

COLUMNS = (
    ("node", "node"),
    ("op", "op_type"),
    ("what it is", "kind"),
    ("shape", "shape"),
    ("receptive field", "receptive_field"),
    ("local", "receptive_field_local"),
    ("eff. stride", "effective_stride"),
    ("centre", "centre"),
    ("absorbed", "absorbed_by_padding"),
    ("multiply-adds", "multiply_adds"),
    ("parameters", "parameters"),
    ("note", "note"),
)
"""Heads of the table with their keys in the document."""

_GEOMETRY = ("shape", "receptive_field", "receptive_field_local", "effective_stride", "centre")
_RIGHT = frozenset({"multiply_adds", "parameters", "absorbed_by_padding"})


def render_trace(document: Document) -> str:
    """Return the receptive-field table and what the coverage of the input is.

    Parameters
    ----------
    document
        The JSON document of ``scotoma trace``. Each tensor may also carry ``kind``,
        ``absorbed_by_padding``, ``multiply_adds`` and ``parameters``; a column that no tensor has
        anything for is left out.
    """
    model = document.get("model") or {}
    path = click.style(escape(str(model.get("path") or "model")), bold=True)
    parts = [f"{path}\n  {input_line(document.get('input'))}\n"]
    if document["tensors"]:
        parts += ["\n", _tensor_table(document["tensors"])]
    parts += ["\n", _coverage_table(document)]
    unanalysed = document.get("unanalysed") or []
    if unanalysed:
        parts.append(f"\nnot analysed: {counted(len(unanalysed), 'operator')}\n")
        for item in unanalysed:
            name = f"{escape(str(item['node']))} ({escape(str(item['op_type']))})"
            parts.append(f"  {name}: {escape(str(item['reason']))}\n")
    return "".join(parts)


def _tensor_table(tensors: Sequence[Document]) -> str:
    """Return one row for each tensor that differs from the row before it or is of some kind."""
    named = [{**tensor, "node": tensor.get("node") or tensor["name"]} for tensor in tensors]
    kept = told_apart(named)
    shown = [
        (head, key)
        for head, key in COLUMNS
        if any(tensor.get(key) not in (None, "") for tensor in kept)
    ]
    if all(t.get("receptive_field_local") == t.get("receptive_field") for t in kept):
        shown = [(head, key) for head, key in shown if key != "receptive_field_local"]
    rows = [[cell(key, tensor.get(key)) for _, key in shown] for tensor in kept]
    right = frozenset(index for index, (_, key) in enumerate(shown) if key in _RIGHT)
    text = table([head for head, _ in shown], rows, right=right)
    if len(kept) < len(named):
        left_out = counted(len(named) - len(kept), "row")
        repeat = "repeats" if left_out == "1 row" else "repeat"
        text += f"{left_out} left out that {repeat} the row above (see --format json)\n"
    return text


def told_apart(tensors: Sequence[Row]) -> list[Row]:
    """Return the tensors that differ from the one before them or are of some kind."""
    kept = list(tensors[:1])
    for tensor in tensors[1:]:
        if tensor.get("kind") or any(tensor.get(key) != kept[-1].get(key) for key in _GEOMETRY):
            kept.append(tensor)
    return kept


def cell(key: str, value: object) -> str:
    """Return one value as text: a list as ``7x7``, or ``0, 15/2`` where it holds coordinates."""
    if value is None or value == "":
        return "" if key == "note" else UNKNOWN
    if isinstance(value, list | tuple):
        return (", " if key == "centre" else "x").join(_number(item) for item in value) or "scalar"
    if key == "absorbed_by_padding" and isinstance(value, int | float):
        return f"{value:.1%}"
    if isinstance(value, int):
        return f"{value:,}"
    text = escape(str(value))
    return text if key == "note" else _shortened(text)


def _shortened(text: str) -> str:
    """Return a name with at most `MAX_NAME` characters; its end tells more than its beginning."""
    return text if len(text) <= MAX_NAME else "…" + text[1 - MAX_NAME :]


def _number(value: object) -> str:
    """Return a size, or a fraction that travels as a string, as short as it is exact.

    Examples
    --------
    >>> _number("31/2"), _number("32"), _number("1/3"), _number(None)
    ('15.5', '32', '1/3', '-')
    """
    if value is None:
        return UNKNOWN
    if isinstance(value, str) and "/" in value:
        exact = Fraction(value)
        short = format(float(exact), "g")
        return short if Fraction(short) == exact else value
    return escape(str(value))


def _coverage_table(document: Document) -> str:
    """Return the coverage, and beside it that without gates where the two differ."""
    coverage, local = document.get("coverage"), document.get("coverage_local")
    if not coverage:
        return "coverage of the input: could not be told\n"
    names = [escape(str(name)) for name in document.get("functional") or ()]
    of = f" from '{names[0]}'" if len(names) == 1 else ""
    if len(names) > 1:
        of = f" from {counted(len(names), 'output')}"
    heads, both = [f"coverage of the input{of}", ""], [coverage]
    if local and local != coverage:
        heads, both = [heads[0], "all paths", "local paths"], [coverage, local]
    rows = []
    for key, value in coverage.items():
        if isinstance(value, int | float | str | list | None):
            rows.append([metric_name(key), *(measure_cell(key, each.get(key)) for each in both)])
    return table(heads, rows)


def metric_name(key: str) -> str:
    """Return the name of a metric as a person writes it."""
    return key.replace("_", " ").replace("dead cols", "dead columns")


def measure_cell(key: str, value: object) -> str:
    """Return one metric of a map as text: ranges as ``0-3``, shares of pixels in percent."""
    if value is None:
        return "unknown"
    if isinstance(value, list | tuple):
        return ", ".join(_span(item) for item in value) or "none"
    if isinstance(value, int | float):
        percent = key in ("dead_pixel_fraction", "absorbed_by_padding")
        return f"{value:.2%}" if percent else short_number(value)
    return escape(str(value))


def _span(item: object) -> str:
    if isinstance(item, list | tuple) and len(item) == 2:
        first, last = item
        return str(first) if first == last else f"{first}-{last}"
    return escape(str(item))
