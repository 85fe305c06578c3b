"""What one probe adds to the input: how large a step is, and where it ends."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.errors import UsageError
from scotoma.measure.canvas import Canvas, canvas_of
from scotoma.measure.preprocessing import preprocessing
from scotoma.measure.values import values_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.measure.inputs import Baseline
    from scotoma.measure.options import MeasureOptions

    Array = npt.NDArray[Any]

DEEP = 2.0**-8
"""Step on a deep network in standard deviations of the input. A smaller one drowns in the rounding
of float32, a larger one crosses kinks: both cost 1 to 3 % here on nine trained networks."""
SHALLOW = 2.0**-10
"""Likewise on a shallow one."""
COARSE = 2.0**-1
"""Likewise on a quantised one: below it the response is mostly rounding to quanta, above it no
longer that of the network which was quantised."""
HALF = 2.0**-3
"""Likewise in float16."""
SHALLOW_LAYERS = 8
"""A network of more layers is deep."""
KEPT = 64
"""Units in the last place that a step is at least, so that it arrives as it was meant."""
LAYERS = frozenset({"Conv", "ConvTranspose", "FusedConv", "Gemm", "MatMul", "NhwcFusedConv"})
QUANTISERS = frozenset(
    {"BipolarQuant", "ConvInteger", "DynamicQuantizeLinear", "Quant", "QuantizeLinear"}
)
MOST_WHOLE = 2**53
"""Largest step in whole numbers: beyond it a float skips some."""
CHECKED = 2**22
"""Elements that are looked at in one go."""
SMALLEST = 1e-30
"""A standard deviation below it counts as none."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far a pixel is moved, in the unit of the model's input."""

    size: float
    """Above 0, unless a negative one was asked for."""
    why: str
    """How it was chosen, a line for the report; empty where it was given."""


@dataclass(frozen=True, slots=True, eq=False)
class Extremes:
    """An input with every element moved; a probe takes its own elements from here."""

    low: Array
    high: Array
    span: float
    """What lies between the two, above 0: influence is the change per unit of it."""

    def at(self, region: Any, sign: int) -> Array:
        """Return the moved elements of a region; `sign` is 1 or -1."""
        moved: Array = (self.high if sign > 0 else self.low)[region]
        return moved


@dataclass(frozen=True, slots=True, eq=False)
class Shifted:
    """The same of floats, where two more arrays of the size of the input are too large."""

    array: Array
    down: Array
    """What is taken away and added, scalars of the input's type."""
    up: Array
    span: float

    @property
    def low(self) -> Array:
        """The whole input, moved down."""
        return self.at(..., -1)

    @property
    def high(self) -> Array:
        """The whole input, moved up."""
        return self.at(..., 1)

    def at(self, region: Any, sign: int) -> Array:
        """Return the moved elements of a region; `sign` is 1 or -1."""
        part = self.array[region]
        return np.asarray(part + self.up if sign > 0 else part - self.down)


def difference(options: MeasureOptions) -> str:
    """Return ``forward`` or ``central``.

    A step that was asked for is a stimulus, such as a white pixel, and goes one way from the
    input; one that is chosen here stands for a derivative, and goes both ways.
    """
    if options.difference != "auto":
        return options.difference
    return "central" if options.delta is None else "forward"


def channel_axis(facts: Facts) -> int | None:
    """Return the axis of the examined input that holds the channels, None if there is none."""
    examined = facts.resolution.examined
    any_type = {} if examined is None else {examined.name: np.dtype(np.float32)}
    return canvas_of(facts, any_type).channel


