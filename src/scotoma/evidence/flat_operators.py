"""What single operators make of flat tensors, whose spatial axes have size 1.

In front of a tensor's axes there is one for the images. What an operator does not tell raises
`UnknownError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.errors import WeightsUnavailableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

    Array = NDArray[np.float64]
    Handler = Callable[[Facts, Operator, Array, list[Array]], Array]

MOST_NUMBERS = 1 << 22
"""Tensors of more numbers are not worked out."""
SAME = frozenset(
    {"AveragePool", "Cast", "Dropout", "GlobalAveragePool", "GlobalMaxPool",
     "Identity", "MaxPool", "Pad", "Resize", "Upsample"}
)  # fmt: skip


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -80, 80))))


UNARY: Mapping[str, Callable[[Array], Array]] = {
    "Abs": np.abs,
    "Exp": lambda x: np.exp(np.clip(x, None, 80)),
    "HardSwish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "Neg": np.negative,
    "Relu": lambda x: np.maximum(x, 0),
    "Sigmoid": _sigmoid,
    "Softplus": lambda x: np.logaddexp(0, x),
    "Sqrt": lambda x: np.sqrt(np.maximum(x, 0)),
    "Tanh": np.tanh,
}
BINARY: Mapping[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "Div": np.divide,
    "Max": np.maximum,
    "Min": np.minimum,
    "Mul": np.multiply,
    "PRelu": lambda x, slope: np.where(x < 0, x * slope, x),
    "Sub": np.subtract,
    "Sum": np.add,
}


class UnknownError(Exception):
    """What an operator makes of a flat image is not known."""


def joined(kind: str, parts: list[Array]) -> Array:
    """Return what a sum or product of tensors makes, all with the axis of the images in front."""
    rank = max(part.ndim for part in parts)
    made, *others = (
        part.reshape(len(part), *(1,) * (rank - part.ndim), *part.shape[1:]) for part in parts
    )
    for other in others:
        shapes = made.shape[1:], other.shape[1:]
        if shapes[0] != shapes[1] and prod(np.broadcast_shapes(*shapes)) > MOST_NUMBERS:
            raise UnknownError
        made = BINARY[kind](made, other)
    return made


def concatenated(facts: Facts, operator: Operator, parts: list[Array]) -> Array:
    """Return what a Concat makes of tensors, all with the axis of the images in front."""
    axis = operator.attributes.get("axis", 0)
    shape = facts.shape(operator.outputs[0])
    if not isinstance(axis, int) or shape is None or not -len(shape) <= axis < len(shape):
        raise UnknownError
    images, axis = max(map(len, parts)), axis % len(shape)
    made = np.concatenate([np.broadcast_to(p, (images, *p.shape[1:])) for p in parts], axis + 1)
    if made.shape[axis + 1] != shape[axis]:
        raise UnknownError
    return made


def _number(operator: Operator, key: str, default: float) -> float:
    value = operator.attributes.get(key, default)
    return float(value) if isinstance(value, int | float) else default


def contracted(weight: Array, data: Array, groups: int, *, transposed: bool = False) -> Array:
    """Return a convolution's taps times one number per input channel, the channels summed up.

    Parameters
    ----------
    weight
        Shape (out, in / groups, ...), or (in, out / groups, ...) for a transposed convolution.
    data
        Shape (in,).

    Returns
    -------
    Array
        Shape (out, ...), one number per output channel and tap.
    """
    if groups < 1 or weight.shape[0] % groups or data.size % groups:
        raise WeightsUnavailableError("the groups of a weight do not fit it")
    parts = data.reshape(groups, -1)
    blocks = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
    order = "gi,gio...->go..." if transposed else "gi,goi...->go..."
    made = np.einsum(order, parts, blocks)
    return np.asarray(made.reshape(-1, *weight.shape[2:]))


def groups_of(operator: Operator) -> int:
    """Return the number of groups of a convolution."""
    groups = operator.attributes.get("group", 1)
    return groups if isinstance(groups, int) else 1


def _convolution(facts: Facts, operator: Operator, data: Array, rest: list[Array]) -> Array:
    images, rank, groups = len(data), data.ndim - 1, groups_of(operator)
    if rank < 3 or prod(data.shape[1:]) != data.shape[2]:
        raise UnknownError
    sums = rest[0].reshape(*rest[0].shape[:2], -1).sum(2)
    if groups < 1 or len(sums) % groups or data.shape[2] % groups:
        raise UnknownError
    transposed = operator.op_type == "ConvTranspose"
    blocks = sums.reshape(groups, len(sums) // groups, -1)
    if not transposed:
        blocks = blocks.swapaxes(1, 2)
    made = (data.reshape(images, groups, 1, -1) @ blocks).reshape(images, -1)
    if transposed:  # the mean over the phases
        made = made / prod(window.stride for window in facts.windows(operator) or ())
    if len(rest) > 1:
        made = made + rest[1]
    return np.asarray(made.reshape(images, 1, -1, *([1] * (rank - 2))))


def _normalised(_: Facts, operator: Operator, data: Array, rest: list[Array]) -> Array:
    if len(operator.outputs) > 1 or operator.attributes.get("training_mode", 0) == 1:
        raise UnknownError
    spread = [1, -1, *([1] * (data.ndim - 3))]
    scale, shift, mean, variance = (p.reshape(spread) for p in rest[:4])
    epsilon = _number(operator, "epsilon", 1e-5)
    return np.asarray((data - mean) / np.sqrt(variance + epsilon) * scale + shift)


def _clipped(_: Facts, operator: Operator, data: Array, rest: list[Array]) -> Array:
    if (operator.version or 13) < 11:
        return np.clip(data, _number(operator, "min", -np.inf), _number(operator, "max", np.inf))
    if len(operator.inputs) > 2 and not operator.inputs[1]:
        return np.minimum(data, rest[0]) if rest else data
    return np.clip(data, rest[0] if rest else None, rest[1] if len(rest) > 1 else None)


def _quantised(facts: Facts, operator: Operator, data: Array, rest: list[Array]) -> Array:
    """Round and saturate: quantisers leave out the clipping that the range of a type does."""
    scale, zero = _spread(operator, data, rest)
    dtype = facts.resolution.dtypes.get(operator.outputs[0])
    if dtype is None or dtype.kind not in "iu":
        raise UnknownError
    bounds = np.iinfo(dtype)
    return (np.rint(data / scale) + zero).clip(bounds.min, bounds.max)


def _dequantised(_: Facts, operator: Operator, data: Array, rest: list[Array]) -> Array:
    scale, zero = _spread(operator, data, rest)
    return np.asarray((data - zero) * scale)


def _spread(operator: Operator, data: Array, rest: list[Array]) -> tuple[Array, Array]:
    """Return scale and zero point, of one number each or one per cell of the operator's axis."""
    axis = operator.attributes.get("axis", 1)
    shape = [1] * (data.ndim - 1)
    if isinstance(axis, int) and -len(shape) <= axis < len(shape):
        shape[axis] = -1
    scale, zero = rest[0], rest[1] if len(rest) > 1 else np.zeros(())
    return (
        scale.reshape(shape if scale.size > 1 else ()),
        zero.reshape(shape if zero.size > 1 else ()),
    )


