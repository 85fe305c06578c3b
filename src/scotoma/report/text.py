"""Renders results as text for a person to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from scotoma.findings import Severity
from scotoma.report.document import input_document, number, statistics_document
from scotoma.report.escape import escape
from scotoma.report.table import table

if TYPE_CHECKING:
    from scotoma.findings import Evidence, Finding, Location, Measurement, Quantity, Undecided
    from scotoma.results import Measured, ModelReport, Report
    from scotoma.task import TaskTaken

COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}

_STATUS_COLOURS = {"confirmed": "green", "contradicted": "magenta", "not measured": "blue"}
_VERDICT_COLOURS = {"kept": "green", "exceeded": "red", "not judged": "magenta"}
_FIGURES = (
    "dead_pixel_fraction", "border_over_interior", "corner_over_centre", "left_right_ratio",
    "top_bottom_ratio",
)  # fmt: skip

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
    if report.statistics and report.counted:
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
    always = len(Severity) + 1
    counts = [
        text for i, (count, text) in enumerate(summary_counts(report.models)) if count or i < always
    ]
    return f"{', '.join(models)}: {', '.join(counts)}"


def summary_counts(models: Sequence[ModelReport]) -> list[tuple[int, str]]:
    """Return what there is how often in some models, as numbers and in words.

    Findings by severity, the highest first, then undecided, suppressed, hidden and crashed ones.
    """
    severities = Counter(finding.severity for model in models for finding in model.counted)
    counts = [(severities[s], counted(severities[s], str(s))) for s in reversed(Severity)]
    undecided = sum(len(model.undecided) for model in models)
    suppressed = sum(f.suppressed is not None for model in models for f in model.findings)
    hidden = sum(len(model.hidden) for model in models)
    crashes = sum(len(model.rule_failures) for model in models)
    counts += [(n, f"{n} {word}") for n, word in (
        (undecided, "undecided"), (suppressed, "suppressed"), (hidden, "hidden"),
    )]  # fmt: skip
    return [*counts, (crashes, counted(crashes, "rule crash", "rule crashes"))]


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
    yield from head_lines(model)
    counted_ones = [finding for finding in model.findings if finding.suppressed is None]
    for finding in counted_ones:
        yield from ("", *finding_lines(finding))
    if model.undecided:
        yield ""
        yield from _undecided_lines(model.undecided)
    for failure in model.rule_failures:
        label = click.style("crashed", fg="red")
        yield f"  {label} {escape(failure.code)}: {escape(failure.error)}"
    if model.unanalysed:
        yield ""
        yield from _unanalysed_lines(model)
    nothing = not (counted_ones or model.undecided or model.rule_failures or model.unanalysed)
    if nothing and not model.hidden:
        yield f"  {nothing_text(model)}"
    if model.measured is not None:
        yield ""
        yield from measured_lines(model.measured)
    if model.hidden:
        yield ""
        yield f"  {counted(len(model.hidden), 'finding')} of lower severity hidden"
    suppressed = suppressed_texts(model)
    if suppressed:
        yield ""
    yield from (f"  {text}" for text in suppressed)


def nothing_text(model: ModelReport) -> str:
    """Return what is said of a model of which nothing else is."""
    if model.status == "unavailable":
        return "not examined"
    if model.rules == ():
        return "no rule ran: all are ignored"
    known = any(finding.suppressed is not None for finding in model.findings)
    return "nothing new" if known else "nothing found"


def suppressed_texts(model: ModelReport) -> list[str]:
    """Return how many findings do not count, by what suppresses them."""
    suppressed = Counter(f.suppressed.by for f in model.findings if f.suppressed is not None)
    return [
        f"{counted(count, 'finding')} suppressed by the {_SUPPRESSORS[by]}"
        for by, count in sorted(suppressed.items())
    ]


def head_lines(model: ModelReport) -> Iterator[str]:
    """Return what the model is and how it is examined."""
    facts = [input_line(input_document(model.examined) if model.examined else None)]
    if "" in model.opsets:
        facts.append(f"opset {model.opsets['']}")
    if model.producer:
        facts.append(escape(model.producer))
    yield f"  {', '.join(facts)}"
    if model.status != "unavailable":
        yield f"  {_task_line(model.task)}"


def _task_line(task: TaskTaken | None) -> str:
    """Return what the model was taken to be for."""
    if task is None:
        return "task unknown (--task sets it)"
    assumed = " (assumed)" if task.assumed else ""
    return f"task {task.value}{assumed}: {escape(task.because)}"


def finding_lines(finding: Finding) -> Iterator[str]:
    """Return all that is said of a finding: rule and place, then its message, indented."""
    severity = click.style(str(finding.severity), fg=COLOURS[finding.severity], bold=True)
    rule = click.style(f"{finding.code} {finding.name}", bold=True)
    place = place_of(finding.primary)
    yield f"  {severity} {rule}{' at ' + place if place else ''}"
    yield f"    {escape(finding.message)}"
    for measurement in finding.measurements:
        yield f"      {measurement_text(measurement)}"
    if finding.primary.note:
        yield f"    here: {escape(finding.primary.note)}"
    for location in finding.locations[1:MAX_LOCATIONS]:
        note = f": {escape(location.note)}" if location.note else ""
        yield f"    also {place_of(location) or 'the graph'}{note}"
    if len(finding.locations) > MAX_LOCATIONS:
        more = counted(len(finding.locations) - MAX_LOCATIONS, "other place")
        yield f"    and {more} (see --format json)"
    if finding.evidence is not None:
        yield f"    {evidence_line(finding.evidence)}"
    if finding.remedy:
        yield f"    {click.style('remedy:', fg='green')} {escape(finding.remedy)}"


def evidence_line(evidence: Evidence) -> str:
    """Return what running the model says of a finding, in one line."""
    status = click.style(evidence.status, fg=_STATUS_COLOURS[evidence.status])
    return f"{status}: {escape(evidence_reason(evidence))}"


def evidence_reason(evidence: Evidence) -> str:
    """Return why the evidence is what it is, and what it is by output; names are not escaped."""
    by_output = [f"{o.output} {o.status}" for o in evidence.outputs]
    return evidence.reason + (f" ({'; '.join(by_output)})" if by_output else "")


def measured_lines(measured: Measured) -> Iterator[str]:
    """Return what running a model says of it as a whole: figures, thresholds, what was skipped."""
    label = click.style("measured", bold=True)
    found = measured.influence
    if found is None:
        yield f"  {label}: no map ({escape(measured.reason or '')})"
    else:
        where = f"{found['probed']:,} of {found['pixels']:,} pixels"
        if found["region"] is not None:
            where += f", in {'x'.join(map(str, found['region'][2:]))} px"
            where += f" from {','.join(map(str, found['region'][:2]))}"
        yield f"  {label}: {where}, {measured.passes:,} passes in {measured.seconds:.1f} s"
        yield f"    {_figures_text(found['figures'])}"
    for output in measured.outputs:
        name = escape(output["output"])
        if output["figures"] is None:
            yield f"    output {name}: not measured: {escape(output['reason'] or '')}"
        else:
            yield f"    output {name}: {_figures_text(output['figures'])}"
    for item in measured.thresholds:
        verdict = click.style(item.verdict, fg=_VERDICT_COLOURS[item.verdict])
        value = "" if item.value is None else f", measured {short_number(item.value)}"
        error = f" ± {item.error:.2g}" if item.value is not None and item.error else ""
        yield (
            f"    {verdict} {item.name} {short_number(item.limit)}{value}{error}"
            f" ({escape(item.judged_on)})"
        )
    for text in measured.skipped:
        yield f"    skipped: {escape(text)}"


def _figures_text(figures: Mapping[str, Any]) -> str:
    """Return the figures that thresholds are about in one line."""
    shown = [
        f"{key.replace('_', ' ')} {short_number(figures[key]['value'])}"
        for key in _FIGURES
        if key in figures and figures[key]["value"] is not None
    ]
    return ", ".join(shown) or "no figure is known"


def place_of(location: Location) -> str:
    """Return a location in a few words, empty for the graph as a whole."""
    if location.node is not None:
        kind = f" ({escape(location.op_type)})" if location.op_type else ""
        return escape(location.node) + kind
    return f"tensor '{escape(location.tensor)}'" if location.tensor else ""


def measurement_text(measurement: Measurement) -> str:
    """Return a number with its name, its unit and its limit."""
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
    yield f"  not analysed: {counted(len(model.unanalysed), 'operator')}"
    groups = unanalysed_groups(model)
    yield from (f"    {group}" for group in groups[:MAX_UNANALYSED])
    if len(groups) > MAX_UNANALYSED:
        yield f"    and {counted(len(groups) - MAX_UNANALYSED, 'other kind')} (see --format json)"


def unanalysed_groups(model: ModelReport) -> list[str]:
    """Return what could not be analysed by type and reason, one line each.

    What cannot run at the size that was asked for comes first, then the most frequent.
    """
    groups = Counter((item.op_type or "", item.reason) for item in model.unanalysed)
    first = {(item.op_type or "", item.reason): item.node for item in reversed(model.unanalysed)}
    order = sorted(
        groups, key=lambda group: (group[1] not in (model.refusal or ""), -groups[group])
    )
    lines = []
    for op_type, reason in order:
        count = groups[op_type, reason]
        node = first[op_type, reason]
        where = f"{count} x " if count > 1 else ""
        first_of = ", first " if count > 1 else " "
        place = f"{first_of}{escape(node)}" if node else ""
        lines.append(f"{where}{escape(op_type)}{place}: {escape(reason)}")
    return lines
