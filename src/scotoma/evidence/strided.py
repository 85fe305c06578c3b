"""Strided layers on the image's path: what they read of their padding at one size and at others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from scotoma.evidence.resized import Resized
from scotoma.evidence.window_maps import CONVOLUTIONS, automatic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window

    Sizes = NDArray[np.int64]
    Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Strided:
    """A strided layer on the image's path, its explicit padding included, along one axis."""

    operator: Operator
    label: int
    """Axis of the image, 0 for H."""
    window: Window
    size: int
    """Cells of its input, before an explicit Pad."""
    begin: int
    end: int
    """Padding before the first cell and after the last, a Pad in front of it included."""

    @property
    def read_at_end(self) -> int:
        """Padding that is read at the end; negative where real cells are left over."""
        window, padding = self.window, self.begin + self.end
        room = self.size + padding - window.extent
        left = room % window.stride
        if window.ceil_mode and padding > 0 and left > 0:
            # As in `read_at`, with plain numbers: most models are asked of one size alone.
            extra = (room // window.stride + 1) * window.stride < self.size + self.begin
            left = 0 if extra else left
        return self.end - left

    @property
    def uneven(self) -> bool:
        """Whether it reads more padding on one side than on the other, or leaves cells over."""
        return self.begin != self.read_at_end

    @property
    def reads_unevenly(self) -> bool:
        """Whether it reads more padding on one side than on the other."""
        return self.begin + self.end > 0 and self.uneven

    @property
    def leaves_over(self) -> bool:
        """Whether it leaves real cells over at the end."""
        return self.read_at_end < 0

    def read_at(self, sizes: Sizes) -> Sizes:
        """Return the padding that is read at the end for other sizes of the input."""
        stride = self.window.stride
        room = sizes + self.begin + self.end - self.window.extent
        left = room % stride
        if self.window.ceil_mode and self.begin + self.end > 0:
            # The extra window of ceil mode reads the rest, unless it starts in the end padding.
            extra = (left > 0) & ((room // stride + 1) * stride < sizes + self.begin)
            left = np.where(extra, 0, left)
        return self.end - left

    def uneven_at(self, inputs: Sizes) -> Mask:
        """Return whether the layer is uneven at other sizes of the tensor it reads."""
        begin, end = self._ends_at(inputs)
        uneven: Mask = begin != end
        return uneven

    def reads_unevenly_at(self, inputs: Sizes) -> Mask:
        """Return `reads_unevenly` for other sizes of the tensor it reads."""
        begin, end = self._ends_at(inputs)
        padded = (begin > 0) | (end > 0) if self._same else np.array(self.begin + self.end > 0)
        uneven: Mask = padded & (begin != end)
        return uneven

    def leaves_over_at(self, inputs: Sizes) -> Mask:
        """Return `leaves_over` for other sizes of the tensor it reads."""
        over: Mask = self._ends_at(inputs)[1] < 0
        return over

    def _ends_at(self, inputs: Sizes) -> tuple[Sizes, Sizes]:
        """Return the padding that is read before the first cell and after the last.

        Of SAME padding only which side has more counts: the odd cell is put to the end.
        """
        if not self._same:
            end = self.read_at(inputs - self._pad_in_front)
            return np.full_like(end, self.begin), end
        stride, extent = self.window.stride, self.window.extent
        total = np.maximum((-(-inputs // stride) - 1) * stride + extent - inputs, 0)
        return total // 2, total - total // 2 - (inputs + total - extent) % stride

    def fits_at(self, inputs: Sizes) -> Mask:
        """Return whether at least one window fits into other sizes of the tensor it reads."""
        room = inputs - self._pad_in_front + self.begin + self.end - self.window.extent
        # The one window of ceil mode may hang over by less than a stride.
        least = 1 - self.window.stride if self.window.ceil_mode else 0
        fits: Mask = inputs > 0
        return fits if self._same else fits & (room >= least)

    @property
    def _same(self) -> bool:
        return self.window.auto_pad.startswith("SAME")

    @property
    def _pad_in_front(self) -> int:
        return self.window.size_in - self.size


def strided_layers(facts: Facts) -> list[Strided]:
    """Return the strided windows on the image's local path, per axis of the image."""
    rank = facts.geometry.rank if facts.geometry is not None else 0
    found = []
    for operator, windows in facts.windowed:
        if all(w.stride == 1 for w in windows) or len(windows) != rank:
            continue
        if not facts.is_local(operator):
            continue
        for label, window in zip(_labels(facts, operator, rank), windows, strict=True):
            if window.stride > 1 and not window.transposed:
                begin, end = window.pad_begin, window.pad_end
                before, after = facts.padding_in_front(operator.inputs[0], label)
                size = window.size_in - before - after
                found.append(Strided(operator, label, window, size, begin + before, end + after))
    return found


def _labels(facts: Facts, operator: Operator, rank: int) -> Sequence[int]:
    """Return which axis of the image each window of a layer slides along."""
    axes = facts.geometry.spatial_axes(operator.inputs[0]) if facts.geometry is not None else None
    return range(rank) if axes is None else [axes.index(axis) for axis in sorted(axes)]


def even_at(layers: Iterable[Strided], sizes: Mapping[str, Sizes], count: int) -> Mask | None:
    """Return at which of some input sizes all the layers fit and none is uneven.

    Parameters
    ----------
    layers
        Of one axis of the image.
    sizes
        Sizes of the tensors along that axis, shape (count,), as of ``Facts.sizes_at``.
    count
        Number of input sizes.

    Returns
    -------
    Mask, or None
        Shape (count,); None where the size of some layer's input does not follow.
    """
    even = np.ones(count, bool)
    for layer in layers:
        inputs = sizes.get(layer.operator.inputs[0])
        if inputs is None:
            return None
        even &= layer.fits_at(inputs) & ~layer.uneven_at(inputs)
    return even


def is_even(facts: Facts, layers: Iterable[Strided], size: Sequence[int]) -> bool | None:
    """Tell whether none of the strided layers is uneven at another input size.

    The graph is analysed at that size where the sizes of its maps do not tell.

    Parameters
    ----------
    size
        One number per axis of the image.

    Returns
    -------
    bool or None
        None where the graph refuses the size.
    """
    known = list(layers)
    there = Resized(facts.geometry, size=size) if facts.geometry is not None else None
    if there is not None and there.told and there.refused:
        return None
    if there is not None and there.runs:
        found = [_is_uneven_there(layer, there) for layer in known]
        if None not in found:
            return not any(found)
    anew = facts.at(size)
    return None if anew is None else not any(s.uneven for s in strided_layers(anew))


def _is_uneven_there(layer: Strided, there: Resized) -> bool | None:
    """Tell whether a layer is uneven at another size, None where its input's is not known."""
    tensor = layer.operator.inputs[0]
    cells = there.along(tensor, layer.label)
    if cells is None:
        return None
    front, window = there.padding_in_front(tensor, layer.label), layer.window
    if front is None:
        return None
    before, after = front
    if window.auto_pad.startswith("SAME"):
        if layer.operator.op_type not in CONVOLUTIONS:
            return None if before or after else bool(layer.uneven_at(np.array([cells])).any())
        window = automatic(window, cells)
    begin, end = window.pad_begin + before, window.pad_end + after
    return replace(layer, size=cells - before - after, begin=begin, end=end).uneven
