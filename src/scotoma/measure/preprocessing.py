"""What the first operators of a model do with its input: rescale it, quantise it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.errors import WeightsUnavailableError

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

    Floats = npt.NDArray[np.float64]

PASSING = frozenset(
    {
        "Cast", "CastLike", "Dropout", "Flatten", "Gather", "Identity", "Pad", "ReorderInput",
        "Reshape", "Squeeze", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
"""These move the values, and leave them as they are."""
BYTES = (0.0, 255.0)
UNIT = (0.0, 1.0)
LARGE = 16.0
"""A mean or a spread above this is one of bytes: images in units of 1 have none above 1."""
CHANNELS = 64
"""Constants of more elements are no constants per channel of an image."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What the graph shows of the values that its input is meant to hold."""

    span: tuple[float, float] | None = None
    """Least and largest value; None where the graph does not show it."""
    quantum: float | None = None
    """Step of the input below which a quantiser behind it sees no change."""
    operator: Operator | None = None
    """The operator that shows it."""


@dataclass(slots=True)
class _Affine:
    """A tensor that is ``gain * input + offset``, per channel."""

    gain: Floats
    offset: Floats
    operator: Operator | None = None

    def add(self, values: Floats, operator: Operator) -> None:
        self.gain, self.offset = np.broadcast_arrays(self.gain, self.offset + values)
        self.operator = self.operator or operator

    def scale(self, values: Floats, operator: Operator) -> None:
        self.gain, self.offset = self.gain * values, self.offset * values
        self.operator = self.operator or operator


def preprocessing(facts: Facts, name: str) -> Preprocessing:
    """Look at the operators that read an input first.

    Subtractions, divisions and normalisations by constants are followed up to the first operator
    of another kind; where that is a quantiser, its range and its step are the input's.

    Parameters
    ----------
    name
        A graph input.
    """
    with np.errstate(all="ignore"):  # what is not finite counts as not known
        return _preprocessing(facts, name)


def _preprocessing(facts: Facts, name: str) -> Preprocessing:
    affine = _Affine(np.ones(1), np.zeros(1))
    tensor = name
    for _ in range(len(facts.operators)):
        readers = [op for op in facts.consumers.get(tensor, ()) if op.op_type != "Shape"]
        if len(readers) != 1 or tensor not in readers[0].inputs or not readers[0].outputs:
            break
        operator = readers[0]
        if operator.op_type == "QuantizeLinear" and operator.inputs[0] == tensor:
            return _quantised(facts, operator, affine)
        try:
            followed = _follow(facts, operator, tensor, affine)
        except (ValueError, WeightsUnavailableError):
            followed = False  # channels that do not fit, or weights that are not there
        if not followed:
            break
        tensor = operator.outputs[0]
    span = _span(affine)
    return Preprocessing(span, None, affine.operator if span is not None else None)


def _follow(facts: Facts, operator: Operator, tensor: str, affine: _Affine) -> bool:
    """Take an operator into account; return False where the input is followed no further."""
    what, read = operator.op_type, operator.inputs
    if what in PASSING:
        return read[0] == tensor
    if what == "BatchNormalization" and len(read) >= 5 and read[0] == tensor:
        scale, bias, mean, variance = (_numbers(facts.weights(name)) for name in read[1:5])
        epsilon = operator.attributes.get("epsilon", 1e-5)
        deviation = np.sqrt(np.abs(variance) + (epsilon if isinstance(epsilon, float) else 1e-5))
        affine.add(-mean, operator)
        affine.scale(scale / deviation, operator)
        affine.add(bias, operator)
        return True
    if what not in {"Add", "Sub", "Mul", "Div"} or len(read) != 2 or read[0] == read[1]:
        return False
    stored = facts.value(read[1] if read[0] == tensor else read[0])
    if stored is None:
        return False
    values = _numbers(stored)
    if read[0] != tensor and what in {"Sub", "Div"}:
        if what == "Div":
            return False
        affine.scale(-np.ones(1), operator)
    if what in {"Add", "Sub"}:
        affine.add(values if what == "Add" or read[0] != tensor else -values, operator)
    elif not values.all():
        return False
    else:
        affine.scale(values if what == "Mul" else 1 / values, operator)
    return True


def _numbers(stored: npt.NDArray[Any]) -> Floats:
    """Return a constant per channel as a vector.

    Raises
    ------
    ValueError
        If it is none, or is not finite.
    """
    values = np.asarray(stored, np.float64).reshape(-1)
    if values.size > CHANNELS or not np.isfinite(values).all():
        raise ValueError("no constant per channel")
    return values


def _span(affine: _Affine) -> tuple[float, float] | None:
    """Return which values the rescaling is made for, where its mean and spread show it."""
    if affine.operator is None or not affine.gain.all():
        return None
    spread = np.abs(1 / affine.gain)
    centre = -affine.offset / affine.gain
    if (np.maximum(spread, np.abs(centre)) >= LARGE).all() and (spread <= 512).all():
        return BYTES
    if ((centre > 0.1) & (centre < 0.9) & (spread < 0.6)).all():
        return UNIT
    return None


def _quantised(facts: Facts, operator: Operator, affine: _Affine) -> Preprocessing:
    """Return what a quantiser says of the input: its step and its range."""
    try:
        scale = _numbers(facts.weights(operator.inputs[1]))
        zero = np.zeros(1, np.uint8)
        if len(operator.inputs) > 2 and operator.inputs[2]:
            zero = np.asarray(facts.weights(operator.inputs[2]))
        limits = np.iinfo(zero.dtype)
        least, largest = (
            ((limit - _numbers(zero)) * scale - affine.offset) / affine.gain
            for limit in (int(limits.min), int(limits.max))
        )
        quantum = float(np.abs(scale / affine.gain).max())
    except (ValueError, IndexError, ZeroDivisionError, WeightsUnavailableError):
        return Preprocessing()
    low = float(np.minimum(least, largest).max())
    high = float(np.maximum(least, largest).min())
    if not (np.isfinite([high - low, quantum]).all() and quantum > 0 and high > low):
        return Preprocessing()
    return Preprocessing((low, high), quantum, operator)
