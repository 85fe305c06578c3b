"""Which kernel taps only ever meet padding at many input sizes, by arithmetic on the windows.

What is dead is defined in `scotoma.evidence.taps`; here the sizes of all maps follow from that of
the image, along one axis at a time. A tap is alive if it is along every axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from scotoma.evidence.taps import all_looked_at, kernels, live_taps_at, real_cells

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.evidence.taps import Kernel
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

    Mask = NDArray[np.bool_]
    Sizes = NDArray[np.int64]

MAX_TAPS = 1 << 22
"""Taps of one layer, at all sizes together, that are looked at along an axis."""


class TapTable:
    """The live taps of all stored kernels of a model, by axis of the image and size along it.

    Parameters
    ----------
    facts
        The model at its current size.
    known
        Whether the padding at other sizes is that of the current one.
    """

    def __init__(self, facts: Facts, *, known: bool = True) -> None:
        self._facts = facts
        self._kernels = kernels(facts)
        self._weights = sum(kernel.weights for kernel in self._kernels)
        self._live: dict[tuple[str, int], Mask] = {}
        """By layer and axis, shape (sizes, taps); missing: all are alive."""
        self._known = known and all_looked_at(facts)
        """Whether all kernels are looked at and, along all axes so far, all maps' sizes follow."""
        self._rows: list[dict[int, int]] = []
        self._partly: list[list[list[Kernel]]] = []
        """By axis and row of the masks: kernels of which some layer has a dead tap there."""

    def add_axis(self, sizes: Sizes, tensors: Mapping[str, Sizes]) -> list[frozenset[str] | None]:
        """Take in the next axis of the image; return the layers with dead taps at each size.

        Parameters
        ----------
        sizes
            Sizes of the image along the axis, shape (n,).
        tensors
            The sizes of the tensors there, as of ``Facts.sizes_at``.
        """
        label = len(self._rows)
        self._rows.append({int(size): row for row, size in enumerate(sizes)})
        self._partly.append([[] for _ in sizes])
        names: list[set[str]] = [set() for _ in sizes]
        known = self._known
        for kernel in self._kernels:
            partly = np.zeros(len(sizes), bool)
            for operator in kernel.operators:
                live = self._live_along(operator, label, len(sizes), tensors)
                if live is not None and live.all():
                    continue
                if live is None:
                    known = self._known = False
                    continue
                self._live[operator.name, label] = live
                dead = ~live.all(axis=1)
                partly |= dead
                for row in np.flatnonzero(dead):
                    names[row].add(operator.name)
            for row in np.flatnonzero(partly):
                self._partly[label][row].append(kernel)
        return [frozenset(found) if known else None for found in names]

    def dead(self, size: tuple[int, ...]) -> tuple[Fraction, frozenset[str]] | None:
        """Return the share of all convolution weights that only ever meet padding, and of whom.

        The share is exact. None where the size of some map does not follow from that of the image.
        """
        if not self._known:
            return None
        rows = [row[length] for row, length in zip(self._rows, size, strict=True)]
        partly = {
            id(kernel): kernel
            for label, row in enumerate(rows)
            for kernel in self._partly[label][row]
        }
        weights = 0
        names: set[str] = set()
        for kernel in partly.values():
            dead = self._dead_weights(kernel, rows)
            weights += dead
            if dead:
                names.update(operator.name for operator in kernel.operators)
        return Fraction(weights, self._weights or 1), frozenset(names)

    def _dead_weights(self, kernel: Kernel, rows: list[int]) -> int:
        """Return how many weights of a kernel are dead in all layers that share it."""
        alive = np.zeros(kernel.alive.shape, bool)
        for operator in kernel.operators:
            taps = np.ones((), bool)
            for label, row in enumerate(rows):
                live = self._live.get((operator.name, label))
                along = np.ones(alive.shape[label], bool) if live is None else live[row]
                taps = np.asarray(taps[..., None] & along)
            if taps.shape != alive.shape:
                return 0
            alive |= taps
        return kernel.weights * int(alive.size - alive.sum()) // alive.size

    def _live_along(
        self, operator: Operator, label: int, count: int, tensors: Mapping[str, Sizes]
    ) -> Mask | None:
        """Return the live taps of a layer along an axis, shape (count, taps); None: not known."""
        facts, data = self._facts, operator.inputs[0]
        windows = facts.windows(operator)
        if windows is None or len(windows) != len(facts.image_size):
            # A kernel counts as alive where it is not known what it slides over.
            return np.ones((count, 1), bool)
        window = windows[label]
        if window.kernel * count > MAX_TAPS:
            return None
        last = operator.attributes.get("channels_last") == 1 or operator.op_type == "NhwcFusedConv"
        first, end = real_cells(facts, data, (1 if last else 2) + label, window.size_in)
        added = first > 0 or end < window.size_in
        same = window.auto_pad.startswith("SAME")
        if not (added or same or window.pad_begin or window.pad_end):
            return np.ones((count, 1), bool)
        inputs, outputs = tensors.get(data), tensors.get(operator.outputs[0])
        if facts.flow(data) is None:
            inputs = np.full(count, window.size_in)
            outputs = np.full(count, window.size_out)
        if inputs is None or outputs is None or (same and window.transposed):
            return None
        begin = np.full(count, window.pad_begin)
        if same:
            total = np.maximum((outputs - 1) * window.stride + window.extent - inputs, 0)
            begin = total // 2 if window.auto_pad == "SAME_UPPER" else total - total // 2
        cells = inputs - (window.size_in - end)
        return live_taps_at(window, begin, outputs, np.full(count, first), cells)
