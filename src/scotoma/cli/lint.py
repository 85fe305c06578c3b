"""``scotoma lint``: runs the rules over models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from scotoma.cli import status
from scotoma.cli.options import (
    engine_options,
    input_options,
    rules_option,
    run_options,
    split_selectors,
)
from scotoma.cli.output import STDOUT, Target, complain, targets, use_colour, write
from scotoma.errors import UsageError
from scotoma.report import REPORTERS, render

if TYPE_CHECKING:
    from scotoma.results import Report


@click.command()
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(list(REPORTERS)),
    default="text",
    show_default=True,
)
@click.option(
    "-o",
    "--output",
    "outputs",
    metavar="[FORMAT=]FILE",
    multiple=True,
    help="Write the report to a file instead of standard output (-). May be repeated.",
)
@click.option(
    "--select",
    metavar="RULES",
    multiple=True,
    help="Run only these: codes, beginnings of codes, names or ALL, with commas between them.",
)
@click.option("--ignore", metavar="RULES", multiple=True, help="Do not run these.")
@rules_option
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "note", "never"]),
    default="error",
    show_default=True,
    help="Exit with status 1 on findings of this severity or a higher one.",
)
@click.option("--fail-on-undecided", is_flag=True, help="Also where a rule could not tell.")
@click.option("--exit-zero", is_flag=True, help="Exit with status 0 whatever is found.")
@input_options
@click.option("--no-weights", is_flag=True, help="Never look at a weight.")
@click.option("--hash", "hash_files", is_flag=True, help="Report the SHA-256 of each whole file.")
@click.option("-q", "--quiet", is_flag=True, help="No report on standard output.")
@run_options
def lint(  # noqa: PLR0913  one for each option
    models: tuple[str, ...],
    *,
    format_name: str,
    outputs: tuple[str, ...],
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    rule_directories: tuple[str, ...],
    fail_on: str,
    fail_on_undecided: bool,
    exit_zero: bool,
    size: tuple[int, ...] | None,
    input_shapes: Mapping[str, tuple[int, ...]],
    input_name: str | None,
    no_weights: bool,
    hash_files: bool,
    quiet: bool,
    debug: bool,
    colour: str,
) -> int:
    """Find blind spots in models.

    MODEL is an .onnx file, a folder that is searched for them, a glob pattern or - for standard
    input.
    """
    from scotoma import engine  # noqa: PLC0415  not for --help
    from scotoma.findings import Severity  # noqa: PLC0415
    from scotoma.load import find_models  # noqa: PLC0415
    from scotoma.registry import load_rules  # noqa: PLC0415

    options = engine_options(
        size=size,
        input_shapes=input_shapes,
        input_name=input_name,
        weights=not no_weights,
        hash_files=hash_files,
        debug=debug,
    )
    places = targets(outputs, format_name, REPORTERS)
    chosen = load_rules(rule_directories).select(split_selectors(select), split_selectors(ignore))
    report = engine.lint(find_models(models), chosen, options)
    _refuse_if_nothing_fits(report)
    if quiet:
        places = [place for place in places if place.path != STDOUT]
    for place in places:
        write(render(report, place.format_name), place.path, colour=use_colour(colour))
    _complain_of_failures(report, places)
    return status.of_report(
        report,
        fail_on=None if fail_on == "never" else Severity[fail_on.upper()],
        fail_on_undecided=fail_on_undecided,
        exit_zero=exit_zero,
    )


def _refuse_if_nothing_fits(report: Report) -> None:
    """Raise UsageError where the call fits none of the models, so that there is no report."""
    failures = [model.failure for model in report.models]
    first = failures[0] if failures else None
    if first and all(failure and failure.kind == "usage" for failure in failures):
        raise UsageError(f"{report.models[0].path}: {first.message}")


def _complain_of_failures(report: Report, places: list[Target]) -> None:
    """Say on standard error what went wrong, unless the person reads it on standard output."""
    if Target("text", STDOUT) in places:
        return
    for model in report.models:
        if model.failure:
            complain(f"{model.path}: {model.failure.message}")
        for failure in model.rule_failures:
            complain(f"{model.path}: the rule {failure.code} crashed: {failure.error}")
