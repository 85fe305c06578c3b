"""Measures influence: perturbs one pixel at a time and records how the output changes."""

from __future__ import annotations

import math
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from scotoma.errors import MeasurementError
from scotoma.measure.baseline import feed
from scotoma.measure.grid import Grid, affordable
from scotoma.measure.influence import Influence
from scotoma.measure.options import MeasureOptions
from scotoma.measure.prober import SLOW_PASS, Prober
from scotoma.measure.session import Session
from scotoma.measure.target import Target, choose

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from scotoma.loader.model import Model
    from scotoma.resolve.resolution import InputShape, Resolution

    Progress = Callable[[int, int], None]

RANDOM = frozenset(
    {
        "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
        "RandomUniformLike",
    }
)  # fmt: skip
REPEATS = 3
REPEATS_IF_RANDOM = 64
"""A drop path that keeps a block with probability 0.95 is caught in 64 runs with 96 %."""
PATIENCE = 10.0
"""Seconds after which a model that seems random but repeats itself is believed."""


def measure(
    model: Model,
    resolution: Resolution,
    options: MeasureOptions | None = None,
    progress: Progress | None = None,
) -> Influence:
    """Measure what each pixel of the examined input does to one tensor of the model.

    The influence of a pixel is ``|F(x + delta at the pixel) - F(x)|`` where F is the sum over the
    tensor, or for ``l2`` the Euclidean norm of the change of the tensor; sums are taken in
    float64. All channels of the pixel are perturbed together. Inputs other than the examined one
    are fed zeros of their shapes.

    Parameters
    ----------
    model
        The model, as loaded.
    resolution
        The model at the input shapes that it is to run at.
    options
        What to measure; None: the defaults.
    progress
        Called with the samples done and the samples in all, after every call of onnxruntime.

    Returns
    -------
    Influence
        The map at the resolution of the input.

    Raises
    ------
    UsageError
        If an option does not fit the model: an unknown tensor, an input file of another size.
    MeasurementError
        If onnxruntime cannot run the model, the model is random, its answer is not finite, or it
        has no spatial input.
    """
    options = options or MeasureOptions()
    examined = resolution.examined
    if examined is None or not examined.shape or not examined.spatial_axes:
        raise MeasurementError("the model has no spatial input whose pixels could be perturbed")
    lengths = tuple(examined.shape[axis] for axis in examined.spatial_axes)
    if min(examined.shape) < 1:
        raise MeasurementError(f"input '{examined.name}' has no pixels at {examined.shape}")
    start = perf_counter()
    target = choose(resolution, options.output)
    session = Session(resolution, target, options.data)
    prober = Prober(
        session,
        feed(resolution, examined, session.dtypes(), options),
        examined,
        options.delta,
        options.functional,
        target.tensor,
    )
    notes = _target_notes(target) + _require_repeatable(model, prober)
    if _leaves_batch_open(model, examined) and prober.time(SLOW_PASS) < SLOW_PASS:
        prober.try_batch()
    grid, why = _grid(lengths, prober, options)
    values, moved = _sample(prober, grid, progress)
    if not prober.repeats():
        raise MeasurementError(
            "the model drifts: the same input gave another output after the measurement than before"
        )
    notes += why
    if not moved.all():
        notes.append(_dead_note(options))
    return Influence(
        values=grid.spread(values),
        dead=~moved,
        grid=grid,
        resolution=resolution,
        target=target,
        options=options,
        delta=options.delta,
        passes=math.prod(grid.shape),
        batch=prober.batch,
        seconds=perf_counter() - start,
        notes=tuple(notes),
    )


def _sample(
    prober: Prober, grid: Grid, progress: Progress | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return influence and liveness of every sample of the grid."""
    values = np.zeros(grid.shape)
    moved = np.zeros(grid.shape, dtype=bool)
    samples = grid.samples
    total, done = values.size, 0
    cells = np.ndindex(grid.shape)
    while batch := list(islice(cells, prober.batch)):
        pixels = [tuple(s[i] for s, i in zip(samples, cell, strict=True)) for cell in batch]
        for cell, (influence, changed) in zip(batch, prober.respond(pixels), strict=True):
            values[cell] = influence
            moved[cell] = changed
        done += len(batch)
        if progress is not None:
            progress(done, total)
    return values, moved


def _grid(
    lengths: tuple[int, ...], prober: Prober, options: MeasureOptions
) -> tuple[Grid, list[str]]:
    """Return the samples to take, and what to say about it."""
    samples = options.resolution
    reason = "as asked"
    if samples is None:
        seconds = prober.time(0.5)
        samples = affordable(lengths, seconds, options.budget)
        whole = math.prod(lengths) * seconds
        reason = f"all {_times(lengths)} pixels would take about {whole:.0f} s"
    grid = Grid.of(lengths, samples if isinstance(samples, int) else None)
    if grid.full:
        return grid, []
    note = (
        f"{_times(grid.shape)} pixels were perturbed, {reason}; each stands for its cell in the"
        " map, dead figures count these pixels only, and a regular pattern may come from the grid"
    )
    return grid, [note]


def _require_repeatable(model: Model, prober: Prober) -> list[str]:
    """Refuse a model that answers the same input differently; return what to say otherwise."""
    suspects = [
        operator
        for _, operator in model.walk()
        if operator.op_type in RANDOM
        or (operator.op_type == "Dropout" and len(operator.inputs) > 2 and operator.inputs[2])
    ]
    named = ", ".join(f"'{operator.name}' ({operator.op_type})" for operator in suspects[:3])
    if len(suspects) > 3:
        named += f" and {len(suspects) - 3} more"
    start, runs = perf_counter(), 1
    while runs <= REPEATS or (
        suspects and runs <= REPEATS_IF_RANDOM and perf_counter() - start < PATIENCE
    ):
        if not prober.repeats():
            source = f": {named}" if suspects else ""
            raise MeasurementError(
                f"the model is random, the same input gave two different outputs{source}"
            )
        runs += 1
    if suspects:
        return [f"the model holds random operators ({named}), but {runs} runs were identical"]
    return []


def _leaves_batch_open(model: Model, examined: InputShape) -> bool:
    """Return whether the file declares the first dimension of the input without a number."""
    for value in model.main.inputs:
        if value.name == examined.name:
            return value.shape is not None and not isinstance(value.shape[0], int)
    return False


def _target_notes(target: Target) -> list[str]:
    if target.stripped:
        names = ", ".join(f"{op.op_type} '{op.name}'" for op in reversed(target.stripped))
        where = f"measured before {names}, at '{target.tensor}'"
        return [f"{where}: behind it a confident model looks blind"]
    if target.saturated is not None:
        operator = target.saturated
        where = f"measured behind {operator.op_type} '{operator.name}'"
        return [f"{where}, where a confident model looks blind: try the tensor before it"]
    return []


def _dead_note(options: MeasureOptions) -> str:
    if options.input == "zeros":
        return (
            "an input of zeros holds every rectifier at its kink: a pixel that looks dead here may"
            " be live on another input"
        )
    return (
        "dead pixels changed nothing on this one input: evidence, not proof, that nothing reads"
        " them"
    )


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
