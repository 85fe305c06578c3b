"""``scotoma trace``: the receptive-field table of a model."""

from __future__ import annotations

from collections.abc import Mapping

import click

from scotoma.cli.help import Command
from scotoma.cli.options import (
    TABLE_FORMATS,
    engine_options,
    input_options,
    run_options,
    table_options,
    together,
)
from scotoma.cli.output import targets, use_colour, write

EXAMPLES = """
scotoma trace model.onnx
scotoma trace model.onnx --size 320x320 --tensor feature_map -o trace.json
"""


@click.command(cls=Command, short_help="Show what each layer of a model sees.", examples=EXAMPLES)
@click.argument("model")
@together(
    [click.option("--tensor", metavar="NAME", help="Follow this tensor instead of the outputs.")],
    "Model",
)
@input_options
@table_options
@run_options
def trace(  # noqa: PLR0913  one for each option
    model: str,
    *,
    tensor: str | None,
    format_name: str,
    outputs: tuple[str, ...],
    size: tuple[int, ...] | None,
    input_shapes: Mapping[str, tuple[int, ...]],
    input_name: str | None,
    debug: bool,
    colour: str,
) -> None:
    """Show receptive field, effective stride and centre of each layer of MODEL.

    Also which pixels of the input reach the outputs, or one tensor, and how evenly.
    """
    from scotoma import engine  # noqa: PLC0415  not for --help
    from scotoma.report.json import dump  # noqa: PLC0415
    from scotoma.report.trace import render_trace  # noqa: PLC0415
    from scotoma.report.trace_document import trace_document  # noqa: PLC0415

    places = targets(outputs, format_name, TABLE_FORMATS)
    options = engine_options(
        size=size, input_shapes=input_shapes, input_name=input_name, debug=debug
    )
    document = trace_document(engine.examine_one(model, options), tensor=tensor)
    for place in places:
        text = render_trace(document) if place.format_name == "text" else dump(document)
        write(text, place.path, colour=use_colour(colour))
