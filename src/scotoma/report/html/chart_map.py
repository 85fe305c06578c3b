"""Draws a map over the pixels of an input, with a profile along each axis."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.measure.picture.scale import Scale, scale, wants_log
from scotoma.measure.picture.theme import COLOURS, UNMOVED, UNREAD
from scotoma.report.html.ink import FAINT, INK, LINE, WIDTH, Figure, bare

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.report.html.grid import Grid, Map

LEFT, PROFILE, GAP, RIGHT = 42.0, 46.0, 6.0, 12.0
"""Widths around the map, in points: axis, profile, space, margin."""
ROOM = WIDTH - LEFT - GAP - PROFILE - RIGHT
TALLEST = 300.0
LEAST = 24.0
LINE_HEIGHT = 12.0
MOST_LETTERS = 54
"""Of a line as wide as the figure."""
FEW = 100
"""Points up to which the line of a profile is a bold one."""
SHADES = 64
"""Colours of a map; so few make its picture small, and nobody tells more apart."""


def draw_map(grid: Grid, *, quantity: str, prefix: str, text: str) -> str:
    """Return a map as an element of a page.

    Parameters
    ----------
    quantity
        What the colours stand for.
    prefix
        Begins the identifiers within the picture.
    text
        What stands for it where it is not seen.
    """
    if len(grid.shape) == 1:
        return _line(grid, quantity, prefix=prefix, text=text)
    live = grid.cells[~(grid.unread | grid.unmoved)]
    colours = scale(live, log=wants_log(live)[0])
    high, wide = grid.shape
    width = min(ROOM, max(LEAST, TALLEST * wide / high))
    height = min(TALLEST, max(LEAST, width * high / wide))
    top = PROFILE + GAP + 4
    label = _label(colours, quantity)
    figure = Figure(top + height + 66 + LINE_HEIGHT * len(label))
    axes = figure.axes(LEFT, top, width, height)
    axes.imshow(
        _coloured(grid, colours), extent=(-0.5, wide - 0.5, high - 0.5, -0.5), aspect="auto",
        interpolation="none",
    )  # fmt: skip
    _ticks(axes.xaxis, wide, width)
    _ticks(axes.yaxis, high, height)
    axes.set_ylabel(grid.axes[0], fontsize=10, color=INK, labelpad=2)
    axes.set_xlabel(grid.axes[1], fontsize=10, color=INK, labelpad=2)
    above = figure.axes(LEFT, 4, width, PROFILE)
    _profile(above, grid, 1, upright=False)
    bare(above, ["bottom"])
    beside = figure.axes(LEFT + width + GAP, top, PROFILE, height)
    _profile(beside, grid, 0, upright=True)
    bare(beside, ["left"])
    _key(figure, colours, top + height + 38, label)
    return figure.save(prefix=prefix, text=text)


def _coloured(grid: Grid, colours: Scale) -> npt.NDArray[np.uint8]:
    rgb = _shades(np.asarray(colours.norm()(grid.cells).filled(0.0)))
    for mask, colour in ((grid.unmoved, UNMOVED), (grid.unread, UNREAD)):
        rgb[mask] = tuple(bytes.fromhex(colour[1:]))
    return rgb


def _shades(values: Map) -> npt.NDArray[np.uint8]:
    """Return the colours of values between 0 and 1, as (…, 3) bytes."""
    import matplotlib as mpl  # noqa: PLC0415  slow to import

    steps = np.floor(np.clip(values, 0.0, 1.0) * (SHADES - 1) + 0.5) / (SHADES - 1)
    rgba: npt.NDArray[np.uint8] = mpl.colormaps[COLOURS](steps, bytes=True)
    return np.ascontiguousarray(rgba[..., :3])


def _ticks(axis: Any, length: int, room: float) -> None:
    """Mark the first and the last line, and one between where there is room."""
    places = [0, length // 2, length - 1] if room > 90 else [0, length - 1]
    axis.set_ticks(sorted(set(places)))


def _profile(axes: Any, grid: Grid, axis: int, *, upright: bool) -> None:
    """Draw the means of the lines along an axis beside the map, and mark the dead ones."""
    line = grid.profiles[axis]
    span = axes.axhspan if upright else axes.axvspan
    for ranges, colour in ((grid.dead_lines, UNMOVED), (grid.unread_lines, UNREAD)):
        for first, last in ranges[axis]:
            span(first - 0.5, last + 0.5, color=colour, linewidth=0.6)
    places = (np.arange(line.size) + 0.5) * grid.shape[axis] / line.size - 0.5
    peak = float(line.max()) or 1.0
    style = {"color": LINE, "linewidth": 1.4 if line.size <= FEW else 0.8}
    if upright:
        axes.plot(line, places, **style)
        axes.set_ylim(grid.shape[axis] - 0.5, -0.5)
        axes.set_xlim(0, peak * 1.05)
    else:
        axes.plot(places, line, **style)
        axes.set_xlim(-0.5, grid.shape[axis] - 0.5)
        axes.set_ylim(0, peak * 1.05)


def _line(grid: Grid, quantity: str, *, prefix: str, text: str) -> str:
    """Draw a map of one axis as a line."""
    figure = Figure(170)
    axes = figure.axes(LEFT, 22, WIDTH - LEFT - RIGHT, 106)
    _profile(axes, grid, 0, upright=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    _ticks(axes.xaxis, grid.shape[0], WIDTH)
    axes.yaxis.set_major_locator(_few())
    axes.set_xlabel("place [px]", fontsize=10, color=INK, labelpad=2)
    figure.text(LEFT, 4, quantity)
    return figure.save(prefix=prefix, text=text)


def _few() -> Any:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415  slow to import

    return MaxNLocator(3)


def _label(colours: Scale, quantity: str) -> list[str]:
    """Return the lines that say what the colours stand for."""
    text = f"{quantity}, logarithmic" if colours.log else quantity
    return textwrap.wrap(text, MOST_LETTERS)[:3] or [""]


def _key(figure: Figure, colours: Scale, top: float, label: list[str]) -> None:
    """Draw what the colours stand for."""
    axes = figure.axes(LEFT, top, ROOM, 8)
    axes.imshow(
        _shades(np.linspace(0.0, 1.0, SHADES)[None, :]), extent=(0, 1, 0, 1), aspect="auto",
        interpolation="none",
    )  # fmt: skip
    bare(axes, ["left", "right", "top", "bottom"])
    low = f"{'≤ ' if colours.clipped else ''}{colours.low:.3g}"
    high = f"{'≥ ' if colours.peaks else ''}{colours.high:.3g}"
    figure.text(LEFT, top + 11, low)
    figure.text(LEFT + ROOM, top + 11, high, ha="right")
    for number, line in enumerate(label):
        figure.text(WIDTH / 2, top + 24 + LINE_HEIGHT * number, line, ha="center", color=FAINT)
