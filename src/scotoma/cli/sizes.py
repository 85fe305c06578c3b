"""``scotoma sizes``: at which input sizes a model loses least."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from scotoma.cli import status
from scotoma.cli.help import Command
from scotoma.cli.options import (
    MAX_DIMENSION,
    TABLE_FORMATS,
    engine_options,
    input_options,
    mirrored,
    read_sizes,
    run_options,
    split_selectors,
    table_options,
    together,
)
from scotoma.cli.output import complain, targets, use_colour, write
from scotoma.cli.settings import configuration_options, given_layers
from scotoma.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scotoma.facts import Facts
    from scotoma.settings.layers import Settings
    from scotoma.sizes.survey import Survey


def read_ranges(text: str) -> tuple[tuple[int, int], ...]:
    """Return the smallest and the largest size, once or for every axis, of a text.

    Raises
    ------
    click.BadParameter
        If it is anything else, or a size is not between 1 and `MAX_DIMENSION`.

    Examples
    --------
    >>> read_ranges("160:320"), read_ranges("416:544x576:704")
    (((160, 320),), ((416, 544), (576, 704)))
    """
    found = []
    for part in text.lower().split("x"):
        match = re.fullmatch(r"([0-9]{1,10}):([0-9]{1,10})", part)
        if not match:
            raise click.BadParameter(
                f"'{text}' is not LOW:HIGH, such as 160:320 or 416:544x576:704"
            )
        low, high = int(match[1]), int(match[2])
        if not 1 <= low <= high <= MAX_DIMENSION:
            raise click.BadParameter(
                f"'{text}': the sizes must rise and lie between 1 and {MAX_DIMENSION}"
            )
        found.append((low, high))
    return tuple(found)


def _around(_context: click.Context, _option: click.Parameter, value: str | None) -> object:
    return None if value is None else read_sizes(value)


def _limits(_context: click.Context, _option: click.Parameter, value: str | None) -> object:
    return None if value is None else read_ranges(value)


def _deploy(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> object:
    return tuple(map(read_sizes, split_selectors(values)))


COLUMNS = """\b
Columns:
  unread px        pixels without any path to an output
  without gates    the same, paths through whole-map gates left out
  dead taps        share of the convolution weights that only ever meet padding
  uneven layers    strided layers that read more padding on one side than on the other
  leftover layers  strided layers that leave cells over at the end
  phantoms         pools with a last window that only some runtimes make
  off centre       how far the last feature map lies off the centre of the image
"""


EXAMPLES = """
scotoma sizes model.onnx
scotoma sizes model.onnx --range 160:320
scotoma sizes model.onnx --deploy 224x224,320x320
"""


@click.command(
    cls=Command,
    short_help="Compare input sizes, the best first.",
    epilog=COLUMNS,
    examples=EXAMPLES,
)
@click.argument("model")
@together(
    [
        mirrored(
            "--deploy",
            metavar="HxW",
            multiple=True,
            callback=_deploy,
            help="A size that the model is to run at: say what is wrong with it, and which size"
            " nearby is better. May be repeated, or several with commas between them.",
        ),
        click.option(
            "--around",
            metavar="N|HxW",
            callback=_around,
            help="The wanted size: of equally good ones the nearest comes first. "
            "[default: the size that is examined]",
        ),
        click.option(
            "--range",
            "limits",
            metavar="LOW:HIGH",
            callback=_limits,
            help="Compare the sizes from LOW to HIGH; 416:544x576:704 for each axis. "
            "[default: 64 below to 64 above the wanted size]",
        ),
        click.option(
            "--top",
            metavar="N",
            type=click.IntRange(min=1),
            help="Show the N best and the current one. [default: 10 as text, all as JSON]",
        ),
    ],
    "Sizes",
)
@input_options
@table_options
@configuration_options
@run_options
@click.pass_context
def sizes(  # noqa: PLR0913  one for each option
    context: click.Context,
    /,
    *,
    model: str,
    around: tuple[int, ...] | None,
    limits: tuple[tuple[int, int], ...] | None,
    top: int | None,
    format_name: str,
    outputs: tuple[str, ...],
    configs: tuple[str, ...],
    isolated: bool,
    debug: bool,
    colour: str,
    **_settings: object,
) -> int:
    """Compare input sizes of MODEL, the best first.

    A square input stays square while both sides are alike; otherwise each side has its own best
    sizes, and the table combines them. Sizes below the total stride are left out.

    The sizes that the model is to run at can also stand in a configuration, for some files only
    in a table [[per-file]]: deploy = [[224, 224], [320, 320]]. The exit status is 2 if the graph
    refuses one of them, and 3 if one is too large to be examined.
    """
    from scotoma import engine  # noqa: PLC0415  not for --help
    from scotoma.report.json import dump  # noqa: PLC0415
    from scotoma.report.sizes import render_sizes  # noqa: PLC0415
    from scotoma.report.sizes_document import shortened, sizes_document  # noqa: PLC0415
    from scotoma.settings.chooser import choose  # noqa: PLC0415

    places = targets(outputs, format_name, TABLE_FORMATS)
    environment, command_line = given_layers(context)
    settings = choose(
        [model], environment=environment, command_line=command_line, configs=configs,
        isolated=isolated,
    )[model]  # fmt: skip
    options = engine_options(
        size=settings.size,
        input_shapes=settings.input_shapes,
        input_name=settings.input_name,
        debug=debug,
    )
    facts = engine.examine_one(model, options)
    found = _survey(facts, settings, around, limits)
    document = sizes_document(facts, found, settings.origins.get("deploy"))
    for place in places:
        as_text = place.format_name == "text"
        text = render_sizes(document, top) if as_text else dump(shortened(document, top))
        write(text, place.path, colour=use_colour(colour))
    if settings.deploy and not found.deployed:
        complain(f"{model}: the sizes to be deployed were not examined: there is no image")
        return status.FAILED
    return _status(model, found)


def _survey(
    facts: Facts,
    settings: Settings,
    around: Sequence[int] | None,
    limits: Sequence[tuple[int, int]] | None,
) -> Survey:
    """Compare the sizes; a wrong one to be deployed is blamed on where it is set."""
    from scotoma.sizes.ranges import wanted_size  # noqa: PLC0415  not for --help
    from scotoma.sizes.survey import survey  # noqa: PLC0415

    if facts.geometry is not None:
        for size in settings.deploy:
            try:
                wanted_size(facts.image_size, size)
            except UsageError as error:
                raise UsageError(f"{settings.origins['deploy']}: deploy: {error}") from error
    return survey(
        facts,
        around=around,
        limits=limits,
        deploy=settings.deploy,
        input_shapes=settings.input_shapes,
    )


def _status(model: str, found: Survey) -> int:
    """Return the exit status, and say on standard error which sizes cannot be deployed."""
    from scotoma.sizes.ranges import times  # noqa: PLC0415  not for --help

    result = status.FINE
    for item in found.deployed:
        if item.candidate.accepted:
            continue
        complain(f"{model}: {times(item.candidate.size)}: {item.problems[0].message}")
        refused = item.candidate.accepted is False
        result = status.WRONG_CALL if refused else result or status.FAILED
    return result
