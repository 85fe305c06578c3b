"""``scotoma.lint``: runs the rules over models."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Unpack

from scotoma import workers
from scotoma.api.call import prepared
from scotoma.api.models import ModelSource, brief
from scotoma.api.settings import LintSettings
from scotoma.errors import UsageError
from scotoma.loader.source import STDIN
from scotoma.report import keeper, render
from scotoma.report.document import report_document
from scotoma.report.notebook import lint_html
from scotoma.report.text import summary_line

if TYPE_CHECKING:
    from scotoma.findings import Finding, Undecided
    from scotoma.report.contract.lint import LintDocument
    from scotoma.results import ModelReport, Report


@dataclass(frozen=True, slots=True)
class LintResult:
    """What the rules say of some models."""

    report: Report = field(repr=False)
    complaints: tuple[str, ...]
    """Lines about suppressions and baselines, as the command line writes to standard error."""

    @property
    def models(self) -> tuple[ModelReport, ...]:
        """What is said of each model, sorted by its path."""
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

    def __repr__(self) -> str:
        return brief(self, summary_line(self.report))

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
    call = prepared(
        models,
        name=name,
        config=config,
        isolated=isolated,
        rules=rules,
        settings=settings,
        hash_files=hash_files,
    )
    keep = keeper(formats)
    tasks = [
        workers.Task(path, plan.rules, replace(plan.options, data=call.data, keep=keep))
        for path, plan in call.plans.items()
    ]
    settled = call.settle(workers.lint(tasks, jobs=jobs, directories=call.folders), call.plans)
    return LintResult(settled.report, settled.complaints)


def rendered(report: Report, format_name: str) -> str:
    """Return a report as a document without terminal styles."""
    import click  # noqa: PLC0415  only for its `unstyle`

    from scotoma.report import REPORTERS  # noqa: PLC0415  filled by modules that may come later

    if format_name not in REPORTERS:
        raise UsageError(f"no format '{format_name}'; there are {', '.join(REPORTERS)}")
    return click.unstyle(render(report, format_name))
