"""``scotoma measure``: what each input pixel really does to the output."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scotoma.cli import status
from scotoma.cli.options import engine_options, input_options, run_options, together
from scotoma.cli.output import STDOUT, complain, use_colour, write
from scotoma.errors import MeasurementError, UsageError

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.measure import Influence

Progress = Callable[[int, int], None]

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def read_seconds(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> float | None:
    """Read a time such as ``60s``, ``2m`` or ``1.5h``."""
    if value is None:
        return None
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(s|m|min|h)?", value.strip())
    if match is None:
        raise click.BadParameter(f"'{value}' is not a time such as 60s, 2m or 1.5h")
    return float(match[1]) * UNITS[match[2] or ""]


def _numbers(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[float, ...] | None:
    """Read numbers with commas between them."""
    if value is None:
        return None
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"'{value}' is not made of numbers with commas between") from None


def _place(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[int, ...] | None:
    """Read whole numbers with commas between them."""
    if value is None:
        return None
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise click.BadParameter(f"'{value}' is not whole numbers with commas between, such as 3,4")
    return tuple(map(int, parts))


def _interval(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[float, float] | None:
    """Read two numbers with a colon between them."""
    if value is None:
        return None
    try:
        low, high = (float(part) for part in value.split(":"))
    except ValueError:
        raise click.BadParameter(f"'{value}' is not LOW:HIGH, such as 0:255") from None
    return low, high


def _fixed(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> Mapping[str, str]:
    """Read texts of the form ``NAME=VALUE``."""
    found: dict[str, str] = {}
    for text in values:
        name, equals, value = text.rpartition("=")
        if not (name and equals and value):
            raise click.BadParameter(f"'{text}' is not NAME=NUMBER or NAME=FILE.npy")
        if name in found:
            raise click.BadParameter(f"the input '{name}' is fixed twice")
        found[name] = value
    return found


def _resolution(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> int | str | None:
    digits = value is not None and value.isascii() and value.isdigit() and len(value) < 10
    return int(value) if digits and value is not None else value


def about_inputs() -> Iterator[Callable[..., Any]]:
    """Yield the options about what a model is fed."""
    yield click.option(
        "--input",
        "inputs",
        metavar="random|zeros|mean|PATH",
        multiple=True,
        help="What is perturbed: an image, a folder of images or a .npy file. May be repeated."
        " [default: random]",
    )
    yield click.option(
        "--inputs",
        "random_inputs",
        metavar="N",
        type=int,
        default=4,
        show_default=True,
        help="How many inputs 'random' stands for.",
    )
    yield click.option(
        "--seed", type=int, default=0, show_default=True, help="Of random inputs and order."
    )
    yield click.option(
        "--mean",
        metavar="X[,X...]",
        callback=_numbers,
        help="Of an image's channels, of 0 to 1; an image becomes (x / 255 - mean) / std.",
    )
    yield click.option("--std", metavar="X[,X...]", callback=_numbers, help="Likewise.")
    yield click.option(
        "--range",
        "value_range",
        metavar="LOW:HIGH",
        callback=_interval,
        help="Of the input's values: random ones are uniform in it, images are mapped to it.",
    )
    yield click.option(
        "--fit",
        type=click.Choice(["refuse", "crop", "resize"]),
        default="refuse",
        show_default=True,
        help="What is done with an image of another size.",
    )
    yield click.option("--bgr", is_flag=True, help="The model wants blue, green, red.")
    yield click.option(
        "--fix",
        "fixed",
        metavar="NAME=NUMBER|FILE.npy",
        multiple=True,
        callback=_fixed,
        help="What another input is fed. May be repeated. [default: zeros]",
    )


def _about_perturbation() -> Iterator[Callable[..., Any]]:
    yield click.option(
        "--method",
        type=click.Choice(["auto", "adjoint", "perturb", "hybrid"]),
        default="auto",
        show_default=True,
        help="Gradients, moved pixels, or gradients that moved pixels confirm (auto); hybrid: a"
        " preview of a large --delta.",
    )
    yield click.option(
        "--functional",
        metavar="l2|sum|max|logit[:K]",
        default="l2",
        show_default=True,
        help="Norm of the target's change, or change of its sum, its maximum or a class (the top"
        " one, or number K).",
    )
    yield click.option(
        "--output",
        "tensor",
        metavar="NAME",
        help="Target: an output or inner tensor. [default: the last feature maps]",
    )
    yield click.option(
        "--unit",
        metavar="R,C",
        callback=_place,
        help="One place of the target alone: its effective receptive field.",
    )
    yield click.option(
        "--delta",
        type=float,
        help="Step, in the unit of the input. [default: chosen for precision]",
    )
    yield click.option(
        "--difference",
        type=click.Choice(["auto", "forward", "central"]),
        default="auto",
        show_default=True,
        help="From the input one way, or both ways. auto: one way with --delta.",
    )
    yield click.option(
        "--patch",
        type=int,
        metavar="N",
        default=1,
        show_default=True,
        help="Perturb squares of N pixels.",
    )
    yield click.option(
        "--channels",
        type=click.Choice(["together", "each"]),
        default="together",
        show_default=True,
        help="Perturb the channels of a pixel at once or one by one.",
    )


def _about_work() -> Iterator[Callable[..., Any]]:
    yield click.option(
        "--resolution",
        metavar="full|N",
        callback=_resolution,
        help="Perturb all pixels, or N along each axis. [default: what the budget allows]",
    )
    yield click.option(
        "--budget",
        metavar="TIME",
        callback=read_seconds,
        help="Stop after 60s, 2m, 1.5h. [default: 60s without --resolution and --passes; to"
        " confirm gradients 1s]",
    )
    yield click.option(
        "--passes", type=int, metavar="N", help="Stop after N inputs through the model."
    )
    yield click.option(
        "--resume", is_flag=True, help="Go on from what an earlier run left in --out."
    )
    yield click.option(
        "--jobs", type=int, metavar="N", default=1, show_default=True, help="Threads."
    )
    yield click.option(
        "--multiplex/--no-multiplex",
        default=True,
        help="Perturb pixels together where no cell of the target sees two. [default: yes]",
    )


@click.command(short_help="Map what each input pixel does to the output.")
@click.argument("model")
@click.option(
    "--out",
    "directory",
    metavar="DIR",
    required=True,
    help="Folder for influence.npy and influence.png; made if missing.",
)
@together(_about_perturbation())
@together(about_inputs())
@together(_about_work())
@click.option(
    "--emit-adjoint",
    "adjoint",
    metavar="DIR",
    help="Also write the forward and the backward as ONNX models.",
)
@click.option(
    "--picture",
    "pictures",
    type=click.Choice(["png", "svg", "pdf"]),
    multiple=True,
    default=["png"],
    show_default=True,
    help="Kind of the picture. May be repeated.",
)
@click.option(
    "--theme",
    type=click.Choice(["light", "dark"]),
    default="light",
    show_default=True,
    help="Background of the picture.",
)
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
    adjoint: str | None,
    tensor: str | None,
    pictures: tuple[str, ...],
    theme: str,
    format_name: str,
    size: tuple[int, ...] | None,
    input_shapes: Mapping[str, tuple[int, ...]],
    input_name: str | None,
    quiet: bool,
    debug: bool,
    colour: str,
    **asked: Any,
) -> int:
    """Map what each pixel does to the output of MODEL.

    MODEL is a file, or - for standard input. Gradients give the whole map and pixels are moved to
    confirm it; where gradients cannot answer, pixels are moved for as long as --budget says. Ctrl-C
    ends the measurement early and keeps what it has found; --resume goes on from there, or with a
    larger budget.
    """
    from scotoma.measure import MeasureOptions  # noqa: PLC0415  not for --help
    from scotoma.measure import document as document_of  # noqa: PLC0415
    from scotoma.measure import measure as measure_influence  # noqa: PLC0415
    from scotoma.measure import write as write_map  # noqa: PLC0415
    from scotoma.measure.emit import emit  # noqa: PLC0415
    from scotoma.measure.output import JOURNAL  # noqa: PLC0415
    from scotoma.measure.summary import summarise  # noqa: PLC0415
    from scotoma.report.json import dump  # noqa: PLC0415
    from scotoma.report.measure import render_measure  # noqa: PLC0415

    folder = Path(directory)
    data = sys.stdin.buffer.read() if model == STDOUT else None
    settings = MeasureOptions(output=tensor, journal=folder / JOURNAL, data=data, **asked)
    options = engine_options(
        size=size, input_shapes=input_shapes, input_name=input_name, debug=debug
    )
    facts = _examine(model, replace(options, data=data))
    emitted = () if adjoint is None else emit(facts, settings, adjoint)
    with (
        _refused_size(facts, options),
        _progress_bar(shown=not quiet and sys.stderr.isatty()) as progress,
    ):
        influence = measure_influence(facts, settings, progress)
    summary = summarise(influence)
    written = write_map(
        influence, folder, summary=summary, pictures=list(dict.fromkeys(pictures)), theme=theme
    )
    if influence.work.passes >= influence.work.planned:
        (folder / JOURNAL).unlink(missing_ok=True)
    document = document_of(influence, summary)
    if format_name == "text":
        text = render_measure(document, [str(path) for path in (*written, *emitted)])
    else:
        text = dump(document)
    write(text, STDOUT, colour=use_colour(colour))
    return _status(influence)


def _examine(model: str, options: Any) -> Facts:
    from scotoma import engine  # noqa: PLC0415  not for --help

    return engine.examine_one(model, options)


@contextmanager
def _refused_size(facts: Facts, options: Any) -> Iterator[None]:
    """Name the operator that cannot run at the size asked for, where onnxruntime fails."""
    from scotoma import engine  # noqa: PLC0415  not for --help

    try:
        yield
    except MeasurementError as error:
        refused = engine.refusal(facts, options)
        if refused is None:
            raise
        raise UsageError(refused) from error


def _status(influence: Influence) -> int:
    """Return the exit status, and say on standard error why it is not 0."""
    if influence.complete:
        return status.FINE
    done = f"{influence.work.passes:,} of {influence.work.planned:,} passes"
    if influence.interrupted:
        complain(f"interrupted after {done}; --resume goes on from here")
        return status.INTERRUPTED
    complain(f"the limit was reached after {done}; --resume goes on from here")
    return status.FAILED


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
