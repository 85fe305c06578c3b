"""Renders the document of ``scotoma sizes`` as a table for a person to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import click

from scotoma.report.escape import escape
from scotoma.report.sizes_document import shortened
from scotoma.report.table import table
from scotoma.report.text import counted, input_line, short_number

Document = Mapping[str, Any]

TOP = 10
"""Sizes that are shown unless the caller says otherwise."""
UNKNOWN = "-"

_HEADS = (
    "size", "unread px", "without gates", "uneven layers", "phantom windows", "centre offset", "",
)  # fmt: skip
_LOCAL = 2
"""Index of the column that is left out where it repeats the one before."""


def render_sizes(document: Document, top: int | None = None) -> str:
    """Return the best sizes with what the model loses at each.

    Parameters
    ----------
    document
        The JSON document of ``scotoma sizes``.
    top
        How many sizes are shown, beside the current one; None: `TOP`.
    """
    path = click.style(escape(str(document["model"]["path"] or "model")), bold=True)
    lines = [path, f"  {input_line(document['input'])}"]
    everything = document["sizes"]
    if not everything:
        reasons = [escape(str(item["reason"])) for item in document["unanalysed"][:1]]
        lines.append(f"  its sizes could not be compared{''.join(f': {r}' for r in reasons)}")
        return "\n".join(lines) + "\n"
    shown = shortened(document, TOP if top is None else top)["sizes"]
    lines.append(
        f"  {counted(len(everything), 'size')} around {_times(document['around'])}, the best "
        f"first; {counted(document['strided_layers'], 'strided layer')}"
    )
    lines += ["", _table(shown)]
    hidden = len(everything) - len(shown)
    if hidden:
        lines.append(f"{counted(hidden, 'size')} left out (see --top)")
    if document["refused"]:
        first = next(size["refused_by"] for size in everything if size["refused_by"])
        lines.append(
            f"{counted(document['refused'], 'size')} refused by the graph, the first at "
            f"'{escape(str(first['node']))}' ({escape(str(first['op_type']))}): "
            f"{escape(str(first['reason']))}"
        )
    guessed = len(everything) - document["examined"]
    if guessed:
        lines.append(
            f"{counted(guessed, 'size')} judged by window arithmetic only; a narrower --range "
            "examines more"
        )
    if document["unanalysed"]:
        lines.append(
            f"not analysed at the current size: {counted(len(document['unanalysed']), 'operator')}"
            " (see `scotoma trace`)"
        )
    return "\n".join(lines) + "\n"


def _table(sizes: Sequence[Document]) -> str:
    rows = [_row(item) for item in sizes]
    heads = list(_HEADS)
    if all(item["dead_pixels_local"] == item["dead_pixels"] for item in sizes):
        rows = [row[:_LOCAL] + row[_LOCAL + 1 :] for row in rows]
        heads.pop(_LOCAL)
    return table(heads, rows, right=frozenset(range(1, len(heads) - 1))).rstrip("\n")


def _row(item: Document) -> list[str]:
    offset = item["centre_offset"]
    return [
        _times(item["size"]),
        _count(item["dead_pixels"]),
        _count(item["dead_pixels_local"]),
        _count(item["uneven_layers"]),
        _count(item["phantom_windows"]),
        UNKNOWN if offset is None else f"{short_number(float(Fraction(offset)))} px",
        ", ".join(_notes(item)),
    ]


def _notes(item: Document) -> list[str]:
    notes = ["current"] if item["current"] else []
    if not item["examined"]:
        notes.append("not examined")
    refusal = item["refused_by"]
    if refusal is not None:
        node = f"{escape(str(refusal['node']))} ({escape(str(refusal['op_type']))})"
        notes.append(f"refused by {node}: {escape(str(refusal['reason']))}")
    return notes


def _count(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def _times(size: Sequence[int]) -> str:
    return "x".join(map(str, size))
