"""What is fed to the inputs that are not examined: zeros, or what the caller says."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.errors import MeasurementError, UnfitError, UsageError
from scotoma.measure.arrayfile import converted, map_array
from scotoma.measure.canvas import times

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from scotoma.facts import Facts

LARGEST = 2**31
"""Bytes that one input may take; a file may claim any size."""


def fixed_inputs(
    facts: Facts,
    dtypes: Mapping[str, np.dtype[Any]],
    examined: str,
    given: Mapping[str, str],
) -> tuple[dict[str, npt.NDArray[Any]], list[str]]:
    """Return an array for every input but the examined one, and what to say of them.

    Parameters
    ----------
    dtypes
        Element type by input, of every input that onnxruntime asks for.
    examined
        Name of the input whose pixels are perturbed.
    given
        By the name of an input, a number that fills it or the path of a ``.npy`` file.

    Raises
    ------
    UsageError
        If there is no such input, or the value does not fit it.
    MeasurementError
        If the shape of an input is not known, or too large to allocate.
    """
    others = [name for name in dtypes if name != examined]
    for name in given:
        if name == examined:
            raise UsageError(f"--fix {name}=…: this is the input that is perturbed, use --input")
        if name not in others:
            known = f"others are {', '.join(others)}" if others else "the model has no other"
            raise UnfitError(f"--fix {name}=…: there is no input '{name}'; {known}")
    shapes = {entry.name: entry.shape for entry in facts.resolution.inputs}
    arrays = {}
    for name in others:
        shape, dtype = shapes.get(name), dtypes[name]
        if shape is None:
            raise MeasurementError(
                f"the shape of input '{name}' is not known: give it with --input-shape"
            )
        size = math.prod(shape) * dtype.itemsize
        if size > LARGEST:
            raise MeasurementError(
                f"input '{name}' of {times(shape)} would need {size / 2**30:.1f} GiB"
            )
        text = given.get(name)
        arrays[name] = np.zeros(shape, dtype) if text is None else _read(name, text, shape, dtype)
    zeros = [f"'{name}'" for name in others if name not in given]
    if not zeros:
        return arrays, []
    held = "input holds" if len(zeros) == 1 else "inputs hold"
    return arrays, [f"the other {held} zeros ({', '.join(zeros)}): --fix NAME=VALUE sets another"]


def _read(name: str, text: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    try:
        number = float(text)
    except ValueError:
        path = Path(text)
        stored = map_array(path)
        if stored.shape != shape and stored.size == math.prod(shape):
            squeezed = tuple(size for size in shape if size != 1)
            if tuple(size for size in stored.shape if size != 1) == squeezed:
                stored = stored.reshape(shape)
        if stored.shape != shape:
            raise UsageError(
                f"'{text}' has shape {times(stored.shape)}, input '{name}' wants {times(shape)}"
            ) from None
        return converted(path, stored, dtype)
    if dtype.kind == "f":
        fits = abs(number) <= float(np.finfo(dtype).max)
    else:
        limits = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        fits = number % 1 == 0 and limits[0] <= number <= limits[1]
    if not fits:
        raise UsageError(f"--fix {name}={text}: this is no value of {dtype}")
    return np.full(shape, number, dtype)
