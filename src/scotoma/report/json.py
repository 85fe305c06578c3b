"""Renders results as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from scotoma.report.document import report_document

if TYPE_CHECKING:
    from scotoma.results import Report


def render(report: Report) -> str:
    """Return the JSON document of ``scotoma lint``."""
    return dump(report_document(report))


def dump(document: Mapping[str, object] | Sequence[object]) -> str:
    """Return a document as indented JSON in ASCII, so that no name can harm a terminal."""
    return json.dumps(document, indent=2, allow_nan=False) + "\n"
