"""``scotoma measure``: what each input pixel really does to the output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click

from scotoma.cli.options import engine_options, input_options, run_options
from scotoma.cli.output import STDOUT, use_colour, write
from scotoma.errors import UsageError

Progress = Callable[[int, int], None]


@click.command(short_help="Map what each input pixel does to the output.")
@click.argument("model")
@click.option(
    "--out",
    "directory",
    metavar="DIR",
    required=True,
    help="Folder for influence.npy and influence.png; made if missing.",
)
@click.option("--method", type=click.Choice(["auto", "perturb"]), default="auto", show_default=True)
@click.option(
    "--functional",
    type=click.Choice(["l2", "sum"]),
    default="l2",
    show_default=True,
    help="Norm of the output's change, or change of the output's sum.",
)
@click.option(
    "--input",
    "input_values",
    metavar="random|zeros|FILE",
    default="random",
    show_default=True,
    help="What is perturbed; FILE is a .npy file or an image.",
)
@click.option(
    "--delta", type=float, default=1.0, show_default=True, help="Added to each pixel in turn."
)
@click.option(
    "--resolution",
    metavar="full|N",
    help="Perturb all pixels, or N along each axis. [default: what a minute allows]",
)
@click.option(
    "--output",
    "tensor",
    metavar="NAME",
    help="Output or inner tensor to look at. [default: the largest output]",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the random input.")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
)
@input_options
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
@run_options
def measure(  # noqa: PLR0913  one for each option
    model: str,
    *,
    directory: str,
    method: str,
    functional: str,
    input_values: str,
    delta: float,
    resolution: str | None,
    tensor: str | None,
    seed: int,
    format_name: str,
    size: tuple[int, ...] | None,
    input_shapes: Mapping[str, tuple[int, ...]],
    input_name: str | None,
    quiet: bool,
    debug: bool,
    colour: str,
) -> None:
    """Run MODEL with one pixel changed at a time and map what each does to the output."""
    from scotoma import engine  # noqa: PLC0415  not for --help
    from scotoma import measure as measuring  # noqa: PLC0415
    from scotoma.report.json import dump  # noqa: PLC0415
    from scotoma.report.measure import render_measure  # noqa: PLC0415

    if model == STDOUT:
        raise UsageError(
            "`scotoma measure` cannot read standard input: onnxruntime opens the file itself"
        )
    settings = measuring.MeasureOptions(
        method=method,
        functional=functional,
        input=input_values,
        delta=delta,
        resolution=_read_resolution(resolution),
        output=tensor,
        seed=seed,
    )
    folder = _make_folder(directory)
    options = engine_options(
        size=size, input_shapes=input_shapes, input_name=input_name, debug=debug
    )
    facts = engine.examine_one(model, options)
    with _progress_bar(shown=not quiet and sys.stderr.isatty()) as progress:
        influence = measuring.measure(facts.model, facts.resolution, settings, progress)
    measuring.write(influence, folder)
    document = measuring.document(influence)
    text = render_measure(document, directory) if format_name == "text" else dump(document)
    write(text, STDOUT, colour=use_colour(colour))


def _read_resolution(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else text


def _make_folder(directory: str) -> Path:
    folder = Path(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"--out {directory}: the folder cannot be made: {error.strerror}"
        ) from error
    return folder


@contextmanager
def _progress_bar(*, shown: bool) -> Iterator[Progress | None]:
    """Give a function that moves a bar on standard error to ``done`` of ``total`` passes."""
    if not shown:
        yield None
        return
    with click.progressbar(length=1, label="measuring", file=sys.stderr) as bar:

        def progress(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield progress
