"""How far windows with unequal padding move the feature map off its place, in input pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar

from scotoma.evidence.axes import by_axis
from scotoma.findings import Location

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window

    _Layer = tuple[Operator, tuple[Window, ...], list[tuple[int, int]]]
    Selector = Callable[[Window, int, int], bool]


@dataclass(frozen=True, slots=True)
class Drift:
    """A window of stride 1 that moves its map along one axis of the image."""

    operator: Operator
    label: int
    """Axis of the image, 0 for H."""
    kernel: int
    begin: int
    end: int
    """Padding before the first cell and after the last, a Pad in front of it included."""
    pixels: Fraction
    """Towards the end of the axis where positive, in pixels of the input."""


def own_drifts(facts: Facts, wanted: Selector) -> tuple[list[Drift], list[Operator]]:
    """Return the drift of every window of stride 1, and the layers whose drift is not known.

    An output that keeps its place needs as much padding after the last cell as before the first;
    half the difference is the drift, in cells of the layer's input. Signals (one spatial axis)
    that are padded at the begin only are causal by design and left out.

    Parameters
    ----------
    wanted
        Tells of a window, with its padding before and after, whether it counts.
    """
    drifts: list[Drift] = []
    blind: list[Operator] = []
    for operator, windows, pads in facts.once(_steady_layers):
        moved = []
        for label, (window, (begin, end)) in enumerate(zip(windows, pads, strict=True)):
            if begin == end or window.transposed or window.stride > 1:
                continue
            causal = len(windows) == 1 and end == 0
            if not causal and wanted(window, begin, end):
                moved.append((label, window.kernel, begin, end))
        strides = facts.strides(operator.inputs[0]) if moved else None
        if moved and (strides is None or len(strides) != len(windows)):
            blind.append(operator)
            continue
        drifts += [
            Drift(operator, a, k, begin, end, Fraction(end - begin, 2) * (strides or ())[a])
            for a, k, begin, end in moved
        ]
    return drifts, blind


def _steady_layers(facts: Facts) -> list[_Layer]:
    """Return the windows on the image's local path that have stride 1 along some axis."""
    return [
        (operator, windows, _pads(facts, operator, windows))
        for operator, windows in facts.windowed
        if facts.is_local(operator) and any(w.stride == 1 and not w.transposed for w in windows)
    ]


def _pads(facts: Facts, operator: Operator, windows: tuple[Window, ...]) -> list[tuple[int, int]]:
    """Return the padding before the first cell and after the last, that of a Pad in front too."""
    found = []
    for label, window in enumerate(windows):
        before, after = facts.padding_in_front(operator.inputs[0], label)
        found.append((window.pad_begin + before, window.pad_end + after))
    return found


def accumulated(facts: Facts, drifts: Sequence[Drift]) -> Fraction:
    """Return the largest drift, along any axis, that a last feature map has gathered on its way.

    Where branches meet, the one that moved furthest counts.
    """
    if not drifts:
        return Fraction(0)
    own: dict[str, dict[int, Fraction]] = {}
    for d in drifts:
        own.setdefault(d.operator.name, {})[d.label] = d.pixels
    gathered: dict[str, dict[int, Fraction]] = {}
    for name, flow in (facts.geometry.flows if facts.geometry is not None else {}).items():
        total: dict[int, Fraction] = {}
        for reading in flow.readings:
            for label, value in gathered.get(reading.tensor, {}).items():
                if abs(value) > abs(total.get(label, Fraction(0))):
                    total[label] = value
        moved = own.get(flow.operator.name, {}) if flow.operator is not None else {}
        for label, value in moved.items():
            total[label] = total.get(label, Fraction(0)) + value
        gathered[name] = total
    ends = [value for head in facts.heads for value in gathered[head].values()]
    return max(map(abs, ends), default=Fraction(0))


def causal_axes(facts: Facts) -> frozenset[int]:
    """Return the axes of the image that are padded at the begin only: time, not space.

    Of several axes, one is causal where some other is padded evenly or not at all.
    """
    begins: set[int] = set()
    ends: set[int] = set()
    for _, windows, pads in facts.once(_steady_layers):
        for label, (window, (begin, end)) in enumerate(zip(windows, pads, strict=True)):
            if window.transposed or window.stride > 1 or window.extent == 1:
                continue
            if begin > 0:
                begins.add(label)
            if end > 0:
                ends.add(label)
    causal = begins - ends
    rank = facts.geometry.rank if facts.geometry is not None else 0
    return frozenset(causal) if rank == 1 or len(causal) < rank else frozenset()


