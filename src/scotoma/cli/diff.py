"""``scotoma diff``: what was gained and lost between two models, or between two reports."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from scotoma.cli import status
from scotoma.cli.help import Command
from scotoma.cli.options import (
    TABLE_FORMATS,
    input_options,
    mirrored,
    no_weights_option,
    rules_option,
    run_options,
    table_options,
    together,
)
from scotoma.cli.output import STDOUT, complain, targets, use_colour, write_all
from scotoma.cli.settings import (
    LEVELS,
    configuration_options,
    given_layers,
    selection_options,
    task_option,
)
from scotoma.errors import UsageError

if TYPE_CHECKING:
    from scotoma.measure.options import MeasureOptions
    from scotoma.report.contract.diff import DiffDocument

judging_options = together(
    [
        selection_options,
        task_option,
        rules_option,
        together(
            [
                mirrored(
                    "--fail-on",
                    type=click.Choice([*LEVELS, "never"]),
                    default="warning",
                    show_default=True,
                    help="A new finding of this severity or a higher one is worse.",
                ),
                mirrored(
                    "--fail-on-undecided",
                    is_flag=True,
                    help="So is a rule that can no longer tell.",
                ),
                mirrored(
                    "--exit-zero", is_flag=True, help="Exit with status 0 whatever got worse."
                ),
            ],
            "What counts",
        ),
    ]
)

measuring_options = together(
    [
        click.option(
            "--measure",
            "measured",
            is_flag=True,
            help="Also measure what each pixel does, in both models alike, and compare the maps.",
        ),
        click.option(
            "--inputs",
            "random_inputs",
            metavar="N",
            type=click.IntRange(min=1),
            default=4,
            show_default=True,
            help="Measure on so many random inputs.",
        ),
        click.option(
            "--seed",
            type=click.IntRange(min=0),
            metavar="N",
            default=0,
            show_default=True,
            help="Which random inputs.",
        ),
        click.option(
            "--passes",
            type=click.IntRange(min=1),
            metavar="N",
            default=4096,
            show_default=True,
            help="Stop after N inputs through each model.",
        ),
        click.option(
            "--max-influence-change",
            type=click.FloatRange(min=0),
            metavar="X",
            help="A map that differs by more, relative to the old one, is worse: 0.1.",
        ),
    ],
    "Measurement",
)


EXAMPLES = """
scotoma diff float.onnx int8.onnx
scotoma diff old.onnx new.onnx --measure --max-influence-change 0.1
scotoma diff old.json new.json
"""


@click.command(cls=Command, short_help="Compare two models, or two reports.", examples=EXAMPLES)
@click.argument("old")
@click.argument("new")
@table_options
@judging_options
@measuring_options
@input_options
@no_weights_option
@configuration_options
@run_options
@click.pass_context
def diff(  # noqa: PLR0913  one for each option
    context: click.Context,
    /,
    *,
    old: str,
    new: str,
    format_name: str,
    outputs: tuple[str, ...],
    configs: tuple[str, ...],
    isolated: bool,
    rule_directories: tuple[str, ...],
    measured: bool,
    random_inputs: int,
    seed: int,
    passes: int,
    max_influence_change: float | None,
    exit_zero: bool,
    debug: bool,
    colour: str,
    **_settings: object,
) -> int:
    """Compare the models OLD and NEW: an export with another, a model with its quantised twin.

    Findings that were gained and lost, what the tensors of both see of the input, and how they
    cover it. OLD and NEW may also be JSON reports of `scotoma lint`, of which the findings are
    compared. The configuration of NEW is used for both.

    The exit status is 1 where something got worse: a new finding at or above --fail-on, or one
    that is more severe; more pixels without a path to the outputs, or that measurably move nothing;
    a last feature map that lies further off the centre of the image.
    """
    from scotoma.api.diff import Inputs, difference  # noqa: PLC0415  not for --help
    from scotoma.report.diff import render_diff  # noqa: PLC0415
    from scotoma.report.json import dump  # noqa: PLC0415

    places = targets(outputs, format_name, TABLE_FORMATS)
    if old == new == STDOUT:
        raise UsageError("'-' can be given only once")
    if max_influence_change is not None and not measured:
        raise UsageError("--max-influence-change goes with --measure")
    environment, command_line = given_layers(context)
    inputs = Inputs(
        settings=command_line,
        environment=environment,
        configs=configs,
        isolated=isolated,
        rules=rule_directories,
        measurement=_measurement(random_inputs, seed, passes) if measured else None,
        max_influence_change=max_influence_change,
        debug=debug,
    )
    document = difference(_opened(old), _opened(new), inputs)

    def render(format_name: str) -> str:
        return dump(document) if format_name == "json" else render_diff(document)

    problems = write_all(places, render, colour=use_colour(colour))
    _complain(document)
    for problem in problems[1:]:
        complain(str(problem))
    if problems:
        raise problems[0]
    return _status(document, exit_zero=exit_zero)


def _measurement(random_inputs: int, seed: int, passes: int) -> MeasureOptions:
    from scotoma.measure.options import MeasureOptions  # noqa: PLC0415  only where it is wanted

    return MeasureOptions(random_inputs=random_inputs, seed=seed, passes=passes)


def _opened(path: str) -> tuple[str, bytes | None]:
    """Return a path, and what standard input holds: it is looked at more than once."""
    return path, sys.stdin.buffer.read() if path == STDOUT else None


def _sides(document: DiffDocument) -> list[Any]:
    return [
        side
        for comparison in document["comparisons"]
        for side in (comparison["old"], comparison["new"])
        if side is not None
    ]


def _complain(document: DiffDocument) -> None:
    """Say on standard error what could not be examined."""
    for side in _sides(document):
        if side["error"]:
            complain(f"{side['path']}: {side['error']['message']}")
        if side["refusal"]:
            complain(f"{side['path']}: {side['refusal']}")
        if side["rule_errors"]:
            complain(f"{side['path']}: a rule crashed; `scotoma lint` says which")


def _status(document: DiffDocument, *, exit_zero: bool) -> int:
    sides = _sides(document)
    if any((side["error"] or {}).get("kind") == "usage" or side["refusal"] for side in sides):
        return status.WRONG_CALL
    if any(side["error"] or side["rule_errors"] for side in sides):
        return status.FAILED
    return status.FINDINGS if document["worse"] and not exit_zero else status.FINE
