"""``scotoma sizes``: at which input sizes a model loses least."""

from __future__ import annotations

import re
from collections.abc import Mapping

import click

from scotoma.cli.options import (
    MAX_DIMENSION,
    TABLE_FORMATS,
    engine_options,
    input_options,
    read_sizes,
    run_options,
    table_options,
)
from scotoma.cli.output import targets, use_colour, write


def read_range(text: str) -> tuple[int, int]:
    """Return the smallest and the largest size of a text such as ``160:320``.

    Raises
    ------
    click.BadParameter
        If it is anything else, or a size is not between 1 and `MAX_DIMENSION`.
    """
    match = re.fullmatch(r"([0-9]{1,10}):([0-9]{1,10})", text)
    if not match:
        raise click.BadParameter(f"'{text}' is not SMALLEST:LARGEST, such as 160:320")
    low, high = int(match[1]), int(match[2])
    if not 1 <= low <= high <= MAX_DIMENSION:
        raise click.BadParameter(
            f"'{text}': the sizes must rise and lie between 1 and {MAX_DIMENSION}"
        )
    return low, high


def _around(_context: click.Context, _option: click.Parameter, value: str | None) -> object:
    return None if value is None else read_sizes(value)


def _limits(_context: click.Context, _option: click.Parameter, value: str | None) -> object:
    return None if value is None else read_range(value)


@click.command(short_help="Compare input sizes, the best first.")
@click.argument("model")
@click.option(
    "--around",
    metavar="N|HxW",
    callback=_around,
    help="The wanted size: of equally good ones the nearest comes first. "
    "[default: the size that is examined]",
)
@click.option(
    "--range",
    "limits",
    metavar="LOW:HIGH",
    callback=_limits,
    help="Compare the sizes from LOW to HIGH. [default: 64 below to 64 above the wanted size]",
)
@click.option(
    "--top",
    metavar="N",
    type=click.IntRange(min=1),
    help="Show the N best and the current one. [default: 10 as text, all as JSON]",
)
@table_options
@input_options
@run_options
def sizes(  # noqa: PLR0913  one for each option
    model: str,
    *,
    around: tuple[int, ...] | None,
    limits: tuple[int, int] | None,
    top: int | None,
    format_name: str,
    outputs: tuple[str, ...],
    size: tuple[int, ...] | None,
    input_shapes: Mapping[str, tuple[int, ...]],
    input_name: str | None,
    debug: bool,
    colour: str,
) -> None:
    """Compare input sizes of MODEL: unread pixels, uneven layers, phantom windows, centre offset.

    A square input stays square; otherwise both sides grow by the same number of pixels, and
    --range is that of the first. Uneven layers are strided ones that read more padding on one side
    than on the other or leave cells over. The centre offset is that of the last feature map from
    the centre of the image.
    """
    from scotoma import engine  # noqa: PLC0415  not for --help
    from scotoma.report.json import dump  # noqa: PLC0415
    from scotoma.report.sizes import render_sizes  # noqa: PLC0415
    from scotoma.report.sizes_document import shortened, sizes_document  # noqa: PLC0415
    from scotoma.sizes.survey import survey  # noqa: PLC0415

    places = targets(outputs, format_name, TABLE_FORMATS)
    options = engine_options(
        size=size, input_shapes=input_shapes, input_name=input_name, debug=debug
    )
    facts = engine.examine_one(model, options)
    found = survey(facts, around=around, limits=limits, input_shapes=input_shapes)
    document = sizes_document(facts, found)
    for place in places:
        as_text = place.format_name == "text"
        text = render_sizes(document, top) if as_text else dump(shortened(document, top))
        write(text, place.path, colour=use_colour(colour))
