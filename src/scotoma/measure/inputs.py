"""The inputs that pixels are perturbed in: seeded noise, zeros, a mean image, files of images."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.errors import MeasurementError, UsageError
from scotoma.measure.arrayfile import converted, map_array
from scotoma.measure.canvas import Canvas, canvas_of, times
from scotoma.measure.fixed import fixed_inputs
from scotoma.measure.imagefile import SUFFIXES, Frame, read_picture
from scotoma.measure.values import Values, values_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from scotoma.facts import Facts
    from scotoma.measure.options import MeasureOptions

LARGEST = 2**31
"""Bytes that all inputs together may take; a file may claim any size."""
MOST = 32
"""So many images of a folder, or arrays of a stack, are used."""
MOST_NAMED = 3
"""So many files that cannot be used are named."""


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """One input of the model, before anything is perturbed."""

    label: str
    """What it is: ``random, seed 0``, ``zeros``, ``mean``, or a path."""
    feed: Mapping[str, npt.NDArray[Any]]
    """An array for every input that onnxruntime asks for; those of inputs that are not examined
    are shared between baselines."""
    seed: int | None
    """Of a random one."""
    notes: tuple[str, ...]
    """What a reader of the map must know of it, one sentence each."""


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """An input that can be made."""

    label: str
    make: Callable[[], npt.NDArray[Any]]
    seed: int | None = None
    folder: str | None = None
    """Where it was found; others of the folder stand in for it if it cannot be used."""
    notes: tuple[str, ...] = ()


def baselines(
    facts: Facts, dtypes: Mapping[str, np.dtype[Any]], options: MeasureOptions
) -> tuple[Baseline, ...]:
    """Return the inputs to perturb, in the order in which they were asked for.

    Random ones are uniform in ``value_range``, or in the range that the graph's first operators
    show (`scotoma.measure.preprocessing`), else standard normal; of an integer input uniform over
    256 values. Each has a seed by 1 above the one before it. An image becomes
    ``(x / 255 - mean) / std``, the channels in the order of the input's; without ``mean`` and
    ``std`` its 0 to 255 become the range of the input, 0 to 1 if none is known. An array is taken
    as it is. The mean image shows ``mean`` everywhere, or middle grey. Inputs that are not examined
    are zeros, or what ``fixed`` says.

    Parameters
    ----------
    facts
        The model at the shapes that it is measured at.
    dtypes
        Element type by input, of every input that onnxruntime asks for.
    options
        ``inputs``, ``random_inputs``, ``seed``, ``mean``, ``std``, ``value_range``, ``fit``,
        ``bgr`` and ``fixed``.

    Returns
    -------
    tuple of Baseline
        At least one. The arrays of the examined input are contiguous and their own.

    Raises
    ------
    UsageError
        If a file does not fit the input, or an option does not fit the model.
    MeasurementError
        If the shape of an input is not known, or they take too much memory.
    """
    canvas = canvas_of(facts, dtypes)
    others, said = fixed_inputs(facts, dtypes, canvas.name, options.fixed)
    values = values_of(facts, canvas, options)
    asked = tuple(dict.fromkeys(options.inputs)) or ("random",)
    sources = [source for text in asked for source in _sources(text, canvas, values, options)]
    need = len(sources) * canvas.nbytes + sum(array.nbytes for array in others.values())
    if need > LARGEST:
        raise MeasurementError(
            f"{len(sources)} x input '{canvas.name}' of {times(canvas.shape)} would need"
            f" {need / 2**30:.1f} GiB, more than {LARGEST / 2**30:.0f}: ask for fewer --inputs, or"
            " examine the model at a smaller --size"
        )
    made, passed_over = _make(sources)
    said += dict.fromkeys(note for source in sources for note in source.notes if note)
    said += passed_over
    constant = [_is_constant(array, canvas) for _, array in made]
    found = []
    for (source, array), same in zip(made, constant, strict=True):
        notes = tuple(said) + ((_trap(source.label, alone=all(constant)),) if same else ())
        found.append(Baseline(source.label, {**others, canvas.name: array}, source.seed, notes))
        said = []
    return tuple(found)


def _make(
    sources: Sequence[_Source],
) -> tuple[list[tuple[_Source, npt.NDArray[Any]]], list[str]]:
    """Return what can be made, and what to say of the files of folders that cannot be used.

    Raises
    ------
    UsageError
        If a file that was named cannot be used, or none of a folder can.
    """
    made: list[tuple[_Source, npt.NDArray[Any]]] = []
    refused: dict[str, list[str]] = {}
    for source in sources:
        try:
            made.append((source, source.make()))
        except UsageError as error:
            if source.folder is None:
                raise
            refused.setdefault(source.folder, []).append(str(error))
    notes = []
    for folder, reasons in refused.items():
        if not any(source.folder == folder for source, _ in made):
            raise UsageError(f"no image in '{folder}' can be used: {reasons[0]}")
        more = len(reasons) - MOST_NAMED
        named = "; ".join(reasons[:MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")
        notes.append(f"passed over in '{folder}': {named}")
    return made, notes


def _sources(text: str, canvas: Canvas, values: Values, options: MeasureOptions) -> list[_Source]:
    """Return the inputs that one ``--input`` stands for."""
    if text == "random":
        return [
            _Source(
                f"random, seed {seed}",
                partial(values.noise, seed),
                seed,
                notes=(values.noise_note,),
            )
            for seed in range(options.seed, options.seed + options.random_inputs)
        ]
    if text == "zeros":
        return [_Source(text, lambda: np.zeros(canvas.shape, canvas.dtype))]
    if text == "mean":
        return [_Source(text, values.mean_picture, notes=(values.picture_note,))]
    path = Path(text)
    if os.path.isdir(text):  # noqa: PTH112  of a path that cannot be it says no instead of raising
        return _in_folder(text, canvas, values, options)
    if not os.path.exists(text):  # noqa: PTH110  likewise
        raise UsageError(f"there is no file or folder '{text}' (nor is it random, zeros or mean)")
    if path.suffix.lower() == ".npy":
        return _in_array(path, canvas)
    return [_picture(path, canvas, values, options)]


def _in_folder(
    folder: str, canvas: Canvas, values: Values, options: MeasureOptions
) -> list[_Source]:
    """Return the pictures of a folder, evenly spread over their sorted names."""
    try:
        names = sorted(
            entry.name
            for entry in os.scandir(folder)
            if Path(entry.name).suffix.lower() in SUFFIXES and not entry.name.startswith(".")
        )
    except OSError as error:
        raise UsageError(f"folder '{folder}' cannot be read: {error.strerror}") from error
    if not names:
        raise UsageError(f"there is no image in '{folder}' ({', '.join(sorted(SUFFIXES))})")
    sources = []
    for name in (names[place] for place in _spread(len(names))):
        path = Path(folder, name)
        source = _picture(path, canvas, values, options)
        # What somebody else put into a folder must not lead out of it.
        make = partial(_refuse_link, path) if path.is_symlink() else source.make
        sources.append(_Source(source.label, make, folder=folder, notes=source.notes))
    return _capped(sources, len(names), f"images in '{folder}'")


def _picture(path: Path, canvas: Canvas, values: Values, options: MeasureOptions) -> _Source:
    if len(canvas.axes) != 2:
        raise UsageError(f"'{path}' is no .npy file, and the input has {len(canvas.axes)} axes")
    height, width = canvas.size
    frame = Frame(height, width, canvas.channels, options.fit, options.bgr)

    def make() -> npt.NDArray[Any]:
        return values.picture(read_picture(path, frame))

    return _Source(str(path), make, notes=(values.picture_note,))


def _in_array(path: Path, canvas: Canvas) -> list[_Source]:
    """Return the array of a file, or the arrays of a stack along its first axis."""
    stored = map_array(path)
    fitted = canvas.fit(stored)
    if fitted is not None:
        return [_Source(str(path), partial(_stored, path, fitted, canvas))]
    if stored.ndim < 2 or not len(stored) or canvas.fit(stored[0]) is None:
        raise UsageError(
            f"'{path}' has shape {times(stored.shape)}, the input wants {times(canvas.shape)}"
        )
    places = _spread(len(stored))
    parts = [(place, canvas.fit(stored[place])) for place in places]
    sources = [
        _Source(f"{path}[{place}]", partial(_stored, path, part, canvas))
        for place, part in parts
        if part is not None
    ]
    return _capped(sources, len(stored), f"arrays in '{path}'")


def _stored(path: Path, stored: npt.NDArray[Any], canvas: Canvas) -> npt.NDArray[Any]:
    return converted(path, stored, canvas.dtype)


def _spread(count: int) -> list[int]:
    """Return at most `MOST` places, evenly spread over `count`."""
    if count <= MOST:
        return list(range(count))
    return [place * (count - 1) // (MOST - 1) for place in range(MOST)]


def _capped(sources: list[_Source], count: int, what: str) -> list[_Source]:
    """Say it where not all of a folder or stack are used."""
    if len(sources) < count:
        note = f"{len(sources)} of the {count:,} {what} are used, evenly spread"
        sources[0] = replace(sources[0], notes=(*sources[0].notes, note))
    return sources


def _is_constant(array: npt.NDArray[Any], canvas: Canvas) -> bool:
    """Tell whether every pixel is the same."""
    extremes = array.min(axis=canvas.axes), array.max(axis=canvas.axes)
    return bool((extremes[0] == extremes[1]).all())


def _trap(label: str, *, alone: bool) -> str:
    remedy = ": measure on --input random as well" if alone else ""
    return (
        f"'{label}' is the same at every pixel, where rectifiers without a bias stand at their"
        f" kinks: a pixel that looks dead may be live on another input{remedy}"
    )


def _refuse_link(path: Path) -> npt.NDArray[Any]:
    raise UsageError(f"'{path}' is a symbolic link")
