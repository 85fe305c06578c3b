"""``scotoma.lint``: runs the rules over models."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Unpack

from scotoma import workers
from scotoma.api.models import ModelSource, opened
from scotoma.api.settings import LintSettings, layer
from scotoma.errors import ModelError, ScotomaError, UsageError
from scotoma.loader import find_models
from scotoma.loader.source import STDIN
from scotoma.registry import load_rules
from scotoma.report import keeper, render
from scotoma.report.document import report_document
from scotoma.report.notebook import lint_html
from scotoma.settings.chooser import choose
from scotoma.settings.layers import Layer
from scotoma.settings.plan import make_plan
from scotoma.settings.settle import read_baselines, settle

if TYPE_CHECKING:
    from scotoma.findings import Finding, Undecided
    from scotoma.report.contract.lint import LintDocument
    from scotoma.results import ModelReport, Report


@dataclass(frozen=True, slots=True)
class LintResult:
    """What the rules say of some models."""

    report: Report
    complaints: tuple[str, ...]
    """Lines about suppressions and baselines, as the command line writes to standard error."""

    @property
    def models(self) -> tuple[ModelReport, ...]:
        """What is said of each model, in the order that they were given in."""
        return self.report.models

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of all models that count: neither suppressed nor known."""
        return tuple(finding for model in self.models for finding in model.counted)

    @property
    def undecided(self) -> tuple[Undecided, ...]:
        """What rules could not tell, of all models."""
        return tuple(item for model in self.models for item in model.undecided)

    @property
    def passed(self) -> bool:
        """Whether every model was examined by every rule, and nothing found fails the run.

        False where the command line would exit with another status than 0.
        """
        whole = all(
            not (model.failure or model.refusal or model.rule_failures) for model in self.models
        )
        return whole and not any(model.failed for model in self.models)

    @property
    def document(self) -> LintDocument:
        """The JSON document of ``scotoma lint``, as plain dictionaries and lists."""
        return report_document(self.report)

    def render(self, format_name: str = "text") -> str:
        """Return the report in a format of the command line: ``text``, ``sarif``, ``markdown``.

        Raises
        ------
        UsageError
            If there is no such format.
        """
        return rendered(self.report, format_name)

    def _repr_html_(self) -> str:
        return lint_html(self.document)


def lint(
    *models: ModelSource,
    name: str = STDIN,
    config: str | os.PathLike[str] | None = None,
    isolated: bool = False,
    rules: Iterable[str | os.PathLike[str]] = (),
    jobs: int = 1,
    hash_files: bool = False,
    formats: Collection[str] = ("text",),
    **settings: Unpack[LintSettings],
) -> LintResult:
    """Find blind spots in models, as ``scotoma lint`` does.

    Parameters
    ----------
    models
        Paths (files, folders, glob patterns), or one model as bytes or as an ``onnx.ModelProto``.
    name
        Path of a model that is no file: reports call it so, and its configuration and external
        data are looked for beside it. ``-``: it has none, as on standard input.
    config
        A configuration instead of the closest one upwards from each model.
    isolated
        Look for no configuration.
    rules
        Folders with more rules. Runs their Python code.
    jobs
        Models that are linted at once, each in a process of its own.
    hash_files
        Report the SHA-256 of each whole file.
    formats
        What `LintResult.render` will be asked for, where it is ``html``: its pictures are drawn of
        the graph, which is gone later.
    settings
        Keys of a configuration, see `LintSettings`; they count more than it.

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
    >>> result = scotoma.lint(model, select=["unread-pixels"], fail_on="warning")
    >>> [(finding.code, finding.primary.node) for finding in result.findings], result.passed
    ([('SC101', 'pool')], False)
    """
    paths, data = given_models(models, name)
    chosen = choose(
        paths,
        environment=Layer("the environment", {}),
        command_line=layer(settings),
        configs=[] if config is None else [os.fspath(config)],
        isolated=isolated,
    )
    folders = [os.fspath(folder) for folder in rules]
    registry = load_rules(folders)
    plans = {
        path: make_plan(setting, registry, hash_files=hash_files)
        for path, setting in chosen.items()
    }
    known = read_baselines(plans.values())
    keep = keeper(formats)
    tasks = [
        workers.Task(path, plan.rules, replace(plan.options, data=data, keep=keep))
        for path, plan in plans.items()
    ]
    reports = workers.lint(tasks, jobs=jobs, directories=folders)
    if len(reports) == 1 and (failure := reports[0].failure):
        raise failure_error(paths[0], failure.kind, failure.message)
    settled = settle(reports, plans, registry, known)
    return LintResult(settled.report, settled.complaints)


def rendered(report: Report, format_name: str) -> str:
    """Return a report as a document without terminal styles."""
    import click  # noqa: PLC0415  only for its `unstyle`

    from scotoma.report import REPORTERS  # noqa: PLC0415  filled by modules that may come later

    if format_name not in REPORTERS:
        raise UsageError(f"no format '{format_name}'; there are {', '.join(REPORTERS)}")
    return click.unstyle(render(report, format_name))


def given_models(models: Sequence[Any], name: str) -> tuple[list[str], bytes | None]:
    """Return the paths of the models, and the bytes of the only one where it is no file."""
    if not models:
        raise UsageError("no model is given")
    found = [opened(model, name) for model in models]
    if len(found) == 1 and found[0][1] is not None:
        return [found[0][0]], found[0][1]
    if any(data is not None for _, data in found):
        raise UsageError("of several models each is a path; lint others one by one")
    return find_models(path for path, _ in found), None


def failure_error(path: str, kind: str, message: str) -> ScotomaError:
    """Return the error of a model that could not be examined."""
    text = f"{path}: {message}"
    return UsageError(text) if kind == "usage" else ModelError(kind, text)
