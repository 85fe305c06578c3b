"""How much a strided window passes of the frequencies that its stride folds onto others."""

from __future__ import annotations

from functools import reduce
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.errors import WeightsUnavailableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window

    Waves = NDArray[np.complex128]
    """(frequencies, taps)."""

CONVOLUTIONS = ("Conv", "FusedConv")
MAX_NUMBERS = 1 << 26
"""Kernels of more weights are not looked at."""
MAX_FREQUENCIES = 1 << 12
"""Nor strides that fold more, of which there are as many as the strides' product."""
MAX_WAVES = 1 << 22
"""Nor those with more pairs of a tap and a frequency along one axis."""
MAX_WORK = 1 << 29
"""Nor those whose transforms take more products: some seconds."""
AT_ONCE = 1 << 16
"""Most products of a tap and a frequency for which the axes are not taken one by one."""
HELD = 1 << 18
"""Numbers of a part of the kernel that is transformed in one go."""


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
    taps, count = kernel.shape[2:], prod(strides)
    waves = [_waves(*along) for along in zip(taps, strides, dilations, strict=True)]
    if prod(taps) * count <= AT_ONCE:
        taps, waves = (prod(taps),), [reduce(_together, waves)]
    rows, power = np.asarray(kernel).reshape(-1, *taps), np.zeros(count)
    held = max(1, HELD // max(prod(taps), count))
    for start in range(0, len(rows), held):
        spectrum = rows[start : start + held].astype(np.complex128)
        for wave in waves:
            spectrum = np.tensordot(spectrum, wave, (1, 1))
        spectrum = spectrum.reshape(len(spectrum), -1)
        power += (spectrum.real**2 + spectrum.imag**2).sum(axis=0)
    constant, *others = np.sqrt(power).tolist()
    return max(others, default=0.0) / constant if constant > 0 else None


def _together(one: Waves, other: Waves) -> Waves:
    """Return the frequencies along two axes as those along one that holds the taps of both."""
    return np.asarray(np.kron(one, other), np.complex128)


def _waves(taps: int, stride: int, dilation: int) -> Waves:
    """Return the frequencies that a stride folds onto a constant, (stride, taps)."""
    # Whole turns are taken out in integers, so that opposite taps cancel exactly.
    turns = np.outer(np.arange(stride), np.arange(taps) * dilation) % stride / stride
    return np.asarray(np.round(np.exp(-2j * np.pi * turns), 15))


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
        # Of a box no axis passes more than a constant: the worst is a pattern along one alone.
        return max(map(_box_response, windows, strides))
    blocked = operator.domain.endswith("nchwc")
    if operator.op_type not in CONVOLUTIONS or blocked or len(operator.inputs) < 2:
        raise WeightsUnavailableError(f"the weights of {operator.op_type} are not plain numbers")
    shape = facts.shape(operator.inputs[1])
    if shape is None or len(shape) != len(windows) + 2:
        raise WeightsUnavailableError("its weights are not those of a convolution")
    _require_work(prod(shape[:2]), shape[2:], strides)
    return folded_response(facts.weights(operator.inputs[1]), strides, dilations)


def _box_response(window: Window, stride: int) -> float:
    """Return the response of an average along one axis."""
    _require_work(1, (window.kernel,), (stride,))
    return folded_response(np.ones((1, 1, window.kernel)), (stride,), (window.dilation,)) or 0.0


def _require_work(rows: int, taps: tuple[int, ...], strides: tuple[int, ...]) -> None:
    """Refuse a kernel whose transform takes too much time or memory.

    Raises
    ------
    WeightsUnavailableError
        If it does.
    """
    work, size = 0, rows * prod(taps)
    wide = size > MAX_NUMBERS
    for k, s in zip(taps, strides, strict=True):
        wide = wide or k * s > MAX_WAVES
        work, size = work + size * s, size // max(k, 1) * s
    if wide:
        raise WeightsUnavailableError("its kernel is larger than any that is looked at")
    if work > MAX_WORK or prod(strides) > MAX_FREQUENCIES:
        raise WeightsUnavailableError("its stride folds more frequencies than are looked at")


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
