"""From what the rules found of all models to what counts of it: the last step of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from scotoma.results import BaselineUse, Report
from scotoma.settings import baseline as baselines
from scotoma.settings.files import shown_path
from scotoma.settings.judge import judge, told, unused_suppressions

if TYPE_CHECKING:
    from scotoma.registry import Registry
    from scotoma.results import ModelReport
    from scotoma.settings.plan import Plan


@dataclass(frozen=True, slots=True)
class Settled:
    """The report of a run, and what else is to be said."""

    report: Report
    complaints: tuple[str, ...]
    """Lines for standard error."""


def read_baselines(plans: Iterable[Plan]) -> dict[str, baselines.Baseline]:
    """Read the baselines that the settings name, by path.

    Raises
    ------
    UsageError
        If one cannot be read.
    """
    paths = [p.settings.baseline for p in plans if p.settings.baseline is not None]
    return {path: baselines.read(path) for path in dict.fromkeys(paths)}


def settle(
    reports: Sequence[ModelReport],
    plans: Mapping[str, Plan],
    registry: Registry,
    known: Mapping[str, baselines.Baseline],
    *,
    statistics: bool = False,
) -> Settled:
    """Apply severities, suppressions and baselines.

    Parameters
    ----------
    plans
        By path of the model.
    known
        Baselines by path.
    """
    judgements = [judge(report, plans[report.path], registry) for report in reports]
    judged = {j.report.path: _gated(j.report, plans[j.report.path]) for j in judgements}
    able = {path: told(report, plans[path]) for path, report in judged.items()}
    uses: list[BaselineUse] = []
    for path, baseline in known.items():
        about = [r for r in judged.values() if plans[r.path].settings.baseline == path]
        comparison = baselines.compare(baseline, about, able)
        judged.update({report.path: report for report in comparison.reports})
        uses.append(comparison.use)
    unused = unused_suppressions(judgements)
    complaints = [line for judgement in judgements for line in judgement.complaints]
    complaints += [
        f"{u.source}: unused suppression of {u.rule} at '{u.node}' ({u.reason})" for u in unused
    ]
    for use in uses:
        complaints += [
            f"{use.path}: vanished from {_shown(k.path, use.path)}: {k.code}"
            f"{f' at {k.node}' if k.node else ''}"
            for k in use.vanished
        ]
    rules = {rule.meta.code: rule for report in reports for rule in plans[report.path].rules}
    report = Report(
        tuple(rules[code] for code in sorted(rules)),
        tuple(judged[report.path] for report in reports),
        unused,
        tuple(uses),
        statistics,
        str(Path.cwd()),
    )
    return Settled(report, tuple(complaints))


def _gated(report: ModelReport, plan: Plan) -> ModelReport:
    """Note which rules ran on a model, and what fails the run."""
    return replace(report, rules=tuple(rule.meta.code for rule in plan.rules), gate=plan.gate)


def _shown(model: str, baseline: str) -> str:
    """Return the path of a model that a baseline lists, from the working directory."""
    return model if model == "-" else shown_path(str(Path(baseline).parent / model))


def accept(
    path: str,
    settled: Settled,
    reports: Sequence[ModelReport],
    plans: Mapping[str, Plan],
    registry: Registry,
) -> Settled:
    """Write all that counts into a baseline, and settle the run anew with it.

    Raises
    ------
    UsageError
        If the file cannot be written.
    """
    made = baselines.write(path, settled.report.models)
    with_it = {
        model: replace(plan, settings=replace(plan.settings, baseline=path))
        for model, plan in plans.items()
    }
    again = settle(reports, with_it, registry, {path: made}, statistics=settled.report.statistics)
    count = sum(map(len, made.models.values()))
    said = f"{shown_path(path)}: lists {_findings(count)} as known"
    return replace(again, complaints=(*again.complaints, said))


def prune(known: Mapping[str, baselines.Baseline], report: Report) -> list[str]:
    """Take out of the baselines what vanished from the models; return what is to be said of it.

    Raises
    ------
    UsageError
        If a file cannot be written.
    """
    for baseline, use in zip(known.values(), report.baselines, strict=True):
        baselines.prune(baseline, use.vanished)
    return [
        f"{use.path}: {_findings(len(use.vanished))} taken out"
        for use in report.baselines
        if use.vanished
    ]


def _findings(count: int) -> str:
    return f"{count} {'finding' if count == 1 else 'findings'}"
