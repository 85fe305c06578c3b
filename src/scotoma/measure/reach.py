"""Which cells of the target can depend on a pixel: exact hulls along each axis of the image."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from scotoma.trace.index_map import IndexMap, WindowMap
from scotoma.trace.reading import Mapped, Mixed, Reading, Same, used_readings

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.trace.geometry import Geometry
    from scotoma.trace.layout import Axis, Digit, Layout
    from scotoma.trace.reading import Flow

    Ints = npt.NDArray[np.int64]

NOTHING = np.iinfo(np.int64).max // 2
"""First pixel of a cell that reads none."""
MAX_TAPS = 4096
"""A window of more taps is not followed."""


class _GivenUpError(Exception):
    """The places of an axis are mixed in a way that hulls do not follow."""


@dataclass(frozen=True, slots=True, eq=False)
class Hull:
    """First and last pixel that each place along an axis can depend on; one place: all alike."""

    first: Ints
    last: Ints

    @property
    def whole(self) -> Hull:
        """Return the hull of all places as one."""
        return Hull(self.first.min(keepdims=True), self.last.max(keepdims=True))


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """The cells of one target tensor that can depend on a pixel, along one axis of the image."""

    axis: int
    """Axis of the tensor."""
    low: Ints
    """First cell by pixel; above `high` where no cell depends on the pixel."""
    high: Ints
    """Last cell by pixel."""

    def at(self, places: Ints) -> Reach:
        """Return the reach of some pixels alone, in their order."""
        return Reach(self.axis, self.low[places], self.high[places])

    def of_tiles(self, size: int) -> Reach:
        """Return the reach of tiles of pixels that are perturbed as one."""
        starts = np.arange(0, len(self.low), size)
        return Reach(
            self.axis,
            np.minimum.reduceat(self.low, starts),
            np.maximum.reduceat(self.high, starts),
        )


def reaches(geometry: Geometry, tensor: str) -> tuple[Reach, ...] | None:
    """Return what each pixel can change of a tensor, per axis of the image; None if not followed.

    Paths through whole-map operators count: behind one of them every pixel reaches every cell.
    """
    flow = geometry.flows.get(tensor)
    if flow is None:
        return None
    try:
        hulls = _hulls(geometry, tensor)
        return tuple(
            _inverted(flow.layout, label, hulls[label], size)
            for label, size in enumerate(_image_size(geometry))
        )
    except _GivenUpError:
        return None


def _image_size(geometry: Geometry) -> tuple[int, ...]:
    shape = geometry.input.shape or ()
    return tuple(shape[axis] for axis in geometry.input.spatial_axes)


def _inverted(layout: Layout, label: int, hull: Hull, pixels: int) -> Reach:
    """Turn "cell reads pixels" into "pixel reaches cells"."""
    for index, axis in enumerate(layout):
        if any(_label(digit) == label for digit in axis):
            hull = _along(axis, hull)
            # Running extremes: where hulls are not in order a pixel reaches more, never less.
            ends = np.maximum.accumulate(hull.last)
            starts = np.minimum.accumulate(hull.first[::-1])[::-1]
            low = np.searchsorted(ends, np.arange(pixels))
            high = np.searchsorted(starts, np.arange(pixels), side="right") - 1
            return Reach(index, low, high)
    raise _GivenUpError


def _hulls(geometry: Geometry, tensor: str) -> tuple[Hull, ...]:
    """Return the hulls of a tensor's places, per axis of the image."""
    flows, start = geometry.flows, geometry.input.name
    needed = {tensor}
    for name in reversed(tuple(flows)):
        if name in needed:
            needed.update(r.tensor for r in used_readings(flows[name], flows, local=False))
    found: dict[str, tuple[Hull, ...]] = {}
    for name, flow in flows.items():
        if name not in needed:
            continue
        if name == start:
            sizes = _image_size(geometry)
            found[name] = tuple(Hull(np.arange(size), np.arange(size)) for size in sizes)
        else:
            found[name] = _behind(flow, flows, found, geometry.rank)
    return found[tensor]


def _behind(
    flow: Flow, flows: Mapping[str, Flow], found: Mapping[str, tuple[Hull, ...]], rank: int
) -> tuple[Hull, ...]:
    """Return the hulls of an operator's output from those of what it reads."""
    readings = used_readings(flow, flows, local=False)
    hulls = []
    for label in range(rank):
        size = _places(flow.layout, label)
        parts = [_read(r, flow.layout, label, found[r.tensor][label]) for r in readings]
        hulls.append(reduce(_joined, (_fitted(part, size) for part in parts), _nothing(size)))
    return tuple(hulls)


def _read(reading: Reading, out: Layout, label: int, hull: Hull) -> Hull:
    """Return what the places of an output read through one arrow, along one axis of the image."""
    if reading.axes is None or len(hull.first) == 1:
        return hull
    for axis, read in zip(reading.layout, reading.axes, strict=True):
        if not any(_label(digit) == label for digit in axis):
            continue
        if isinstance(read, Same):
            return hull
        if isinstance(read, Mapped):
            if [_label(digit) for digit in out[read.out]] != [label]:
                raise _GivenUpError
            return _through(read.map, _along(axis, hull))
        if isinstance(read, Mixed):
            return hull.whole
        raise _GivenUpError
    return hull.whole


