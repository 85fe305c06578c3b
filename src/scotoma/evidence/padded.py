"""The same graph with every window padded: what an unpadded network is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil, prod
from typing import TYPE_CHECKING

from scotoma.evidence.border_paths import BorderPaths, slides_of, stem_to
from scotoma.evidence.resized import Resized
from scotoma.sweep import Semiring, sweep_both
from scotoma.trace.heads import heads_among

if TYPE_CHECKING:
    from scotoma.evidence.border_paths import Slides
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window

SMALL = 64 * 64
"""Up to so many pixels a sweep to the image is less work than following a stem."""


def unpadded(facts: Facts) -> list[Operator]:
    """Return overlapping windows on the image's local path that lack padding to keep the size.

    A window over the whole map is a dense layer, and a Pad in front is padding.
    """
    found = []
    for operator, windows in facts.windowed:
        if not any(map(overlaps_unpadded, windows)) or not facts.is_local(operator):
            continue
        if all(window.size_out == 1 for window in windows):
            continue
        in_front = [sum(facts.padding_in_front(operator.inputs[0], a)) for a in range(len(windows))]
        if any(overlaps_unpadded(w, f) for w, f in zip(windows, in_front, strict=True)):
            found.append(operator)
    return found


def bypass(facts: Facts) -> Operator | None:
    """Return an operator that reads single pixels of the image somewhere unknown, if there is one.

    A sampler whose places are data (GridSample), or an operator that is not known: whatever windows
    do elsewhere, it may bring any pixel to the output.
    """
    unknown = {item.node for item in facts.unanalysed}
    for operator in facts.operators:
        if operator.name in unknown and any(_is_pixels(facts, name) for name in operator.inputs):
            return operator
    return None


def _is_pixels(facts: Facts, tensor: str) -> bool:
    """Tell whether each cell of a tensor depends on a single pixel of the image."""
    flow = facts.flow(tensor)
    field = facts.receptive_field(tensor) if flow is not None and flow.local else None
    return field is not None and set(field) == {1}


def overlaps_unpadded(window: Window, in_front: int = 0) -> bool:
    """Tell whether a window overlaps its neighbours and has less padding than keeps the size.

    Windows that do not overlap read every cell once with no padding at all.

    Parameters
    ----------
    in_front
        Cells of padding that another operator adds just before.
    """
    if window.transposed or window.extent <= window.stride:
        return False
    return window.pad_begin + window.pad_end + in_front < window.extent - window.stride


@dataclass(frozen=True, slots=True, eq=False)
class Twins:
    """The paths from the pixels to the last maps that a graph and its padded twin share."""

    heads: tuple[str, ...]
    """The maps. Where padding keeps branches from joining, they are those before the join."""
    here: BorderPaths
    padded: BorderPaths
    """With the padded layers."""


def padded_paths(facts: Facts, layers: Sequence[Operator]) -> Twins | None:
    """Return the paths of a graph and of that with some layers padded, None without such maps."""
    if facts.geometry is None:
        return None
    padded = {layer.name: _padded(layer, facts.windows(layer) or ()) for layer in layers}
    stored = {operator.name for operator in facts.model.main.operators}
    size, step = facts.image_size, period(facts)
    if padded.keys() <= stored:
        resized, heads = Resized(facts.geometry, changed=padded), facts.heads
        known = resized.lost.isdisjoint(facts.feature_maps) and not resized.decides_branches
        if heads and known:
            small = prod(size) <= SMALL
            end, way = (None, ()) if small else stem_to(facts)
            other = resized.other
            both = sweep_both(facts.geometry, heads, Semiring.COUNT, other, end=end)
            here, there = (
                BorderPaths(counts.values, slides_of(facts, way, changed), size, step)
                for counts, changed in zip(both, ({}, other.arrows), strict=True)
            )
            return Twins(heads, here, there)
    twin = facts.with_operators(padded)
    heads = shared_heads(facts, twin)
    one, two = _paths(facts, heads, step), _paths(twin, heads, step)
    return Twins(heads, one, two) if one is not None and two is not None else None


def paths_to_heads(facts: Facts) -> BorderPaths | None:
    """Return the paths from the pixels to the last maps of a graph as it is."""
    return _paths(facts, facts.heads, period(facts))


def _paths(facts: Facts, heads: Sequence[str], step: Sequence[int]) -> BorderPaths | None:
    """Return the paths from the pixels to some maps, None if there are none to count."""
    counts = facts.counts(heads)
    none: list[Slides] = [()] * facts.image_rank
    return BorderPaths(counts.values, none, facts.image_size, step) if counts is not None else None


def period(facts: Facts) -> list[int]:
    """Return the effective stride of the last feature maps in pixels, per axis of the image."""
    best = [1] * facts.image_rank
    for name in facts.heads:
        for axis, stride in enumerate(facts.strides(name) or ()):
            best[axis] = max(best[axis], ceil(stride))
    return [max(1, min(s, n // 4)) for s, n in zip(best, facts.image_size, strict=True)]


def padded_twin(facts: Facts, layers: Iterable[Operator]) -> Facts:
    """Return the facts of the graph with some windows padded to ``(extent - 1) / 2``."""
    return facts.with_operators(
        {layer.name: _padded(layer, facts.windows(layer) or ()) for layer in layers}
    )


def shared_heads(facts: Facts, twin: Facts) -> tuple[str, ...]:
    """Return the last feature maps that a graph and its twin both have.

    Where padding keeps branches from joining, they are the maps before the join.
    """
    if facts.geometry is None:
        return ()
    return heads_among(facts.geometry, facts.feature_maps & twin.feature_maps)


def _padded(operator: Operator, windows: tuple[Window, ...]) -> Operator:
    """Return a windowed operator with its pads raised to half its extent."""
    begins = [max(w.pad_begin, (w.extent - 1) // 2) for w in windows]
    ends = [max(w.pad_end, (w.extent - 1) // 2) for w in windows]
    attributes = {k: v for k, v in operator.attributes.items() if k != "auto_pad"}
    return replace(operator, attributes={**attributes, "pads": (*begins, *ends)})
