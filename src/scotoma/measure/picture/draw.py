"""Draws a sheet as a file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from scotoma.measure.picture.theme import THEMES

if TYPE_CHECKING:
    from scotoma.measure.picture.sheet import Sheet

KINDS = ("png", "svg", "pdf")
LARGEST = 1e290
"""Larger influence is drawn as this: sums of it would leave the range of float64."""


def render(sheet: Sheet, kind: str = "png", theme: str = "light") -> bytes | None:
    """Return the picture of a measurement as a file; the same sheet gives the same bytes.

    Parameters
    ----------
    sheet
        What to show.
    kind
        ``png``, ``svg`` or ``pdf``.
    theme
        ``light`` or ``dark``: the page; maps have the same colours on both.

    Returns
    -------
    bytes or None
        None where the map has more than three axes.

    Raises
    ------
    ValueError
        If there is no such kind or theme.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of picture '{kind}': use {', '.join(KINDS)}")
    if theme not in THEMES:
        raise ValueError(f"unknown theme '{theme}': use {', '.join(THEMES)}")
    colours = THEMES[theme]
    sheet = replace(sheet, values=np.minimum(sheet.values, LARGEST))
    rank = sheet.values.ndim
    if rank == 1:
        from scotoma.measure.picture.line import draw_line  # noqa: PLC0415  only what is drawn

        return draw_line(sheet, colours).save(kind)
    if rank == 2:
        from scotoma.measure.picture.image import draw_image  # noqa: PLC0415

        return draw_image(sheet, colours).save(kind)
    if rank == 3:
        from scotoma.measure.picture.volume import draw_volume  # noqa: PLC0415

        return draw_volume(sheet, colours).save(kind)
    return None
