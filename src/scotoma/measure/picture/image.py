"""The picture of a map of two axes: measured and graph side by side, with profiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.measure.picture import parts
from scotoma.measure.picture.band import band
from scotoma.measure.picture.page import Page
from scotoma.measure.picture.panel import (
    Flat,
    draw_bar,
    draw_flat,
    draw_key,
    draw_profiles,
    pixel_ticks,
    profile,
)
from scotoma.measure.picture.scale import Scale, scale, wants_log
from scotoma.measure.picture.theme import CONTRADICTORY, UNMOVED, UNREAD, Theme

if TYPE_CHECKING:
    from scotoma.measure.picture.sheet import Sheet

SIDE, WIDE, TALL = 3.5, 7.0, 5.0
"""Longer side of a map in inches: of a squarish, of a wide and of a tall one."""
THIN = 0.9
"""Least length of a side; a longer strip than that has pixels that are not square."""
STRIP, GAP, BAR = 0.75, 0.08, 0.16
LABELS = 0.62
"""Room for ticks and label on the left of a map, in inches."""
BAR_LABELS = 0.95
BESIDE = 4.5
"""Room in inches that the legend needs to stand below the graph's map."""
SHORT = 1.9
"""A bar shorter than this has its label in the title of the map."""
GRAPH_LABEL = "random walk, 1 = even share"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of the page are, in inches."""

    width: float
    height: float
    """Of each map."""
    stacked: bool
    """The graph's map stands below the measured one, not beside it."""
    graph: bool

    @classmethod
    def of(cls, sheet: Sheet) -> Layout:
        """Return the layout for the aspect of a map."""
        rows, columns = sheet.values.shape
        aspect = columns / rows
        graph = sheet.structural is not None
        if aspect >= 2:
            return cls(WIDE, max(THIN, WIDE / aspect), graph, graph)
        if aspect <= 0.5:
            return cls(max(THIN, TALL * aspect), TALL, False, graph)
        return cls(min(SIDE, SIDE * aspect), min(SIDE, SIDE / aspect), False, graph)

    @property
    def first_width(self) -> float:
        """Width of the measured map with all that belongs to it."""
        return LABELS + self.width + GAP + STRIP + 0.14 + BAR + BAR_LABELS

    @property
    def second_width(self) -> float:
        """Width of the graph's map with all that belongs to it."""
        return LABELS + self.width + 0.14 + BAR + BAR_LABELS

    @property
    def page_width(self) -> float:
        """Width of the page."""
        second = self.second_width if self.graph and not self.stacked else 0.0
        return 2 * parts.MARGIN + max(self.first_width + second, 7.0)

    @property
    def maps_height(self) -> float:
        """Height of both maps with titles and profiles."""
        first = 0.28 + self.height + GAP + STRIP + 0.5
        return first + (0.38 + self.height + 0.5 if self.stacked else 0.0)


def draw_image(sheet: Sheet, theme: Theme) -> Page:
    """Return the page of a map of two axes."""
    layout = Layout.of(sheet)
    entries = parts.legend(sheet)
    keys = _keys(sheet, theme, layout)
    top = parts.head_height(sheet)
    below = top + layout.maps_height
    # The legend stands in the gap below the graph's map where there is one.
    beside = layout.graph and not layout.stacked and layout.second_width >= BESIDE
    room = parts.ENTRY * len(entries) + 0.19 * len(keys) + 0.1
    extra = max(0.0, room - STRIP + 0.1) if beside else room
    height = below + extra + parts.table_height(sheet, layout.page_width) + parts.MARGIN
    page = Page.of(layout.page_width, height, theme)
    parts.draw_head(page, sheet)

    measured, graph = _flats(sheet)
    log = wants_log(*(flat.live for flat in (measured, graph) if flat is not None))
    left = parts.MARGIN + LABELS
    _draw_measured(page, sheet, measured, layout, (left, top), scale(measured.live, log=log[0]))
    legend = (parts.MARGIN, below)
    if graph is not None:
        at = (left, top + 0.28 + layout.height + GAP + STRIP + 0.6)
        if not layout.stacked:
            at = (left + layout.first_width, top)
        _draw_graph(page, sheet, graph, layout, at, scale(graph.live, log=log[1]))
        if beside:
            legend = (at[0], top + 0.28 + layout.height + 0.55)
    draw_key(page, *legend, keys)
    parts.draw_legend(page, legend[0], legend[1] + 0.19 * len(keys) + 0.08, entries)
    parts.draw_table(page, below + extra, sheet)
    return page


