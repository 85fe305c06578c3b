"""Renders results as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scotoma.results import Report


def render(report: Report) -> str:
    """Return the page of a report; the same report gives the same bytes.

    Where `ModelReport.kept` holds a `portrait.Portrait`, its pictures and its receptive fields are
    shown too; where `Measured.sheet` holds a `scotoma.measure.picture.Sheet`, what was measured.
    """
    from scotoma.report.html.page import render_page  # noqa: PLC0415  jinja2 is slow to import
    from scotoma.report.html.view import page_view  # noqa: PLC0415

    return render_page(page_view(report))