def step(facts: Facts, baselines: Sequence[Baseline], options: MeasureOptions) -> Step:
    """Return the step that influence is measured with.

    For floating point the power of two nearest to `DEEP` or `SHALLOW` standard deviations of the
    input, so that adding it rounds next to nothing; on a quantised network `COARSE` standard
    deviations in whole quanta; else 1 for whole numbers.

    Parameters
    ----------
    baselines
        The inputs that are measured on, at least one; the median of their standard deviations
        counts, without those that are constant.
    options
        ``delta`` is taken as it is, ``value_range`` tells the deviation where all are constant.

    Raises
    ------
    UsageError
        If ``delta`` is not in the type of the input.
    """
    examined = facts.resolution.examined
    name = "" if examined is None else examined.name
    arrays = [baseline.feed[name] for baseline in baselines]
    dtype = arrays[0].dtype
    if options.delta is not None:
        _require_possible(options.delta, dtype)
        return Step(options.delta, "")
    if dtype.kind == "b":
        return Step(1.0, "")
    canvas = canvas_of(facts, {name: dtype})
    deviation = _deviation(facts, canvas, arrays, options)
    if quantiser(facts) is not None:
        return _coarse(facts, canvas, deviation)
    if dtype.kind in "iu":
        return Step(1.0, f"step 1, the least of {dtype}")
    layers = [op for op in facts.operators if op.op_type in LAYERS and _depends(facts, op)]
    fraction = DEEP if len(layers) > SHALLOW_LAYERS else SHALLOW
    if dtype == np.float16:
        fraction = HALF
    largest = max(float(np.abs(array).max()) for array in arrays)
    least = KEPT * float(np.finfo(dtype).eps) * largest
    size = max(_power_of_two(fraction * deviation), _power_above(least))
    return Step(
        size,
        f"step {size:.4g}, about {size / deviation:.2g} standard deviations of the input: where"
        f" {dtype} still resolves it and few kinks are crossed",
    )


