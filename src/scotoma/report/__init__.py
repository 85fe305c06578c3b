"""Turns results into documents. A reporter is a module with ``render(report) -> str``."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scotoma.results import Report

REPORTERS = {
    "text": "scotoma.report.text",
    "json": "scotoma.report.json",
}
"""Module by format name; imported when the format is asked for."""


def render(report: Report, format_name: str) -> str:
    """Return a report as a document in one of the formats of `REPORTERS`.

    Text may carry ANSI styles; the caller takes them out where nobody sees them.
    """
    module = importlib.import_module(REPORTERS[format_name])
    document: str = module.render(report)
    return document
