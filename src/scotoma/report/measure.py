"""Renders the document of ``scotoma measure`` for a person to read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from scotoma.report.escape import escape
from scotoma.report.table import table
from scotoma.report.text import input_line
from scotoma.report.trace import measure_cell, metric_name


def render_measure(document: Mapping[str, Any], directory: str) -> str:
    """Return what was measured, the figures of the map and where it was written.

    Parameters
    ----------
    document
        The JSON document of ``scotoma measure``.
    directory
        The folder that the map was written to.
    """
    rows = [
        (metric_name(key), measure_cell(key, value)) for key, value in document["influence"].items()
    ]
    lines = [
        click.style(escape(str(document["model"]["path"])), bold=True),
        f"  {input_line(document['examined'])}",
        f"  output '{escape(str(document['output']))}'",
        f"  method {document['method']}, functional {document['functional']}",
        f"  values {escape(str(document['input']))}, delta {document['delta']:g}",
        f"  {document['passes']} passes in {document['seconds']:.1f} s",
        *(f"  note: {escape(str(note))}" for note in document.get("notes") or ()),
        "",
        table(("influence of the input", ""), rows),
        f"map: {escape(str(Path(directory) / document['map']))}",
    ]
    # A volume has a map but no picture.
    if len(document["examined"].get("spatial_axes", ())) in (1, 2):
        lines.append(f"picture: {escape(str(Path(directory) / 'influence.png'))}")
    return "\n".join(lines) + "\n"
