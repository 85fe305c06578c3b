"""Renders results as text for a person to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from scotoma.findings import Severity
from scotoma.report.document import input_document, number, statistics_document
from scotoma.report.escape import escape
from scotoma.report.table import table

if TYPE_CHECKING:
    from scotoma.findings import Finding, Location, Measurement, Quantity, Undecided
    from scotoma.results import ModelReport, Report

COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}

_SUPPRESSORS = {
    "baseline": "baseline",
    "configuration": "configuration",
    "model": "model itself",
    "runtime": "runtime's versions",
}

MAX_LOCATIONS = 6
"""Places of one finding are listed up to this number."""
MAX_UNANALYSED = 5
"""Groups of operators that could not be analysed are listed up to this number."""


def render(report: Report) -> str:
    """Return one block of lines for each model and a last line that sums up."""
    lines: list[str] = []
    for model in report.models:
        lines += [*_model_lines(model), ""]
    if report.statistics:
        lines += [*_statistics(report), ""]
    return "\n".join([*lines, summary_line(report), ""])


def _statistics(report: Report) -> list[str]:
    rows = [
        (escape(row["code"]), escape(row["name"]), str(row["findings"]), str(row["models"]))
        for row in statistics_document(report)
    ]
    heads = ("code", "name", "findings", "models")
    return table(heads, rows, right=frozenset({2, 3})).splitlines()


def summary_line(report: Report) -> str:
    """Return the counts of a report in one line."""
    models = [counted(len(report.models), "model")]
    failed = sum(model.failure is not None for model in report.models)
    if failed:
        models.append(f"{failed} not examined")
    counts = [counted(report.count(severity), str(severity)) for severity in reversed(Severity)]
    counts.append(f"{report.undecided} undecided")
    if report.suppressed:
        counts.append(f"{report.suppressed} suppressed")
    crashes = sum(len(model.rule_failures) for model in report.models)
    if crashes:
        counts.append(counted(crashes, "rule crash", "rule crashes"))
    return f"{', '.join(models)}: {', '.join(counts)}"


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "model"), counted(2, "model")
    ('1 model', '2 models')
    """
    return f"{count} {one if count == 1 else many or one + 's'}"


def input_line(examined: Mapping[str, Any] | None) -> str:
    """Return how the input that is followed is examined, from its document, in one line."""
    if examined is None:
        return "no spatial input: nothing to follow through the model"
    shape = "x".join(map(str, examined["shape"])) if examined["shape"] else "of unknown shape"
    assumed = " (assumed)" if examined.get("assumed") else ""
    return f"input '{escape(examined['name'])}' {shape}{assumed}"


def _model_lines(model: ModelReport) -> Iterator[str]:
    yield click.style(escape(model.path), bold=True)
    if model.failure:
        label = click.style("not examined", fg="red")
        yield f"  {label} ({escape(model.failure.kind)}): {escape(model.failure.message)}"
        return
    facts = [input_line(input_document(model.examined) if model.examined else None)]
    if "" in model.opsets:
        facts.append(f"opset {model.opsets['']}")
    if model.producer:
        facts.append(escape(model.producer))
    yield f"  {', '.join(facts)}"
    counted_ones = [finding for finding in model.findings if finding.suppressed is None]
    for finding in counted_ones:
        yield from ("", *_finding_lines(finding))
    if model.undecided:
        yield ""
        yield from _undecided_lines(model.undecided)
    for failure in model.rule_failures:
        label = click.style("crashed", fg="red")
        yield f"  {label} {escape(failure.code)}: {escape(failure.error)}"
    if model.unanalysed:
        yield ""
        yield from _unanalysed_lines(model)
    if not (counted_ones or model.undecided or model.rule_failures or model.unanalysed):
        unseen = model.status == "unavailable"
        known = any(finding.suppressed is not None for finding in model.findings)
        yield "  not examined" if unseen else "  nothing new" if known else "  nothing found"
    suppressed = Counter(f.suppressed.by for f in model.findings if f.suppressed is not None)
    if suppressed:
        yield ""
    for by, count in sorted(suppressed.items()):
        yield f"  {counted(count, 'finding')} suppressed by the {_SUPPRESSORS[by]}"


