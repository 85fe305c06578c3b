"""Max, average, Lp and global pooling."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from scotoma.adjoint.registry import NoAdjointError, rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Shape, Site
    from scotoma.resolve.window import Window


@rule("MaxPool")
def max_pool(site: Site) -> Gradients:
    """Add every gradient to the cell that the maximum came from; of equal ones the first."""
    grad = site.grad_or_none(0)
    site.grad_or_none(1)  # an index changes by jumps only
    if grad is None:
        return []
    windows, plain = site.windows, site.integer("storage_order", 0) == 0
    if site.version >= 8 and plain:
        indices = site.extra(1, np.int64, site.out_shape())
    else:
        indices = pooled_indices(site, site.input())
    return [to_maxima(site, grad, indices, (site.shape(), site.out_shape()), windows)]


def to_maxima(
    site: Site, grad: str, indices: str, shapes: tuple[Shape, Shape], windows: Sequence[Window]
) -> str:
    """Add the gradients of a max pool to the cells that the indices name.

    Parameters
    ----------
    shapes
        Of the pool's input and of its output, channels first.
    """
    shape, out = shapes
    for axis, window in enumerate(windows):
        reading = taps(window, padded=False) > 0
        if not reading.all():
            # A window that lies wholly in padding has any number for an index.
            along = reading.reshape(-1, *[1] * (len(windows) - axis - 1))
            grad = site.emit("Mul", grad, site.number(along))
            chosen = site.constant(along, np.bool_)
            indices = site.emit("Where", chosen, indices, site.constant(0, np.int64))
    flat = site.reshape(grad, [-1])
    into = site.zeros([math.prod(shape)])
    indices = site.reshape(indices, [math.prod(out)])
    found = site.emit("ScatterElements", into, indices, flat, axis=0, reduction="add")
    return site.reshape(found, shape)


def pooled_indices(site: Site, data: str) -> str:
    """Pool once more, for the indices that the operator itself does not give in this form."""
    windows = site.windows
    pads = [window.pad_begin for window in windows] + [window.pad_end for window in windows]
    if min(pads) < 0:
        raise NoAdjointError("its padding is negative")
    return site.emit_many(
        2, "MaxPool", data, ceil_mode=int(windows[0].ceil_mode), pads=pads,
        kernel_shape=[window.kernel for window in windows],
        strides=[window.stride for window in windows],
        dilations=[window.dilation for window in windows],
    )[1]  # fmt: skip


@rule("AveragePool")
def average_pool(site: Site) -> Gradients:
    """Share every gradient among the cells of its window."""
    windows = site.windows
    if any(window.pad_end < 0 and window.dilation > 1 for window in windows):
        raise NoAdjointError("its automatic padding is negative, and it is dilated")
    counts = [taps(window, padded=window.count_include_pad) for window in windows]
    return [shared_out(site, divided(site, site.grad(), counts), site.out_shape(), windows)]


def divided(site: Site, grad: str, counts: Sequence[NDArray[np.int64]]) -> str:
    """Divide by the size of each window, the product of its sizes along the axes."""
    whole = 1.0
    for axis, sizes in enumerate(counts):
        if (sizes == sizes[0]).all():
            whole *= max(int(sizes[0]), 1)
            continue
        shares = 1 / np.maximum(sizes, 1).reshape(-1, *[1] * (len(counts) - axis - 1))
        grad = site.emit("Mul", grad, site.number(shares))
    return grad if whole == 1 else site.emit("Mul", grad, site.number(1 / whole))


def taps(window: Window, *, padded: bool) -> NDArray[np.int64]:
    """Return how many taps of each window read a cell, or a cell or declared padding.

    Examples
    --------
    >>> from scotoma.resolve import Window
    >>> taps(Window(3, 2, 1, 1, 1, 5, 3), padded=False).tolist()
    [2, 3, 2]
    """
    first = -window.pad_begin if padded else 0
    last = window.size_in + (window.pad_end if padded else 0)
    starts = np.arange(window.size_out) * window.stride - window.pad_begin
    # The first tap that reads a cell, and the first one behind the last cell.
    ends = [-((starts - edge) // window.dilation) for edge in (first, last)]
    before, behind = (np.clip(end, 0, window.kernel) for end in ends)
    counts: NDArray[np.int64] = np.maximum(behind - before, 0)
    return counts


def shared_out(site: Site, grad: str, out: Shape, windows: Sequence[Window]) -> str:
    """Give every cell of the input the sum over the windows that it is in; `out`: their shape."""
    if all(window.kernel == window.stride and window.dilation == 1 for window in windows):
        return _tiled(site, grad, out, windows)
    strides = [1, 1, *(window.stride for window in windows)]
    grad, wide = site.spread(grad, out, strides)
    begins = [window.extent - 1 - window.pad_begin for window in windows]
    ends = [
        window.size_in + window.extent - 1 - size - begin
        for window, size, begin in zip(windows, wide[2:], begins, strict=True)
    ]
    grad = site.pad(grad, begins, ends, range(2, len(out)), len(out))
    kernel = [window.kernel for window in windows]
    sums = site.emit(
        "AveragePool", grad, kernel_shape=kernel,
        dilations=[window.dilation for window in windows],
    )  # fmt: skip
    return site.emit("Mul", sums, site.number(math.prod(kernel)))


def _tiled(site: Site, grad: str, out: Shape, windows: Sequence[Window]) -> str:
    """Repeat every gradient over its window, where the windows tile the input."""
    apart, wide, whole = list(out[:2]), list(out[:2]), list(out[:2])
    for window in windows:
        apart += [window.size_out, 1]
        wide += [window.size_out, window.kernel]
        whole.append(window.size_out * window.kernel)
    grad = site.expand(site.reshape(grad, apart), wide)
    grad = site.reshape(grad, whole)
    begins = [-window.pad_begin for window in windows]
    ends = [
        window.size_in - size - begin
        for window, size, begin in zip(windows, whole[2:], begins, strict=True)
    ]
    return site.pad(grad, begins, ends, range(2, len(out)), len(out))


@rule("LpPool")
def lp_pool(site: Site) -> Gradients:
    """Share y^(1-p) dy among the cells x, times |x|^(p-1) and their sign."""
    p = site.integer("p", 2)
    root = site.grad()
    if p > 1:
        output = site.output()
        # At an output of 0 all its cells are 0, and so is the gradient.
        nonzero = site.mask(site.cast(output, bool))
        safe = site.emit("Sub", site.emit("Add", output, site.number(1)), nonzero)
        scale = site.emit("Pow", safe, site.number(1 - p))
        root = site.emit("Mul", root, site.emit("Mul", scale, nonzero))
    grad = shared_out(site, root, site.out_shape(), site.windows)
    return [site.emit("Mul", grad, _power_slope(site, p))]


def _power_slope(site: Site, p: int) -> str:
    """Return sign(x) |x|^(p-1), the slope of |x|^p / p."""
    data = site.input()
    if p == 2:
        return data
    sign = site.emit("Sign", data)
    if p == 1:
        return sign
    return site.emit("Mul", sign, site.emit("Pow", site.emit("Abs", data), site.number(p - 1)))


@rule("GlobalAveragePool")
def global_average_pool(site: Site) -> Gradients:
    """Share every gradient among all cells."""
    shape = site.shape()
    factor = site.number(1 / math.prod(shape[2:]))
    return [site.expand(site.emit("Mul", site.grad(), factor), shape)]


@rule("GlobalMaxPool")
def global_max_pool(site: Site) -> Gradients:
    """Share every gradient among the cells that hold the maximum."""
    mask = site.mask(site.emit("Equal", site.input(), site.output()))
    axes = site.ints(range(2, len(site.shape())))
    count = site.emit("ReduceSum", mask, axes, keepdims=1)
    return [site.emit("Mul", mask, site.emit("Div", site.grad(), count))]
