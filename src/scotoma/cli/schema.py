"""``scotoma schema``: what the JSON documents hold, for programs that read them."""

from __future__ import annotations

import click

from scotoma.cli.options import run_options
from scotoma.cli.output import STDOUT, write
from scotoma.report.schema import DOCUMENTS

_SAME = {"audit": "lint"}
"""Commands that write the document of another one."""
COMMANDS = (*DOCUMENTS, *_SAME)


@click.command(short_help="Print the JSON Schema of a command's document.")
@click.argument(
    "document",
    type=click.Choice(COMMANDS),
    default="lint",
    metavar=f"[{'|'.join(COMMANDS)}]",
)
@run_options
def schema(document: str, *, debug: bool, colour: str) -> None:
    """Print the JSON Schema of what a command writes with --format json.

    Of `scotoma lint` unless another command is named; `scotoma audit` writes the same document.
    """
    from scotoma.report.json import dump  # noqa: PLC0415  not for --help
    from scotoma.report.schema import schema_of  # noqa: PLC0415

    del debug, colour  # read by `scotoma.cli.main`; JSON has no colours
    write(dump(schema_of(_SAME.get(document, document))), STDOUT, colour=False)
