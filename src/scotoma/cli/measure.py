"""``scotoma measure``: what each input pixel really does to the output."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from scotoma.cli import status
from scotoma.cli.help import Command
from scotoma.cli.measuring import about_files, about_inputs, about_perturbation, about_work
from scotoma.cli.options import engine_options, input_options, run_options, together
from scotoma.cli.output import STDOUT, complain, use_colour, write
from scotoma.errors import MeasurementError, UnfitError

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.measure import Influence

Progress = Callable[[int, int], None]

REDRAWN = 0.1
"""Seconds between two states of the progress bar: drawing takes longer than a pass of a small
model."""

EXAMPLES = """
scotoma measure model.onnx --out map
scotoma measure model.onnx --out map --input photos/ --value-range 0:255
scotoma measure model.onnx --out map --tensor feature_map --unit 7,7
"""


@click.command(
    cls=Command, short_help="Map what each input pixel does to the output.", examples=EXAMPLES
)
@click.argument("model")
@together(about_files(), "Results")
@together(about_perturbation(), "What is measured")
@together(about_inputs(), "What the model is fed")
@together(about_work(), "Work")
@input_options
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
    larger budget (not with the method hybrid).
    """
    from scotoma import engine  # noqa: PLC0415  not for --help
    from scotoma.measure import MeasureOptions  # noqa: PLC0415  not for --help
    from scotoma.measure import document as document_of  # noqa: PLC0415
    from scotoma.measure import measure as measure_influence  # noqa: PLC0415
    from scotoma.measure import write as write_map  # noqa: PLC0415
    from scotoma.measure.emit import emit  # noqa: PLC0415
    from scotoma.measure.output import JOURNAL  # noqa: PLC0415
    from scotoma.measure.picture import load  # noqa: PLC0415
    from scotoma.measure.summary import summarise  # noqa: PLC0415
    from scotoma.report.json import dump  # noqa: PLC0415
    from scotoma.report.measure import render_measure  # noqa: PLC0415

    folder = Path(directory)
    data = sys.stdin.buffer.read() if model == STDOUT else None
    settings = MeasureOptions(tensor=tensor, journal=folder / JOURNAL, data=data, **asked)
    options = engine_options(
        size=size, input_shapes=input_shapes, input_name=input_name, debug=debug
    )
    facts = engine.examine_one(model, replace(options, data=data))
    Thread(target=load).start()  # onnxruntime leaves time for it
    with engine.naming(model):
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
        raise UnfitError(refused) from error


def _status(influence: Influence) -> int:
    """Return the exit status, and say on standard error why it is not 0."""
    if influence.complete:
        return status.FINE
    if influence.method == "hybrid":  # keeps no journal, and says itself how far it came
        complain("interrupted; the map holds what was measured until then")
        return status.INTERRUPTED
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
    drawn = -math.inf
    with click.progressbar(length=1, label="measuring", file=sys.stderr) as bar:

        def progress(done: int, total: int) -> None:
            nonlocal drawn
            now = perf_counter()
            if now - drawn < REDRAWN and done < total:
                return
            drawn = now
            bar.length = total
            bar.update(done - bar.pos)

        yield progress
