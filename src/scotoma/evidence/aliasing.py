"""How much a strided window passes of the frequencies that its stride folds onto others."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.errors import WeightsUnavailableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window

CONVOLUTIONS = ("Conv", "FusedConv")
MAX_NUMBERS = 1 << 26
"""Kernels of more weights are not looked at."""
MAX_WORK = 1 << 32
"""Most products of a weight and a frequency, of which there are as many as the strides' product."""


def folded_response(
    kernel: NDArray[Any], strides: tuple[int, ...], dilations: tuple[int, ...]
) -> float | None:
    """Return the largest response at a frequency that the strides fold onto a constant.

    Subsampling by ``s`` makes the frequencies ``m / s`` cycles per cell look like a constant. The
    response there is the root mean square over all pairs of channels of the kernel's Fourier
    transform, divided by that of a constant.

    Parameters
    ----------
    kernel
        Weights, shape (outputs, inputs, taps…).

    Returns
    -------
    float or None
        0: nothing folds; 1: as much as a constant gets through, as with one tap. None where a
        constant does not get through at all.

    Examples
    --------
    >>> blur = np.array([[[1.0, 2.0, 1.0]]])
    >>> folded_response(blur, (2,), (1,)), folded_response(blur[..., :1], (2,), (1,))
    (0.0, 1.0)
    """
    taps = kernel.shape[2:]
    flat = np.asarray(kernel, np.float64).reshape(-1, *taps)
    found = []
    for turns in product(*(range(s) for s in strides)):
        phase = np.zeros(taps)
        for axis, (m, s, d) in enumerate(zip(turns, strides, dilations, strict=True)):
            shape = [1] * len(taps)
            shape[axis] = -1
            # Whole turns are taken out in integers, so that opposite taps cancel exactly.
            phase = phase + ((np.arange(taps[axis]) * d * m) % s).reshape(shape) / s
        wave = np.round(np.exp(-2j * np.pi * phase), 15).ravel()
        found.append(float(np.sqrt((abs(flat.reshape(len(flat), -1) @ wave) ** 2).sum())))
    constant, *others = found
    return max(others, default=0.0) / constant if constant > 0 else None


def strided_windows(facts: Facts) -> list[tuple[Operator, tuple[Window, ...]]]:
    """Return the strided convolutions and max pools on the image's local path."""
    found = []
    for operator, windows in facts.windowed:
        if "Average" in operator.op_type or not facts.is_local(operator):
            continue
        if any(w.stride > 1 and w.size_out > 1 and not w.transposed for w in windows):
            found.append((operator, windows))
    return found


def response(facts: Facts, operator: Operator, strides: tuple[int, ...]) -> float | None:
    """Return the response of one convolution or average pool at the folded frequencies.

    Raises
    ------
    WeightsUnavailableError
        If its weights cannot be read.
    """
    windows = facts.windows(operator) or ()
    dilations = tuple(w.dilation for w in windows)
    if "AveragePool" in operator.op_type:
        return folded_response(np.ones((1, 1, *(w.kernel for w in windows))), strides, dilations)
    blocked = operator.domain.endswith("nchwc")
    if operator.op_type not in CONVOLUTIONS or blocked or len(operator.inputs) < 2:
        raise WeightsUnavailableError(f"the weights of {operator.op_type} are not plain numbers")
    shape = facts.shape(operator.inputs[1])
    if shape is None or len(shape) != len(windows) + 2 or prod(shape) > MAX_NUMBERS:
        raise WeightsUnavailableError("its weights are not those of a convolution")
    if prod(strides) * max(prod(shape), 1 << 20) > MAX_WORK:
        raise WeightsUnavailableError("its stride folds more frequencies than are looked at")
    return folded_response(facts.weights(operator.inputs[1]), strides, dilations)


def filtered(facts: Facts, tensor: str, strides: tuple[int, ...], limit: float) -> bool:
    """Tell whether a low-pass with stride 1 makes a tensor, a Pad in front of it included.

    Raises
    ------
    WeightsUnavailableError
        If the weights that decide cannot be read.
    """
    producer = facts.producers.get(tensor)
    if producer is not None and producer.op_type == "Pad" and producer.inputs:
        producer = facts.producers.get(producer.inputs[0])
    windows = facts.windows(producer) if producer is not None else None
    if producer is None or not windows or len(windows) != len(strides):
        return False
    if any(w.stride > 1 or w.transposed for w in windows) or "Max" in producer.op_type:
        return False
    passed = response(facts, producer, strides)
    return passed is not None and passed < limit
