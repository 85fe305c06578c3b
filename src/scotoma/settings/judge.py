"""Decides which findings of a model count: severities that were set, and suppressions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from scotoma.findings import Finding, Suppressed
from scotoma.results import UnusedSuppression
from scotoma.settings.files import fits_file

if TYPE_CHECKING:
    from scotoma.registry import Registry
    from scotoma.results import ModelReport
    from scotoma.settings.layers import Suppression
    from scotoma.settings.plan import Plan

MAX_OWN = 1 << 16
"""Characters of a model's own suppressions that are read at most."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The report of a model with severities and suppressions applied."""

    report: ModelReport
    used: frozenset[Suppression]
    """Those that fit a finding."""
    looked_for: frozenset[Suppression]
    """Those that could have: their rules ran on this model and could tell."""
    complaints: tuple[str, ...] = ()


def judge(report: ModelReport, plan: Plan, registry: Registry) -> Judgement:
    """Apply severities and suppressions to what was found of a model."""
    own, complaints = _own_suppressions(report, plan, registry)
    valid = [
        (suppression, codes, "configuration")
        for suppression, codes in plan.suppressions
        if not suppression.files or fits_file(report.path, suppression.files, suppression.folder)
    ]
    valid += [(suppression, codes, "model") for suppression, codes in own]
    findings = []
    used: set[Suppression] = set()
    for finding in report.findings:
        level = plan.severities.get(finding.code, finding.severity)
        fitting = [(s, by) for s, codes, by in valid if finding.code in codes and fits(s, finding)]
        used.update(suppression for suppression, _ in fitting)
        suppressed: Suppressed | None
        if fitting:
            first, by = fitting[0]
            suppressed = Suppressed(by, first.reason, first.source)
        else:
            suppressed = _elsewhere(finding, plan)
        findings.append(replace(finding, severity=level, suppressed=suppressed))
    known = told(report, plan)
    looked_for = frozenset(s for s, codes, _ in valid if codes & known)
    judged = replace(report, findings=tuple(findings))
    return Judgement(judged, frozenset(used), looked_for, complaints)


def fits(suppression: Suppression, finding: Finding) -> bool:
    """Tell whether a suppression's glob fits the node that a finding is about."""
    node = finding.primary.node or ""
    return node == suppression.node or fnmatchcase(node, suppression.node)


def _elsewhere(finding: Finding, plan: Plan) -> Suppressed | None:
    """Suppress what happens only in other versions of the runtime than the model is meant for."""
    if plan.runtime is None or finding.runtimes is None:
        return None
    from scotoma.settings.runtime import concerns  # noqa: PLC0415  only where it is set

    if concerns(plan.runtime, finding.runtimes):
        return None
    source = plan.settings.origins["runtime"]
    return Suppressed("runtime", f"happens in {finding.runtimes}, not in {plan.runtime}", source)


def told(report: ModelReport, plan: Plan) -> frozenset[str]:
    """Return the codes of the rules that could tell all that they look for of a model."""
    if report.failure:
        return frozenset()
    silent = {u.code for u in report.undecided} | {f.code for f in report.rule_failures}
    return frozenset(rule.meta.code for rule in plan.rules) - silent


def unused_suppressions(judgements: Iterable[Judgement]) -> tuple[UnusedSuppression, ...]:
    """Return the suppressions that could have fitted something and did not, in a fixed order."""
    looked_for: dict[Suppression, None] = {}
    used: set[Suppression] = set()
    for judgement in judgements:
        order = sorted(judgement.looked_for, key=lambda s: (s.source, s.rule, s.node, s.reason))
        looked_for.update(dict.fromkeys(order))
        used |= judgement.used
    return tuple(
        UnusedSuppression(s.rule, s.node, s.reason, s.source) for s in looked_for if s not in used
    )


def _own_suppressions(
    report: ModelReport, plan: Plan, registry: Registry
) -> tuple[list[tuple[Suppression, frozenset[str]]], tuple[str, ...]]:
    """Return what the model's own metadata suppress, where it is trusted, and what is wrong."""
    text = report.own_suppressions
    if text is None:
        return [], ()
    if not plan.settings.trust_model_suppressions:
        return [], (
            f"{report.path}: its own suppressions do not count without --trust-model-suppressions",
        )
    from scotoma.errors import UsageError  # noqa: PLC0415  rare
    from scotoma.settings.schema import read_own_suppressions  # noqa: PLC0415  slow, rare

    found = []
    try:
        if len(text) > MAX_OWN:
            raise ValueError("too long")  # noqa: TRY301
        for suppression in read_own_suppressions(text):
            codes = frozenset(rule.meta.code for rule in registry.matching(suppression.rule))
            found.append((replace(suppression, source=report.path), codes))
    except (ValueError, UsageError) as error:
        return [], (f"{report.path}: its own suppressions do not count: {error}",)
    return found, ()
