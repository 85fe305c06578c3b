"""Draws how the receptive field grows through the layers, and where findings sit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.report.html.ink import FAINT, INK, LEVELS, LINE, SECOND, SHADE, WIDTH, Figure

if TYPE_CHECKING:
    import numpy.typing as npt

    Line = npt.NDArray[np.float64]

LEFT, TOP, RIGHT, HEIGHT = 46.0, 30.0, 12.0, 210.0
MARKS = {"note": "o", "warning": "D", "error": "X"}
"""Shape by severity: nobody has to tell them apart by colour."""


@dataclass(frozen=True, slots=True)
class Growth:
    """The receptive field behind every layer of the table."""

    fields: Sequence[Sequence[int] | None]
    """By layer, in pixels by axis; None: the whole image, or not known."""
    image: tuple[int, ...]
    """Size of the input, in pixels."""
    worst: Mapping[int, str]
    """The highest severity of the findings at a layer, by its index."""

    @property
    def lines(self) -> list[Line]:
        """One line for each axis, NaN where it is not known; a single one where they agree."""
        rank = len(self.image)
        found = [
            np.array([np.nan if f is None or len(f) != rank else float(f[axis])
                      for f in self.fields])
            for axis in range(rank)
        ]  # fmt: skip
        same = all(np.array_equal(found[0], line, equal_nan=True) for line in found[1:])
        return found[:1] if same else found

    @property
    def known(self) -> bool:
        """Whether there is anything to draw."""
        return bool(self.image) and any(np.isfinite(line).any() for line in self.lines)


def draw_growth(growth: Growth, *, prefix: str, text: str) -> str:
    """Return the plot as an element of a page."""
    entries = len(growth.lines) + 1 + len(set(growth.worst.values()))
    figure = Figure(TOP + HEIGHT + 36 + 16 * -(-entries // 2))
    axes = figure.axes(LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT)
    lines, count = growth.lines, len(growth.fields)
    names = ["rows", "columns"] if len(growth.image) == 2 else None
    names = names or [f"axis {axis}" for axis in range(len(lines))]
    for index, line in enumerate(lines):
        style = {"color": SECOND if index else LINE, "linestyle": "--" if index else "-"}
        axes.plot(range(count), line, drawstyle="steps-mid", linewidth=1.6, **style)
    _limits(axes, growth)
    _unknown(axes, lines)
    _findings(axes, growth)
    axes.set_xlim(-0.5, max(count - 0.5, 0.5))
    axes.set_xlabel("layer, as numbered in the table", fontsize=10, color=INK, labelpad=3)
    figure.text(LEFT, 4, "receptive field [px]" + (", logarithmic" if _is_log(axes) else ""))
    keys = [(LINE, "-", names[0] if len(lines) > 1 else "receptive field")]
    keys += [(SECOND, "--", name) for name in names[1 : len(lines)]]
    _key(figure, [*keys, (FAINT, ":", "size of the image")], growth)
    return figure.save(prefix=prefix, text=text)


def _is_log(axes: Any) -> bool:
    return bool(axes.get_yscale() == "log")


def _limits(axes: Any, growth: Growth) -> None:
    """Scale the axis, and draw the size of the image."""
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415  slow to import

    values = np.concatenate([line[np.isfinite(line)] for line in growth.lines])
    sizes = np.array(sorted({float(size) for size in growth.image}))
    top = float(max(values.max(), sizes.max()))
    for size in sizes:
        axes.axhline(size, color=FAINT, linestyle=":", linewidth=1.4)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if top > 12 * max(float(values.min()), 1.0):
        axes.set_yscale("log")
        axes.set_ylim(max(float(values.min()), 1.0) / 1.3, top * 1.6)
        _plain_numbers(axes.yaxis)
    else:
        axes.set_ylim(0, top * 1.12)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))


def _plain_numbers(axis: Any) -> None:
    """Write 100, not a power of ten, which would be markup."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator  # noqa: PLC0415

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 200 * low else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def _unknown(axes: Any, lines: Sequence[Line]) -> None:
    """Shade the layers that see the whole image, or of which nothing is known."""
    missing = np.all([~np.isfinite(line) for line in lines], axis=0)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]]).astype(np.int8)))
    for first, end in edges.reshape(-1, 2):
        axes.axvspan(first - 0.5, end - 0.5, color=SHADE, linewidth=0)


def _findings(axes: Any, growth: Growth) -> None:
    """Mark the layers at which findings sit."""
    low, high = axes.get_ylim()
    lines = growth.lines
    for severity, marker in MARKS.items():
        places = sorted(place for place, level in growth.worst.items() if level == severity)
        heights = []
        for place in places:
            here = [line[place] for line in lines if np.isfinite(line[place])]
            heights.append(max(here, default=high / 1.15 if low > 0 else high * 0.95))
        colour = LEVELS[severity]
        axes.vlines(places, low, heights, color=colour, linewidth=1.0, zorder=3)
        axes.plot(
            places, heights, marker, color=colour, markersize=7.5, markeredgewidth=0.8, zorder=4,
            clip_on=False,
        )  # fmt: skip


def _key(figure: Figure, lines: Sequence[tuple[str, Any, str]], growth: Growth) -> None:
    from matplotlib.lines import Line2D  # noqa: PLC0415  slow to import

    entries: list[tuple[Any, str]] = [
        (Line2D([], [], color=colour, linestyle=dash, linewidth=1.6), name)
        for colour, dash, name in lines
    ]
    for severity, marker in MARKS.items():
        if severity in growth.worst.values():
            mark = Line2D([], [], color=LEVELS[severity], marker=marker, linestyle="", markersize=7)
            entries.append((mark, severity))
    key = figure.drawing.legend(
        [entry for entry, _ in entries],
        [name for _, name in entries],
        loc="upper left",
        bbox_to_anchor=(LEFT / WIDTH - 0.02, 1 - (TOP + HEIGHT + 32) / figure.height),
        ncols=2,
        frameon=False,
        fontsize=10,
        handlelength=1.8,
        columnspacing=1.2,
        handletextpad=0.5,
    )
    for label in key.get_texts():
        label.set_color(INK)