def _leaky(_: Facts, operator: Operator, data: Array, __: list[Array]) -> Array:
    return np.where(data < 0, data * _number(operator, "alpha", 0.01), data)


def _elu(_: Facts, operator: Operator, data: Array, __: list[Array]) -> Array:
    return np.where(data < 0, _number(operator, "alpha", 1.0) * np.expm1(np.minimum(data, 0)), data)


def _hard_sigmoid(_: Facts, operator: Operator, data: Array, __: list[Array]) -> Array:
    slope, offset = _number(operator, "alpha", 0.2), _number(operator, "beta", 0.5)
    return np.clip(data * slope + offset, 0, 1)


def _transposed(_: Facts, operator: Operator, data: Array, __: list[Array]) -> Array:
    rank, perm = data.ndim - 1, operator.attributes.get("perm")
    order: Any = perm if isinstance(perm, tuple) else range(rank)[::-1]
    if sorted(order) != list(range(rank)):
        raise UnknownError
    return np.transpose(data, (0, *(axis + 1 for axis in order)))


def _reduced(facts: Facts, operator: Operator, data: Array, _: list[Array]) -> Array:
    """Handle a mean over axes of size 1 here, those of the image."""
    before, after = facts.shape(operator.inputs[0]), facts.shape(operator.outputs[0])
    if before is None or after is None:
        raise UnknownError
    if len(after) == len(before):
        same = all(a in {b, 1} and (a == b or own == 1)
                   for a, b, own in zip(after, before, data.shape[1:], strict=True))  # fmt: skip
        if same:
            return data
    elif prod(data.shape[1:]) == prod(after):
        return data.reshape(len(data), *after)
    raise UnknownError


def _reshaped(facts: Facts, operator: Operator, data: Array, _: list[Array]) -> Array:
    """Handle a reshape of something without places."""
    after = facts.shape(operator.outputs[0])
    if after is None or facts.shape(operator.inputs[0]) != data.shape[1:]:
        raise UnknownError
    return data.reshape(len(data), *after)


def _dense(facts: Facts, operator: Operator, data: Array, rest: list[Array]) -> Array:
    if facts.shape(operator.inputs[0]) != data.shape[1:]:
        raise UnknownError
    if operator.op_type == "MatMul":
        more = max(0, rest[0].ndim - data.ndim + 1)
        return np.asarray(data.reshape(len(data), *(1,) * more, *data.shape[1:]) @ rest[0])
    one = data.swapaxes(1, 2) if operator.attributes.get("transA", 0) else data
    two = rest[0].T if operator.attributes.get("transB", 0) else rest[0]
    made = _number(operator, "alpha", 1.0) * (one @ two)
    if len(rest) > 1:
        made = made + _number(operator, "beta", 1.0) * rest[1]
    return np.asarray(made)


HANDLERS: Mapping[str, Handler] = {
    "BatchNormalization": _normalised,
    "Clip": _clipped,
    "Conv": _convolution,
    "ConvTranspose": _convolution,
    "DequantizeLinear": _dequantised,
    "Elu": _elu,
    "Flatten": _reshaped,
    "Gemm": _dense,
    "HardSigmoid": _hard_sigmoid,
    "LeakyRelu": _leaky,
    "MatMul": _dense,
    "QuantizeLinear": _quantised,
    "ReduceMean": _reduced,
    "Reshape": _reshaped,
    "Squeeze": _reduced,
    "Transpose": _transposed,
    "Unsqueeze": _reshaped,
}
