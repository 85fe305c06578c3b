"""What lies beyond the border of a layer's input: its own padding, and that of a Pad in front."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from scotoma.evidence.auto_pad import automatic
from scotoma.evidence.resized import Resized
from scotoma.sweep import Semiring, sweep

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window

LARGEST = 1 << 20
"""Windows along one axis are looked at one by one up to this number."""
_AHEAD = 16
"""Operators in front of a pool among which a Pad is looked for."""
_PLACE_KEPT = frozenset({"Cast", "DequantizeLinear", "Identity", "QuantizeLinear", "Transpose"})
"""Operators between a Pad and a pool that leave a zero a zero."""
_POOLS = {
    "": {"AveragePool": "average", "LpPool": "lp", "MaxPool": "max"},
    "com.microsoft": {"NhwcMaxPool": "max", "QLinearAveragePool": "average"},
    "com.microsoft.nchwc": {"AveragePool": "average", "MaxPool": "max"},
    "com.ms.internal.nhwc": {"AveragePool": "average", "MaxPool": "max"},
}


def pool_kind(operator: Operator) -> str:
    """Return ``average``, ``max`` or ``lp`` for a pool with a window, ``""`` for all else."""
    if not operator.op_type.endswith("Pool"):
        return ""
    return _POOLS.get(operator.domain, {}).get(operator.op_type, "")


def spatial_axes(operator: Operator, rank: int) -> tuple[int, ...]:
    """Return the axes that a windowed operator with `rank` windows slides over."""
    last = operator.domain == "com.ms.internal.nhwc" or operator.op_type.startswith("Nhwc")
    first = 1 if last or operator.attributes.get("channels_last") == 1 else 2
    return tuple(range(first, first + rank))


def taps_within(window: Window, low: int, high: int) -> NDArray[np.int64] | None:
    """Count the taps of each output that fall on input cells from `low` up to before `high`.

    Returns
    -------
    NDArray or None
        Shape (size_out,); None for a transposed convolution, or for more windows than `LARGEST`.

    Examples
    --------
    >>> from scotoma.resolve.window import Window
    >>> taps_within(Window(3, 1, 1, 1, 1, 4, 4), 0, 4).tolist()
    [2, 3, 3, 2]
    """
    if window.transposed or not 0 < window.size_out <= LARGEST:
        return None
    start = np.arange(window.size_out, dtype=np.int64) * window.stride - window.pad_begin
    below = np.clip(-((start - low) // window.dilation), 0, window.kernel)
    until = np.clip(-((start - high) // window.dilation), 0, window.kernel)
    count: NDArray[np.int64] = np.maximum(until - below, 0)
    return count


@dataclass(frozen=True, slots=True)
class Padding:
    """What a Pad adds to every axis of its input; negative numbers crop."""

    operator: Operator
    mode: str
    begins: tuple[int, ...]
    ends: tuple[int, ...]
    fill: float | None
    """The constant that it pads with; None if not known, or in another mode."""


def padding_of(facts: Facts, operator: Operator) -> Padding | None:
    """Return what a Pad does, None for another operator or where the numbers are not known."""
    shape = facts.shape(operator.inputs[0]) if operator.inputs else None
    if operator.op_type != "Pad" or operator.domain or shape is None:
        return None
    mode = operator.attributes.get("mode", "constant")
    pads = operator.attributes.get("pads", operator.attributes.get("paddings"))
    axes: list[int] = list(range(len(shape)))
    if not isinstance(pads, tuple):
        value = _constant(facts, operator, 1)
        if value is None:
            return None
        pads = tuple(int(v) for v in value.ravel())
    if len(operator.inputs) > 3 and operator.inputs[3]:
        chosen = _constant(facts, operator, 3)
        if chosen is None or chosen.size > len(shape):
            return None
        axes = [int(v) for v in chosen.ravel()]
    if len(pads) != 2 * len(axes) or any(not -len(shape) <= axis < len(shape) for axis in axes):
        return None
    begins, ends = [0] * len(shape), [0] * len(shape)
    for place, axis in enumerate(axes):
        begins[axis], ends[axis] = int(pads[place]), int(pads[len(axes) + place])
    return Padding(operator, str(mode), tuple(begins), tuple(ends), _fill(facts, operator))


def _constant(facts: Facts, operator: Operator, place: int) -> NDArray[np.generic] | None:
    name = operator.inputs[place] if len(operator.inputs) > place else ""
    value = facts.value(name) if name else None
    return value if value is not None and value.dtype.kind in "iu" else None


def _fill(facts: Facts, operator: Operator) -> float | None:
    if operator.attributes.get("mode", "constant") != "constant":
        return None
    if len(operator.inputs) > 2 and operator.inputs[2]:
        value = facts.value(operator.inputs[2])
        return float(value.ravel()[0]) if value is not None and value.size == 1 else None
    fill = operator.attributes.get("value", 0.0)
    return float(fill) if isinstance(fill, (int, float)) else None


@dataclass(frozen=True, slots=True)
class Front:
    """A Pad of zeros in front of a pool, seen along the pool's spatial axes."""

    padding: Padding
    begins: tuple[int, ...]
    ends: tuple[int, ...]
    """Zeros per axis; what the Pad crops counts as none."""
    added: tuple[int, ...]
    """All begins and then all ends, crops as negative numbers."""
    direct: bool
    """The pool reads the Pad's output itself, and nothing else does."""
    alone: bool
    """Only the pool reads it, through operators that only it reads."""


