"""``scotoma audit``: runs the rules over models, and the models themselves to confirm them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scotoma.cli import status
from scotoma.cli.help import Command
from scotoma.cli.measuring import about_inputs, read_seconds
from scotoma.cli.options import (
    input_options,
    mirrored,
    no_weights_option,
    run_options,
    together,
)
from scotoma.cli.output import STDOUT, complain, targets, use_colour, write_all
from scotoma.cli.reports import report_options, shown_options
from scotoma.cli.settings import configuration_options, given_layers, settings_options
from scotoma.errors import UsageError
from scotoma.findings import Severity
from scotoma.report import REPORTERS, keeper, render
from scotoma.results import NOT_JUDGED

if TYPE_CHECKING:
    from scotoma.results import ModelReport, Report
    from scotoma.settings.plan import Plan

GENERATED = ("random", "zeros", "mean")
"""Inputs that are no file."""
MOST_PIXELS = 2**31 - 1


def _region(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[int, ...] | None:
    """Read column, row, width and height."""
    if value is None:
        return None
    parts = value.split(",")
    if len(parts) != 4 or not all(p.isascii() and p.isdigit() and len(p) <= 10 for p in parts):
        raise click.BadParameter(
            f"'{value}' is not X,Y,WIDTH,HEIGHT in pixels, such as 0,80,640,480"
        )
    numbers = tuple(map(int, parts))
    if min(numbers[2:]) < 1 or max(numbers) > MOST_PIXELS:
        raise click.BadParameter(f"'{value}' holds no pixel")
    return numbers


def _about_thresholds() -> Iterator[Callable[..., Any]]:
    yield mirrored(
        "--max-dead-pixels",
        type=click.IntRange(min=0),
        metavar="N",
        help="Fail where more pixels change nothing.",
    )
    yield mirrored(
        "--min-border-ratio",
        type=click.FloatRange(min=0),
        metavar="X",
        help="Fail where the border has less influence, over that of the interior.",
    )
    yield mirrored(
        "--max-asymmetry",
        type=click.FloatRange(min=1),
        metavar="X",
        help="Fail where one half of the image has more influence, over that of the other.",
    )
    yield mirrored(
        "--max-position-sensitivity",
        type=click.FloatRange(min=0),
        metavar="X",
        help="Fail where the answer to a stimulus depends on its place more, over the mean answer.",
    )


def _about_work() -> Iterator[Callable[..., Any]]:
    yield mirrored(
        "--budget",
        metavar="TIME",
        callback=read_seconds,
        default="60s",
        show_default=True,
        help="Time for all models together: 60s, 2m, 1.5h. The rules always run.",
    )
    yield mirrored(
        "--region",
        metavar="X,Y,W,H",
        callback=_region,
        help="Take the measured figures of this rectangle of the input only.",
    )
    yield click.option(
        "--measure-jobs", type=int, metavar="N", default=1, show_default=True,
        help="Threads that run a model.",
    )  # fmt: skip


EXAMPLES = """
scotoma audit model.onnx
scotoma audit models/ --max-dead-pixels 0 --budget 5m
scotoma audit model.onnx --input photos/ --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
"""


@click.command(cls=Command, short_help="Lint models and run them to confirm it.", examples=EXAMPLES)
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@report_options
@shown_options
@together(_about_thresholds(), "Limits of measured figures")
@together(_about_work(), "Measurement")
@together(about_inputs(), "What the models are fed")
@settings_options
@input_options
@no_weights_option
@configuration_options
@run_options
@click.pass_context
def audit(  # noqa: PLR0913  one for each option
    context: click.Context,
    /,
    *,
    models: tuple[str, ...],
    format_name: str,
    outputs: tuple[str, ...],
    configs: tuple[str, ...],
    isolated: bool,
    rule_directories: tuple[str, ...],
    exit_zero: bool,
    hash_files: bool,
    statistics: bool,
    min_severity: str,
    quiet: bool,
    debug: bool,
    colour: str,
    budget: float,
    **asked: Any,
) -> int:
    """Find blind spots in models, and run them to see which show.

    MODEL is as of `scotoma lint`. Each finding carries what running the model says of it; an
    error that it contradicts becomes a warning. Limits of measured figures fail the run, also from
    the table `thresholds` of a configuration. Exit status 3 where the budget did not suffice for
    what was asked, or onnxruntime refuses a model and no finding says why.
    """
    from scotoma.audit import Budget, demoted  # noqa: PLC0415  not for --help
    from scotoma.loader import find_models  # noqa: PLC0415
    from scotoma.registry import load_rules  # noqa: PLC0415
    from scotoma.settings.chooser import choose  # noqa: PLC0415
    from scotoma.settings.plan import make_plan  # noqa: PLC0415
    from scotoma.settings.settle import read_baselines, settle  # noqa: PLC0415

    if budget <= 0:
        raise UsageError("--budget: expected a time above 0")
    for given in asked["inputs"]:
        if given not in GENERATED and not Path(given).exists():
            raise UsageError(f"--input {given}: no such file or folder, nor {', '.join(GENERATED)}")
    places = targets(outputs, format_name, REPORTERS)
    paths = find_models(models)
    until = Budget.of(budget)
    environment, command_line = given_layers(context)
    chosen = choose(
        paths, environment=environment, command_line=command_line, configs=configs,
        isolated=isolated,
    )  # fmt: skip
    registry = load_rules(rule_directories)
    plans = {
        path: make_plan(settings, registry, hash_files=hash_files, debug=debug)
        for path, settings in chosen.items()
    }
    known = read_baselines(plans.values())
    formats = {place.format_name for place in places}
    reports = _audited(plans, until, formats, asked)
    _refuse_if_nothing_fits(reports)
    with_limits = {path: _with_limits(plan) for path, plan in plans.items()}
    settled = settle(reports, with_limits, registry, known, statistics=statistics)
    report = demoted(settled.report)
    if quiet:
        places = [place for place in places if place.path != STDOUT]
    shown = report.shown_from(Severity[min_severity.upper()])
    problems = write_all(places, partial(render, shown), colour=use_colour(colour))
    for line in (*settled.complaints, *map(str, problems[1:])):
        complain(line)
    if problems:
        raise problems[0]
    return _status(report, exit_zero=exit_zero)


def _audited(
    plans: Mapping[str, Plan], until: Any, formats: set[str], asked: Mapping[str, Any]
) -> list[ModelReport]:
    """Audit the models one after the other; each may take twice its part of the time left."""
    from scotoma.audit import AuditOptions, audit_model  # noqa: PLC0415  not for --help
    from scotoma.measure.options import MeasureOptions  # noqa: PLC0415

    wanted = {k: v for k, v in asked.items() if k in MeasureOptions.__slots__ and k != "output"}
    wanted["jobs"] = asked["measure_jobs"]
    measure = MeasureOptions(**wanted)
    keep = keeper(formats)
    reports = []
    with click.progressbar(
        list(plans.items()), label="auditing", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:
        for number, (path, plan) in enumerate(bar):
            how = AuditOptions(
                measure=measure,
                region=asked["region"],
                thresholds=plan.settings.thresholds,
                sheet="html" in formats,
            )
            data = sys.stdin.buffer.read() if path == STDOUT else None
            options = replace(plan.options, keep=keep, data=data)
            # Twice an equal part: what one model leaves is the others'.
            part = until.part((len(plans) - number + 1) / 2)
            reports.append(audit_model(path, plan.rules, options, how, part))
    return reports


def _with_limits(plan: Plan) -> Plan:
    """Return the plan with the rules that stand for its thresholds."""
    from scotoma.audit.thresholds import THRESHOLDS  # noqa: PLC0415  not for --help

    limits = tuple(THRESHOLDS[name] for name in plan.settings.thresholds)
    return replace(plan, rules=(*plan.rules, *limits))


def _refuse_if_nothing_fits(reports: list[ModelReport]) -> None:
    """Raise UsageError where the call fits none of the models, so that there is no report."""
    failures = [report.failure for report in reports]
    first = failures[0] if failures else None
    if first and all(failure and failure.kind == "usage" for failure in failures):
        raise UsageError(f"{reports[0].path}: {first.message}")


def _status(report: Report, *, exit_zero: bool) -> int:
    """Return the exit status, and say on standard error what was left open."""
    for model in report.models:
        if model.failure:
            complain(f"{model.path}: {model.failure.message}")
        for failure in model.rule_failures:
            complain(f"{model.path}: {failure.code}: {failure.error}")
    failed = any(model.failed for model in report.models)
    found = status.of_report(report, failed=failed, exit_zero=exit_zero)
    if found == status.WRONG_CALL:
        return found
    unfinished = False
    for model in report.models:
        measured = model.measured
        if measured is None:
            continue
        if measured.refused:
            complain(f"{model.path}: {measured.reason}")
        open_ = [item for item in measured.thresholds if item.verdict == NOT_JUDGED]
        for item in open_:
            complain(f"{model.path}: {item.name} was not judged: {item.judged_on}")
        if measured.skipped:
            complain(f"{model.path}: no time was left for {', '.join(measured.skipped)}")
        unfinished = unfinished or bool(measured.refused or open_ or measured.skipped)
    return status.FAILED if unfinished else found
