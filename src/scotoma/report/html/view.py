"""What a page says, in the order in which it says it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from scotoma import __version__
from scotoma.findings import Severity
from scotoma.measure.picture import Sheet
from scotoma.report.document import statistics_document
from scotoma.report.html.pictures import Picture, pictures
from scotoma.report.html.portrait import Portrait
from scotoma.report.html.tables import Table, coverage_table, layer_table, measured_table
from scotoma.report.html.verdict import Verdict, verdict
from scotoma.report.paths import path_from
from scotoma.report.text import (
    head_lines,
    measured_lines,
    measurement_text,
    nothing_text,
    place_of,
    summary_counts,
    summary_line,
    unanalysed_groups,
)
from scotoma.results import Failure

if TYPE_CHECKING:
    from scotoma.findings import Finding
    from scotoma.results import BaselineUse, ModelReport, Report, UnusedSuppression
    from scotoma.rule import Rule

MOST_FINDINGS = 500
"""Findings of a model that a page shows, the most severe first where there are more."""
MOST_ENTRIES = 200
"""Other entries of one list."""
OPEN_MODELS = 3
"""Models up to which all are unfolded."""


@dataclass(frozen=True, slots=True)
class FindingView:
    """A finding as it is shown."""

    anchor: str
    finding: Finding
    place: str
    """The primary location in a few words; empty for the graph as a whole."""
    summary: str
    """What its rule finds; empty where the rule is not known."""
    layer: int | None
    """Number of the layer in the table."""
    measurements: tuple[str, ...]
    evidence: tuple[str, ...]
    """The numbers of what running the model says of it."""
    others: tuple[str, ...]
    """The other locations."""
    more: int
    """Locations that are left out."""


@dataclass(frozen=True, slots=True)
class Listed:
    """Entries of a list, and how many are left out of it."""

    entries: tuple[str, ...]
    more: int


@dataclass(frozen=True, slots=True)
class ModelView:
    """A model as it is shown."""

    anchor: str
    path: str
    verdict: Verdict
    counts: str
    numbers: tuple[int, ...]
    """Findings that count by severity, the highest first, then what could not be decided."""
    head: tuple[str, ...]
    findings: tuple[FindingView, ...]
    """Those that count."""
    more: int
    """Findings that are left out."""
    suppressed: tuple[FindingView, ...]
    more_suppressed: int
    hidden: int
    ran: Listed
    """What running the model said of it as a whole."""
    undecided: Listed
    crashes: Listed
    unanalysed: Listed
    operators: int
    """How many operators were not analysed."""
    pictures: tuple[Picture, ...]
    no_pictures: str
    """Why there are none of the graph; empty where there are, or where that goes without saying."""
    coverage: Table | None
    measured: Table | None
    layers: Table | None
    left_out: int
    """Layers that are not in the table."""
    nothing: str
    """What is said where nothing was found; empty elsewhere."""


@dataclass(frozen=True, slots=True)
class PageView:
    """All that a page shows."""

    title: str
    summary: str
    version: str
    models: tuple[ModelView, ...]
    unfolded: bool
    rules: tuple[Rule, ...]
    """Those that found something or could not tell."""
    ran: int
    """How many rules ran."""
    severities: tuple[tuple[str, int], ...]
    """With how many findings are shown, the highest first."""
    codes: tuple[tuple[str, str, int], ...]
    """Code, name and number of findings shown, of each rule that found something."""
    shown: int
    statistics: tuple[tuple[str, str, int, int], ...]
    baselines: tuple[BaselineUse, ...]
    unused: tuple[UnusedSuppression, ...]


def page_view(report: Report) -> PageView:
    """Return what the page of a report shows."""
    rules = {rule.meta.code: rule for rule in report.rules}
    models = tuple(
        _model(f"m{number}", model, rules, report.folder)
        for number, model in enumerate(report.models, 1)
    )
    shown = [view.finding for model in models for view in model.findings]
    severities = Counter(finding.severity for finding in shown)
    codes = Counter(finding.code for finding in shown)
    names = {finding.code: finding.name for finding in shown}
    about = {finding.code for model in report.models for finding in model.findings}
    about |= {item.code for model in report.models for item in model.undecided}
    statistics = statistics_document(report) if report.statistics else []
    return PageView(
        title=f"Scotoma: {summary_line(report)}",
        summary=summary_line(report),
        version=__version__,
        models=models,
        unfolded=len(models) <= OPEN_MODELS,
        rules=tuple(rule for code, rule in rules.items() if code in about),
        ran=len(report.rules),
        severities=tuple((str(level), severities[level]) for level in reversed(Severity)),
        codes=tuple((code, names[code], codes[code]) for code in sorted(codes)),
        shown=len(shown),
        statistics=tuple(
            (row["code"], row["name"], row["findings"], row["models"]) for row in statistics
        ),
        baselines=report.baselines,
        unused=report.unused_suppressions,
    )


def _model(
    anchor: str,
    model: ModelReport,
    rules: Mapping[str, Rule],
    folder: str | None,
) -> ModelView:
    portrait = model.kept if isinstance(model.kept, Portrait) else None
    drawn = model.measured.sheet if model.measured is not None else None
    sheet = drawn if isinstance(drawn, Sheet) else None
    ordered = [f for f in model.findings if f.suppressed is None]
    if len(ordered) > MOST_FINDINGS:
        ordered.sort(key=lambda finding: -finding.severity)
    quiet = [f for f in model.findings if f.suppressed is not None]
    findings = _views(ordered[:MOST_FINDINGS], f"{anchor}f", rules, portrait)
    counts = [text for count, text in summary_counts([model]) if count]
    found = verdict(model)
    said = model.undecided or model.rule_failures or model.unanalysed or model.failure
    return ModelView(
        anchor=anchor,
        path=path_from(model.path, folder),
        verdict=found,
        counts="" if counts == [found.why] else ", ".join(counts),
        numbers=tuple(count for count, _ in summary_counts([model])[: len(Severity) + 1]),
        head=() if model.failure else tuple(_plain(head_lines(model))),
        findings=findings,
        more=len(ordered) - len(findings),
        suppressed=_views(quiet[:MOST_ENTRIES], f"{anchor}s", rules, portrait),
        more_suppressed=max(0, len(quiet) - MOST_ENTRIES),
        hidden=len(model.hidden),
        ran=_listed(_plain(measured_lines(model.measured)) if model.measured else ()),
        undecided=_listed(f"{u.code}{_at(u.node)}: {u.reason}" for u in model.undecided),
        crashes=_listed(f"{failure.code}: {failure.error}" for failure in model.rule_failures),
        unanalysed=_listed(unanalysed_groups(model)),
        operators=len(model.unanalysed),
        pictures=pictures(portrait, sheet, ordered, anchor),
        no_pictures=_no_pictures(model, portrait),
        coverage=None if portrait is None else coverage_table(portrait),
        measured=None if sheet is None else measured_table(sheet),
        layers=None if portrait is None else layer_table(portrait, findings, anchor),
        left_out=0 if portrait is None else portrait.left_out,
        nothing="" if ordered or said or model.hidden else nothing_text(model),
    )


def _no_pictures(model: ModelReport, portrait: Portrait | None) -> str:
    if isinstance(model.kept, Failure):
        return f"The pictures could not be made: {model.kept.message}"
    if portrait is not None and not portrait.grids:
        return "What each pixel counts could not be told, so that there is no map."
    return ""


def _views(
    findings: Sequence[Finding],
    prefix: str,
    rules: Mapping[str, Rule],
    portrait: Portrait | None,
) -> tuple[FindingView, ...]:
    return tuple(
        _finding(f"{prefix}{number}", finding, rules.get(finding.code), portrait)
        for number, finding in enumerate(findings, 1)
    )


def _finding(
    anchor: str, finding: Finding, rule: Rule | None, portrait: Portrait | None
) -> FindingView:
    others = finding.locations[1:]
    return FindingView(
        anchor=anchor,
        finding=finding,
        place=place_of(finding.primary),
        summary="" if rule is None else rule.summary,
        layer=None if portrait is None else portrait.layer_of(finding.primary),
        measurements=tuple(map(measurement_text, finding.measurements)),
        evidence=()
        if finding.evidence is None
        else tuple(map(measurement_text, finding.evidence.measurements)),
        others=tuple(
            (place_of(location) or "the graph") + (f": {location.note}" if location.note else "")
            for location in others[:MOST_ENTRIES]
        ),
        more=max(0, len(others) - MOST_ENTRIES),
    )


def _plain(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines of the text report without their styles and indents."""
    return (click.unstyle(line).strip() for line in lines)


def _listed(entries: Iterable[str]) -> Listed:
    found = list(entries)
    return Listed(tuple(found[:MOST_ENTRIES]), max(0, len(found) - MOST_ENTRIES))


def _at(node: str | None) -> str:
    return "" if node is None else f" at {node}"