def _through(index_map: IndexMap, hull: Hull) -> Hull:
    """Return the hulls of the outputs of an index map from those of its inputs."""
    found = _nothing(index_map.size_out)
    if len(hull.first) != index_map.size_in:
        raise _GivenUpError
    for outputs, inputs in _taps(index_map):
        np.minimum.at(found.first, outputs, hull.first[inputs])
        np.maximum.at(found.last, outputs, hull.last[inputs])
    return found


def _taps(index_map: IndexMap) -> Iterable[tuple[Ints, Ints]]:
    """Yield pairs of an output and an input that it reads, those beyond the borders left out."""
    if not isinstance(index_map, WindowMap):
        yield index_map.outputs, index_map.inputs
        return
    if index_map.kernel > MAX_TAPS:
        raise _GivenUpError
    outputs = np.arange(index_map.size_out)
    for tap in range(index_map.kernel):
        if index_map.transposed:
            inputs, rest = np.divmod(
                outputs + index_map.pad_begin - tap * index_map.dilation, index_map.stride
            )
            real = rest == 0
        else:
            inputs = outputs * index_map.stride - index_map.pad_begin + tap * index_map.dilation
            real = np.ones(len(outputs), bool)
        real &= (inputs >= 0) & (inputs < index_map.size_in)
        yield outputs[real], inputs[real]


def _label(digit: Digit) -> int | None:
    return digit.grid.label if digit.grid is not None else None


def _places(layout: Layout, label: int) -> int:
    """Return how many places of an axis of the image a layout tells apart; 1: none."""
    digits = [digit for axis in layout for digit in axis if _label(digit) == label]
    if any(_mixed(digit) for axis in layout for digit in axis):
        raise _GivenUpError
    if len({id(digit.grid) for digit in digits}) > 1:
        raise _GivenUpError
    size = prod(digit.size for digit in digits)
    if digits and digits[0].grid is not None and size != digits[0].grid.size:
        raise _GivenUpError
    return size


def _mixed(digit: Digit) -> bool:
    """Tell whether a digit belongs to a grid of mixed origin."""
    return digit.grid is not None and digit.grid.label is None


def _along(axis: Axis, hull: Hull) -> Hull:
    """Return the hulls by position of an axis that is a whole grid, upsampled or not."""
    head, *rest = axis
    if not head.whole or any(digit.grid is not None for digit in rest):
        raise _GivenUpError
    if len(hull.first) == 1 < head.size:
        hull = _fitted(hull, head.size)
    repeat = prod(digit.size for digit in rest)
    return Hull(np.repeat(hull.first, repeat), np.repeat(hull.last, repeat))


def _fitted(hull: Hull, size: int) -> Hull:
    """Return a hull of so many places: itself, all places as one, or one place repeated."""
    if len(hull.first) == size:
        return hull
    if size == 1:
        return hull.whole
    if len(hull.first) == 1:
        return Hull(np.repeat(hull.first, size), np.repeat(hull.last, size))
    raise _GivenUpError


def _joined(one: Hull, other: Hull) -> Hull:
    return Hull(np.minimum(one.first, other.first), np.maximum(one.last, other.last))


def _nothing(size: int) -> Hull:
    return Hull(np.full(size, NOTHING), np.full(size, -1))


def colours(reaches_of_tensors: Sequence[Reach]) -> Ints:
    """Return a colour for each place along an axis, so that no cell reaches two of one colour.

    A place takes the colour that has rested longest if no cell reaches both, else a new one: the
    fewest colours possible where reaches are in order, as everywhere but at odd borders.

    Parameters
    ----------
    reaches_of_tensors
        The reach along the axis of every target tensor.

    Examples
    --------
    Windows of 3 with stride 1: three neighbours share a cell.

    >>> low, high = np.array([0, 0, 0, 1, 2]), np.array([0, 1, 2, 2, 2])
    >>> colours([Reach(2, low, high)]).tolist()
    [0, 1, 2, 0, 1]
    """
    places = len(reaches_of_tensors[0].low)
    found = np.zeros(places, np.int64)
    resting: deque[tuple[int, tuple[int, ...]]] = deque()
    """Colours with the last cell of each tensor that they took."""
    pairs = [(reach.low.tolist(), reach.high.tolist()) for reach in reaches_of_tensors]
    for place in range(places):
        if resting and all(
            low[place] > end for (low, _), end in zip(pairs, resting[0][1], strict=True)
        ):
            colour, taken = resting.popleft()
        else:
            colour, taken = len(resting), (-1,) * len(pairs)
        found[place] = colour
        ends = (max(high[place], end) for (_, high), end in zip(pairs, taken, strict=True))
        resting.append((colour, tuple(ends)))
    return found
