"""The picture of a map of three axes: mean projections along each, measured and graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scotoma.measure.picture import parts
from scotoma.measure.picture.page import Page
from scotoma.measure.picture.panel import Flat, draw_bar, draw_flat, pixel_ticks
from scotoma.measure.picture.scale import scale, wants_log
from scotoma.measure.picture.theme import CONTRADICTORY, UNMOVED, UNREAD, Theme

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.measure.picture.sheet import Sheet

    Map = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

SIDE = 2.4
"""Longest side of a projection, in inches."""
THIN = 0.6
LABELS, BETWEEN, BAR, BAR_LABELS = 0.62, 0.75, 0.16, 0.95
NAMES = ("slice", "row", "column")


def draw_volume(sheet: Sheet, theme: Theme) -> Page:
    """Return the page of a map of three axes."""
    top = parts.head_height(sheet)
    entries = parts.legend(sheet)
    inches = _inches(sheet.values.shape)
    rows = [("measured in onnxruntime: mean along each axis", sheet.values, _flags(sheet))]
    labels = [sheet.quantity]
    if sheet.structural is not None:
        rows.append(("from the graph alone", sheet.structural, [(sheet.unread, UNREAD)]))
        labels.append("random walk, 1 = even share")
    tall = max(inches[0], inches[1])
    wide = inches[2] + inches[2] + inches[1]
    width = 2 * parts.MARGIN + LABELS + wide + 2 * BETWEEN + 0.14 + BAR + BAR_LABELS
    width = max(width, 7.0)
    row_height = 0.28 + tall + 0.65
    below = top + row_height * len(rows)
    room = parts.ENTRY * len(entries) + (0.35 if entries else 0.05)
    height = below + room + parts.table_height(sheet, width) + parts.MARGIN
    page = Page.of(width, height, theme)
    parts.draw_head(page, sheet)
    for index, (title, values, flags) in enumerate(rows):
        _draw_row(page, top + row_height * index, title, values, flags, labels[index], sheet.unit)
    if entries:
        note = "coloured where all pixels along the line of sight are dead; counted as pixels:"
        page.text(parts.MARGIN, below, note, color=theme.faint)
        parts.draw_legend(page, parts.MARGIN, below + 0.22, entries)
    parts.draw_table(page, below + room, sheet)
    return page


def _flags(sheet: Sheet) -> list[tuple[Mask, str]]:
    return [
        (sheet.unread & ~sheet.contradictory, UNREAD),
        (sheet.dead | sheet.unread, UNMOVED),
        (sheet.contradictory, CONTRADICTORY),
    ]


def _draw_row(
    page: Page,
    top: float,
    title: str,
    values: Map,
    flags: list[tuple[Mask, str]],
    label: str,
    unit: str,
) -> None:
    """Draw the three projections of a volume with one colour bar; `unit` is that of the axes."""
    inches = _inches(values.shape)
    flats = [_projected(values, flags, axis) for axis in range(3)]
    live = np.concatenate([flat.live.ravel() for flat in flats])
    colours = scale(live, log=wants_log(live)[0])
    parts.draw_panel_title(page, parts.MARGIN + LABELS, top, title)
    left = parts.MARGIN + LABELS
    image = None
    for axis, flat in enumerate(flats):
        down, across = (other for other in range(3) if other != axis)
        size = (inches[across], inches[down])
        axes = page.axes(left, top + 0.28, *size)
        image = draw_flat(axes, flat, colours, *size)
        axes.set_ylabel(f"{NAMES[down]} [{unit}]")
        axes.set_xlabel(f"{NAMES[across]} [{unit}]")
        pixel_ticks(axes.xaxis, size[0])
        pixel_ticks(axes.yaxis, size[1])
        left += size[0] + (BETWEEN if axis < 2 else 0.14)
    tall = max(inches[0], inches[1])
    draw_bar(page, page.axes(left, top + 0.28, BAR, tall), image, colours, label)


def _projected(values: Map, flags: list[tuple[Mask, str]], axis: int) -> Flat:
    """Return the mean along an axis; a flag where it holds all along the line of sight.

    A contradiction is shown wherever there is one.
    """
    flat: list[tuple[Mask, str]] = []
    for mask, colour in flags:
        one = colour == CONTRADICTORY
        seen: Mask = np.asarray(mask.any(axis=axis) if one else mask.all(axis=axis))
        flat.append((seen, colour))
    # All along the line without a path is said before all along the line unmoved.
    unread = next((seen for seen, colour in flat if colour == UNREAD), None)
    if unread is not None:
        flat = [(seen & ~unread if colour == UNMOVED else seen, colour) for seen, colour in flat]
    return Flat(values.mean(axis=axis), tuple((seen, c) for seen, c in flat if seen.any()))


def _inches(shape: tuple[int, ...]) -> tuple[float, ...]:
    """Return the length of each axis on the page, to scale but for very thin ones."""
    longest = max(shape)
    return tuple(max(THIN, SIDE * length / longest) for length in shape)