def zeros_in_front(facts: Facts, pool: Operator, rank: int) -> Front | None:
    """Find the Pad whose zeros a pool reads, through casts, quantisation and transposition.

    Parameters
    ----------
    rank
        Number of the pool's spatial axes.

    Returns
    -------
    Front or None
        None where no Pad adds zeros to a spatial axis.
    """
    tensor, axes, alone = pool.inputs[0], spatial_axes(pool, rank), True
    final = {value.name for value in facts.model.main.outputs}
    for step in range(_AHEAD):
        operator = facts.producers.get(tensor)
        alone = alone and len(facts.consumers.get(tensor, ())) == 1 and tensor not in final
        if operator is None or operator.domain or not operator.inputs:
            return None
        if operator.op_type == "Pad":
            padding = padding_of(facts, operator)
            if padding is None or padding.fill != 0 or max(axes) >= len(padding.begins):
                return None
            added = (*(padding.begins[a] for a in axes), *(padding.ends[a] for a in axes))
            zeros = tuple(max(0, cells) for cells in added)
            found = Front(padding, zeros[:rank], zeros[rank:], added, alone and step == 0, alone)
            return found if any(zeros) else None
        if operator.op_type not in _PLACE_KEPT:
            return None
        if operator.op_type == "Transpose":
            order = operator.attributes.get("perm", tuple(reversed(range(rank + 2))))
            if not isinstance(order, tuple) or max(axes) >= len(order):
                return None
            axes = tuple(int(order[axis]) for axis in axes)
        tensor = operator.inputs[0]
    return None


def may_read_zeros(facts: Facts, pool: Operator) -> Operator | None:
    """Return the Pad in front of a pool whose windows are not known, if it may add zeros."""
    pad = facts.producers.get(pool.inputs[0]) if pool.inputs else None
    for _ in range(_AHEAD):
        if pad is None or pad.op_type not in _PLACE_KEPT or not pad.inputs:
            break
        pad = facts.producers.get(pad.inputs[0])
    if pad is None or pad.op_type != "Pad" or pad.domain:
        return None
    constant = pad.attributes.get("mode", "constant") == "constant"
    filled = len(pad.inputs) > 2 and bool(pad.inputs[2])
    return pad if constant and (filled is False or _fill(facts, pad) in {None, 0.0}) else None


