"""``scotoma.audit``: runs the rules over models, and the models to confirm what the rules say."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Unpack

from scotoma.api.call import prepared
from scotoma.api.lint import LintResult
from scotoma.api.models import ModelSource
from scotoma.api.settings import LintSettings
from scotoma.audit import AuditOptions, Budget, audit_model, demoted
from scotoma.audit.thresholds import THRESHOLDS
from scotoma.loader.source import STDIN
from scotoma.measure.options import DEFAULT_BUDGET, MeasureOptions
from scotoma.results import NOT_JUDGED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scotoma.results import Measured


@dataclass(frozen=True, slots=True, repr=False)
class AuditResult(LintResult):
    """What the rules say of some models, and what running the models says of it."""

    @property
    def measured(self) -> Mapping[str, Measured]:
        """Figures, thresholds and what was skipped, by path of the model."""
        return {model.path: model.measured for model in self.models if model.measured is not None}

    @property
    def complete(self) -> bool:
        """Whether all models ran, all thresholds were judged, and the budget sufficed.

        Of a single output that there was no time for `measured` says so, and this stays true.
        """
        return all(
            not (item.refused or item.skipped)
            and all(t.verdict != NOT_JUDGED for t in item.thresholds)
            for item in self.measured.values()
        )

    @property
    def passed(self) -> bool:
        """Whether the command line would exit with status 0."""
        # Two arguments: the decorator made another class than the one that this cell knows.
        return self.complete and super(AuditResult, self).passed


def audit(
    *models: ModelSource,
    name: str = STDIN,
    config: str | os.PathLike[str] | None = None,
    isolated: bool = False,
    rules: Iterable[str | os.PathLike[str]] = (),
    budget: float = DEFAULT_BUDGET,
    region: Sequence[int] | None = None,
    measure: MeasureOptions | None = None,
    **settings: Unpack[LintSettings],
) -> AuditResult:
    """Find blind spots in models and run them to see which show, as ``scotoma audit`` does.

    Parameters
    ----------
    models, name, config, isolated, rules
        As of `scotoma.lint`.
    budget
        Seconds for all models together. The rules always run.
    region
        Column and row of the first pixel, width and height: what the measured figures are about.
    measure
        The inputs, and how the maps are measured; None: the defaults of the command line.
    settings
        Keys of a configuration, among them ``thresholds``; they count more than it.

    Raises
    ------
    scotoma.errors.UsageError
        If an argument is wrong, or does not fit a model.
    scotoma.errors.ModelError
        If the only model cannot be read. Of several, `ModelReport.failure` says which and why.

    Examples
    --------
    >>> import onnx.parser, scotoma
    >>> model = onnx.parser.parse_model('''
    ...     <ir_version: 8, opset_import: ["" : 17]>
    ...     agraph (float[1, 1, 8, 8] x) => (float[1, 1, 4, 4] y) {
    ...         [pool] y = MaxPool <kernel_shape = [1, 1], strides = [2, 2]> (x)
    ...     }''')
    >>> result = scotoma.audit(model, select=["SC101"], thresholds={"max-dead-pixels": 10})
    >>> [(finding.code, finding.evidence.status) for finding in result.findings], result.passed
    ([('SC901', 'confirmed'), ('SC101', 'confirmed')], False)
    """
    until = Budget.of(budget)
    call = prepared(
        models, name=name, config=config, isolated=isolated, rules=rules, settings=settings
    )
    reports = []
    for number, (path, plan) in enumerate(call.plans.items()):
        how = AuditOptions(
            measure=measure or MeasureOptions(),
            region=None if region is None else tuple(region),
            thresholds=plan.settings.thresholds,
        )
        part = until.part((len(call.plans) - number + 1) / 2)
        options = replace(plan.options, data=call.data)
        reports.append(audit_model(path, plan.rules, options, how, part))
    judged = {
        path: replace(
            plan, rules=(*plan.rules, *(THRESHOLDS[key] for key in plan.settings.thresholds))
        )
        for path, plan in call.plans.items()
    }
    settled = call.settle(reports, judged)
    return AuditResult(demoted(settled.report), settled.complaints)
