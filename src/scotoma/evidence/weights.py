"""The numbers of a weight, through what exporters and quantisers put between it and its layer."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from scotoma.errors import WeightsUnavailableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

LARGEST = 1 << 24
"""Weights of more elements are not read."""
LONGEST = 16
"""Chains of operators behind a weight are followed up to this length."""


def weights_of(facts: Facts, tensor: str) -> NDArray[np.float64]:
    """Return a constant tensor as numbers, dequantised where it is stored in integers.

    Raises
    ------
    WeightsUnavailableError
        If it is not constant, or its data are missing, too large or must not be read.
    """
    return _read(facts, tensor, 0)


def is_stored(facts: Facts, tensor: str) -> bool:
    """Tell whether a tensor is in the file, be it cast or dequantised; else it is worked out."""
    for _ in range(LONGEST):
        maker = facts.producers.get(tensor)
        if maker is None:
            return tensor in facts.model.main.initializers
        if maker.op_type == "Constant":
            return True
        if maker.op_type not in {"Cast", "DequantizeLinear", "Identity", "Not"}:
            return False
        tensor = maker.inputs[0]
    return False


def _read(facts: Facts, tensor: str, depth: int) -> NDArray[np.float64]:
    value, maker = facts.value(tensor), facts.producers.get(tensor)
    if value is None and maker is not None and maker.inputs and depth < LONGEST:
        kind = maker.op_type
        if kind in {"Cast", "Identity"} and not maker.domain:
            return _read(facts, maker.inputs[0], depth + 1)
        if kind == "DequantizeLinear":
            return dequantised(facts, maker, maker.inputs, depth)
        if kind == "Transpose" and not maker.domain:
            return _transposed(facts, maker, depth)
        if kind == "Not" and not maker.domain:
            return 1 - np.asarray(_read(facts, maker.inputs[0], depth + 1) != 0, np.float64)
        if kind in {"Div", "Mul"} and not maker.domain and len(maker.inputs) == 2:
            return _scaled(facts, maker, depth)
        if kind == "Quant" and ("brevitas" in maker.domain or "qonnx" in maker.domain):
            return _rounded(facts, maker, depth)
    shape = facts.shape(tensor) if value is None else None
    if shape is not None and prod(shape) > LARGEST:
        raise WeightsUnavailableError(f"'{tensor}' is too large to be read")
    stored = facts.weights(tensor) if value is None else value
    if stored.dtype.kind not in "biuf" and stored.dtype.name not in {"bfloat16", "float8_e4m3fn"}:
        raise WeightsUnavailableError(f"'{tensor}' does not hold numbers")
    return stored.astype(np.float64)


def _transposed(facts: Facts, operator: Operator, depth: int) -> NDArray[np.float64]:
    array, perm = _read(facts, operator.inputs[0], depth + 1), operator.attributes.get("perm")
    order = [int(axis) for axis in perm] if isinstance(perm, tuple) else None
    if order is not None and sorted(order) != list(range(array.ndim)):
        raise WeightsUnavailableError(f"the axes of '{operator.name}' are not understood")
    return np.transpose(array, order)


def _scaled(facts: Facts, operator: Operator, depth: int) -> NDArray[np.float64]:
    one, two = (_read(facts, name, depth + 1) for name in operator.inputs)
    if max(one.size, two.size) < np.prod(np.broadcast_shapes(one.shape, two.shape)):
        raise WeightsUnavailableError(f"'{operator.name}' is not worked out")
    with np.errstate(all="ignore"):
        return np.asarray(one * two if operator.op_type == "Mul" else one / two)


def dequantised(
    facts: Facts, operator: Operator, names: tuple[str, ...], depth: int = 0
) -> NDArray[np.float64]:
    """Return ``(data - zero point) * scale`` of three constants, the last of which may be left out.

    A scale of several numbers goes along the operator's axis.
    """
    data = _read(facts, names[0], depth + 1)
    scale = _read(facts, names[1], depth + 1)
    zero = _read(facts, names[2], depth + 1) if len(names) > 2 and names[2] else np.zeros(())
    default = 1 if operator.op_type == "DequantizeLinear" else 0
    axis = operator.attributes.get("axis", default)
    if not isinstance(axis, int) or scale.ndim > 1 or zero.ndim > 1 or not -data.ndim <= axis:
        raise WeightsUnavailableError(f"the scales of '{names[0]}' are not understood")
    spread = [1] * data.ndim
    if data.ndim and axis < data.ndim:
        spread[axis] = -1
    try:
        # One number goes with every element, several go along the axis.
        factors = (p.reshape(spread if p.size > 1 else ()) for p in (scale, zero))
        factor, offset = factors
        return np.asarray((data - offset) * factor)
    except ValueError:
        raise WeightsUnavailableError(f"the scales of '{names[0]}' do not fit it") from None


def _rounded(facts: Facts, operator: Operator, depth: int) -> NDArray[np.float64]:
    """Return what the Quant of Brevitas and QONNX makes of a weight."""
    data, scale, zero, bits = (_read(facts, name, depth + 1) for name in operator.inputs[:4])
    signed, narrow = operator.attributes.get("signed", 1), operator.attributes.get("narrow", 0)
    if max(scale.size, zero.size, bits.size) > 1 and not (
        {scale.ndim, zero.ndim, bits.ndim} <= {0, data.ndim} and scale.size <= data.size
    ):
        raise WeightsUnavailableError(f"'{operator.name}' cannot be worked out")
    high = 2.0 ** (bits - 1) - 1 if signed else 2.0**bits - 1
    low = (-high if narrow else -high - 1) if signed else np.zeros(())
    try:
        return np.asarray((np.clip(np.round(data / scale + zero), low, high) - zero) * scale)
    except ValueError:
        raise WeightsUnavailableError(f"'{operator.name}' cannot be worked out") from None
