"""The inputs that pixels are perturbed in: zeros, seeded noise, or a file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.errors import MeasurementError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from scotoma.measure.options import MeasureOptions
    from scotoma.resolve.resolution import InputShape, Resolution

LARGEST_INPUT = 2**31
"""Bytes of one input that are allocated at most; a file may claim any size."""

IMAGE_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def feed(
    resolution: Resolution,
    examined: InputShape,
    dtypes: Mapping[str, np.dtype[Any]],
    options: MeasureOptions,
) -> dict[str, npt.NDArray[Any]]:
    """Return a writable array for every input: the examined one as asked for, the others zeros.

    Parameters
    ----------
    resolution
        Gives the shape of every input.
    examined
        The input whose pixels are perturbed.
    dtypes
        Element type by input, of every input that onnxruntime asks for.
    options
        ``input`` and ``seed``.

    Raises
    ------
    UsageError
        If the input file does not fit.
    MeasurementError
        If the shape of an input is not known or too large to allocate.
    """
    shapes = {entry.name: entry.shape for entry in resolution.inputs}
    arrays = {}
    for name, dtype in dtypes.items():
        shape = shapes.get(name)
        if shape is None:
            raise MeasurementError(f"the shape of input '{name}' is not known: give it")
        size = math.prod(shape) * dtype.itemsize
        if size > LARGEST_INPUT:
            raise MeasurementError(
                f"input '{name}' of shape {_times(shape)} would need {size / 2**30:.1f} GiB"
            )
        if name != examined.name:
            arrays[name] = np.zeros(shape, dtype)
    if examined.name not in dtypes or examined.shape is None:
        raise MeasurementError(f"onnxruntime does not know an input '{examined.name}'")
    arrays[examined.name] = _baseline(
        examined.shape, examined.spatial_axes, dtypes[examined.name], options
    )
    return arrays


def stimulus(baseline: npt.NDArray[Any], delta: float) -> npt.NDArray[Any]:
    """Return the baseline with every element perturbed by `delta`, in the same element type.

    Where an integer would leave its range `delta` is subtracted instead.

    Raises
    ------
    UsageError
        If delta is not whole for an integer input, leaves the range of its type on both sides,
        or is lost in rounding.
    """
    dtype = baseline.dtype
    if dtype.kind == "b":
        flipped: npt.NDArray[Any] = np.logical_not(baseline)
        return flipped
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            perturbed: npt.NDArray[Any] = (baseline + np.asarray(delta, dtype)).astype(dtype)
        if not np.isfinite(perturbed).all():
            raise UsageError(f"a delta of {delta:g} is out of the range of a {dtype} input")
        if (perturbed == baseline).any():
            raise UsageError(f"a delta of {delta:g} is lost in the rounding of a {dtype} input")
        return perturbed
    if delta != int(delta):
        raise UsageError(f"the input holds {dtype}: delta must be whole, not {delta:g}")
    limits = np.iinfo(dtype)
    wide = baseline.astype(object) if dtype.itemsize == 8 else baseline.astype(np.int64)
    step = int(delta)
    above, below = wide + step, wide - step
    chosen = np.where((above >= limits.min) & (above <= limits.max), above, below)
    if ((chosen < limits.min) | (chosen > limits.max)).any():
        raise UsageError(f"a delta of {delta:g} is out of the range of a {dtype} input")
    return np.asarray(chosen).astype(dtype)


def _baseline(
    shape: tuple[int, ...], axes: tuple[int, ...], dtype: np.dtype[Any], options: MeasureOptions
) -> npt.NDArray[Any]:
    if options.input == "zeros":
        return np.zeros(shape, dtype)
    if options.input == "random":
        generator = np.random.default_rng(options.seed)
        if dtype.kind == "b":
            return generator.integers(0, 2, shape).astype(bool)
        if dtype.kind in "iu":
            low = -128 if dtype == np.int8 else 0
            return generator.integers(low, low + 256, shape).astype(dtype)
        return generator.standard_normal(shape).astype(dtype)
    path = Path(options.input)
    if not path.is_file():
        raise UsageError(f"input '{options.input}' is no file (nor 'random' or 'zeros')")
    if path.suffix.lower() == ".npy":
        return _from_npy(path, shape, axes, dtype)
    return _from_image(path, shape, axes, dtype)


def _from_npy(
    path: Path, shape: tuple[int, ...], axes: tuple[int, ...], dtype: np.dtype[Any]
) -> npt.NDArray[Any]:
    try:
        # Mapped: a header that lies about the size fails here instead of allocating.
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(f"'{path}' is not a readable .npy file: {error}") from error
    if not isinstance(stored, np.ndarray) or stored.dtype.kind not in "fiub":
        raise UsageError(f"'{path}' does not hold numbers")
    if stored.dtype.kind == "f" and not np.isfinite(stored).all():
        raise UsageError(f"'{path}' holds NaN or infinity")
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if (stored < limits.min).any() or (stored > limits.max).any() or (stored % 1 != 0).any():
            raise UsageError(f"'{path}' holds values that are not in the range of {dtype}")
    if stored.shape == shape:
        return np.array(stored, dtype)
    fitted = _fit(stored, shape, axes)
    if fitted is None:
        raise UsageError(
            f"'{path}' has shape {_times(stored.shape)}, the input wants {_times(shape)}"
        )
    return np.array(fitted, dtype)


def _from_image(
    path: Path, shape: tuple[int, ...], axes: tuple[int, ...], dtype: np.dtype[Any]
) -> npt.NDArray[Any]:
    from PIL import Image  # noqa: PLC0415  only needed for pictures

    if len(axes) != 2:
        raise UsageError(f"'{path}' is a picture, but the input has {len(axes)} spatial axes")
    others = [axis for axis in range(len(shape)) if axis not in axes]
    channels = shape[others[-1]] if others else 1
    if channels not in IMAGE_MODES:
        raise UsageError(f"the input has {channels} channels: a picture cannot fill it, use .npy")
    height, width = (shape[axis] for axis in axes)
    try:
        with Image.open(path) as image:
            if image.size != (width, height):
                raise UsageError(
                    f"'{path}' is {image.size[0]} px wide and {image.size[1]} px high, the input"
                    f" {width} x {height}: resize it, or examine the model at its size"
                )
            pixels = np.asarray(image.convert(IMAGE_MODES[channels]))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UsageError(f"'{path}' is not a picture that can be read") from error
    fitted = _fit(pixels.reshape(height, width, channels), shape, axes)
    if fitted is None:
        raise UsageError(f"'{path}' cannot fill an input of shape {_times(shape)}")
    filled = np.array(fitted, dtype)
    if dtype.kind == "f":
        filled /= np.asarray(255, dtype)
    return filled


def _fit(
    stored: npt.NDArray[Any], shape: tuple[int, ...], axes: tuple[int, ...]
) -> npt.NDArray[Any] | None:
    """Bring an array without batch axis, with channels first or last or none, into `shape`."""
    others = [axis for axis in range(len(shape)) if axis not in axes]
    channel = others[-1] if others else None
    if math.prod(shape[axis] for axis in others[:-1]) != 1:
        return None
    spatial = tuple(shape[axis] for axis in axes)
    channels = 1 if channel is None else shape[channel]
    if stored.shape == spatial and channels == 1:
        last = stored[..., None]
    elif stored.shape == (*spatial, channels):
        last = stored
    elif stored.shape == (channels, *spatial):
        last = np.moveaxis(stored, 0, -1)
    else:
        return None
    # (spatial..., channel) with the left-out axes of size 1 in front, moved to where they belong
    whole = last.reshape((1,) * len(others[:-1]) + last.shape)
    order = [*others[:-1], *axes] + ([] if channel is None else [channel])
    if channel is None:
        whole = whole[..., 0]
    return np.moveaxis(whole, range(len(order)), order)


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "()"
