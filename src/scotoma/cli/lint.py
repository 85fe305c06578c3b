"""``scotoma lint``: runs the rules over models."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import click

from scotoma.cli import status
from scotoma.cli.help import Command
from scotoma.cli.options import (
    input_options,
    mirrored,
    no_weights_option,
    run_options,
    together,
)  # fmt: skip
from scotoma.cli.output import STDOUT, Target, complain, targets, use_colour, write, write_all
from scotoma.cli.reports import report_options, shown_options
from scotoma.cli.settings import configuration_options, given_layers, settings_options
from scotoma.errors import UsageError
from scotoma.findings import Severity
from scotoma.report import REPORTERS, keeper, render

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scotoma.results import ModelReport, Report
    from scotoma.settings.plan import Plan


EXAMPLES = """
scotoma lint models/
scotoma lint model.onnx --size 224x224 --fail-on warning
scotoma lint models/ -o text=- -o findings.sarif
scotoma lint models/ --write-baseline known.json
"""


@click.command(cls=Command, short_help="Find blind spots in models.", examples=EXAMPLES)
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@report_options
@shown_options
@settings_options
@together(
    [
        click.option("--write-baseline", metavar="FILE", help="Write down all findings as known."),
        click.option(
            "--prune-baseline", is_flag=True, help="Take what vanished out of the baseline."
        ),
    ],
    "What counts",
)
@input_options
@no_weights_option
@configuration_options
@together(
    [click.option("--show-settings", is_flag=True, help="Show what is set, and where, and stop.")],
    "Settings",
)
@mirrored(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Lint so many models at once.",
)
@run_options
@click.pass_context
def lint(  # noqa: PLR0913  one for each option
    context: click.Context,
    /,
    *,
    models: tuple[str, ...],
    format_name: str,
    outputs: tuple[str, ...],
    configs: tuple[str, ...],
    isolated: bool,
    show_settings: bool,
    write_baseline: str | None,
    prune_baseline: bool,
    rule_directories: tuple[str, ...],
    exit_zero: bool,
    hash_files: bool,
    jobs: int,
    statistics: bool,
    min_severity: str,
    quiet: bool,
    debug: bool,
    colour: str,
    **_settings: object,
) -> int:
    """Find blind spots in models.

    MODEL is an .onnx file, a folder that is searched for them, a glob pattern or - for standard
    input. Options with an environment variable can also be set there, most of them in scotoma.toml
    or in the table [tool.scotoma] of pyproject.toml.
    """
    from scotoma import workers  # noqa: PLC0415  not for --help
    from scotoma.loader import find_models  # noqa: PLC0415
    from scotoma.registry import load_rules  # noqa: PLC0415
    from scotoma.settings.chooser import choose  # noqa: PLC0415
    from scotoma.settings.idle import idle_tables  # noqa: PLC0415
    from scotoma.settings.plan import make_plan  # noqa: PLC0415
    from scotoma.settings.settle import accept, prune, read_baselines, settle  # noqa: PLC0415

    places = targets(outputs, format_name, REPORTERS)
    paths = find_models(models)
    environment, command_line = given_layers(context)
    if write_baseline is not None:
        if prune_baseline or "baseline" in command_line.values:
            raise UsageError("--write-baseline goes with no other option about a baseline")
        command_line.values["baseline"] = None
    chosen = choose(
        paths, environment=environment, command_line=command_line, configs=configs,
        isolated=isolated,
    )  # fmt: skip
    registry = load_rules(rule_directories)
    plans = {
        path: make_plan(settings, registry, hash_files=hash_files, debug=debug)
        for path, settings in chosen.items()
    }
    idle = idle_tables(models, chosen.items())
    known = read_baselines(plans.values())
    if prune_baseline and not known:
        raise UsageError("--prune-baseline: there is no baseline to prune; --baseline names it")
    if show_settings:
        _show_settings(plans, format_name, colour)
        for line in idle:
            complain(line)
        return status.FINE
    keep = keeper({place.format_name for place in places})
    tasks = [
        workers.Task(path, plan.rules, replace(plan.options, keep=keep))
        for path, plan in plans.items()
    ]
    reports = workers.lint(tasks, jobs=jobs, directories=rule_directories)
    _refuse_if_nothing_fits(reports)
    settled = settle(reports, plans, registry, known, statistics=statistics)
    if write_baseline is not None and _is_whole(reports, write_baseline):
        settled = accept(write_baseline, settled, reports, plans, registry)
    pruned = prune(known, settled.report) if prune_baseline else []
    if quiet:
        places = [place for place in places if place.path != STDOUT]
    shown = settled.report.shown_from(Severity[min_severity.upper()])
    problems = write_all(places, partial(render, shown), colour=use_colour(colour))
    _complain_of_failures(settled.report, places)
    for line in (*idle, *settled.complaints, *pruned, *map(str, problems[1:])):
        complain(line)
    if problems:
        raise problems[0]
    failed = any(model.failed for model in settled.report.models)
    return status.of_report(settled.report, failed=failed, exit_zero=exit_zero)


def _show_settings(plans: Mapping[str, Plan], format_name: str, colour: str) -> None:
    from scotoma.report.settings import render_json, render_text  # noqa: PLC0415  rare

    text = render_json(plans) if format_name == "json" else render_text(plans)
    write(text, STDOUT, colour=use_colour(colour))


def _is_whole(reports: Sequence[ModelReport], baseline: str) -> bool:
    """Tell whether all models were linted whole, so that a baseline would lack no finding."""
    from scotoma.settings.files import shown_path  # noqa: PLC0415  not for --help

    for report in reports:
        if report.failure or report.rule_failures:
            shown = shown_path(baseline)
            complain(f"{shown} is not written, because {report.path} was not linted whole")
            return False
    return True


def _refuse_if_nothing_fits(reports: Sequence[ModelReport]) -> None:
    """Raise UsageError where the call fits none of the models, so that there is no report."""
    failures = [report.failure for report in reports]
    first = failures[0] if failures else None
    if first and all(failure and failure.kind == "usage" for failure in failures):
        raise UsageError(f"{reports[0].path}: {first.message}")


def _complain_of_failures(report: Report, places: list[Target]) -> None:
    """Say on standard error what went wrong, unless the person reads it on standard output."""
    there = [place for place in places if place.path == STDOUT]
    if Target("text", STDOUT) in there or (there and sys.stdout.isatty()):
        return
    for model in report.models:
        if model.refusal:
            complain(f"{model.path}: {model.refusal}")
        if model.failure:
            complain(f"{model.path}: {model.failure.message}")
        for failure in model.rule_failures:
            complain(f"{model.path}: the rule {failure.code} crashed: {failure.error}")