def _flats(sheet: Sheet) -> tuple[Flat, Flat | None]:
    unread = sheet.unread
    flags = [
        (unread & ~sheet.contradictory, UNREAD),
        (sheet.dead & ~unread, UNMOVED),
        (sheet.contradictory, CONTRADICTORY),
    ]
    measured = Flat(sheet.values, tuple((mask, colour) for mask, colour in flags if mask.any()))
    if sheet.structural is None:
        return measured, None
    return measured, Flat(sheet.structural, ((unread, UNREAD),) if unread.any() else ())


def _keys(sheet: Sheet, theme: Theme, layout: Layout) -> list[tuple[str, str]]:
    """Return the meaning of the lines in the profiles."""
    given = [entry is not None for entry in sheet.profiles]
    whole = bool(given) and all(given)
    text = "whole rows and columns perturbed" if whole else "means of rows and columns, measured"
    found = [(theme.measured, text)]
    if sheet.structural is not None:
        graph = "means of rows and columns, graph"
        lines = (profile(sheet.structural, axis, None) for axis in (0, 1))
        sides = (layout.height, layout.width)
        if any(band(line, side) is not None for line, side in zip(lines, sides, strict=True)):
            graph += "; band: its fine ripple"
        found.append((theme.graph, graph))
    return found


def _draw_measured(
    page: Page, sheet: Sheet, flat: Flat, layout: Layout, at: tuple[float, float], colours: Scale
) -> None:
    left, top = at
    label = _titled(page, at, "measured in onnxruntime", sheet.quantity, layout)
    axes = page.axes(left, top + 0.28, layout.width, layout.height)
    image = draw_flat(axes, flat, colours, layout.width, layout.height)
    axes.set_ylabel(f"row [{sheet.unit}]")
    axes.tick_params(labelbottom=False)
    pixel_ticks(axes.yaxis, layout.height)
    pixel_ticks(axes.xaxis, layout.width)

    side = page.axes(left + layout.width + GAP, top + 0.28, STRIP, layout.height)
    side.sharey(axes)
    draw_profiles(page, side, _lines(page, sheet, 0), layout.height, upright=True)
    side.tick_params(labelleft=False)
    side.set_xlabel("mean = 1")
    foot = page.axes(left, top + 0.28 + layout.height + GAP, layout.width, STRIP)
    foot.sharex(axes)
    draw_profiles(page, foot, _lines(page, sheet, 1), layout.width, upright=False)
    foot.set_xlabel(f"column [{sheet.unit}]")
    foot.set_ylabel("mean = 1")
    place = left + layout.width + GAP + STRIP + 0.14
    bar = page.axes(place, top + 0.28, BAR, layout.height)
    draw_bar(page, bar, image, colours, label)


def _draw_graph(
    page: Page, sheet: Sheet, flat: Flat, layout: Layout, at: tuple[float, float], colours: Scale
) -> None:
    left, top = at
    label = _titled(page, at, "from the graph alone", GRAPH_LABEL, layout)
    axes = page.axes(left, top + 0.28, layout.width, layout.height)
    image = draw_flat(axes, flat, colours, layout.width, layout.height)
    axes.set_ylabel(f"row [{sheet.unit}]")
    axes.set_xlabel(f"column [{sheet.unit}]")
    pixel_ticks(axes.yaxis, layout.height)
    pixel_ticks(axes.xaxis, layout.width)
    bar = page.axes(left + layout.width + 0.14, top + 0.28, BAR, layout.height)
    draw_bar(page, bar, image, colours, label)


def _titled(page: Page, at: tuple[float, float], title: str, label: str, layout: Layout) -> str:
    """Write the title of a map, and return the label that its bar still needs."""
    if layout.height >= SHORT:
        parts.draw_panel_title(page, *at, title)
        return label
    parts.draw_panel_title(page, *at, f"{title}: {' '.join(label.split())}")
    return ""


def _lines(page: Page, sheet: Sheet, axis: int) -> list[tuple[Any, str]]:
    given = sheet.profiles[axis] if axis < len(sheet.profiles) else None
    lines = [(profile(sheet.values, axis, given), page.theme.measured)]
    if sheet.structural is not None:
        lines.append((profile(np.asarray(sheet.structural), axis, None), page.theme.graph))
    return lines
