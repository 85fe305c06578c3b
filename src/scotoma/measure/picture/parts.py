"""Parts that all pictures have: the head, the legend of dead pixels and the table of figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scotoma.measure.picture.page import BODY, LINE, PANEL, TITLE, Page
from scotoma.measure.picture.theme import CONTRADICTORY, UNMOVED, UNREAD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scotoma.measure.picture.sheet import Row, Sheet

MARGIN = 0.2
"""Around the page, in inches."""
TABLE = (2.0, 1.75, 1.1)
"""Widths of the table's columns, in inches."""
ENTRY = 0.2
"""Height of an entry of the legend, in inches."""


def head_height(sheet: Sheet) -> float:
    """Return the height of title and conditions, in inches."""
    return MARGIN + 0.3 + LINE * len(sheet.lines) + 0.12


def draw_head(page: Page, sheet: Sheet) -> None:
    """Write the title and the conditions."""
    page.text(MARGIN, MARGIN, sheet.title, fontsize=TITLE, fontweight="bold")
    for index, line in enumerate(sheet.lines):
        top = MARGIN + 0.3 + LINE * index
        page.text(MARGIN, top, line, color=page.theme.faint)


def legend(sheet: Sheet) -> list[tuple[str, str]]:
    """Return colours of dead pixels with what they mean and how many pixels there are."""
    found = []
    unread = int(np.count_nonzero(sheet.unread))
    if unread:
        found.append((UNREAD, f"no path to the output: {_counted(unread, sheet)}"))
    unmoved = int(np.count_nonzero(sheet.dead & ~sheet.unread))
    if unmoved:
        name = "moved nothing" if sheet.structural is None else "has a path, but moved nothing"
        found.append((UNMOVED, f"{name}: {_counted(unmoved, sheet, probed=True)}"))
    wrong = int(np.count_nonzero(sheet.contradictory))
    if wrong:
        counted = _counted(wrong, sheet, probed=True)
        found.append((CONTRADICTORY, f"no path, but moved the output: {counted}"))
    return found


def draw_legend(page: Page, left: float, top: float, entries: Sequence[tuple[str, str]]) -> None:
    """Draw colours and their meaning, one below the other."""
    from matplotlib.patches import Rectangle  # noqa: PLC0415  slow to import

    for index, (colour, meaning) in enumerate(entries):
        place = top + ENTRY * index
        box = (left / page.width, 1 - (place + 0.14) / page.height)
        page.figure.add_artist(
            Rectangle(
                box, 0.14 / page.width, 0.14 / page.height, transform=page.figure.transFigure,
                facecolor=colour, edgecolor=page.theme.faint, linewidth=0.6,
            )
        )  # fmt: skip
        page.text(left + 0.22, place - 0.005, meaning)


def table_columns(page_width: float) -> int:
    """Return how many tables fit side by side."""
    return 2 if page_width >= 2 * (sum(TABLE) + MARGIN) else 1


def table_height(sheet: Sheet, page_width: float) -> float:
    """Return the height of the table of figures, in inches."""
    if not sheet.rows:
        return 0.0
    lines = -(-len(sheet.rows) // table_columns(page_width))
    return 0.15 + LINE * (lines + 1.5)


def draw_table(page: Page, top: float, sheet: Sheet) -> None:
    """Write the figures of both maps side by side."""
    if not sheet.rows:
        return
    columns = table_columns(page.width)
    lines = -(-len(sheet.rows) // columns)
    step = (page.width - 2 * MARGIN) / columns
    for column in range(columns):
        rows = sheet.rows[column * lines : (column + 1) * lines]
        _draw_rows(page, MARGIN + step * column, top + 0.15, rows, sheet.structural is not None)


def _draw_rows(page: Page, left: float, top: float, rows: Sequence[Row], graph: bool) -> None:
    places = [left, left + TABLE[0], left + TABLE[0] + TABLE[1]]
    titles = ["", "measured", "graph" if graph else ""]
    for place, title in zip(places, titles, strict=True):
        page.text(place, top, title, fontsize=BODY, fontweight="bold")
    for index, row in enumerate(rows):
        y = top + LINE * (index + 1) + 0.03
        page.text(places[0], y, row.name, color=page.theme.faint)
        page.text(places[1], y, row.measured)
        if graph:
            page.text(places[2], y, row.graph)


def draw_panel_title(page: Page, left: float, top: float, text: str) -> None:
    """Write what a map is, above it."""
    page.text(left, top, text, fontsize=PANEL, fontweight="bold")


def _counted(count: int, sheet: Sheet, *, probed: bool = False) -> str:
    total = int(np.count_nonzero(sheet.probed)) if probed else sheet.values.size
    kind = "px" if sheet.tile == 1 else "tiles"
    if probed and total < sheet.values.size:
        kind = f"probed {kind}"
    return f"{count:,} {kind} ({percent(count / total) if total else 'none'})"


def percent(share: float) -> str:
    """Return a share as a percentage that is never rounded to none or all.

    Examples
    --------
    >>> percent(0.25), percent(0.00001), percent(0.9999), percent(1)
    ('25.0%', '< 0.1%', '> 99.9%', '100.0%')
    """
    if 0 < share < 0.001:
        return "< 0.1%"
    if 0.999 < share < 1:
        return "> 99.9%"
    return f"{100 * share:.1f}%"