def extremes(
    array: Array, step: float, difference: str, axes: Sequence[int] = (), *, whole: bool = True
) -> Extremes | Shifted:
    """Return an input with every element moved by a step, down and up.

    Parameters
    ----------
    array
        The examined input.
    step
        In its unit, not 0.
    difference
        ``central``: both sides of the input, twice the step apart; in whole numbers the two are
        moved inside the range of the type where one would leave it. ``forward``: `low` is the
        input itself; in whole numbers a pixel goes down where it cannot go up. A boolean is
        flipped, or false and true.
    axes
        The image's axes; all channels of a pixel go the same way where that is possible.
    whole
        False: floats are moved where they are asked for, and take no memory until then.

    Raises
    ------
    UsageError
        If the step leaves the type, or is lost in its rounding.

    Examples
    --------
    >>> found = extremes(np.array([0, 9, 255], np.uint8), 2, "central")
    >>> found.low.tolist(), found.high.tolist(), found.span
    ([0, 7, 251], [4, 11, 255], 4.0)
    """
    dtype = array.dtype
    central = difference == "central"
    span = float(abs(step) * (1 + central))
    if dtype.kind == "b":
        low = np.zeros_like(array) if central else array
        return Extremes(low, np.logical_not(low), 1.0)
    _require_possible(step, dtype)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            delta = np.asarray(step, dtype)
        moved = Shifted(array, delta if central else np.zeros_like(delta), delta, span)
        if whole:
            with np.errstate(over="ignore"):
                kept = Extremes(moved.low if central else array, moved.high, span)
            _require_apart(kept, step)
            return kept
        for part in np.array_split(array.reshape(-1), -(-array.size // CHECKED)):
            _require_apart(replace(moved, array=part), step)
        return moved
    if central:
        low, high = _around(array, abs(int(step)))
        return Extremes(low, high, span)
    return Extremes(array, _beside(array, int(step), axes), span)


def _require_apart(moved: Extremes | Shifted, step: float) -> None:
    with np.errstate(over="ignore"):
        low, high = moved.low, moved.high
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise UsageError(f"a delta of {step:g} is out of the range of {low.dtype}")
    if (low == high).any():
        raise UsageError(f"a delta of {step:g} is lost in the rounding of {low.dtype}")


def _around(array: Array, step: int) -> tuple[Array, Array]:
    """Return whole numbers two steps apart, with those of the array in their middle if possible."""
    wide, least, largest = _wide(array, 2 * step)
    middle = np.clip(wide, wide.dtype.type(least + step), wide.dtype.type(largest - step))
    amount = wide.dtype.type(step)
    return (middle - amount).astype(array.dtype), (middle + amount).astype(array.dtype)


def _beside(array: Array, step: int, axes: Sequence[int]) -> Array:
    """Return whole numbers a step away, upwards where possible if the step is above 0."""
    size = abs(step)
    wide, least, largest = _wide(array, size)
    top, bottom = wide.dtype.type(largest - size), wide.dtype.type(least + size)
    rises, falls = wide <= top, wide >= bottom
    # All channels of a pixel alike: opposite steps of two channels could cancel.
    others = tuple(axis for axis in range(array.ndim) if axis not in axes) if axes else ()
    all_rise = rises.all(axis=others, keepdims=True) if others else rises
    all_fall = falls.all(axis=others, keepdims=True) if others else falls
    up = all_rise | ~all_fall & rises if step > 0 else ~all_fall & (all_rise | ~falls)
    if not np.where(up, rises, falls).all():
        raise UsageError(
            f"a delta of {step} leaves {array.dtype} on both sides of some pixel: use a smaller one"
        )
    amount = wide.dtype.type(size)
    risen, fallen = np.minimum(wide, top) + amount, np.maximum(wide, bottom) - amount
    moved: Array = np.where(up, risen, fallen).astype(array.dtype)
    return moved


def _wide(array: Array, reach: int) -> tuple[Array, int, int]:
    """Return whole numbers in a type to compute in, with the limits of their own."""
    limits = np.iinfo(array.dtype)
    least, largest = int(limits.min), int(limits.max)
    if reach > min(largest - least, MOST_WHOLE):
        raise UsageError(f"a delta of {reach} is out of the range of {array.dtype}")
    wide = array if array.dtype.itemsize == 8 else array.astype(np.int64)
    return wide, least, largest


def _require_possible(delta: float, dtype: np.dtype[Any]) -> None:
    if dtype.kind in "iu" and delta != int(delta):
        raise UsageError(f"the input holds {dtype}: delta must be whole, not {delta:g}")


def _deviation(
    facts: Facts, canvas: Canvas, arrays: Sequence[Array], options: MeasureOptions
) -> float:
    """Return the median of the standard deviations of the inputs that are not constant."""
    with np.errstate(over="ignore"):
        found = [float(np.std(array, dtype=np.float64)) for array in arrays]
    found = sorted(value for value in found if SMALLEST < value < math.inf)
    if found:
        return found[len(found) // 2]
    span = values_of(facts, canvas, options).span
    return 1.0 if span is None else (span[1] - span[0]) / math.sqrt(12)


def _coarse(facts: Facts, canvas: Canvas, deviation: float) -> Step:
    """Return the step on a quantised network."""
    reader = preprocessing(facts, canvas.name)
    whole = canvas.dtype.kind in "iu"
    quantum = 1.0 if whole else reader.quantum
    if quantum is None:
        size = _power_of_two(COARSE * deviation)
        return Step(
            size, f"step {size:.4g}, as a smaller one is lost in the network's quantisation"
        )
    quanta = max(1, round(COARSE * deviation / quantum))
    of = canvas.dtype.name if whole or reader.operator is None else f"'{reader.operator.name}'"
    return Step(
        quanta * quantum,
        f"step {quanta * quantum:.4g}, {quanta} quanta of {of}: a smaller one is lost in the"
        " network's quantisation",
    )


def quantiser(facts: Facts) -> Operator | None:
    """Return the first operator that rounds what comes of the input; None: there is none."""
    return next((operator for operator in facts.operators if _is_quantiser(facts, operator)), None)


def _is_quantiser(facts: Facts, operator: Operator) -> bool:
    """Tell whether an operator rounds what comes of the input; not one that unpacks weights."""
    rounds = operator.op_type in QUANTISERS or operator.op_type.startswith("QLinear")
    return rounds and _depends(facts, operator)


def _depends(facts: Facts, operator: Operator) -> bool:
    """Tell whether an operator works on what comes of the input."""
    return any(facts.flow(name) is not None for name in operator.outputs)


def _power_of_two(value: float) -> float:
    """Return the power of two nearest in ratio."""
    return 2.0 ** round(math.log2(value))


def _power_above(value: float) -> float:
    return 2.0 ** math.ceil(math.log2(value)) if value > 0 else 0.0
