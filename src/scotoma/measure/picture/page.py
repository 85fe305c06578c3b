"""A page on which axes and text are placed in inches from the top left corner."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scotoma.measure.picture.theme import Theme

DPI = 150
TITLE, PANEL, BODY, SMALL = 13.0, 10.5, 9.5, 8.5
"""Sizes of type, in points."""
LINE = 0.19
"""Distance between lines of the body, in inches."""


def load() -> None:
    """Import what drawing needs: a third of a second that can pass while a model runs."""
    import matplotlib.backends.backend_agg  # noqa: PLC0415  slow to import
    import matplotlib.figure  # noqa: F401, PLC0415


@dataclass(frozen=True, slots=True)
class Page:
    """A figure of a known size."""

    figure: Any
    width: float
    height: float
    theme: Theme

    @classmethod
    def of(cls, width: float, height: float, theme: Theme) -> Page:
        """Return an empty page of this size in inches."""
        from matplotlib.figure import Figure  # noqa: PLC0415  slow to import

        figure = Figure(figsize=(width, height), dpi=DPI, facecolor=theme.page)
        return cls(figure, width, height, theme)

    def axes(self, left: float, top: float, width: float, height: float) -> Any:
        """Return new axes at a place given in inches."""
        axes = self.figure.add_axes(
            (left / self.width, 1 - (top + height) / self.height, width / self.width,
             height / self.height)
        )  # fmt: skip
        self.dress(axes)
        return axes

    def dress(self, axes: Any) -> None:
        """Give axes the colours and type of the page."""
        theme = self.theme
        axes.set_facecolor(theme.page)
        for spine in axes.spines.values():
            spine.set_color(theme.faint)
            spine.set_linewidth(0.8)
        axes.tick_params(which="both", colors=theme.faint, labelcolor=theme.text, labelsize=SMALL)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set_color(theme.text)
            label.set_fontsize(BODY)
            label.set_parse_math(False)

    def text(self, left: float, top: float, text: str, **style: Any) -> None:
        """Write text, never as markup, with its top at this place."""
        style = {"fontsize": BODY, "color": self.theme.text, "va": "top", **style}
        self.figure.text(left / self.width, 1 - top / self.height, text, parse_math=False, **style)

    def save(self, kind: str) -> bytes:
        """Return the page as a file; the same page gives the same bytes."""
        import matplotlib as mpl  # noqa: PLC0415  slow to import

        # No version, date or random name in the file.
        metadata = {
            "png": {"Software": None},
            "svg": {"Date": None, "Creator": None},
            "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
        }[kind]
        stream = io.BytesIO()
        with warnings.catch_warnings(), mpl.rc_context({"svg.hashsalt": "scotoma"}):
            warnings.simplefilter("ignore")  # a name in letters that the font does not have
            self.figure.savefig(stream, format=kind, facecolor=self.theme.page, metadata=metadata)
        return stream.getvalue()
