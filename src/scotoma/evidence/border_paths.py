"""How many paths start in the corners, along the sides and in the middle of the image.

All of it is sums of path counts over boxes of pixels. Behind a stem, operators one behind the other
that nothing bypasses, the counts of all pixels need not be there for that: the boxes' sides are
brought forward through the stem, axis by axis, and meet the counts at its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np

from scotoma.sweep import Semiring
from scotoma.sweep.along import Slide
from scotoma.sweep.pull import pull_steps
from scotoma.sweep.sweep import arrows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.sweep.sweep import Arrows

    Floats = NDArray[np.float64]
    Slides = tuple[Slide, ...]
    """The windows of a stem along one axis, from the image on."""

BAND = 0.5
"""Share of the paths lost at a side from which on its pixels belong to the starved band."""
ROUNDING = 1e-9
"""What is no less than that below the limit lies on it."""
LARGE = 2.0**128
"""Numbers above it are scaled down, with the exponent kept beside them."""
ALL, FIRST, LAST, MIDDLE, CENTRE, CELL = range(6)
"""The intervals of an `_Axis`: all pixels, a block at either end, the middle, one stride around it,
and the central pixel."""


class BorderPaths:
    """Path counts of a graph at some places of the image, in units of the central block's mean.

    Parameters
    ----------
    counts
        Paths from the cells at the end of the stem, its axes in the image's order.
    slides
        The windows of the stem by axis; empty where the counts are those of the pixels.
    shape
        Sizes of the image in pixels.
    period
        Effective stride of the last feature maps in pixels, per axis of the image.
    """

    def __init__(
        self, counts: Floats, slides: Sequence[Slides], shape: Sequence[int], period: Sequence[int]
    ) -> None:
        self._depth = max(1, round(min(shape) / 32))
        counts = _scaled(counts)[0]  # only ratios count
        known: dict[object, _Axis] = {}
        for size, step, way in zip(shape, period, slides, strict=True):
            if (size, step, way) not in known:
                known[size, step, way] = _Axis(size, self._depth, step, way)
        self._axes = [known[key] for key in zip(shape, period, slides, strict=True)]
        self._counts = self._table = counts
        for axis in self._axes:
            self._table = np.tensordot(self._table, axis.rows, axes=(0, 1))
        self._centre = self._mean([CENTRE] * len(self._axes)) or 1.0

    @property
    def empty(self) -> bool:
        """Whether there is no path at all."""
        return not self._table[(ALL,) * len(self._axes)]

    @property
    def corners(self) -> float:
        """Mean over the blocks of 1/32 of the image in its corners."""
        return self._at_sides(len(self._axes))

    @property
    def sides(self) -> float:
        """Mean over such blocks at the middles of its sides."""
        return self._at_sides(1)

    @property
    def profiles(self) -> list[Floats]:
        """By axis of the image: means over the middle of all other axes, smoothed over a block."""
        return [self._profile(own) for own in range(len(self._axes))]

    @property
    def corner_over_centre(self) -> float | None:
        """The fewest paths of a corner's live pixel over the central one's, None if none lives."""
        ends, more = self._counts, 0
        for axis in self._axes:
            rows, exponent = axis.ends(self._depth)
            ends, more = np.tensordot(ends, rows, axes=(0, 1)), more + exponent - axis.exponent
        live, cell = ends[ends > 0], float(self._table[(CELL,) * len(self._axes)])
        if cell <= 0 or not live.size:
            return None
        return float(np.ldexp(live.min() / cell, more))

    def _mean(self, intervals: Sequence[int]) -> float:
        """Return the mean over a box, given by its interval along each axis."""
        pixels = 1
        for axis, interval in zip(self._axes, intervals, strict=True):
            pixels *= axis.lengths[interval]
        return float(self._table[tuple(intervals)]) / pixels

    def _at_sides(self, sides: int) -> float:
        """Return the mean over the blocks that touch so many sides and are else central."""
        rank = len(self._axes)
        boxes = [
            intervals
            for chosen in combinations(range(rank), min(sides, rank))
            for intervals in product(
                *((FIRST, LAST) if axis in chosen else (MIDDLE,) for axis in range(rank))
            )
        ]
        return sum(map(self._mean, boxes)) / len(boxes) / self._centre

    def _profile(self, own: int) -> Floats:
        """Return the means over the middle of all other axes, smoothed."""
        line = self._counts
        for label in reversed(range(len(self._axes))):
            if label != own:
                axis = self._axes[label]
                line = np.tensordot(line, axis.rows[MIDDLE], axes=(label, 0))
                line = line / axis.lengths[MIDDLE]
        more = -self._axes[own].exponent
        for slide in reversed(self._axes[own].slides):
            line, exponent = _scaled(pull_steps(((0, slide),), line, Semiring.COUNT))
            more += exponent
        line = np.ldexp(line / self._centre, more)
        if (depth := self._depth) == 1:
            return line
        ends = np.repeat(line[:1], depth // 2), np.repeat(line[-1:], depth - 1 - depth // 2)
        line = np.concatenate((ends[0], line, ends[1]))
        return np.convolve(line, np.ones(depth) / depth, mode="valid")


class _Axis:
    """Intervals of pixels along one axis of the image, brought forward to the end of a stem."""

    def __init__(self, size: int, depth: int, period: int, slides: Slides) -> None:
        half, middle = period // 2, size // 2
        self.size, self.slides = size, slides
        bounds = [
            (0, size), (0, depth), (size - depth, size),
            (max(0, middle - depth), min(size, middle + depth)),
            (max(0, middle - half - 1), min(size, middle + half + 1)), (middle, middle + 1),
        ]  # fmt: skip
        self.lengths = [end - begin for begin, end in bounds]
        """Pixels of each interval."""
        rows = np.zeros((len(bounds), size))
        for row, (begin, end) in zip(rows, bounds, strict=True):
            row[begin:end] = 1
        self.rows, self.exponent = _forward(rows, slides)
        """How often each cell at the end reads each interval, shape (intervals, cells)."""

    def ends(self, depth: int) -> tuple[Floats, int]:
        """Return how often each cell at the end reads each of the pixels at either end."""
        rows = np.zeros((2 * depth, self.size))
        rows[range(2 * depth), [*range(depth), *range(self.size - depth, self.size)]] = 1
        return _forward(rows, self.slides)


def _forward(rows: Floats, slides: Slides) -> tuple[Floats, int]:
    """Return how often the outputs of windows read what the cells stand for, along axis 1.

    With the exponent of 2 that it is to be multiplied by.
    """
    exponent = 0
    for slide in slides:
        after = np.zeros((len(rows), slide.size_out))
        for cells, places in slide.taps:
            after[:, places] += rows[:, cells]
        rows, more = _scaled(after)
        exponent += more
    return rows, exponent


def _scaled(values: Floats) -> tuple[Floats, int]:
    """Scale numbers down that grow out of range; return them and the exponent of 2."""
    peak = float(values.max(initial=0.0))
    if peak <= LARGE:
        return values, 0
    exponent = int(np.frexp(peak)[1])
    return np.ldexp(values, -exponent), exponent


def stem_to(facts: Facts) -> tuple[str, tuple[str, ...]]:
    """Return the tensor that everything behind the image is made of, and what leads there.

    Returns
    -------
    (str, tuple)
        The tensor, and the tensors on the way to it, the first one behind the image first.
    """
    geometry = facts.geometry
    assert geometry is not None
    known, heads, tensor = arrows(geometry, local=True), facts.heads, geometry.input.name
    way: list[str] = []
    while tensor not in heads and facts.image_rank:
        readers = (o for op in facts.consumers.get(tensor, ()) for o in op.outputs)
        made = [name for name in readers if name in geometry.flows]
        if len(made) != 1 or facts.feature_maps.isdisjoint(made):
            break
        used = known[made[0]][0]
        steps = used[0][1] if len(used) == 1 else None
        if steps is None or any(not isinstance(s, Slide) or s.long for _, s in steps):
            break
        tensor = made[0]
        way.append(tensor)
    return tensor, tuple(way)


def slides_of(facts: Facts, way: Sequence[str], changed: Mapping[str, Arrows]) -> list[Slides]:
    """Return the windows of a stem by axis of the image, with some arrows put in."""
    geometry = facts.geometry
    assert geometry is not None
    known, axes = arrows(geometry, local=True), geometry.input.spatial_axes
    found: list[list[Slide]] = [[] for _ in axes]
    places = [axes.index(axis) for axis in sorted(axes)]
    for name in way:
        for position, slide in (changed.get(name) or known[name])[0][0][1] or ():
            if isinstance(slide, Slide):
                found[places[position]].append(slide)
    return [tuple(slides) for slides in found]


def starved_band(real: BorderPaths, full: BorderPaths) -> int:
    """Return how many pixels from a side lose more than half of their paths, at its middle.

    The most along any axis.

    Parameters
    ----------
    real, full
        Of a graph, and of that with every window padded.
    """
    widths = [0]
    for mine, theirs in zip(real.profiles, full.profiles, strict=True):
        starved = mine < (1 - BAND) * theirs * (1 - ROUNDING)
        for line in (starved, starved[::-1]):
            fed = np.flatnonzero(~line)
            widths.append(int(fed[0]) if len(fed) else len(line))
    return max(widths)
