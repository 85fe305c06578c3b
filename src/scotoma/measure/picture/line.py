"""The picture of a map of one axis: measured and graph as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scotoma import metrics
from scotoma.measure.picture import parts
from scotoma.measure.picture.band import band
from scotoma.measure.picture.page import Page
from scotoma.measure.picture.panel import (
    GRAPH_LINE,
    MEASURED_LINE,
    draw_band,
    draw_key,
    logarithmic,
    pixel_ticks,
)
from scotoma.measure.picture.scale import wants_log
from scotoma.measure.picture.theme import CONTRADICTORY, UNMOVED, UNREAD, Theme

if TYPE_CHECKING:
    from scotoma.measure.picture.sheet import Sheet

WIDTH, HEIGHT = 7.4, 2.6
LABELS = 0.85


def draw_line(sheet: Sheet, theme: Theme) -> Page:
    """Return the page of a map of one axis."""
    top = parts.head_height(sheet)
    entries = parts.legend(sheet)
    width = 2 * parts.MARGIN + LABELS + WIDTH
    below = top + HEIGHT + 0.55
    keys = [(theme.measured, "measured in onnxruntime")]
    lines = [(sheet.values, theme.measured)]
    mean = float(sheet.values.mean())
    rippled = None
    if sheet.structural is not None:
        own = float(sheet.structural.mean())
        lines.append((sheet.structural * (mean / own if own > 0 else 0.0), theme.graph))
        rippled = band(lines[1][0], WIDTH)
        said = "from the graph alone, scaled to the same mean"
        keys.append((theme.graph, said + ("" if rippled is None else "; band: its fine ripple")))
    room = parts.ENTRY * len(entries) + 0.19 * len(keys) + 0.1
    height = below + room + parts.table_height(sheet, width) + parts.MARGIN
    page = Page.of(width, height, theme)
    parts.draw_head(page, sheet)

    axes = page.axes(parts.MARGIN + LABELS, top, WIDTH, HEIGHT)
    shown = [values for values, _ in lines]
    log = any(wants_log(*shown))
    fit = logarithmic(axes, shown, upright=False) if log else (lambda values: values)
    if not log:
        axes.set_ylim(0, 1.08 * (max(float(values.max()) for values in shown) or 1.0))
    for index, (values, colour) in enumerate(lines):
        if index and rippled is not None:
            draw_band(axes, rippled, fit, colour)
            continue
        edges = np.arange(len(values) + 1) - 0.5
        style = (GRAPH_LINE if index else MEASURED_LINE) | {"linewidth": 1.4}
        axes.stairs(fit(values), edges, baseline=None, color=colour, **style)
    _draw_dead(sheet, axes)
    axes.set_xlim(-0.5, len(sheet.values) - 0.5)
    pixel_ticks(axes.xaxis, WIDTH)
    axes.set_xlabel("position [samples]" if sheet.tile == 1 else f"position [{sheet.tile} samples]")
    axes.set_ylabel(sheet.quantity + (", log scale" if log else ""), parse_math=False)
    axes.grid(color=theme.grid, linewidth=0.6)
    axes.set_axisbelow(True)
    draw_key(page, parts.MARGIN, below, keys)
    parts.draw_legend(page, parts.MARGIN, below + 0.19 * len(keys) + 0.08, entries)
    parts.draw_table(page, below + room, sheet)
    return page


def _draw_dead(sheet: Sheet, axes: object) -> None:
    """Mark dead places over the height of the axes, at least as wide as can be seen."""
    least = len(sheet.values) / 400
    flags = (
        (sheet.unread & ~sheet.contradictory, UNREAD),
        (sheet.dead & ~sheet.unread, UNMOVED),
        (sheet.contradictory, CONTRADICTORY),
    )
    for mask, colour in flags:
        for first, last in metrics.dead_ranges(mask)[1]:
            middle, half = (first + last) / 2, max((last - first + 1) / 2, least / 2)
            axes.axvspan(middle - half, middle + half, color=colour, linewidth=0)  # type: ignore[attr-defined]