def is_folded(facts: Facts, pool: Operator, front: Front) -> bool:
    """Tell whether onnxruntime, at its default level, makes a Pad part of the pool behind it.

    Its optimisation ``Pad_Fusion`` adds the Pad's numbers to the ``pads`` of the pool.
    """
    pad, numbers = front.padding.operator, front.padding.begins + front.padding.ends
    if pool.domain or not front.direct or pool.attributes.get("auto_pad", "NOTSET") != "NOTSET":
        return False
    if min(numbers) < 0 or sum(numbers) != sum(front.begins + front.ends):
        return False
    if len(pad.inputs) > 3 and pad.inputs[3]:
        return False
    if pool.op_type == "AveragePool":
        own = pool.attributes.get("pads", ())
        padded = isinstance(own, tuple) and any(own)
        counted = pool.attributes.get("count_include_pad") == 1
        return (counted or not padded) and _is_stored(facts, pad)
    single = len([name for name in pool.outputs if name]) == 1
    return pool.op_type == "MaxPool" and single and _is_stored(facts, pad)


def _is_stored(facts: Facts, pad: Operator) -> bool:
    """Tell whether a runtime knows the numbers of a Pad before it sees an input."""
    if len(pad.inputs) < 2 or pad.inputs[1] in facts.model.main.initializers:
        return True
    maker = facts.producers.get(pad.inputs[1])
    shapes = [value.shape for value in facts.model.main.inputs]
    static = all(s is not None and all(isinstance(n, int) for n in s) for s in shapes)
    return static or (maker is not None and maker.op_type == "Constant")


@dataclass(frozen=True, slots=True)
class DimmedPool:
    """An average pool that counts zeros beyond the border as if they were cells."""

    operator: Operator
    windows: tuple[Window, ...]
    front: Front | None
    gains: tuple[float, ...]
    """Per axis: the smallest share of a window's divisor that stands on real cells."""
    dimmed: int
    """Windows that stand on real cells and on zeros."""

    @property
    def corner_gain(self) -> float:
        """What is left of a constant image where it is dimmed most."""
        return prod(self.gains)


def counts_declared_padding(operator: Operator) -> bool:
    """Tell whether an average pool declares padding and counts it."""
    pads = operator.attributes.get("pads")
    padded = isinstance(pads, tuple) and any(isinstance(p, int) and p > 0 for p in pads)
    padded = padded or automatic(operator).startswith("SAME")
    return padded and operator.attributes.get("count_include_pad") == 1


def dimmed_pool(facts: Facts, operator: Operator, windows: tuple[Window, ...]) -> DimmedPool | None:
    """Tell how far an average pool dims the border of its map; None if it does not.

    The gain is the share of the divisor that stands on real cells: ``prod`` over the axes of real
    taps by counted taps. Windows without any real tap are not dimmed but empty, and a pool that
    makes a single cell of its map has no border.
    """
    front = zeros_in_front(facts, operator, len(windows))
    counted = any(w.count_include_pad and (w.pad_begin > 0 or w.pad_end > 0) for w in windows)
    if (front is None and not counted) or all(w.size_out == 1 for w in windows):
        return None
    gains, full, held = [], 1, 1
    for axis, w in enumerate(windows):
        begin, end = (front.begins[axis], front.ends[axis]) if front is not None else (0, 0)
        real = taps_within(w, begin, w.size_in - end)
        before, after = (w.pad_begin, w.pad_end) if w.count_include_pad else (0, 0)
        divisor = taps_within(w, -before, w.size_in + after)
        if real is None or divisor is None:
            return None
        ratio = real[real > 0] / divisor[real > 0]
        gains.append(float(ratio.min(initial=1.0)))
        full *= int((ratio == 1).sum())
        held *= len(ratio)
    if held == full:
        return None
    return DimmedPool(operator, windows, front, tuple(gains), held - full)


