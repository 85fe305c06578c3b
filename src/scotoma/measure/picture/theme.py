"""Colours of the pictures, on a light and on a dark page."""

from __future__ import annotations

from dataclasses import dataclass

COLOURS = "viridis"
"""Perceptually uniform, also without colour vision; from dark blue to yellow."""
UNREAD = "#ff2d55"
"""Pixels without a path to the output; a colour that the map does not hold."""
UNMOVED = "#ffb0c4"
"""Pixels with a path that moved nothing."""
CONTRADICTORY = "#000000"
"""Pixels without a path that moved the output."""


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of everything but the maps."""

    page: str
    text: str
    faint: str
    """Of secondary text, frames and ticks."""
    grid: str
    measured: str
    graph: str
    """Lines of the two maps in a profile; told apart by dashes too."""


THEMES = {
    "light": Theme("#ffffff", "#1a1a1a", "#5a5a5a", "#d8d8d8", "#2a6f97", "#c1121f"),
    "dark": Theme("#0d1117", "#eef2f6", "#a3adb8", "#30363d", "#5cc8ff", "#ff9580"),
}
