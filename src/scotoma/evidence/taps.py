"""Kernel taps that never meet a cell: weights that no input of this size can make count.

Tap ``t`` of output ``o`` reads input ``o * stride - pad_begin + t * dilation``; it is alive if that
is a cell for some output. A tap of an n-dimensional kernel is alive if it is along every axis, so
the count is exact. A kernel that several layers share counts once, with the taps of all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from scotoma.trace.heads import uncopied
from scotoma.trace.reading import Mapped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window

    Mask = NDArray[np.bool_]
    Sizes = NDArray[np.int64]

MAX_TAPS = 1 << 20
"""A kernel that claims more taps than this is passed over, see `all_looked_at`."""
CONVOLUTIONS = frozenset(
    {"Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "FusedConv", "NhwcFusedConv"}
)
_WRAPPERS = frozenset({"DequantizeLinear", "QuantizeLinear", "Identity", "Cast", "Transpose"})
"""Operators that a stored kernel passes before it is used."""


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """The stored weights of one convolution, or of several that share them."""

    operators: tuple[Operator, ...]
    windows: tuple[Window, ...]
    """Of the first operator, one per spatial axis."""
    alive: Mask
    """Which taps meet a cell for some output; one axis per spatial axis."""
    weights: int
    """Numbers stored."""

    @property
    def dead_taps(self) -> int:
        """Taps that only ever meet padding."""
        return self.alive.size - int(np.count_nonzero(self.alive))

    @property
    def dead_weights(self) -> int:
        """Numbers stored for them."""
        return self.weights * self.dead_taps // self.alive.size

    @property
    def left(self) -> tuple[int, ...]:
        """Sizes of the smallest box that holds the live taps."""
        sizes = []
        for axis in range(self.alive.ndim):
            others = tuple(other for other in range(self.alive.ndim) if other != axis)
            places = np.flatnonzero(self.alive.any(axis=others))
            sizes.append(int(places[-1] - places[0]) + 1 if len(places) else 0)
        return tuple(sizes)


def kernels(facts: Facts) -> list[Kernel]:
    """Return the kernels of all convolutions with stored weights, in the order of the graph.

    A kernel counts as alive where it is not known what it slides over.
    """
    found: dict[str, Kernel] = {}
    known_taps: _Live = {}
    for operator, name in _stored(facts):
        shape, windows = facts.shape(name), facts.windows(operator) or ()
        if not shape or _is_too_large(windows):
            continue
        alive, root = _live(facts, operator, windows, known_taps), _root(facts, name)
        known = found.get(root)
        if known is None:
            found[root] = Kernel((operator,), windows, alive, prod(shape))
            continue
        alike = known.alive.shape == alive.shape
        both = known.alive | alive if alike else np.ones_like(known.alive)
        found[root] = Kernel((*known.operators, operator), known.windows, both, known.weights)
    return list(found.values())


def all_looked_at(facts: Facts) -> bool:
    """Tell whether `kernels` passes over none for its size, so that their share is of all."""
    return not any(_is_too_large(facts.windows(op) or ()) for op, _ in _stored(facts))


def _stored(facts: Facts) -> Iterator[tuple[Operator, str]]:
    """Yield the convolutions whose weights are constant, with the name of these."""
    for operator in facts.operators:
        if operator.op_type in CONVOLUTIONS:
            slot = 3 if operator.op_type == "QLinearConv" else 1
            name = operator.inputs[slot] if slot < len(operator.inputs) else ""
            if name in facts.resolution.constants:
                yield operator, name


def _is_too_large(windows: tuple[Window, ...]) -> bool:
    """Tell whether a kernel claims more taps than are looked at."""
    return prod(window.kernel for window in windows) > MAX_TAPS


def dead_share(found: list[Kernel]) -> Fraction:
    """Return the share of all weights that only ever meet padding, exact."""
    total = sum(kernel.weights for kernel in found)
    return Fraction(sum(kernel.dead_weights for kernel in found), total) if total else Fraction(0)


def _root(facts: Facts, name: str) -> str:
    """Return the stored tensor behind a kernel that is unpacked at run time."""
    while (maker := facts.producers.get(name)) is not None and maker.op_type in _WRAPPERS:
        if not maker.inputs:
            break
        name = maker.inputs[0]
    return name


_Live = dict[tuple[tuple["Window", int, int], ...], "Mask"]
"""Live taps by windows and real cells: the layers of a network repeat."""


def _live(facts: Facts, operator: Operator, windows: tuple[Window, ...], known: _Live) -> Mask:
    """Return which taps of a convolution meet a cell, and add them to `known`."""
    last = operator.attributes.get("channels_last") == 1 or operator.op_type == "NhwcFusedConv"
    tensor, first = operator.inputs[0], 1 if last else 2
    axes = tuple(
        (w, *real_cells(facts, tensor, first + i, w.size_in)) for i, w in enumerate(windows)
    )
    if axes not in known:
        alive = np.ones((), bool)
        for axis in axes:
            alive = np.asarray(alive[..., None] & live_taps(*axis))
        known[axes] = alive
    return known[axes]


def live_taps(window: Window, first: int = 0, end: int | None = None) -> Mask:
    """Return which taps along one axis meet a cell, shape (kernel,).

    Parameters
    ----------
    first, end
        The cells that are no padding, where an operator in front adds some; `end` is excluded.

    Examples
    --------
    >>> from scotoma.resolve.window import Window
    >>> live_taps(Window(3, 1, 36, 36, 36, 28, 28)).tolist()
    [False, True, False]
    >>> live_taps(Window(3, 1, 1, 1, 1, 2, 2)).tolist()
    [True, True, True]
    """
    cells = window.size_in if end is None else end
    if not window.transposed and _all_meet(window, first, cells):
        return np.ones(window.kernel, bool)
    at = (np.array([number]) for number in (window.pad_begin, window.size_out, first, cells))
    return np.asarray(live_taps_at(window, *at)[0])


def _all_meet(window: Window, first: int, end: int) -> bool:
    """Tell of most windows at a glance that every tap meets a cell.

    Some output's window lies wholly on cells: its first tap is one from `first` on, and its last
    one comes before `end`.
    """
    output = max(0, -((-window.pad_begin - first) // window.stride))
    last = output * window.stride - window.pad_begin + window.extent - 1
    return output < window.size_out and last < end


def live_taps_at(
    window: Window, pad_begin: Sizes, size_out: Sizes, first: Sizes, end: Sizes
) -> Mask:
    """Return `live_taps` for several sizes at once, shape (sizes, kernel).

    Parameters
    ----------
    window
        Only its kernel, stride and dilation count.
    pad_begin, size_out, first, end
        One number per size, shape (sizes,).
    """
    steps = np.arange(window.kernel, dtype=np.int64) * window.dilation
    reach = steps - np.expand_dims(pad_begin, 1)
    outputs, begin, last = (np.expand_dims(a, 1) for a in (size_out, first, end - 1))
    if window.transposed:
        # Input i writes output i * stride + reach.
        lowest = np.maximum(-(reach // window.stride), begin)
        highest = (outputs - 1 - reach) // window.stride
        return np.asarray(lowest <= np.minimum(highest, last))
    lowest = np.maximum(-((reach - begin) // window.stride), 0)
    highest = (last - reach) // window.stride
    return np.asarray(lowest <= np.minimum(highest, outputs - 1))


def real_cells(facts: Facts, tensor: str, axis: int, size: int) -> tuple[int, int]:
    """Return the range of a layer's input cells that are not the padding of a Pad in front.

    Copies of the padded map (`uncopied`) may stand between the two.
    """
    if facts.geometry is None:
        return 0, size
    source = uncopied(facts.geometry, tensor)
    if source != tensor:
        axes, before = (facts.geometry.spatial_axes(name) for name in (tensor, source))
        if axes is None or before is None or axis not in axes:
            return 0, size
        axis = before[axes.index(axis)]
    maker, flow = facts.producers.get(source), facts.flow(source)
    if maker is None or maker.op_type != "Pad" or flow is None or not flow.readings:
        return 0, size
    reads = flow.readings[0].axes or ()
    read = reads[axis] if axis < len(reads) else None
    if not isinstance(read, Mapped):
        return 0, size
    real = np.flatnonzero(read.map.real_taps())
    return (int(real[0]), int(real[-1]) + 1) if len(real) else (0, 0)
