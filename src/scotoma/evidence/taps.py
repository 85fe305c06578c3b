"""Kernel taps that never meet a cell: weights that no input of this size can make count.

Tap ``t`` of output ``o`` reads input ``o * stride - pad_begin + t * dilation``; it is alive if that
is a cell for some output. A tap of an n-dimensional kernel is alive if it is along every axis, so
the count is exact. A kernel that several layers share counts once, with the taps of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from scotoma.trace.reading import Mapped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window

    Mask = NDArray[np.bool_]

MAX_TAPS = 1 << 20
"""A kernel that claims more taps than this is passed over."""
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
        return int(self.alive.size - self.alive.sum())

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
    for operator in facts.operators:
        slot = 3 if operator.op_type == "QLinearConv" else 1
        name = operator.inputs[slot] if slot < len(operator.inputs) else ""
        shape = facts.shape(name)
        if operator.op_type not in CONVOLUTIONS or name not in facts.resolution.constants:
            continue
        windows = facts.windows(operator) or ()
        if not shape or prod(w.kernel for w in windows) > MAX_TAPS:
            continue
        alive, root = _live(facts, operator, windows), _root(facts, name)
        known = found.get(root)
        if known is None:
            found[root] = Kernel((operator,), windows, alive, prod(shape))
            continue
        alike = known.alive.shape == alive.shape
        both = known.alive | alive if alike else np.ones_like(known.alive)
        found[root] = Kernel((*known.operators, operator), known.windows, both, known.weights)
    return list(found.values())


def dead_share(found: list[Kernel]) -> Fraction:
    """Return the share of all weights that only ever meet padding, exact."""
    total = sum(kernel.weights for kernel in found)
    return Fraction(sum(kernel.dead_weights for kernel in found), total) if total else Fraction(0)


def _root(facts: Facts, name: str) -> str:
    """Return the stored tensor behind a kernel that is unpacked at run time."""
    while (maker := facts.producers.get(name)) is not None and maker.op_type in _WRAPPERS:
        name = maker.inputs[0]
    return name


def _live(facts: Facts, operator: Operator, windows: tuple[Window, ...]) -> Mask:
    """Return which taps of a convolution meet a cell."""
    last = operator.attributes.get("channels_last") == 1 or operator.op_type == "NhwcFusedConv"
    alive = np.ones((), bool)
    for axis, window in enumerate(windows):
        first, end = _cells(facts, operator.inputs[0], (1 if last else 2) + axis, window.size_in)
        alive = np.asarray(alive[..., None] & live_taps(window, first, end))
    return alive


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
    reach = np.arange(window.kernel, dtype=np.int64) * window.dilation - window.pad_begin
    if window.transposed:
        # Input i writes output i * stride + reach.
        lowest = np.maximum(-(reach // window.stride), first)
        highest = (window.size_out - 1 - reach) // window.stride
        return np.asarray(
            lowest <= np.minimum(highest, (window.size_in if end is None else end) - 1)
        )
    lowest = np.maximum(-((reach - first) // window.stride), 0)
    highest = ((window.size_in if end is None else end) - 1 - reach) // window.stride
    return np.asarray(lowest <= np.minimum(highest, window.size_out - 1))


def _cells(facts: Facts, tensor: str, axis: int, size: int) -> tuple[int, int]:
    """Return the range of a layer's input cells that are not the padding of a Pad in front."""
    maker, flow = facts.producers.get(tensor), facts.flow(tensor)
    if maker is None or maker.op_type != "Pad" or flow is None or not flow.readings:
        return 0, size
    reads = flow.readings[0].axes or ()
    read = reads[axis] if axis < len(reads) else None
    if not isinstance(read, Mapped):
        return 0, size
    real = np.flatnonzero(read.map.real_taps())
    return (int(real[0]), int(real[-1]) + 1) if len(real) else (0, 0)
