"""``scotoma.diff``: what was gained and lost between two models, or between two reports."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Unpack, cast

import click

from scotoma import engine
from scotoma.api.call import failure_error
from scotoma.api.models import ModelSource, brief, opened
from scotoma.api.settings import LintSettings, layer
from scotoma.comparison.compare import Subject, compare
from scotoma.comparison.reports import is_report, read_report
from scotoma.comparison.verdict import Limits
from scotoma.errors import UsageError
from scotoma.findings import Severity
from scotoma.loader.source import STDIN
from scotoma.registry import load_rules
from scotoma.report.diff import render_diff
from scotoma.report.document import report_document
from scotoma.report.notebook import text_html
from scotoma.settings.chooser import choose
from scotoma.settings.layers import Layer
from scotoma.settings.plan import make_plan
from scotoma.settings.settle import read_baselines, settle

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.measure.options import MeasureOptions
    from scotoma.registry import Registry
    from scotoma.report.contract.diff import ComparisonDocument, DiffDocument
    from scotoma.settings.layers import Settings


@dataclass(frozen=True, slots=True, eq=False)
class DiffResult:
    """What changed from the old to the new."""

    document: DiffDocument = field(repr=False)
    """The JSON document of ``scotoma diff``."""

    @property
    def comparisons(self) -> list[ComparisonDocument]:
        """What changed in each model; two models are one comparison."""
        return self.document["comparisons"]

    @property
    def worse(self) -> tuple[str, ...]:
        """What got worse, one sentence each."""
        return tuple(item["message"] for found in self.comparisons for item in found["worse"])

    def render(self) -> str:
        """Return the difference as text."""
        return click.unstyle(render_diff(self.document))

    def __repr__(self) -> str:
        return brief(self, self.render().rstrip("\n").rpartition("\n")[2])

    def _repr_html_(self) -> str:
        return text_html(self.render())


def diff(  # noqa: PLR0913  one for each option of the command
    old: ModelSource,
    new: ModelSource,
    *,
    measure: MeasureOptions | bool = False,
    max_influence_change: float | None = None,
    config: str | os.PathLike[str] | None = None,
    isolated: bool = False,
    rules: Iterable[str | os.PathLike[str]] = (),
    names: tuple[str, str] = (STDIN, STDIN),
    **settings: Unpack[LintSettings],
) -> DiffResult:
    """Compare two models, or two JSON reports of ``scotoma lint``.

    Findings are the same where their fingerprints are, tensors where their names or the places of
    their operators in the network are. `scotoma.comparison.verdict` says what is worse.

    Parameters
    ----------
    old, new
        Paths, or models as bytes or as an ``onnx.ModelProto``. Of two reports only the findings
        are compared.
    measure
        Also measure the influence of the pixels in both, with the same inputs and step: how, or
        True for the defaults.
    max_influence_change
        Relative error of the measured map above which it is worse; None: it is not judged.
    config, isolated, rules, settings
        As of `scotoma.lint`. The configuration of the new model is used for both; ``fail_on`` is
        ``warning`` unless it is set.
    names
        Paths of models that are no files.

    Raises
    ------
    scotoma.errors.ModelError
        If a model or a report cannot be read.
    scotoma.errors.MeasurementError
        If a model cannot be measured.
    scotoma.errors.UsageError
        If an argument is wrong or does not fit a model.

    Examples
    --------
    >>> import onnx.parser, scotoma
    >>> text = '''
    ...     <ir_version: 8, opset_import: ["" : 17]>
    ...     agraph (float[1, 1, 9, 9] x) => (float[1, 1, h, w] y) {
    ...         [pool] y = MaxPool <kernel_shape = [3, 3], strides = [STEP, STEP]> (x)
    ...     }'''
    >>> before, after = (onnx.parser.parse_model(text.replace("STEP", n)) for n in ("3", "4"))
    >>> for line in scotoma.diff(before, after).worse:
    ...     print(line)
    new warning SC101 unread-pixels at pool
    pixels without a path to the outputs: 0 before, 45 now
    the grid of 'y' lies -1, -1 px off the centre of the image, 0, 0 before
    """
    options = _measurement(measure)
    plan = Inputs(
        settings=layer(settings),
        configs=() if config is None else (os.fspath(config),),
        isolated=isolated,
        rules=tuple(os.fspath(folder) for folder in rules),
        measurement=options,
        max_influence_change=max_influence_change,
    )
    document = difference(opened(old, names[0]), opened(new, names[1]), plan)
    for comparison in document["comparisons"]:
        for side in (comparison["old"], comparison["new"]):
            if len(document["comparisons"]) == 1 and side is not None and side["error"] is not None:
                raise failure_error(side["path"], side["error"]["kind"], side["error"]["message"])
    return DiffResult(document)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a comparison is told, by a call or by the command line."""

    settings: Layer
    environment: Layer = field(default_factory=lambda: Layer("the environment", {}))
    configs: tuple[str, ...] = ()
    isolated: bool = False
    rules: tuple[str, ...] = ()
    measurement: MeasureOptions | None = None
    max_influence_change: float | None = None
    debug: bool = False


def difference(
    old: tuple[str, bytes | None], new: tuple[str, bytes | None], inputs: Inputs
) -> DiffDocument:
    """Compare two models or reports, given by path and, where one is no file, its bytes."""
    settings = choose(
        [new[0]],
        environment=inputs.environment,
        command_line=inputs.settings,
        configs=inputs.configs,
        isolated=inputs.isolated,
    )[new[0]]
    if "fail_on" not in settings.origins:
        settings = replace(settings, fail_on="warning")
    change = inputs.max_influence_change
    if change is not None and not change >= 0:
        raise UsageError(f"the influence may change by 0 or more, not by {change:g}")
    level = settings.fail_on
    limits = Limits(
        None if level == "never" else Severity[level.upper()], settings.fail_on_undecided, change
    )
    registry = load_rules(inputs.rules)
    sides = [
        _subjects(path, data, settings, registry, debug=inputs.debug) for path, data in (old, new)
    ]
    return compare(sides[0], sides[1], limits, measurement=inputs.measurement)


def _subjects(
    path: str, data: bytes | None, settings: Settings, registry: Registry, *, debug: bool
) -> list[Subject]:
    """Return what is compared of a model, or of a report."""
    if data is None and path != STDIN and is_report(path):
        return [Subject(model, reported=True) for model in read_report(path)]
    plan = make_plan(settings, registry, debug=debug)
    options = replace(plan.options, data=data, keep=_itself)
    report = engine.lint_model(path, plan.rules, options)
    settled = settle([report], {path: plan}, registry, read_baselines([plan]))
    model = report_document(settled.report)["models"][0]
    facts = cast("Facts | None", report.kept)  # None where it could not be examined
    return [Subject(model, facts, data)]


def _itself(facts: Facts) -> Facts:
    return facts


def _measurement(measure: Any) -> MeasureOptions | None:
    if measure is True or measure is False or measure is None:
        if not measure:
            return None
        from scotoma.measure.options import MeasureOptions  # noqa: PLC0415  only where it is wanted

        return MeasureOptions()
    options: MeasureOptions = measure
    return options
