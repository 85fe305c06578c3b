"""One map of two axes with its colour bar, and the profiles along its axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma import metrics
from scotoma.measure.picture.band import Band, band
from scotoma.measure.picture.page import BODY, DPI, SMALL, Page
from scotoma.measure.picture.scale import (
    LOG_DECADES,
    Scale,
    any_of_cells,
    factors,
    mean_of_cells,
    wants_log,
)
from scotoma.measure.picture.theme import COLOURS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    Map = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

BROAD = 0.12
"""Dead rows that are together as high as this, in inches, need no mark."""
MEASURED_LINE = {"linewidth": 1.4, "linestyle": "-", "zorder": 3}
GRAPH_LINE = {"linewidth": 1.0, "linestyle": "--", "zorder": 2}
BAND_LINE = {"linewidth": 1.2, "linestyle": "--", "zorder": 4}
BAND_OPACITY = 0.25
MARK = 0.045
"""Thickness and least length of the mark of a dead row, in inches."""


@dataclass(frozen=True, slots=True, eq=False)
class Flat:
    """A map of two axes with what lies on it."""

    values: Map
    flags: tuple[tuple[Mask, str], ...]
    """Pixels that show no value but a colour; later ones hide earlier ones."""

    @property
    def hidden(self) -> Mask:
        """Pixels that show a colour instead of their value."""
        masks = [mask for mask, _ in self.flags]
        return np.logical_or.reduce(masks) if masks else np.zeros(self.values.shape, bool)

    @property
    def live(self) -> Map:
        """The values that are shown."""
        return self.values[~self.hidden]


def draw_flat(axes: Any, flat: Flat, scale: Scale, width: float, height: float) -> Any:
    """Draw a map into axes of this size in inches and return what a colour bar needs.

    Where a map has more pixels than the picture has dots, neighbours share a cell: the mean of
    their values; a flag if one of them has it, so that one dead row stays visible.
    """
    rows, columns = flat.values.shape
    by = factors(flat.values.shape, (height * DPI, width * DPI))
    cells, empty = mean_of_cells(flat.values, flat.hidden, by)
    extent = (-0.5, cells.shape[1] * by[1] - 0.5, cells.shape[0] * by[0] - 0.5, -0.5)
    options = {"interpolation": "nearest", "aspect": "auto", "extent": extent}
    image = axes.imshow(
        np.ma.MaskedArray(cells, np.broadcast_to(empty, cells.shape)),
        cmap=COLOURS,
        norm=scale.norm(),
        **options,
    )
    if flat.flags:
        axes.imshow(_painted(flat, by), **options)
    mark_dead_lines(axes, flat, width, height)
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    return image


def mark_dead_lines(axes: Any, flat: Flat, width: float, height: float) -> None:
    """Mark rows and columns that are dead throughout, outside the frame: right and above.

    A line of one pixel would easily be missed.
    """
    rows, columns = flat.values.shape
    least = (MARK * rows / height, MARK * columns / width)
    for mask, colour in flat.flags:
        if mask.all():
            continue
        for upright, ranges in zip((True, False), metrics.dead_ranges(mask), strict=True):
            across = axes.get_yaxis_transform() if upright else axes.get_xaxis_transform()
            inches = height / rows if upright else width / columns
            for first, last in ranges:
                if (last - first + 1) * inches > BROAD:
                    continue
                middle = (first + last) / 2
                half = max(last - first + 1, least[0 if upright else 1]) / 2
                along = [middle - half, middle + half]
                edge = [1 + MARK / width / 2] * 2 if upright else [1 + MARK / height / 2] * 2
                axes.plot(
                    *((edge, along) if upright else (along, edge)), transform=across,
                    color=colour, linewidth=MARK * 72, solid_capstyle="butt", clip_on=False,
                )  # fmt: skip


def _painted(flat: Flat, by: Sequence[int]) -> npt.NDArray[np.uint8]:
    """Return the flags as an image that is transparent elsewhere."""
    layers = [(any_of_cells(mask, by), colour) for mask, colour in flat.flags]
    image = np.zeros((*layers[0][0].shape, 4), np.uint8)
    for mask, colour in layers:
        image[mask] = [*(int(colour[at : at + 2], 16) for at in (1, 3, 5)), 255]
    return image


def draw_bar(page: Page, axes: Any, image: Any, scale: Scale, label: str) -> None:
    """Draw the colour bar of a map; a scale that is not linear says so.

    Nothing where no value is shown.
    """
    if image.get_array().mask.all():
        axes.set_visible(False)
        return
    extend = "min" if scale.clipped else "max" if scale.peaks else "neither"
    bar = page.figure.colorbar(image, cax=axes, extend=extend)
    page.dress(axes)
    bar.outline.set_edgecolor(page.theme.faint)
    label = ", ".join(part for part in (label, "log scale" if scale.log else "") if part)
    bar.set_label(label, fontsize=SMALL, parse_math=False)
    axes.yaxis.label.set_color(page.theme.text)
    if not scale.log:
        bar.formatter.set_powerlimits((-3, 4))
        bar.formatter.set_useMathText(True)
        axes.yaxis.get_offset_text().set(color=page.theme.text, fontsize=SMALL)


def pixel_ticks(axis: Any, inches: float) -> None:
    """Put ticks at whole pixels, as many as fit."""
    from matplotlib.ticker import FixedLocator, MaxNLocator  # noqa: PLC0415  slow to import

    first, last = sorted(axis.get_view_interval())
    few = FixedLocator([0]) if last - first <= 1 else None
    most = max(2, min(8, int(inches * 2.2)))
    axis.set_major_locator(few or MaxNLocator(integer=True, nbins=most))


def profile(values: Map, axis: int, given: Map | None) -> Map:
    """Return what was given for an axis, or the means over the others, scaled to a mean of 1."""
    others = tuple(other for other in range(values.ndim) if other != axis)
    line = values.mean(axis=others) if given is None else given
    mean = float(np.nanmean(line)) if np.isfinite(line).any() else 0.0
    scaled: Map = line / mean if mean > 0 else line
    return scaled


def draw_profiles(
    page: Page, axes: Any, lines: Sequence[tuple[Map, str]], inches: float, *, upright: bool
) -> None:
    """Draw lines along the pixels of one axis of a map; `upright` beside its rows.

    Where the second, the graph's, has a ripple finer than can be drawn over so many inches, its
    running mean stands before its envelope, so that the first stays visible.
    """
    shown = [line for line, _ in lines]
    bands = [band(line, inches) if index else None for index, line in enumerate(shown)]
    log = any(wants_log(*shown))
    top = max(float(np.nanmax(line, initial=0.0)) for line in shown) or 1.0
    fit = logarithmic(axes, shown, upright=upright) if log else (lambda line: line)
    if not log:
        (axes.set_xlim if upright else axes.set_ylim)(0, 1.08 * top)
    for index, ((line, colour), found) in enumerate(zip(lines, bands, strict=True)):
        if found is not None:
            draw_band(axes, found, fit, colour, upright=upright)
            continue
        places, drawn = np.arange(len(line)), fit(line)
        style = {"color": colour, **(GRAPH_LINE if index else MEASURED_LINE)}
        axes.plot(*((drawn, places) if upright else (places, drawn)), **style)
    value_axis = axes.xaxis if upright else axes.yaxis
    if not log:
        from matplotlib.ticker import MaxNLocator  # noqa: PLC0415  slow to import

        value_axis.set_major_locator(MaxNLocator(nbins=3, prune="lower"))
    axes.grid(color=page.theme.grid, linewidth=0.6)
    axes.set_axisbelow(True)
    value_axis.label.set_fontsize(SMALL)


def draw_band(
    axes: Any, found: Band, fit: Callable[[Map], Map], colour: str, *, upright: bool = False
) -> None:
    """Draw a running mean in front of the lines, and its envelope behind them."""
    places, mean = np.arange(len(found.mean)), fit(found.mean)
    fill = axes.fill_betweenx if upright else axes.fill_between
    shade = {"color": colour, "alpha": BAND_OPACITY, "linewidth": 0, "zorder": 1.5}
    fill(places, fit(found.low), fit(found.high), **shade)
    axes.plot(*((mean, places) if upright else (places, mean)), color=colour, **BAND_LINE)


def logarithmic(axes: Any, lines: Sequence[Map], *, upright: bool) -> Callable[[Map], Map]:
    """Give axes a logarithmic scale of six decades at most, and return what fits a line to it.

    What is lower runs out of the axes; what is zero is a gap.
    """
    known = np.concatenate([line[line > 0] for line in lines])
    if not known.size:
        return lambda line: line
    top = float(known.max())
    low = max(float(known.min()), top * 10.0**-LOG_DECADES)
    (axes.set_xlim if upright else axes.set_ylim)(low / 1.5, top * 1.8)
    (axes.set_xscale if upright else axes.set_yscale)("log")
    return lambda line: np.where(line > 0, np.maximum(line, low / 100), np.nan)


def draw_key(page: Page, left: float, top: float, entries: Sequence[tuple[str, str]]) -> None:
    """Draw short lines in the colours and dashes of a profile, with their meaning."""
    from matplotlib.lines import Line2D  # noqa: PLC0415  slow to import

    for index, (colour, meaning) in enumerate(entries):
        y = top + 0.19 * index
        line = Line2D(
            [left / page.width, (left + 0.28) / page.width],
            [1 - (y + 0.08) / page.height] * 2,
            transform=page.figure.transFigure,
            color=colour, linewidth=1.6, linestyle="--" if index else "-",
        )  # fmt: skip
        page.figure.add_artist(line)
        page.text(left + 0.36, y, meaning, fontsize=BODY)
