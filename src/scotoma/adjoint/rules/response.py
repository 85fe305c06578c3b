"""Local response normalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scotoma.adjoint.registry import NoAdjointError, rule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Site

MOST = 1 << 12
"""Channels of which every one is related to every other in a matrix."""


@rule("LRN")
def local_response_normalization(site: Site) -> Gradients:
    """Return dy s^-b - 2 a b x (sum of dy x s^(-b-1) over the windows that a channel is in).

    For y = x s^-b, s = bias + a (sum of x² over the window of a channel), a = alpha / size.
    """
    shape, size = site.shape(), site.integer("size", 0)
    alpha, beta = site.real("alpha", 1e-4), site.real("beta", 0.75)
    if size < 1 or len(shape) < 2 or shape[1] > MOST:
        raise NoAdjointError("its window is empty, or its channels are too many")
    flat = [shape[0], shape[1], site.elements(shape[2:])]
    data, grad = site.reshape(site.input(), flat), site.reshape(site.grad(), flat)
    windows = channel_windows(shape[1], size) * (alpha / size)
    sums = site.emit("MatMul", site.number(windows), site.emit("Mul", data, data))
    level = site.emit("Add", sums, site.number(site.real("bias", 1.0)))
    direct = site.emit("Mul", grad, site.emit("Pow", level, site.number(-beta)))
    each = site.emit("Div", site.emit("Mul", direct, data), level)
    across = site.emit("MatMul", site.number(windows.T * (2 * beta)), each)
    found = site.emit("Sub", direct, site.emit("Mul", data, across))
    return [site.reshape(found, shape)]


def channel_windows(channels: int, size: int) -> NDArray[np.float64]:
    """Return which channels (columns) the window of every channel (rows) holds, as 0 and 1.

    Examples
    --------
    >>> channel_windows(4, 2).astype(int).tolist()
    [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1]]
    """
    apart = np.arange(channels) - np.arange(channels)[:, None]
    inside: NDArray[np.bool_] = (apart >= -((size - 1) // 2)) & (apart <= size // 2)
    return inside.astype(np.float64)
