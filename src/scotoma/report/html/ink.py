"""A figure of matplotlib whose colours the page chooses."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scotoma.report.html.svg import inline

if TYPE_CHECKING:
    from collections.abc import Sequence

INK, FAINT, LINE, SECOND, SHADE = "#000001", "#000002", "#000003", "#000004", "#000005"
"""Text and axes; ticks; the first and the second line; areas. They stand for classes."""
LEVELS = {"note": "#000006", "warning": "#000007", "error": "#000008"}
"""Marks of findings."""
CLASSES = {INK: "ink", FAINT: "faint", LINE: "line", SECOND: "second", SHADE: "shade"} | {
    colour: name for name, colour in LEVELS.items()
}
WIDTH = 330.0
"""Of every figure, in points; as wide as a phone, so that its type is never small."""
TYPE = 10.0
"""Size of the type, in points."""


@contextmanager
def defaults() -> Iterator[None]:
    """Let matplotlib draw as it does by default: nobody's matplotlibrc may change a picture."""
    import matplotlib as mpl  # noqa: PLC0415  slow to import

    settings: dict[Any, Any] = {
        key: value for key, value in mpl.rcParamsDefault.items() if not key.startswith("backend")
    }
    settings |= {"svg.fonttype": "none", "svg.hashsalt": "scotoma", "axes.unicode_minus": False}
    with mpl.rc_context(settings):
        yield


class Figure:
    """A figure on which axes are placed in points from the top left corner."""

    def __init__(self, height: float) -> None:
        from matplotlib.figure import Figure as Drawing  # noqa: PLC0415  slow to import

        self.height = height
        self.drawing = Drawing(figsize=(WIDTH / 72, height / 72), dpi=72)

    def axes(self, left: float, top: float, width: float, height: float, **more: Any) -> Any:
        """Return new axes without a background."""
        place = (
            left / WIDTH, 1 - (top + height) / self.height, width / WIDTH, height / self.height,
        )  # fmt: skip
        axes = self.drawing.add_axes(place, **more)
        axes.patch.set_visible(False)
        for spine in axes.spines.values():
            spine.set_color(FAINT)
            spine.set_linewidth(0.8)
        axes.tick_params(which="both", color=FAINT, labelcolor=INK, labelsize=TYPE, length=3)
        return axes

    def text(self, left: float, top: float, text: str, **style: Any) -> None:
        """Write text with its top at this place."""
        style = {"fontsize": TYPE, "color": INK, "va": "top", **style}
        self.drawing.text(left / WIDTH, 1 - top / self.height, text, parse_math=False, **style)

    def save(self, *, prefix: str, text: str) -> str:
        """Return the figure as an element of a page; the same figure gives the same bytes."""
        stream = io.BytesIO()
        self.drawing.savefig(
            stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
        return inline(stream.getvalue(), CLASSES, prefix=prefix, text=text)


def bare(axes: Any, sides: Sequence[str]) -> None:
    """Take away the ticks of axes and all of their frame but some sides."""
    from matplotlib.ticker import NullLocator  # noqa: PLC0415  slow to import

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(NullLocator())  # a tick that is not seen takes as long to draw
    for side, spine in axes.spines.items():
        spine.set_visible(side in sides)