def lost_in_corners(facts: Facts, pools: list[DimmedPool]) -> float | None:
    """Return the share of the corners' paths to the output that the zeros of some pools take.

    The random walk from the outputs back to the image is compared with that of the same graph with
    the zeros left out of all means, over corners as deep as 1/32 of the image's shorter side.

    Returns
    -------
    float or None
        0 to 1; None where there is no image to look at, a Pad is read by others as well, or a pool
        comes from the branch of an If.
    """
    changed: dict[str, Operator] = {}
    for pool in pools:
        pads = [*(w.pad_begin for w in pool.windows), *(w.pad_end for w in pool.windows)]
        if pool.front is not None:
            front, pad = pool.front, pool.front.padding
            spatial_only = sum(map(abs, pad.begins + pad.ends)) == sum(map(abs, front.added))
            if not (front.alone and spatial_only):
                return None
            pads = [a + b for a, b in zip(pads, front.added, strict=True)]
            changed[pad.operator.name] = replace(
                pad.operator, op_type="Identity", inputs=pad.operator.inputs[:1], attributes={}
            )
        attributes = {k: v for k, v in pool.operator.attributes.items() if k != "auto_pad"}
        attributes |= {"count_include_pad": 0, "pads": tuple(pads)}
        changed[pool.operator.name] = replace(pool.operator, attributes=attributes)
    if not changed.keys() <= {operator.name for operator in facts.model.main.operators}:
        return None
    counted, without = facts.coverage(local=True), _walk_with(facts, changed)
    if counted is None or without is None or counted.walk.shape != without.shape:
        return None
    depth = max(1, round(min(without.shape) / 32))
    corners = np.ix_(*(_both_ends(n, depth) for n in without.shape))
    before, after = float(counted.walk[corners].sum()), float(without[corners].sum())
    return max(0.0, 1.0 - before / after) if after > 0 else None


def _walk_with(facts: Facts, changed: Mapping[str, Operator]) -> NDArray[np.float64] | None:
    """Return the local walk of the graph with some operators replaced."""
    if facts.geometry is not None:
        twin, ends = Resized(facts.geometry, changed=changed), facts.functional()
        if not twin.lost and not twin.moves(ends) and not twin.decides_branches:
            other = twin.other
            return sweep(facts.geometry, ends, Semiring.WALK, local=True, other=other).values
    coverage = facts.with_operators(changed).coverage(local=True)
    return coverage.walk if coverage is not None else None


def _both_ends(size: int, depth: int) -> list[int]:
    return sorted({*range(min(depth, size)), *range(max(0, size - depth), size)})


def padding_only(windows: tuple[Window, ...]) -> tuple[int, int] | None:
    """Count the outputs of a layer whose windows have no tap on its input, and all outputs.

    Returns
    -------
    (int, int) or None
        None for a transposed convolution or more windows than are looked at.

    Examples
    --------
    >>> from scotoma.resolve.window import Window
    >>> padding_only((Window(1, 1, 1, 1, 1, 4, 6),))
    (2, 6)
    """
    real = 1
    for window in windows:
        if _meets_input(window):
            real *= window.size_out
            continue
        taps = taps_within(window, 0, window.size_in)
        if taps is None:
            return None
        real *= int((taps > 0).sum())
    total = prod(window.size_out for window in windows)
    return total - real, total


def _meets_input(window: Window) -> bool:
    """Tell of most windows at a glance that every output has a tap on the input.

    The first window ends and the last one begins on a cell, and no gap steps over all of them.
    """
    last = (window.size_out - 1) * window.stride - window.pad_begin
    return (
        not window.transposed
        and 0 < window.size_out <= LARGEST
        and window.pad_begin < window.extent
        and last < window.size_in
        and (window.kernel == 1 or window.dilation <= window.size_in)
    )


def reflections(padding: Padding, shape: tuple[int, ...]) -> Mapping[int, tuple[int, int]]:
    """Return the axes on which a reflecting Pad asks for more cells than there are.

    It may add one cell less than its axis has, what it crops taken off before.

    Returns
    -------
    Mapping
        Cells asked for on the wider side and the most there can be, by axis.
    """
    found = {}
    for axis, (begin, end) in enumerate(zip(padding.begins, padding.ends, strict=True)):
        kept = shape[axis] + min(begin, 0) + min(end, 0)
        if max(begin, end) > max(0, kept - 1):
            found[axis] = (max(begin, end), max(0, kept - 1))
    return found
