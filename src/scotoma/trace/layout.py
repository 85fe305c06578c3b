"""Where the axes of the input image are in a tensor: axes as digits of image grids.

A tensor axis is a row-major sequence of digits. A digit belongs to a grid (an image axis at some
resolution) and is followed through the network, or it belongs to none (channels, batch, heads) and
is collapsed: its positions are not told apart. Transposing permutes axes, reshaping regroups
digits, so that channel shuffles, NHWC sandwiches, tokens, window partitions and pixel shuffles by
reshape all stay exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import gcd, prod

from scotoma.trace.field import Field


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """A spatial axis at some resolution, identified by the object itself."""

    label: int | None
    """Which spatial axis of the examined input it is (0 for H of an image); None: mixed origin."""
    size: int
    field: Field | None
    """Local receptive field of its cells (whole-map paths cut); None: unknown or nothing local."""
    note: str = ""
    """Why the field is unknown, or in what it is not exact."""


@dataclass(frozen=True, slots=True)
class Digit:
    """A factor of a tensor axis: ``(index of the grid // stride) % size``, or untracked."""

    size: int
    grid: Grid | None = None
    stride: int = 1

    @property
    def whole(self) -> bool:
        """The digit is its complete grid."""
        return self.grid is not None and self.stride == 1 and self.size == self.grid.size


Axis = tuple[Digit, ...]
Layout = tuple[Axis, ...]


def collapsed(size: int) -> Axis:
    """Return an axis whose positions are not told apart."""
    return (Digit(size),) if size != 1 else ()


def of_grid(grid: Grid) -> Axis:
    """Return the axis that is all of a grid."""
    return (Digit(grid.size, grid),)


def untracked(shape: Iterable[int]) -> Layout:
    """Return the layout of a tensor in which nothing is followed."""
    return tuple(collapsed(size) for size in shape)


def axis_size(axis: Axis) -> int:
    """Return the length of an axis."""
    return prod(digit.size for digit in axis)


def is_tracked(axis: Axis) -> bool:
    """Tell whether some digit of the axis is followed."""
    if len(axis) == 1:
        return axis[0].grid is not None
    return any(digit.grid is not None for digit in axis)


def tracked_sizes(layout: Layout) -> tuple[int, ...]:
    """Return the sizes of the followed digits: the shape of the tensor's array in a sweep."""
    return tuple(d.size for axis in layout for d in axis if d.grid is not None)


def cells_per_place(axis: Axis) -> int:
    """Return how many cells of an upsampled axis share a place, as after a pixel shuffle.

    Channels are not counted, be they an axis of their own or digits below a part of a grid.
    """
    if not axis or not axis[0].whole:
        return 1
    return prod(digit.size for digit in axis if digit.grid is None)


def whole_grid(axis: Axis) -> Grid | None:
    """Return the grid that the axis is, or None if it is anything else."""
    return axis[0].grid if len(axis) == 1 and axis[0].whole else None


def axis_of(layout: Layout, label: int) -> int | None:
    """Return the axis that is the image's axis `label` and nothing else, or None."""
    found = [
        i
        for i, axis in enumerate(layout)
        if len(axis) == 1 and (grid := whole_grid(axis)) is not None and grid.label == label
    ]
    return found[0] if len(found) == 1 else None


def axes_of(layout: Layout, rank: int) -> tuple[int | None, ...]:
    """Return `axis_of` for the labels 0 to `rank` - 1."""
    found: dict[int, int | None] = {}
    for i, axis in enumerate(layout):
        if len(axis) == 1 and axis[0].grid is not None and axis[0].whole:
            label = axis[0].grid.label
            if label is not None:
                found[label] = None if label in found else i
    return tuple(map(found.get, range(rank)))


def normalised(digits: Iterable[Digit]) -> Axis:
    """Merge neighbouring digits that belong together and drop untracked digits of size 1."""
    out: list[Digit] = []
    for digit in digits:
        if digit.grid is None and digit.size == 1:
            continue
        if out:
            last = out[-1]
            if last.grid is None and digit.grid is None:
                out[-1] = Digit(last.size * digit.size)
                continue
            if (
                last.grid is not None
                and last.grid is digit.grid
                and last.stride == digit.stride * digit.size
            ):
                out[-1] = Digit(last.size * digit.size, digit.grid, digit.stride)
                continue
        out.append(digit)
    return tuple(out)


def split(digit: Digit, high: int) -> tuple[Digit, Digit]:
    """Split a digit into its most significant part of size `high` and the rest.

    Examples
    --------
    >>> split(Digit(6), 2)
    (Digit(size=2, grid=None, stride=1), Digit(size=3, grid=None, stride=1))
    """
    low = digit.size // high
    if digit.grid is None:
        return Digit(high), Digit(low)
    return Digit(high, digit.grid, digit.stride * low), Digit(low, digit.grid, digit.stride)


def regroup(layout: Layout, shape: Sequence[int]) -> Layout | None:
    """Return the layout after a row-major reshape; None where a followed digit would be torn."""
    digits = [d for axis in layout for d in axis]
    digits.reverse()
    out: list[Axis] = []
    for position, size in enumerate(shape):
        axis: list[Digit] = []
        rest = size
        while rest > 1:
            if not digits:
                return None
            digit = digits.pop()
            if digit.size <= rest and rest % digit.size == 0:
                axis.append(digit)
                rest //= digit.size
            else:
                high = gcd(digit.size, rest)
                if high == 1:
                    return None
                one, other = split(digit, high)
                axis.append(one)
                digits.append(other)
                rest //= high
        # A followed axis of one cell keeps a place of its own where the shape has one.
        if size == 1 and digits and digits[-1].size == 1:
            axis.append(digits.pop())
        if position == len(shape) - 1:
            while digits and digits[-1].size == 1:
                axis.append(digits.pop())
        out.append(normalised(axis))
    return tuple(out) if not digits else None


def refine(one: Axis, two: Axis) -> tuple[Axis, Axis] | None:
    """Split the digits of two axes of one length until both have the same sizes.

    Returns None where the sizes have no common refinement.
    """
    left, right = list(reversed(one)), list(reversed(two))
    out_one: list[Digit] = []
    out_two: list[Digit] = []
    while left and right:
        a, b = left.pop(), right.pop()
        if a.size != b.size:
            if a.size % b.size == 0:
                a, low = split(a, b.size)
                left.append(low)
            elif b.size % a.size == 0:
                b, low = split(b, a.size)
                right.append(low)
            else:
                return None
        out_one.append(a)
        out_two.append(b)
    for rest, filled, other in ((left, out_one, out_two), (right, out_two, out_one)):
        for digit in reversed(rest):
            if digit.size != 1:
                return None
            filled.append(digit)
            other.append(Digit(1))
    return tuple(out_one), tuple(out_two)
