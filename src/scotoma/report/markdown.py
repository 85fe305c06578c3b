"""Renders results as Markdown for a comment on a pull request or the summary of a job.

A comment on GitHub holds 65,536 characters, the summary of a job 1 MiB; the document is cut where a
comment would end, and says so. The most severe findings come first, and the models that have them.
There are no tables: a name in a cell can break one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from scotoma.report.document import statistics_document
from scotoma.report.inert import code, prose
from scotoma.report.paths import path_from
from scotoma.report.text import (
    MAX_LOCATIONS,
    MAX_UNANALYSED,
    counted,
    evidence_reason,
    head_lines,
    measurement_text,
    nothing_text,
    summary_counts,
    summary_line,
    suppressed_texts,
    unanalysed_groups,
)

if TYPE_CHECKING:
    from scotoma.findings import Finding, Location
    from scotoma.results import ModelReport, Report

LIMIT = 65_536
"""Characters of a comment on GitHub."""
ROOM = 200
"""Characters that are kept for the line that says what was cut off."""
MAX_MODELS = 100
"""Models are counted one by one up to this number."""

Entry = str
"""Whole lines that are kept or cut off together."""


def render(report: Report) -> str:
    """Return the counts of all, a line for each model, then what was found of each."""
    entries = [f"## Scotoma\n\n{prose(summary_line(report))}\n"]
    models = sorted(report.models, key=_rank)
    if len(models) > 1:
        entries += _overview(report, models)
    for model in models:
        if len(models) == 1 or _is_worth_a_section(model):
            path = path_from(model.path, report.folder)
            entries += [f"\n### {code(path)}\n\n{_head(model)}\n", *_said(model)]
    if report.statistics:
        entries += _statistics(report)
    return _cut(entries)


def _cut(entries: list[Entry]) -> str:
    """Join as many entries as a comment holds."""
    if sum(map(len, entries)) <= LIMIT:
        return "".join(entries)
    room, kept = LIMIT - ROOM, 0
    while len(entries[kept]) <= room:
        room -= len(entries[kept])
        kept += 1
    left = sum(entry.startswith("- ") for entry in entries[kept:])
    line = f"{counted(left, 'more entry', 'more entries')} would not fit into a comment"
    return "".join([*entries[:kept], f"\n*… {line}: the other formats have all.*\n"])


def _rank(model: ModelReport) -> int:
    """Return a sort key: what could not be examined first, then the most severe findings."""
    if model.failure or model.refusal or model.rule_failures:
        return 0
    return 4 - max((int(finding.severity) for finding in model.counted), default=0)


def _overview(report: Report, models: Sequence[ModelReport]) -> Iterator[Entry]:
    yield "\n"
    for model in models[:MAX_MODELS]:
        yield f"- {code(path_from(model.path, report.folder))}: {_counts(model)}\n"
    if len(models) > MAX_MODELS:
        yield f"- and {counted(len(models) - MAX_MODELS, 'more model')}\n"


def _counts(model: ModelReport) -> str:
    """Return how a model fared, in a few words."""
    if model.failure:
        return f"**not examined** ({prose(model.failure.kind)}): {prose(model.failure.message)}"
    counts = [text for count, text in summary_counts([model]) if count]
    if model.refusal:
        counts.insert(0, "**cannot run at this size**")
    return ", ".join(counts) or nothing_text(model)


def _is_worth_a_section(model: ModelReport) -> bool:
    """Tell whether there is more to say of a model than the overview does."""
    if model.failure:
        return False
    shown = any(finding.suppressed is None for finding in model.findings)
    return bool(shown or model.undecided or model.rule_failures or model.unanalysed)


def _head(model: ModelReport) -> str:
    if model.failure:
        return _counts(model)
    return "; ".join(prose(click.unstyle(line).strip()) for line in head_lines(model))


def _said(model: ModelReport) -> Iterator[Entry]:
    """Return a list entry for each thing that is said of a model."""
    if model.failure:
        return
    found = [finding for finding in model.findings if finding.suppressed is None]
    said = [
        *([f"- **cannot run at this size**: {prose(model.refusal)}\n"] if model.refusal else []),
        *map(_finding, sorted(found, key=lambda finding: -finding.severity)),
        *(
            f"- **undecided** {prose(u.code)}{_at(u.node)}: {prose(u.reason)}\n"
            for u in model.undecided
        ),
        *(f"- **crashed** {prose(f.code)}: {prose(f.error)}\n" for f in model.rule_failures),
    ]
    if model.unanalysed:
        said.append(_unanalysed(model))
    if not said and not model.hidden:
        said.append(f"- {nothing_text(model)}\n")
    if model.hidden:
        said.append(f"- {counted(len(model.hidden), 'finding')} of lower severity hidden\n")
    said += [f"- {text}\n" for text in suppressed_texts(model)]
    yield "\n"
    yield from said


def _finding(finding: Finding) -> Entry:
    place = _place(finding.primary)
    at = f" at {place}" if place else ""
    rule = prose(f"{finding.code} {finding.name}")
    lines = [f"- **{finding.severity}** {rule}{at}: {prose(finding.message)}"]
    if finding.measurements:
        lines.append(f"  - {prose('; '.join(map(measurement_text, finding.measurements)))}")
    if finding.primary.note:
        lines.append(f"  - here: {prose(finding.primary.note)}")
    for location in finding.locations[1:MAX_LOCATIONS]:
        note = f": {prose(location.note)}" if location.note else ""
        lines.append(f"  - also {_place(location) or 'the graph'}{note}")
    if len(finding.locations) > MAX_LOCATIONS:
        more = counted(len(finding.locations) - MAX_LOCATIONS, "other place")
        lines.append(f"  - and {more}")
    if finding.evidence is not None:
        said = prose(evidence_reason(finding.evidence))
        lines.append(f"  - {prose(finding.evidence.status)}: {said}")
    if finding.remedy:
        lines.append(f"  - remedy: {prose(finding.remedy)}")
    return "\n".join(lines) + "\n"


def _unanalysed(model: ModelReport) -> Entry:
    groups = unanalysed_groups(model)
    lines = [f"- not analysed: {counted(len(model.unanalysed), 'operator')}"]
    lines += [f"  - {prose(group)}" for group in groups[:MAX_UNANALYSED]]
    if len(groups) > MAX_UNANALYSED:
        lines.append(f"  - and {counted(len(groups) - MAX_UNANALYSED, 'other kind')}")
    return "\n".join(lines) + "\n"


def _at(node: str | None) -> str:
    return "" if node is None else f" at {code(node)}"


def _place(location: Location) -> str:
    if location.node is not None:
        return code(location.node) + (f" ({prose(location.op_type)})" if location.op_type else "")
    return f"tensor {code(location.tensor)}" if location.tensor else ""


def _statistics(report: Report) -> Iterator[Entry]:
    yield "\n### Findings by rule\n\n"
    for row in statistics_document(report):
        rule = prose(f"{row['code']} {row['name']}")
        counts = f"{row['findings']} in {counted(row['models'], 'model')}"
        yield f"- {rule}: {counts}\n"
