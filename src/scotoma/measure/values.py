"""Which numbers the examined input holds: what noise, zeros and pictures become in its unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.errors import UnfitError, UsageError
from scotoma.measure.preprocessing import preprocessing

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.facts import Facts
    from scotoma.measure.canvas import Canvas
    from scotoma.measure.options import MeasureOptions

    Array = npt.NDArray[Any]

WHITE = 255
"""The largest value of a picture."""


@dataclass(frozen=True, slots=True)
class Values:
    """The unit of the examined input."""

    canvas: Canvas
    span: tuple[float, float] | None
    """Least and largest value; None: unbounded, standard normal noise stands for images."""
    noise_note: str
    """What to say of noise, empty where there is nothing to say."""
    picture_note: str
    """Likewise of pictures."""
    mean: tuple[float, ...] | None = None
    """Per channel or for all, in units of 1; None: none given."""
    std: tuple[float, ...] | None = None

    def noise(self, seed: int) -> Array:
        """Return seeded noise: standard normal, or uniform over the span."""
        generator = np.random.default_rng(seed)
        shape, dtype = self.canvas.shape, self.canvas.dtype
        if dtype.kind == "b":
            return generator.integers(0, 2, shape, np.uint8).astype(bool)
        if self.span is None:
            return generator.standard_normal(shape, np.float32).astype(dtype)
        low, high = self.span
        if dtype.kind in "iu":
            whole = generator.integers(int(low), int(high), shape, np.int64, endpoint=True)
            return whole.astype(dtype)
        return (low + (high - low) * generator.random(shape, np.float32)).astype(dtype)

    def picture(self, pixels: Array) -> Array:
        """Return an input that shows a picture.

        Parameters
        ----------
        pixels
            0 to 255; the image's axes, then the channels.
        """
        dtype = self.canvas.dtype
        if dtype.kind == "b":
            return np.array(self.canvas.fill(pixels > WHITE / 2), order="C")
        unit = np.asarray(pixels, np.float64) / WHITE
        if dtype.kind == "f" and (self.mean is not None or self.std is not None):
            shown = (unit - np.asarray(self.mean or (0.0,))) / np.asarray(self.std or (1.0,))
        else:
            low, high = self.span or (0.0, 1.0)
            shown = low + (high - low) * unit
        if dtype.kind in "iu":
            shown = np.rint(shown)
        return np.array(self.canvas.fill(shown), dtype, order="C")

    def mean_picture(self) -> Array:
        """Return an input that shows the mean of all images everywhere, or middle grey."""
        mean = np.asarray(self.mean or (0.5,)) * WHITE
        return self.picture(np.broadcast_to(mean, (*self.canvas.size, self.canvas.channels)))


def values_of(facts: Facts, canvas: Canvas, options: MeasureOptions) -> Values:
    """Find out which numbers the examined input holds.

    Raises
    ------
    UsageError
        If mean, standard deviation or range have no meaning for the input.
    """
    dtype = canvas.dtype
    for name, given in (("mean", options.mean), ("std", options.std)):
        if given is not None and len(given) not in {1, canvas.channels}:
            raise UnfitError(
                f"--{name} gives {len(given)} numbers, the input has {canvas.channels} channels"
            )
    if options.mean is not None and not all(0 <= value <= 1 for value in options.mean):
        rescaled = ",".join(f"{value / WHITE:.4g}" for value in options.mean)
        raise UsageError(
            f"--mean must lie within 0 and 1, as images are divided by 255 first: give {rescaled}"
        )
    if options.std is not None and not all(value > 0 for value in options.std):
        raise UsageError("--std must be above 0")
    span, why = _span(facts, canvas, options)
    noise, picture = why, why
    if span is None:
        noise = (
            "random inputs are standard normal: where the model wants other values, give"
            " --value-range LOW:HIGH, or images with --mean and --std"
        )
    if options.mean is not None or options.std is not None:
        picture = ""
        if dtype.kind != "f":
            picture = f"'{canvas.name}' holds {dtype}: images go in without --mean and --std"
    return Values(canvas, span, noise, picture, options.mean, options.std)


def _span(
    facts: Facts, canvas: Canvas, options: MeasureOptions
) -> tuple[tuple[float, float] | None, str]:
    """Return the least and the largest value of the input, and how they are known."""
    dtype = canvas.dtype
    if options.value_range is not None:
        _require_range(options.value_range, dtype)
        return options.value_range, ""
    if dtype.kind == "b":
        return (0.0, 1.0), ""
    if dtype.kind in "iu":
        low = -128.0 if dtype == np.int8 else 0.0
        return (low, low + WHITE), ""
    shown = preprocessing(facts, canvas.name)
    if shown.span is None or shown.operator is None:
        return None, ""
    low, high = shown.span
    if max(-low, high) > float(np.finfo(dtype).max):
        return None, ""
    what = "quantises" if shown.quantum is not None else "rescales"
    return shown.span, (
        f"the input is taken to hold {low:.4g} to {high:.4g}, as {shown.operator.op_type}"
        f" '{shown.operator.name}' {what} it; --value-range LOW:HIGH sets another range"
    )


def _require_range(span: tuple[float, float], dtype: np.dtype[Any]) -> None:
    low, high = span
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise UsageError(f"--value-range {low:g}:{high:g} is no range: LOW must be below HIGH")
    if dtype.kind == "f":
        largest = float(np.finfo(dtype).max)
        fits = -largest <= low and high <= largest and high - low <= largest
    else:
        limits = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        fits = limits[0] <= low and high <= limits[1] and low % 1 == high % 1 == 0
        fits = fits and max(-low, high) < 2**53  # beyond it a float skips whole numbers
    if not fits:
        raise UsageError(f"--value-range {low:g}:{high:g} is not a range of {dtype}")
