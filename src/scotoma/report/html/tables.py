"""The tables of a page: figures of the maps, and the receptive field of every layer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from scotoma.report.trace import COLUMNS, cell, measure_cell, metric_name

if TYPE_CHECKING:
    from scotoma.measure.picture import Sheet
    from scotoma.report.html.portrait import Portrait
    from scotoma.report.html.view import FindingView

_NUMBERS = frozenset(
    {
        "shape", "receptive_field", "receptive_field_local", "effective_stride", "centre",
        "absorbed_by_padding", "multiply_adds", "parameters",
    }
)  # fmt: skip
"""Columns that are sorted as numbers."""
_KINDS = dict.fromkeys(_NUMBERS, "number") | {"note": "prose"}
_NAMES = frozenset({"node", "op_type", "note"})
"""Columns that a model fills, or that are prose: they are neither cut off nor turned to numbers."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table."""

    text: str
    order: str = ""
    """A number to sort by, as text; empty: the text itself, or nothing known."""
    links: tuple[tuple[str, str], ...] = ()
    """Anchors with their texts, instead of a text."""
    name: bool = False
    """It is a name of the model's."""


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column."""

    title: str
    kind: str = ""
    """``number``: sorted and set as such; ``prose``: several words; empty: neither."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first cell of each row is its head."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    anchors: tuple[str, ...] = ()
    """Of the rows, where something refers to them."""


def coverage_table(portrait: Portrait) -> Table | None:
    """Return the figures of the coverage, of local paths beside it where they differ."""
    every, local = portrait.coverage, portrait.coverage_local
    if every is None:
        return None
    columns = [Column("figure"), Column("value", "number")]
    both = [every]
    if local is not None and local != every:
        columns[1:] = [Column("all paths", "number"), Column("local paths", "number")]
        both.append(local)
    rows = tuple(
        (Cell(metric_name(key)), *(Cell(measure_cell(key, dict(each)[key])) for each in both))
        for key in every
    )
    return Table(tuple(columns), rows)


def measured_table(sheet: Sheet) -> Table | None:
    """Return the figures of a measurement beside those of the graph."""
    if not sheet.rows:
        return None
    return Table(
        (Column("figure"), Column("measured", "number"), Column("graph", "number")),
        tuple((Cell(row.name), Cell(row.measured), Cell(row.graph)) for row in sheet.rows),
    )


def layer_table(portrait: Portrait, findings: Sequence[FindingView], anchor: str) -> Table | None:
    """Return the receptive-field table; a column that no layer has anything for is left out.

    Parameters
    ----------
    anchor
        Of the model: begins the anchors of the rows.
    """
    layers = portrait.layers
    if not layers:
        return None
    shown = [(title, key) for title, key in COLUMNS if any(_given(row.get(key)) for row in layers)]
    if all(row["receptive_field_local"] == row["receptive_field"] for row in layers):
        shown = [(title, key) for title, key in shown if key != "receptive_field_local"]
    at: dict[int, list[FindingView]] = {}
    for view in findings:
        if view.layer is not None:
            at.setdefault(view.layer, []).append(view)
    columns = [Column("layer", "number")]
    columns += [Column(title, _KINDS.get(key, "")) for title, key in shown]
    if at:
        columns.insert(2, Column("findings"))
    rows = []
    for index, layer in enumerate(layers):
        named = {**layer, "node": layer["node"] or layer["name"]}
        cells = [_cell(key, named.get(key)) for _, key in shown]
        if at:
            cells.insert(1, _links(at.get(index, ())))
        rows.append((Cell(str(index), str(index)), *cells))
    anchors = tuple(f"{anchor}l{index}" for index in range(len(layers)))
    return Table(tuple(columns), tuple(rows), anchors)


def _given(value: object) -> bool:
    return value is not None and value != ""


def _links(views: Iterable[FindingView]) -> Cell:
    links = tuple((view.anchor, f"{view.finding.severity} {view.finding.code}") for view in views)
    return Cell("", links=links)


def _cell(key: str, value: object) -> Cell:
    if key in _NAMES:
        return Cell(str(value or ""), name=key != "note")
    return Cell(cell(key, value), _order(value) if key in _NUMBERS else "")


def _order(value: object) -> str:
    """Return a number to sort by: of a list the product.

    Examples
    --------
    >>> _order(["1/2", "2"]), _order(7), _order(None)
    ('1', '7', '')
    """
    if value is None:
        return ""
    values = value if isinstance(value, list) else [value]
    numbers = [Fraction(str(item)) for item in values if item is not None]
    total = math.prod(numbers)
    return str(total) if isinstance(total, int) or total.denominator == 1 else f"{float(total):.6g}"
