"""Which sizes are compared: how far each axis of the image goes, and which axes go together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scotoma.errors import UsageError

Size = tuple[int, ...]
Limits = tuple[int, int]

REACH = 64
"""Pixels below and above the wanted size that are compared unless a range is given."""
MAX_SIZES = 1025
"""A range of more sizes is refused."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Lengths that nobody should choose."""

    axes: tuple[int, ...]
    """Of the image, 0 for H."""
    low: int
    high: int
    reason: str


def wanted_size(current: Size, around: Sequence[int] | None) -> Size:
    """Return the wanted size of every axis; one number stands for all that move.

    Examples
    --------
    >>> wanted_size((16, 112, 112), [224]), wanted_size((480, 640), None)
    ((16, 224, 224), (480, 640))
    """
    if around is None:
        return current
    if len(around) == 1:
        moves = moving(current)
        return tuple(around[0] if m else n for n, m in zip(current, moves, strict=True))
    if len(around) != len(current):
        raise UsageError(f"{times(around)} gives {len(around)} numbers, {_has(current)}")
    return tuple(around)


def moving(size: Size) -> tuple[bool, ...]:
    """Return which axes get other sizes.

    Of three axes a first one that is unlike them stays: it is the time of a clip, or the depth of
    a volume with thick slices. So does an axis of one cell, beside a longer one.

    Examples
    --------
    >>> moving((16, 112, 112)), moving((64, 64, 64)), moving((480, 640)), moving((1, 640))
    ((False, True, True), (True, True, True), (True, True), (False, True))
    """
    return tuple(
        (n > 1 or max(size) == 1) and (len(size) < 3 or axis >= len(size) - 2 or n == size[-1])
        for axis, n in enumerate(size)
    )


def axis_limits(wanted: Size, limits: Sequence[Limits] | None = None) -> tuple[Limits, ...]:
    """Return the smallest and the largest size along every axis.

    Parameters
    ----------
    wanted
        One number per spatial axis.
    limits
        One pair for all axes that move, or one for every axis; None: `REACH` below and above.

    Raises
    ------
    UsageError
        If there are more than `MAX_SIZES` along an axis, or the pairs are not as many as the axes.

    Examples
    --------
    >>> axis_limits((480, 32)), axis_limits((16, 112, 112), [(100, 120)])
    (((416, 544), (1, 96)), ((16, 16), (100, 120), (100, 120)))
    """
    given = list(limits or ())
    for low, high in given:
        if high - low + 1 > MAX_SIZES:
            raise UsageError(f"{low} to {high} are more than {MAX_SIZES} sizes")
    if len(given) == len(wanted):
        return tuple(given)
    if len(given) > 1:
        raise UsageError(f"there are {len(given)} ranges, {_has(wanted)}")
    return tuple(
        (n, n) if not moves else given[0] if given else (max(1, n - REACH), n + REACH)
        for n, moves in zip(wanted, moving(wanted), strict=True)
    )


def together(wanted: Size, limits: Sequence[Limits]) -> list[tuple[int, ...]]:
    """Return the groups of axes that have the same size and range, those that stay left out.

    Examples
    --------
    >>> together((16, 112, 112), axis_limits((16, 112, 112)))
    [(1, 2)]
    >>> together((480, 640), axis_limits((480, 640)))
    [(0,), (1,)]
    """
    groups: dict[tuple[int, Limits], list[int]] = {}
    for axis, (n, (low, high)) in enumerate(zip(wanted, limits, strict=True)):
        if low < high or low != n:
            groups.setdefault((n, (low, high)), []).append(axis)
    return [tuple(axes) for axes in groups.values()]


def with_axes(size: Size, axes: Sequence[int], length: int) -> Size:
    """Return a size with another length along some axes."""
    return tuple(length if axis in axes else n for axis, n in enumerate(size))


def distance(size: Size, wanted: Size) -> tuple[int, ...]:
    """Return a sort key, the nearest size first; of equally near ones the smaller.

    Examples
    --------
    >>> sorted([(3, 3), (5, 5), (4, 5)], key=lambda size: distance(size, (4, 4)))
    [(4, 5), (3, 3), (5, 5)]
    """
    steps = sorted((abs(a - b) for a, b in zip(size, wanted, strict=True)), reverse=True)
    return (*steps, *size)


def times(size: Sequence[int]) -> str:
    """Return a size as people write it.

    Examples
    --------
    >>> times((480, 640))
    '480x640'
    """
    return "x".join(map(str, size))


def _has(size: Size) -> str:
    return f"the image has {len(size)} ax{'es' if len(size) != 1 else 'is'}"