@dataclass(frozen=True, slots=True)
class StridedPadding:
    """A strided window that moves its map to a side, by its padding and the remainder."""

    operator: Operator
    label: int
    """Axis of the image, 0 for H."""
    begin: int
    end: int
    pixels: Fraction
    """Towards the end of the axis where positive, in pixels of the input."""
    mixed: bool
    """A layer of the other kind lies on a path through it."""

    @property
    def towards_end(self) -> bool:
        """Padded less before the first cell than after the last, as TensorFlow's "same" does."""
        return self.pixels > 0


def strided_paddings(facts: Facts) -> list[StridedPadding]:
    """Return the padded windows whose stride leaves a remainder, and which of them are mixed.

    Those that pad both sides alike move their map to the begin, those that pad less before than
    after move it to the end. Others (unpadded, centred, ceil mode) are of neither kind.
    """
    kinds = _strided_kinds(facts)
    flows = facts.geometry.flows if facts.geometry is not None else {}
    before: dict[tuple[str, int], frozenset[tuple[str, bool]]] = {}
    mixed: set[tuple[str, int]] = set()
    both = len({shift > 0 for _, _, shift in kinds.values()}) == 2
    for name, flow in flows.items() if both else ():
        for label in range(facts.geometry.rank if facts.geometry is not None else 0):
            seen = frozenset[tuple[str, bool]]().union(
                *(before.get((r.tensor, label), frozenset()) for r in flow.readings if not r.whole)
            )
            key = (flow.operator.name if flow.operator is not None else "", label)
            if (own := kinds.get(key)) is not None:
                others = {n for n, late in seen if late != (own[2] > 0)}
                if others:
                    mixed |= {key, *((n, label) for n in others)}
                seen |= {(key[0], own[2] > 0)}
            before[name, label] = seen
    return [
        StridedPadding(operator, label, *kinds[operator.name, label],
                       (operator.name, label) in mixed)
        for operator in facts.operators
        for label in range(facts.geometry.rank if facts.geometry is not None else 0)
        if (operator.name, label) in kinds
    ]  # fmt: skip


D = TypeVar("D", Drift, StridedPadding)


def _strided_kinds(facts: Facts) -> dict[tuple[str, int], tuple[int, int, Fraction]]:
    """Return begin, end and shift of the windows of either kind, by operator and axis."""
    found = {}
    for operator, windows in facts.windowed:
        if all(w.stride == 1 for w in windows) or not facts.is_local(operator):
            continue
        strides = facts.strides(operator.inputs[0])
        if strides is None or len(strides) != len(windows):
            continue
        pads = _pads(facts, operator, windows)
        for label, (w, (begin, end)) in enumerate(zip(windows, pads, strict=True)):
            if w.transposed or w.stride == 1 or "Pool" in operator.op_type:
                continue
            rest = (w.size_in + w.pad_begin + w.pad_end - w.extent) % w.stride
            shift = Fraction(w.extent - w.stride, 2) - begin
            tensorflow = begin < end and shift > 0
            symmetric = begin == end > 0 and rest > 0 and shift < 0
            if tensorflow or symmetric:
                found[operator.name, label] = begin, end, shift * strides[label]
    return found


def places(facts: Facts, drifts: Sequence[D], say: Callable[[D], str]) -> list[Location]:
    """Return every layer that drifts with what is said of it, once where its axes agree."""
    by_layer: dict[str, dict[int, D]] = {}
    for d in drifts:
        by_layer.setdefault(d.operator.name, {})[d.label] = d
    found = []
    for axes in by_layer.values():
        operator = next(iter(axes.values())).operator
        note = by_axis({label: say(d) for label, d in axes.items()}, facts.image_rank)
        found.append(Location(operator.name, operator.op_type, operator.inputs[0], note))
    return found


def pixels(value: Fraction) -> str:
    """Write a length in pixels.

    Examples
    --------
    >>> pixels(Fraction(3, 2)), pixels(Fraction(-1, 3))
    ('1.5 px', '-0.333 px')
    """
    return f"{float(value):.3g} px"
