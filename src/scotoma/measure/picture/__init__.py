"""Pictures of an influence map beside what the graph says: PNG, SVG or PDF."""

from __future__ import annotations

from scotoma.measure.picture.compose import sheet_of
from scotoma.measure.picture.draw import KINDS, render
from scotoma.measure.picture.page import load
from scotoma.measure.picture.sheet import Row, Sheet
from scotoma.measure.picture.theme import THEMES

__all__ = ["KINDS", "THEMES", "Row", "Sheet", "load", "render", "sheet_of"]
