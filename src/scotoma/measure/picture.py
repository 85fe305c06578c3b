"""The picture of an influence map: a labelled heat map, or a line for a 1-D input."""

from __future__ import annotations

import io
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma import metrics

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.measure.influence import Influence

LOG_FROM = 1000.0
"""Largest over smallest positive influence from which a logarithmic scale is used."""
LOG_DECADES = 6
"""Decades below the largest influence that a logarithmic scale shows."""
DEAD = "#ff2d55"
"""Colour of dead pixels; not in the colour map, whose ends are dark blue and yellow."""
COLOURS = "viridis"
GREY = "#555555"
SIDE = 5.2
"""Longer side of the map, in inches."""
LEFT, BOTTOM, RIGHT, TOP = 0.75, 0.8, 1.4, 1.15
"""Margins around the map, in inches."""


def render(influence: Influence) -> bytes | None:
    """Return the picture as PNG; None where the input has more than two spatial axes.

    Dead pixels have a colour of their own, named in a legend. The scale is linear unless the
    influence spans more than `LOG_FROM`, and then says so.
    """
    dimensions = influence.values.ndim
    if dimensions > 2:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  slow to import
    from matplotlib.figure import Figure  # noqa: PLC0415

    dead = influence.grid.spread(influence.dead.astype(np.float64)) > 0
    width, height = _size(influence)
    sheet = (LEFT + width + RIGHT, BOTTOM + height + TOP)
    figure = Figure(figsize=sheet, dpi=150, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes(_box(sheet, LEFT, BOTTOM, width, height))
    if dimensions == 2:
        bar = figure.add_axes(_box(sheet, LEFT + width + 0.15, BOTTOM, 0.22, height))
        _draw_map(figure, axes, bar, influence, dead)
    else:
        _draw_line(axes, influence, dead)
    _label(figure, sheet, influence)
    stream = io.BytesIO()
    # No version of matplotlib in the file: the same map gives the same bytes.
    figure.savefig(
        stream, format="png", bbox_inches="tight", pad_inches=0.15, metadata={"Software": None}
    )
    return stream.getvalue()


def _draw_map(
    figure: Any, axes: Any, bar: Any, influence: Influence, dead: npt.NDArray[np.bool_]
) -> None:
    values = influence.values
    scale, suffix, clipped = _scale(values[~dead])
    image = axes.imshow(
        np.ma.masked_array(values, dead),
        cmap=COLOURS,
        norm=scale,
        interpolation="nearest",
        aspect="auto",
    )
    if dead.any():
        from matplotlib.colors import ListedColormap  # noqa: PLC0415  slow to import

        axes.imshow(
            np.ma.masked_array(np.ones(values.shape), ~dead),
            cmap=ListedColormap([DEAD]),
            interpolation="nearest",
            aspect="auto",
        )
    axes.set_xlabel("column [px]")
    axes.set_ylabel("row [px]")
    axes.xaxis.set_major_locator(_pixel_locator())
    axes.yaxis.set_major_locator(_pixel_locator())
    colours = figure.colorbar(image, cax=bar, extend="min" if clipped else "neither")
    colours.set_label(f"{_quantity(influence)}{suffix}", parse_math=False)


def _draw_line(axes: Any, influence: Influence, dead: npt.NDArray[np.bool_]) -> None:
    values = influence.values
    scale, suffix, _ = _scale(values[~dead])
    edges = np.arange(len(values) + 1) - 0.5
    axes.stairs(values, edges, baseline=None, color="#31688e", linewidth=1.3)
    axes.set_yscale("log" if suffix else "linear")
    if suffix:
        axes.set_ylim(bottom=scale.vmin / 1.5)
    else:
        axes.set_ylim(bottom=0)
    for first, last in metrics.dead_ranges(dead)[1]:
        axes.axvspan(first - 0.5, last + 0.5, color=DEAD, linewidth=0)
    axes.set_xlim(-0.5, len(values) - 0.5)
    axes.xaxis.set_major_locator(_pixel_locator())
    axes.set_xlabel("position [samples]")
    axes.set_ylabel(f"{_quantity(influence)}{suffix}", parse_math=False)
    axes.grid(alpha=0.3)


def _label(figure: Any, sheet: tuple[float, float], influence: Influence) -> None:
    """Write the title, the conditions, the metrics and the legend; names are never markup."""
    options, target = influence.options, influence.target
    model = influence.resolution.model
    name = "standard input" if model.path == "-" else PurePath(model.path).name
    size = " x ".join(map(str, influence.values.shape))
    chosen = options.input if options.input in ("random", "zeros") else PurePath(options.input).name
    seed = f" (seed {options.seed})" if options.input == "random" else ""
    samples = ""
    if not influence.grid.full:
        shape = " x ".join(map(str, influence.grid.shape))
        samples = f", {shape} pixels measured"
    lines = [
        f"input {_plain(chosen, 24)}{seed}, {size} px{samples}, step {influence.delta:g}",
        f"measured at tensor '{_plain(target.tensor, 40)}'",
        _figures(influence),
    ]
    width, height = sheet
    left = LEFT / width
    figure.text(
        left, 1 - 0.12 / height, f"Pixel influence in {_plain(name, 40)}",
        fontsize=13, va="top", parse_math=False,
    )  # fmt: skip
    figure.text(
        left, 1 - 0.42 / height, "\n".join(lines),
        fontsize=9, va="top", color=GREY, parse_math=False, linespacing=1.35,
    )  # fmt: skip
    if influence.dead.any():
        from matplotlib.patches import Patch  # noqa: PLC0415  slow to import

        share = metrics.dead_pixel_fraction(influence.dead) or 0.0
        counted = int(np.count_nonzero(influence.dead))
        kind = "pixel" if influence.grid.full else "measured pixel"
        kind = kind if counted == 1 else f"{kind}s"
        label = f"dead on this input: {counted:,} {kind} ({_percent(share)})"
        figure.legend(
            handles=[Patch(facecolor=DEAD, label=label)],
            loc="lower left",
            bbox_to_anchor=(left, 0),
            borderaxespad=0,
            borderpad=0,
            frameon=False,
            fontsize=10,
        )


def _figures(influence: Influence) -> str:
    values = influence.values
    parts = [
        f"{name} {'n/a' if value is None else format(value, '.3g')}"
        for name, value in (
            ("corner/centre", metrics.corner_over_centre(values)),
            ("edge/centre", metrics.edge_over_centre(values)),
            ("left/right", metrics.left_right_ratio(values)),
            ("top/bottom", metrics.top_bottom_ratio(values)),
        )
        if values.ndim == 2 or name in ("corner/centre", "left/right")
    ]
    return "   ".join(parts)


def _percent(share: float) -> str:
    """Return a share as a percentage that is never rounded to none or all.

    Examples
    --------
    >>> _percent(0.25), _percent(0.00001), _percent(0.9999), _percent(1)
    ('25.0 %', '< 0.1 %', '> 99.9 %', '100.0 %')
    """
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    return f"{100 * share:.1f} %"


def _quantity(influence: Influence) -> str:
    if influence.options.functional == "sum":
        return "influence: change of the output's sum\n[units of the output]"
    return "influence: L2 norm of the output's change\n[units of the output]"


def _scale(values: npt.NDArray[np.float64]) -> tuple[Any, str, bool]:
    """Return the scale for the live pixels, its addition to the label, and whether it is cut."""
    from matplotlib.colors import LogNorm, Normalize  # noqa: PLC0415  slow to import

    positive = values[values > 0]
    if not positive.size:
        return Normalize(0.0, 1.0), "", False
    top = float(positive.max())
    low = float(positive.min())
    # Compared by logarithm: the quotient of a subnormal number would leave the range of float64.
    if np.log10(top) - np.log10(low) <= np.log10(LOG_FROM):
        return Normalize(0.0, top), "", False
    floor = max(low, top * 10.0**-LOG_DECADES)
    clipped = low < floor or positive.size < values.size
    return LogNorm(floor, top, clip=False), ", log scale", clipped


def _size(influence: Influence) -> tuple[float, float]:
    """Return width and height of the map in inches: square pixels within sensible limits."""
    if influence.values.ndim == 1:
        return 7.0, 2.8
    height, width = influence.values.shape
    aspect = min(3.0, max(1 / 3, width / height))
    return (SIDE, SIDE / aspect) if aspect >= 1 else (SIDE * aspect, SIDE)


def _box(
    sheet: tuple[float, float], left: float, bottom: float, width: float, height: float
) -> tuple[float, float, float, float]:
    """Return a box given in inches as fractions of the sheet."""
    return left / sheet[0], bottom / sheet[1], width / sheet[0], height / sheet[1]


def _pixel_locator() -> Any:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415  slow to import

    return MaxNLocator(integer=True, nbins=8)


def _plain(text: str, length: int) -> str:
    r"""Return text without control characters, its middle left out where it is too long.

    Examples
    --------
    >>> _plain("a\nb", 9), _plain("abcdefghij", 5)
    ('a?b', 'ab…ij')
    """
    text = "".join(char if char.isprintable() else "?" for char in text)
    if len(text) <= length:
        return text
    keep = length - 1
    return f"{text[: (keep + 1) // 2]}…{text[len(text) - keep // 2 :]}"
