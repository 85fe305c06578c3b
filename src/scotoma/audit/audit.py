"""Audits one model: the rules, the evidence for what they found, the map, and its limits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from scotoma import engine
from scotoma.audit.bench import Bench
from scotoma.audit.budget import Budget
from scotoma.audit.checkers import GRAPH_ONLY, WITHOUT_RUN, checkers, wanted
from scotoma.audit.checks import refusal
from scotoma.audit.errors import BudgetSpentError, NotMeasuredError, NotRunError
from scotoma.audit.exam import Exam
from scotoma.audit.figures import Region, figure_documents, map_document, restricted
from scotoma.audit.thresholds import THRESHOLDS
from scotoma.errors import MeasurementError, UsageError
from scotoma.facts import Facts
from scotoma.findings import (
    CONFIRMED,
    CONTRADICTED,
    NOT_MEASURED,
    Evidence,
    Finding,
    Severity,
    Undecided,
)
from scotoma.measure.options import MeasureOptions
from scotoma.measure.summary import summarise
from scotoma.results import (
    NOT_JUDGED,
    Failure,
    Measured,
    ModelReport,
    Report,
    RuleFailure,
    ThresholdResult,
)

if TYPE_CHECKING:
    from scotoma.measure import Influence
    from scotoma.measure.summary import Summary
    from scotoma.rule import Rule

MOST_OUTPUTS = 8
"""So many outputs of a model are measured by themselves."""
NO_TIME = "no time was left"
"""Why an output has no map of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditOptions:
    """How a model is put to the test."""

    measure: MeasureOptions = field(default_factory=MeasureOptions)
    """The inputs, and how the map is measured."""
    region: Region | None = None
    """Column and row of the first pixel, width and height: what the figures are about."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Limits by name, some of `THRESHOLDS`."""
    sheet: bool = False
    """Keep what a picture of the map shows."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """Keeps the facts of a model beside what a format asked for."""

    keep: Callable[[Facts], object] | None

    def __call__(self, facts: Facts) -> tuple[Facts, object]:
        try:
            return facts, None if self.keep is None else self.keep(facts)
        except Exception as error:  # noqa: BLE001  a format's failure must not cost the facts
            return facts, engine.describe_failure(error)


def audit_model(
    path: str,
    rules: Iterable[Rule],
    options: engine.Options,
    how: AuditOptions,
    budget: Budget,
) -> ModelReport:
    """Run the rules over a model, put their findings to the test and measure its map.

    The rules always run; what else there is no time for is named in `Measured.skipped`.

    Parameters
    ----------
    options
        How the model is examined; ``keep`` is obeyed.
    budget
        Until when the model has to be done.
    """
    start = budget.clock()
    examining = replace(options, keep=_Kept(options.keep))
    report = engine.lint_model(path, rules, examining)
    if not isinstance(report.kept, tuple):
        return _with_limits(report, how, _not_examined(report))
    facts, kept = report.kept
    report = replace(report, kept=kept)
    data = options.data
    asked = how.measure if data is None else replace(how.measure, data=data)
    bench = Bench(facts, asked, budget, wanted(report.findings, facts))
    if wrong := _misplaced(how.region, facts.image_size) or bench.misfit:
        return ModelReport(path=path, status="error", failure=Failure("usage", wrong))
    # The maps of the single outputs get a third of what the checks leave.
    parts = 1.5 if len(facts.functional()) > 1 else 1.0
    exam = Exam(facts, bench, asked, budget, parts=parts, debug=options.debug)
    report, skipped = _with_evidence(report, exam, debug=options.debug)
    found = _region_of(exam, how.region)
    while _is_open(found, how.thresholds) and exam.more_inputs():
        found = _region_of(exam, how.region)
    per_output = _outputs(exam, facts, how.region, found)
    if isinstance(found, BudgetSpentError):
        skipped.append("the map of influence")
    measured = _measured(found, how)
    measured = replace(
        measured,
        refused=_refused(report, found, facts),
        seconds=budget.clock() - start,
        passes=exam.passes,
        outputs=per_output,
        skipped=tuple(skipped),
    )
    crashes = [RuleFailure("measure", text) for text in dict.fromkeys(exam.crashes)]
    failures = (*report.rule_failures, *crashes)
    return _with_limits(replace(report, measured=measured, rule_failures=failures), how, found)


def demoted(report: Report) -> Report:
    """Return the report with contradicted errors made warnings."""
    return replace(report, models=tuple(map(_demoted_model, report.models)))


def _demoted_model(model: ModelReport) -> ModelReport:
    return replace(model, findings=tuple(map(_demoted, model.findings)))


def _demoted(finding: Finding) -> Finding:
    evidence = finding.evidence
    if evidence is None or evidence.status != CONTRADICTED or finding.severity != Severity.ERROR:
        return finding
    said = replace(evidence, reason=f"{evidence.reason}; a warning instead of an error")
    return replace(finding, severity=Severity.WARNING, evidence=said)


def _with_evidence(
    report: ModelReport, exam: Exam, *, debug: bool
) -> tuple[ModelReport, list[str]]:
    """Put every finding to the test; those that need the map come last, as it takes long."""
    known = checkers()
    order = sorted(
        range(len(report.findings)),
        key=lambda i: (f := report.findings[i].code) in known and known[f].uses_map,
    )
    findings = list(report.findings)
    failures: list[RuleFailure] = []
    skipped: list[str] = []
    for index in order:
        finding = findings[index]
        evidence, failure = _evidence(finding, exam, debug=debug)
        if failure is not None:
            failures.append(failure)
        if evidence.status == NOT_MEASURED and evidence.reason == str(BudgetSpentError()):
            skipped.append(f"evidence for {finding.code}")
        findings[index] = replace(finding, evidence=evidence)
    counted = [
        text if (n := skipped.count(text)) == 1 else f"{text} ({n} findings)"
        for text in dict.fromkeys(skipped)
    ]
    return replace(
        report,
        findings=tuple(findings),
        rule_failures=(*report.rule_failures, *failures),
    ), counted


def _evidence(finding: Finding, exam: Exam, *, debug: bool) -> tuple[Evidence, RuleFailure | None]:
    checker = checkers().get(finding.code)
    if checker is None:
        return Evidence(NOT_MEASURED, WITHOUT_RUN.get(finding.code, GRAPH_ONLY)), None
    try:
        return checker.check(finding, exam), None
    except NotMeasuredError as error:
        return Evidence(NOT_MEASURED, str(error)), None
    except (MeasurementError, UsageError) as error:
        return Evidence(NOT_MEASURED, str(error)), None
    except Exception as error:
        if debug:
            raise
        said = engine.describe_failure(error).message
        failed = RuleFailure(finding.code, f"its check by running the model failed: {said}")
        return Evidence(NOT_MEASURED, "the check crashed"), failed


def _not_examined(report: ModelReport) -> NotMeasuredError:
    failure = report.kept if isinstance(report.kept, Failure) else report.failure
    return NotMeasuredError(failure.message if failure else "the model was not examined")


Found = tuple["Influence", "Summary"] | NotMeasuredError


def _region_of(exam: Exam, region: Region | None) -> Found:
    """Return the map and its figures, of the region if there is one, or why there is none."""
    try:
        influence, summary = exam.influence, exam.summary
        if region is None:
            return influence, summary
        part = restricted(influence, region)
        return part, summarise(part)
    except NotMeasuredError as error:
        return error


def _is_open(found: Found, thresholds: Mapping[str, float]) -> bool:
    """Tell whether the error of a known figure leaves some limit open."""
    results = (THRESHOLDS[name].judge(limit, found) for name, limit in thresholds.items())
    return any(r.verdict == NOT_JUDGED and r.value is not None for r in results)


def _misplaced(region: Region | None, size: tuple[int, ...]) -> str:
    """Say what is wrong with a region on an image; empty if nothing is."""
    if region is None:
        return ""
    left, top, width, height = region
    if len(size) == 2 and top + height <= size[0] and left + width <= size[1]:
        return ""
    shape = "x".join(map(str, reversed(size))) or "unknown size"
    return f"the region {','.join(map(str, region))} does not lie on an image of {shape} pixels"


def _outputs(
    exam: Exam, facts: Facts, region: Region | None, found: Found
) -> tuple[Mapping[str, Any], ...]:
    """Return coverage and figures of every output, where there are several."""
    names = facts.functional()
    if len(names) < 2:
        return ()
    rows = []
    for number, name in enumerate(names):
        coverage = facts.coverage(name) if facts.covers(name) else None
        row: dict[str, Any] = {
            "output": name,
            "coverage": None if coverage is None else coverage.document(),
            "figures": None,
            "reason": f"only the first {MOST_OUTPUTS} outputs are measured",
        }
        if isinstance(found, BudgetSpentError):
            row["reason"] = NO_TIME
        elif number < MOST_OUTPUTS:
            parts = min(len(names), MOST_OUTPUTS) - number
            row |= _of_output(exam, name, region, parts)
        rows.append(row)
    return tuple(rows)


def _of_output(exam: Exam, name: str, region: Region | None, parts: int) -> dict[str, Any]:
    try:
        influence, summary = exam.of_output(name, parts)
        if region is not None:
            summary = summarise(restricted(influence, region))
    except BudgetSpentError:
        return {"reason": NO_TIME}
    except NotMeasuredError as error:
        return {"reason": str(error)}
    return {"figures": figure_documents(summary), "reason": None}


def _refused(report: ModelReport, found: Found, facts: Facts) -> bool:
    """Tell whether onnxruntime refuses a model of images for a reason that no finding gives."""
    explained = any(
        finding.code in refusal.CODES
        and finding.evidence is not None
        and finding.evidence.status == CONFIRMED
        for finding in report.findings
    )
    return isinstance(found, NotRunError) and bool(facts.image_size) and not explained


def _measured(found: Found, how: AuditOptions) -> Measured:
    if isinstance(found, NotMeasuredError):
        return Measured(status="unavailable", reason=str(found))
    influence, summary = found
    sheet = None
    if how.sheet:
        from scotoma.measure.picture import sheet_of  # noqa: PLC0415  only for pictures

        sheet = sheet_of(influence, summary)
    return Measured(
        status="complete" if influence.full else "partial",
        influence=map_document(influence, summary, how.region),
        sheet=sheet,
    )


def _with_limits(report: ModelReport, how: AuditOptions, found: Found) -> ModelReport:
    """Judge the thresholds; those that are not kept are reported like what rules say."""
    measured = report.measured
    if measured is None:
        reason = str(found) if isinstance(found, NotMeasuredError) else None
        measured = Measured(status="unavailable", reason=reason)
    results: list[ThresholdResult] = []
    findings: list[Finding] = []
    undecided: list[Undecided] = []
    for name, limit in how.thresholds.items():
        threshold = THRESHOLDS[name]
        result = threshold.judge(limit, found)
        results.append(result)
        answer = threshold.answer(result)
        if isinstance(answer, Finding):
            findings.append(answer)
        elif answer is not None and report.failure is None:
            undecided.append(answer)
    whole = [finding for finding in report.findings if finding.primary.node is None]
    rest = [finding for finding in report.findings if finding.primary.node is not None]
    return replace(
        report,
        findings=(*sorted([*whole, *findings], key=lambda f: f.code), *rest),
        undecided=(*undecided, *report.undecided),
        measured=replace(measured, thresholds=tuple(results)),
    )
