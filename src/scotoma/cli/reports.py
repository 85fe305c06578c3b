"""Options of the commands that report findings: in which formats, where to, and how much."""

from __future__ import annotations

import click

from scotoma.cli.options import mirrored, together
from scotoma.cli.settings import LEVELS
from scotoma.report import REPORTERS

report_options = together(
    [
        mirrored(
            "--format",
            "format_name",
            type=click.Choice(list(REPORTERS)),
            default="text",
            show_default=True,
            help="Format of standard output, and of files whose ending says none.",
        ),
        mirrored(
            "-o",
            "--output",
            "outputs",
            metavar="[FORMAT=]FILE",
            multiple=True,
            help="Write the report to a file instead of standard output (-), of the format that is"
            " stated or that its ending says. May be repeated.",
        ),
    ],
    "Report",
)
shown_options = together(
    [
        mirrored("--statistics", is_flag=True, help="Count the findings by rule as well."),
        mirrored(
            "--min-severity",
            type=click.Choice(LEVELS),
            default="note",
            show_default=True,
            help="Show no findings of a lower severity; they count all the same.",
        ),
        mirrored("-q", "--quiet", is_flag=True, help="No report on standard output."),
        mirrored("--hash", "hash_files", is_flag=True, help="Add the SHA-256 of each whole file."),
    ],
    "Report",
)
