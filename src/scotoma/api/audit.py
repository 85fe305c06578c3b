"""``scotoma.audit``: runs the rules over models, and the models to confirm what the rules say."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Unpack

from scotoma.api.lint import LintResult, failure_error, given_models
from scotoma.api.models import ModelSource
from scotoma.api.settings import LintSettings, layer
from scotoma.audit import AuditOptions, Budget, audit_model, demoted
from scotoma.audit.thresholds import THRESHOLDS
from scotoma.loader.source import STDIN
from scotoma.measure.options import DEFAULT_BUDGET, MeasureOptions
from scotoma.registry import load_rules
from scotoma.results import NOT_JUDGED
from scotoma.settings.chooser import choose
from scotoma.settings.layers import Layer
from scotoma.settings.plan import make_plan
from scotoma.settings.settle import read_baselines, settle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scotoma.results import Measured


@dataclass(frozen=True, slots=True)
class AuditResult(LintResult):
    """What the rules say of some models, and what running the models says of it."""

    @property
    def measured(self) -> Mapping[str, Measured]:
        """Figures, thresholds and what was skipped, by path of the model."""
        return {model.path: model.measured for model in self.models if model.measured is not None}

    @property
    def complete(self) -> bool:
        """Whether all thresholds were judged, and the budget sufficed for everything."""
        return all(
            not item.skipped and all(t.verdict != NOT_JUDGED for t in item.thresholds)
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
    paths, data = given_models(models, name)
    chosen = choose(
        paths,
        environment=Layer("the environment", {}),
        command_line=layer(settings),
        configs=[] if config is None else [os.fspath(config)],
        isolated=isolated,
    )
    registry = load_rules([os.fspath(folder) for folder in rules])
    plans = {path: make_plan(setting, registry) for path, setting in chosen.items()}
    known = read_baselines(plans.values())
    reports = []
    for number, (path, plan) in enumerate(plans.items()):
        how = AuditOptions(
            measure=measure or MeasureOptions(),
            region=None if region is None else tuple(region),
            thresholds=plan.settings.thresholds,
        )
        part = until.part((len(plans) - number + 1) / 2)
        options = replace(plan.options, data=data)
        reports.append(audit_model(path, plan.rules, options, how, part))
    if len(reports) == 1 and (failure := reports[0].failure):
        raise failure_error(paths[0], failure.kind, failure.message)
    judged = {
        path: replace(
            plan, rules=(*plan.rules, *(THRESHOLDS[key] for key in plan.settings.thresholds))
        )
        for path, plan in plans.items()
    }
    settled = settle(reports, judged, registry, known)
    return AuditResult(demoted(settled.report), settled.complaints)
