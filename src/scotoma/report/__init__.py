"""Turns results into documents. A reporter is a module with ``render(report) -> str``."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.results import Report

REPORTERS = {
    "text": "scotoma.report.text",
    "json": "scotoma.report.json",
    "sarif": "scotoma.report.sarif",
    "junit": "scotoma.report.junit",
    "github": "scotoma.report.github",
    "gitlab": "scotoma.report.gitlab",
    "markdown": "scotoma.report.markdown",
    "html": "scotoma.report.html",
}
"""Module by format name; imported when the format is asked for."""


def render(report: Report, format_name: str) -> str:
    """Return a report as a document in one of the formats of `REPORTERS`.

    Text may carry ANSI styles; the caller takes them out where nobody sees them.
    """
    module = importlib.import_module(REPORTERS[format_name])
    document: str = module.render(report)
    return document


def keeper(formats: Collection[str]) -> Callable[[Facts], object] | None:
    """Return what has to keep something of the facts for some formats; None: they need nothing.

    It is for `scotoma.engine.Options.keep`.
    """
    if "html" not in formats:
        return None
    from scotoma.report.html.portrait import portrait_of  # noqa: PLC0415  imports numpy

    return portrait_of
