"""Skip connections whose branches only meet because one was cropped, padded or stretched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scotoma.evidence.joins import is_gate, joins
from scotoma.evidence.resizes import repeats, resized_axes

if TYPE_CHECKING:
    from scotoma.evidence.joins import Join
    from scotoma.evidence.resizes import Resized
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

_RESIZES = {"Resize", "Upsample", "DepthToSpace", "Reshape"}
_DEEPEST = 64
"""Operators on the way back from a join that are looked at."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """An operator that makes a branch fit a skip connection, along one axis of the image."""

    join: Join
    operator: Operator
    label: int
    """Axis of the image, 0 for H."""
    before: int
    after: int
    """Cells along the axis, before the operator and after it."""


@dataclass(frozen=True, slots=True)
class _Way:
    """What lies between a join and the operators before it, along one axis."""

    changes: tuple[tuple[Operator, int, int], ...]
    """Pads and slices with the sizes before and after."""
    up: tuple[Operator, int, int] | None
    """What made the branch finer."""


def misfits(facts: Facts) -> list[Misfit]:
    """Return the crops, pads and odd resizes that make an upsampled branch fit another one.

    A whole-number factor, and a crop or pad of as many cells as the factor or more (unpadded
    convolutions), are part of a network's plan; the rest makes up for a division with a remainder.
    """
    if facts.geometry is None or not any(map(_may_upsample, facts.operators)):
        return []
    if not _goes_up(facts):
        return []
    resized = {(r.operator, r.label): r for r in resized_axes(facts)}
    found: dict[tuple[Operator, int], Misfit] = {}
    for join in facts.once(joins):
        if is_gate(facts, join):
            continue
        for label in range(facts.geometry.rank):
            ways = [_way(facts, name, label) for name in join.operands]
            factor = max((-(-w.up[2] // w.up[1]) for w in ways if w.up is not None), default=0)
            for way in ways:
                odd = [c for c in way.changes if 0 < abs(c[2] - c[1]) < factor]
                if way.up is not None and _stretched(way.up, label, resized):
                    odd.append(way.up)
                for operator, before, after in odd:
                    misfit = Misfit(join, operator, label, before, after)
                    found.setdefault((operator, label), misfit)
    return list(found.values())


def _may_upsample(operator: Operator) -> bool:
    return operator.op_type in {*_RESIZES, "ConvTranspose"}


def _goes_up(facts: Facts) -> bool:
    """Tell whether anything makes a map finer along some axis of the image."""
    flows = facts.geometry.flows if facts.geometry is not None else {}
    ranks = range(facts.geometry.rank if facts.geometry is not None else 0)
    for name, flow in flows.items():
        operator = flow.operator
        windows = facts.windows(operator) if operator is not None else None
        if operator is None or not (operator.op_type in _RESIZES or windows):
            continue
        if windows and all(w.size_out <= w.size_in for w in windows):
            continue
        source = next((r.tensor for r in flow.readings if not r.whole), None)
        for label in ranks if source is not None else ():
            before, after = _cells(facts, source or "", label), _cells(facts, name, label)
            if before is not None and after is not None and after > before:
                return True
    return False


def _stretched(
    up: tuple[Operator, int, int], label: int, resized: Mapping[tuple[Operator, int], Resized]
) -> bool:
    """Tell whether a branch was made finer by a Resize of no whole-numbered factor."""
    operator, before, after = up
    if (axis := resized.get((operator, label))) is None or after % before == 0:
        return False
    corners = axis.resampling.transformation == "align_corners"
    if corners and before > 1 and (after - 1) % (before - 1) == 0:
        return False
    return not repeats(axis.resampling)


def _way(facts: Facts, tensor: str, label: int) -> _Way:
    """Walk back from an operand of a join to what made it finer, or to the next join."""
    changes: list[tuple[Operator, int, int]] = []
    for _ in range(_DEEPEST):
        flow = facts.flow(tensor)
        operator = flow.operator if flow is not None else None
        if flow is None or operator is None:
            break
        sources = {r.tensor for r in flow.readings if not r.whole}
        if len(sources) != 1:
            break
        source = sources.pop()
        before, after = _cells(facts, source, label), _cells(facts, tensor, label)
        if before is None or after is None:
            break
        windows = facts.windows(operator)
        if windows or operator.op_type in _RESIZES:
            stride = windows[label].stride if windows and label < len(windows) else 1
            if windows and stride == 1:
                # A Pad in front is the window's own padding.
                producer = facts.producers.get(source)
                padded = producer is not None and producer.op_type == "Pad"
                tensor = producer.inputs[0] if producer is not None and padded else source
                continue
            if after > before:
                return _Way(tuple(changes), (operator, before, after))
            if after < before:
                break
        elif after != before:
            changes.append((operator, before, after))
        tensor = source
    return _Way(tuple(changes), None)


def _cells(facts: Facts, tensor: str, label: int) -> int | None:
    axes = facts.geometry.spatial_axes(tensor) if facts.geometry is not None else None
    shape = facts.shape(tensor)
    return shape[axes[label]] if axes is not None and shape is not None else None


def total_stride(facts: Facts) -> tuple[int, ...]:
    """Return the product of the strides down to the coarsest feature map, per axis of the image."""
    rank = facts.geometry.rank if facts.geometry is not None else 0
    found = [1] * rank
    for tensor in facts.feature_maps:
        for label, stride in enumerate(facts.strides(tensor) or ()):
            if stride.denominator == 1:
                found[label] = max(found[label], stride.numerator)
    return tuple(found)


def sizes_around(size: tuple[int, ...], strides: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the nearest multiples of the strides, below and above, without empty ones.

    Examples
    --------
    >>> sizes_around((45, 48), (4, 4)), sizes_around((3, 3), (4, 4))
    ([(44, 48), (48, 48)], [(4, 4)])
    """
    below = tuple(n - n % s for n, s in zip(size, strides, strict=True))
    above = tuple(n + -n % s for n, s in zip(size, strides, strict=True))
    return [found for found in dict.fromkeys((below, above)) if min(found) > 0]