def _finding_lines(finding: Finding) -> Iterator[str]:
    severity = click.style(str(finding.severity), fg=COLOURS[finding.severity], bold=True)
    rule = click.style(f"{finding.code} {finding.name}", bold=True)
    place = _place(finding.primary)
    yield f"  {severity} {rule}{' at ' + place if place else ''}"
    yield f"    {escape(finding.message)}"
    for measurement in finding.measurements:
        yield f"      {_measurement(measurement)}"
    if finding.primary.note:
        yield f"    here: {escape(finding.primary.note)}"
    for location in finding.locations[1:MAX_LOCATIONS]:
        note = f": {escape(location.note)}" if location.note else ""
        yield f"    also {_place(location) or 'the graph'}{note}"
    if len(finding.locations) > MAX_LOCATIONS:
        more = counted(len(finding.locations) - MAX_LOCATIONS, "other place")
        yield f"    and {more} (see --format json)"
    if finding.remedy:
        yield f"    {click.style('remedy:', fg='green')} {escape(finding.remedy)}"


def _place(location: Location) -> str:
    if location.node is not None:
        kind = f" ({escape(location.op_type)})" if location.op_type else ""
        return escape(location.node) + kind
    return f"tensor '{escape(location.tensor)}'" if location.tensor else ""


def _measurement(measurement: Measurement) -> str:
    value = _in_unit(measurement.value, measurement.unit)
    limit = measurement.limit
    bound = "" if limit is None else f" (limit {_in_unit(limit, measurement.unit)})"
    return f"{escape(measurement.name)} = {value}{bound}"


def _in_unit(value: Quantity | None, unit: str) -> str:
    """Return a quantity with its unit, which is in the singular for one of a kind."""
    if unit in ("", "1"):
        return _quantity(value)
    return f"{_quantity(value)} {escape(unit.removesuffix('s') if value == 1 else unit)}"


def _quantity(value: Quantity | None) -> str:
    shown = number(value)
    if shown is None:
        return "unknown"
    return escape(shown) if isinstance(shown, str) else short_number(shown)


def short_number(value: float) -> str:
    """Return a number with four digits; whole ones below a million million with all of theirs.

    Examples
    --------
    >>> short_number(59049.0), short_number(1 / 3), short_number(0.00001234567)
    ('59049', '0.3333', '1.235e-05')
    """
    if abs(value) < 1e12 and value == int(value):
        return str(int(value))
    return f"{value:.4g}"


def _undecided_lines(undecided: Iterable[Undecided]) -> Iterator[str]:
    label = click.style("undecided", fg="magenta")
    for item in undecided:
        place = "" if item.node is None else f" at {escape(item.node)}"
        yield f"  {label} {escape(item.code)}{place}: {escape(item.reason)}"


def _unanalysed_lines(model: ModelReport) -> Iterator[str]:
    """Group what could not be analysed by type and reason, the most frequent first."""
    groups = Counter((item.op_type or "", item.reason) for item in model.unanalysed)
    first = {(item.op_type or "", item.reason): item.node for item in reversed(model.unanalysed)}
    yield f"  not analysed: {counted(len(model.unanalysed), 'operator')}"
    for (op_type, reason), count in groups.most_common(MAX_UNANALYSED):
        node = first[op_type, reason]
        where = f"{count} x " if count > 1 else ""
        first_of = ", first " if count > 1 else " "
        place = f"{first_of}{escape(node)}" if node else ""
        yield f"    {where}{escape(op_type)}{place}: {escape(reason)}"
    if len(groups) > MAX_UNANALYSED:
        yield f"    and {counted(len(groups) - MAX_UNANALYSED, 'other kind')} (see --format json)"
