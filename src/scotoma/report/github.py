"""Renders results as the workflow commands by which GitHub annotates a pull request.

GitHub shows ten errors, ten warnings and ten notices of a step, the first of each, and takes a
message of up to 4 KiB. See "Workflow commands for GitHub Actions" in its documentation.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from scotoma.findings import Severity
from scotoma.report.escape import clip
from scotoma.report.statements import Statement, statements
from scotoma.report.text import summary_line

if TYPE_CHECKING:
    from scotoma.results import Report

SHOWN = 10
"""Annotations of one kind that GitHub shows."""
MAX_TEXT = 1000
"""Characters of a message, which GitHub would cut at 4 KiB."""

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def render(report: Report) -> str:
    """Return one command for each annotation, the most severe first, and a line that sums up.

    The last annotation says how many more there are than GitHub shows.
    """
    found = sorted(statements(report), key=lambda statement: statement.rank)
    kinds = Counter(map(_command, found))
    room = dict.fromkeys(_COMMANDS.values(), SHOWN)
    if any(kinds[kind] > room[kind] for kind in kinds):
        room["notice"] -= 1  # for the one that says so
    shown: Counter[str] = Counter()
    lines = []
    for statement in found:
        kind = _command(statement)
        shown[kind] += 1
        if shown[kind] <= room[kind]:
            lines.append(_annotation(kind, statement))
    left_out = len(found) - len(lines)
    if left_out:
        more = f"{left_out} more than GitHub shows; the other formats have all"
        lines.append(f"::notice title=Scotoma::{_data(more)}")
    return "\n".join([*lines, summary_line(report), ""])


def _command(statement: Statement) -> str:
    """Return the kind of annotation; what a rule could not tell is no warning."""
    return "notice" if statement.severity is None else _COMMANDS[statement.severity]


def _annotation(kind: str, statement: Statement) -> str:
    title = _property(clip(statement.subject, MAX_TEXT))
    file = "" if statement.path == "-" else f"file={_property(statement.path)},"
    return f"::{kind} {file}title={title}::{_data(clip(statement.text, MAX_TEXT))}"


def _data(text: str) -> str:
    """Return a text as the data of a command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Return a text as a property of a command."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
