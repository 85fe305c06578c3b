"""Which of two input sizes is the better one, and what is wrong with one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf, prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scotoma.sizes.candidates import Candidate

DEAD_SHARE_LIMIT = Fraction(1, 20)
"""Dead weights up to this share count less than uneven padding: rule SC104's default limit."""

_AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}

GRADES = (Fraction(0), Fraction(1, 50), Fraction(1, 10), Fraction(3, 10))
"""Sizes that leave unread shares of the pixels between two of these are equally bad in this."""
MEASURED = 4
"""So many entries of `merit`, the first ones, are not known before a size is examined."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong with an input size."""

    kind: str
    """``refused``, ``not-examined``, ``too-small``, ``dead-pixels``, ``phantom-windows``,
    ``dead-taps``, ``leftover-layers``, ``uneven-layers`` or ``centre-offset``."""
    message: str
    nodes: tuple[str, ...] = ()
    """The layers that it is about, in the order of the graph."""


def merit(candidate: Candidate) -> tuple[float, ...]:
    """Return a sort key, the best size first: what is lost counts more than what is crooked."""
    accepted = candidate.accepted
    if accepted is None:
        group = 1 if candidate.runs else 2
    else:
        group = 4 if not accepted else 3 if candidate.too_small else 0
    share, offset = candidate.dead_share, candidate.centre_offset
    idle = inf if share is None else float(share)
    return (
        group,
        not all(axis.fits for axis in candidate.axes),
        _grade(candidate.dead_local, candidate.size),
        _grade(candidate.dead, candidate.size),
        _number(candidate.phantoms),
        idle if share is None or share > DEAD_SHARE_LIMIT else 0,
        _number(candidate.crooked),
        idle,
        inf if offset is None else float(abs(offset)),
    )


def merit_along(candidate: Candidate, axis: int) -> tuple[float, ...]:
    """Return a sort key of what arithmetic says of one axis, the best length first."""
    own = candidate.axes[axis]
    share = candidate.dead_share
    idle = inf if share is None else float(share)
    crooked = None if own.uneven is None or own.leftover is None else own.uneven | own.leftover
    return (
        not own.fits,
        _number(own.phantoms),
        idle if share is None or share > DEAD_SHARE_LIMIT else 0,
        _number(crooked),
        idle,
        inf if own.centre_offset is None else float(abs(own.centre_offset)),
    )


def _grade(count: int | None, size: tuple[int, ...]) -> float:
    """Return how bad a loss of so many pixels is, from 0.

    In steps: otherwise it would decide that one lost row is a larger share of a smaller image.
    """
    return inf if count is None else bisect_left(GRADES, Fraction(count, prod(size)))


def _number(names: Collection[str] | None) -> float:
    return inf if names is None else len(names)


def axis_name(axis: int, rank: int) -> str:
    """Return what an axis of the image is called.

    Examples
    --------
    >>> axis_name(0, 2), axis_name(0, 1)
    ('height', 'length')
    """
    return _AXES[rank][axis] if rank in _AXES else f"axis {axis}"


def problems(
    candidate: Candidate, strided: Collection[str], order: Mapping[str, int]
) -> tuple[Problem, ...]:
    """Return what is wrong with a size, what counts most first.

    Parameters
    ----------
    strided
        The strided layers on the image's path.
    order
        Place of every layer in the graph, by its name.
    """
    found = []
    if candidate.obstacle is not None:
        found.append(Problem("not-examined", f"not examined: {candidate.obstacle}"))
    refusal = candidate.refused_by
    if refusal is not None:
        message = f"'{refusal.node}' ({refusal.op_type}) cannot run at this size: {refusal.reason}"
        return (*found, Problem("refused", message, (refusal.node,)))
    if candidate.too_small is not None:
        found.append(Problem("too-small", candidate.too_small))
    found += _of_pixels(candidate)
    ordered = [
        sorted(names or (), key=lambda name: (order.get(name, len(order)), name))
        for names in (
            candidate.phantoms, candidate.dead_taps, candidate.leftover, candidate.uneven,
        )
    ]  # fmt: skip
    phantoms, dead_taps, leftover, uneven = ordered
    if phantoms:
        has = "pools have" if len(phantoms) > 1 else "pool has"
        what = f"{len(phantoms)} {has} a last window that only some runtimes make"
        found.append(Problem("phantom-windows", _naming(what, phantoms), tuple(phantoms)))
    if dead_taps and candidate.dead_share:
        what = f"{_percent(candidate.dead_share)} of the convolution weights only ever meet padding"
        found.append(Problem("dead-taps", _naming(what, dead_taps), tuple(dead_taps)))
    for kind, names, does in (
        ("uneven-layers", uneven, ("read", "more padding on one side than on the other")),
        ("leftover-layers", leftover, ("leave", "cells over at the end")),
    ):
        if names:
            verb = does[0] if len(names) > 1 else f"{does[0]}s"
            what = f"{len(names)} of {len(strided)} strided layers {verb} {does[1]}"
            found.append(Problem(kind, _naming(what, names), tuple(names)))
    if candidate.centre_offset:
        found.append(Problem("centre-offset", _off_centre(candidate)))
    return tuple(found)


def _of_pixels(candidate: Candidate) -> list[Problem]:
    dead, local, total = candidate.dead, candidate.dead_local, prod(candidate.size)
    found = []
    if dead:
        have = "has" if dead == 1 else "have"
        what = f"{_share(dead, total)} {have} no path to the output"
        found.append(Problem("dead-pixels", what))
    if dead is not None and local is not None and local > dead:
        reach = "reaches" if local - dead == 1 else "reach"
        what = f"{_share(local - dead, total)} {reach} the output through whole-map gates only"
        found.append(Problem("dead-pixels", what))
    return found


def _share(count: int, total: int) -> str:
    return f"{count:,} of {total:,} pixels ({_percent(Fraction(count, total), 2)})"


def _percent(share: Fraction, digits: int = 1) -> str:
    """Return a share in percent; one that would be rounded to nothing as less than the least."""
    least = Fraction(1, 100 * 10**digits)
    return (
        f"{float(share):.{digits}%}" if share >= least else f"less than {float(least):.{digits}%}"
    )


def _naming(what: str, names: Sequence[str]) -> str:
    return f"{what}{', first' if len(names) > 1 else ':'} '{names[0]}'"


def _off_centre(candidate: Candidate) -> str:
    """Say where the last grid lies; along which axes, where they differ."""
    rank = len(candidate.axes)
    along: dict[Fraction, list[str]] = {}
    for place, axis in enumerate(candidate.axes):
        if axis.centre_offset:
            along.setdefault(axis.centre_offset, []).append(axis_name(place, rank))
    parts = []
    for offset, names in along.items():
        side = "before" if offset < 0 else "behind"
        where = f"along {' and '.join(names)}" if len(names) < rank else "of the image"
        parts.append(f"{float(abs(offset)):g} px {side} the centre {where}")
    return f"the last grid lies {', '.join(parts)}"
