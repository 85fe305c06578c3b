"""The pictures of a model, each with a caption and a text that stands for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scotoma.report.html.chart_growth import Growth, draw_growth
from scotoma.report.html.chart_map import draw_map
from scotoma.report.html.grid import grids_of
from scotoma.report.html.ink import defaults
from scotoma.report.text import short_number

if TYPE_CHECKING:
    from scotoma.findings import Finding
    from scotoma.measure.picture import Sheet
    from scotoma.report.html.grid import Grid
    from scotoma.report.html.portrait import Portrait

MOST_RANGES = 8
"""Ranges of dead lines that a caption lists."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and what is said of it."""

    title: str
    svg: str
    """An element that holds nothing of the model's as markup."""
    caption: tuple[str, ...]
    legend: tuple[tuple[str, str], ...] = ()
    """Class of a colour, and what it means."""


def pictures(
    portrait: Portrait | None, sheet: Sheet | None, findings: Sequence[Finding], anchor: str
) -> tuple[Picture, ...]:
    """Return the pictures of one model.

    Parameters
    ----------
    findings
        Those that count, to be marked at their layers.
    anchor
        Of the model: begins the identifiers within the pictures.
    """
    if portrait is None and sheet is None:
        return ()
    with defaults():
        return tuple(_drawn(portrait, sheet, findings, anchor))


def _drawn(
    portrait: Portrait | None, sheet: Sheet | None, findings: Sequence[Finding], anchor: str
) -> Iterator[Picture]:
    if portrait is not None:
        figures = dict(portrait.coverage_local or {})
        for number, grid in enumerate(portrait.grids):
            yield _graph_map(grid, figures, f"{anchor}g{number}")
    if sheet is not None:
        for number, grid in enumerate(grids_of(sheet.values, sheet.unread, sheet.dead)):
            yield _measured_map(grid, sheet, f"{anchor}e{number}")
    if portrait is not None:
        growth = _growth(portrait, findings)
        if growth.known:
            yield _growth_plot(growth, f"{anchor}r")


def _graph_map(grid: Grid, figures: Mapping[str, object], prefix: str) -> Picture:
    title = _titled("What each pixel counts, by the graph", grid)
    numbers = [
        f"{name} {short_number(value)}"
        for key, name in (
            ("corner_over_centre", "corner over centre"),
            ("edge_over_centre", "edge over centre"),
            ("left_right_ratio", "left over right"),
            ("top_bottom_ratio", "top over bottom"),
        )
        if isinstance(value := figures.get(key), int | float)
    ]
    fraction, absorbed = figures.get("dead_pixel_fraction"), figures.get("absorbed_by_padding")
    if isinstance(fraction, int | float):
        numbers.append(f"pixels without a path {fraction:.2%}")
    if isinstance(absorbed, int | float):
        numbers.append(f"absorbed by padding {absorbed:.2%}")
    dead = _dead_lines(grid, "no path to any output", "has a path to an output")
    text = f"{title}, {_size(grid)}. {'; '.join([*numbers, dead])}."
    svg = draw_map(grid, quantity="share of the paths, 1 is even", prefix=prefix, text=text)
    legend = (("unread", "no path to any output"),) if grid.unread.any() else ()
    caption = f"Random walk from the outputs back to the pixels. {_sentence(dead)}."
    return Picture(title, svg, (caption,), legend)


def _measured_map(grid: Grid, sheet: Sheet, prefix: str) -> Picture:
    title = _titled("What each pixel does, measured", grid)
    numbers = [f"{row.name} {row.measured}" for row in sheet.rows if row.measured]
    dead = _dead_lines(grid, "moved nothing", "moved the output")
    text = f"{title}, {_size(grid)}. {'; '.join([*numbers, dead])}."
    quantity = " ".join(sheet.quantity.split())
    svg = draw_map(grid, quantity=quantity, prefix=prefix, text=text)
    legend = [("unread", "no path to any output")] if grid.unread.any() else []
    legend += [("unmoved", "has a path, moved nothing")] if grid.unmoved.any() else []
    return Picture(title, svg, (*sheet.lines, f"{_sentence(dead)}."), tuple(legend))


def _titled(title: str, grid: Grid) -> str:
    return title if grid.over is None else f"{title}, mean over the {grid.over}"


def _size(grid: Grid) -> str:
    axes = zip(grid.shape, grid.axes, strict=True)
    return " by ".join(f"{length} {name}" for length, name in axes)


def _dead_lines(grid: Grid, dead: str, live: str) -> str:
    """Return the lines that are dead throughout, in words.

    Parameters
    ----------
    dead, live
        What is said of them, and of every line where there are none.
    """
    parts = []
    for axis, ranges in zip(grid.axes, grid.dead_lines, strict=True):
        if not ranges:
            continue
        spans = [str(a) if a == b else f"{a}–{b}" for a, b in ranges[:MOST_RANGES]]
        more = len(ranges) - MOST_RANGES
        name = axis if len(ranges) > 1 or ranges[0][0] != ranges[0][1] else axis[:-1]
        parts.append(f"{name} {', '.join(spans)}" + (f" and {more} more" if more > 0 else ""))
    if not parts:
        return f"every {' and '.join(axis[:-1] for axis in grid.axes)} {live}"
    return f"{dead}: {', '.join(parts)}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _growth(portrait: Portrait, findings: Sequence[Finding]) -> Growth:
    worst: dict[int, int] = {}
    names: dict[int, str] = {}
    for finding in findings:
        row = portrait.layer_of(finding.primary)
        if row is not None and finding.severity > worst.get(row, 0):
            worst[row], names[row] = finding.severity, str(finding.severity)
    return Growth(
        fields=[layer["receptive_field_local"] for layer in portrait.layers],
        image=portrait.image,
        worst=dict(sorted(names.items())),
    )


def _growth_plot(growth: Growth, prefix: str) -> Picture:
    title = "How the receptive field grows"
    known = [(index, field) for index, field in enumerate(growth.fields) if field is not None]
    index, largest = max(known, key=lambda entry: float(np.prod(entry[1])))
    size = "×".join(map(str, growth.image))
    field = "×".join(map(str, largest))
    text = f"At most {field} px, at layer {index} of {len(growth.fields) - 1}; the image has {size}"
    marks = ", ".join(f"{layer} ({severity})" for layer, severity in growth.worst.items())
    where = f"Findings at {'layer' if len(growth.worst) == 1 else 'layers'} {marks}"
    where = where if marks else "No layer has a finding"
    svg = draw_growth(growth, prefix=prefix, text=f"{title}. {text}. {where}.")
    rest = len(known) < len(growth.fields)
    legend = (("shade", "sees the whole image, or is not known"),) if rest else ()
    return Picture(title, svg, (f"{text}. {where}.",), legend)
