"""Learned upsampling: how evenly its weights fill the cells between two cells of its input.

A transposed convolution and a convolution before a pixel shuffle compute the cells of every tile of
``stride`` by ``stride`` cells with weights of their own, the phases. On a flat input the output of
a phase is the sum of its weights, and the tile repeats: where the sums differ, it is a checkerboard
(Odena et al. 2016, Aitken et al. 2017).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from scotoma.errors import WeightsUnavailableError
from scotoma.evidence.flat import FlatImage, flat_features, follow_flat
from scotoma.evidence.flat_operators import contracted, groups_of
from scotoma.evidence.pointwise import CONVOLUTIONS, SATURATING, STORED, UNARY, pointwise
from scotoma.evidence.scopes import Scope, main_scope
from scotoma.evidence.weights import dequantised, weights_of
from scotoma.trace.layout import Axis, Grid, Layout, of_grid, regroup

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window

    Array = NDArray[np.float64]

DOMAINS = frozenset({"", "com.microsoft"})
"""Of the convolutions whose weights are understood; others lay them out in blocks."""
MOST_NUMBERS = 1 << 22
"""Phases of more numbers in all are not worked out."""
MOST_PHASES = 1 << 12
"""So many phases are followed behind their operator."""
MOST_TAPS = 1 << 12
LONGEST = 12
"""Operators between a convolution and the end of its pixel shuffle."""
LEVELS = (0.25, 0.5, 1.0)
"""Values of flat images."""
_SHUFFLES = frozenset({"DepthToSpace", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
_CHANNELS = -1
"""Label of the channels' digits while a pixel shuffle is followed."""


@dataclass(frozen=True, slots=True)
class Upsampling:
    """An operator that computes the cells of a tile with weights of their own."""

    operator: Operator
    """The transposed convolution, or what completes a pixel shuffle."""
    convolution: Operator
    """Whose weights decide."""
    strides: tuple[int, ...]
    """Size of the tile along every axis of the image."""
    kernel: tuple[int, ...]
    places: tuple[Array, ...] | None = None
    """Of a pixel shuffle: offsets of the convolution's channel, by output channel and by place."""
    channel_axis: int | None = 1
    """Of its output; None: there is a single channel."""
    shuffled: str = ""
    """Of a pixel shuffle: the tensor whose cells are moved, behind the convolution's activation."""

    @property
    def overlaps_evenly(self) -> bool:
        """Every place of the tile gets as many taps as any other."""
        return self.places is not None or all(
            k % s == 0 for k, s in zip(self.kernel, self.strides, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Unevenness:
    """How much the phases of an upsampling differ on a flat input."""

    score: float
    """Difference of the largest and smallest phase of a channel, over the mean size of all."""
    channel: int
    flat_image: bool
    """Found for a flat image that went through the network; else for an input of ones."""


def upsamplings(facts: Facts) -> Iterator[Upsampling]:
    """Yield the learned upsamplings by more than 1 that an output and the inputs depend on."""
    scope = facts.once(main_scope)
    moved = _moved_tensors(facts)
    for operator, windows in facts.windowed:
        if operator.op_type != "ConvTranspose" and operator.outputs[0] not in moved:
            continue
        if operator.domain not in DOMAINS or operator not in scope.heard:
            continue
        if not scope.varies(operator.inputs[0]):
            continue
        if operator.op_type == "ConvTranspose":
            strides = tuple(window.stride for window in windows)
            if prod(strides) > 1:
                kernel = tuple(window.kernel for window in windows)
                yield Upsampling(operator, operator, strides, kernel)
        elif operator.op_type in CONVOLUTIONS:
            yield from _shuffled(facts, scope, operator, windows)


def _moved_tensors(facts: Facts) -> set[str]:
    """Return the tensors whose cells are moved as in a pixel shuffle, behind activations or not."""
    found: set[str] = set()
    for operator in reversed(facts.operators):
        if operator.op_type in _SHUFFLES or (
            (operator.op_type in UNARY or operator.op_type in STORED)
            and not found.isdisjoint(operator.outputs)
        ):
            found.update(operator.inputs[:1])
    return found


def _shuffled(
    facts: Facts, scope: Scope, convolution: Operator, windows: tuple[Window, ...]
) -> Iterator[Upsampling]:
    """Yield the pixel shuffles of a convolution's output."""
    shape = facts.shape(convolution.outputs[0])
    if shape is None or len(shape) != len(windows) + 2 or prod(shape) == 0:
        return
    if shape[1] > MOST_NUMBERS:
        return
    grids = [Grid(None, shape[0], None), Grid(_CHANNELS, shape[1], None)]
    grids += [Grid(label, size, None) for label, size in enumerate(shape[2:])]
    start = convolution.outputs[0]
    pending: list[tuple[str, Layout, str, int]] = [(start, tuple(map(of_grid, grids)), start, 0)]
    while pending:
        tensor, layout, source, steps = pending.pop()
        for consumer in facts.consumers.get(tensor, ()):
            if consumer not in scope.heard or steps >= LONGEST or tensor != consumer.inputs[0]:
                continue
            made = consumer.outputs[0]
            if consumer.op_type in UNARY and source == tensor:
                pending.append((made, layout, made, steps + 1))
                continue
            if consumer.op_type in STORED:
                after: Layout | None = layout
            elif consumer.op_type in _SHUFFLES and not consumer.domain:
                after = _moved(facts, consumer, layout)
            else:
                continue
            if after is None:
                continue
            places = _places(after, len(windows))
            if places is not None:
                strides = tuple(int(place.size) for place in places[1:])
                kernel = tuple(window.kernel for window in windows)
                yield Upsampling(
                    consumer, convolution, strides, kernel, places, _channel_axis(after), source
                )
            else:
                pending.append((made, after, source, steps + 1))


def _moved(facts: Facts, operator: Operator, layout: Layout) -> Layout | None:
    """Return a layout after an operator that moves cells, None where it is torn."""
    shape = facts.shape(operator.outputs[0])
    if shape is None:
        return None
    if operator.op_type == "Transpose":
        perm = operator.attributes.get("perm")
        order = perm if isinstance(perm, tuple) else tuple(reversed(range(len(layout))))
        return tuple(layout[int(axis)] for axis in order)
    if operator.op_type != "DepthToSpace":
        return regroup(layout, shape)
    block = operator.attributes.get("blocksize", 1)
    before = facts.shape(operator.inputs[0])
    if before is None or len(before) != 4 or not isinstance(block, int) or block < 1:
        return None
    n, c, h, w = before
    by_column = operator.attributes.get("mode", "DCR") in {"CRD", b"CRD"}
    split = (n, c // block**2, block, block, h, w) if by_column else (
        n, block, block, c // block**2, h, w
    )  # fmt: skip
    torn = regroup(layout, split)
    if torn is None:
        return None
    order = (0, 1, 4, 2, 5, 3) if by_column else (0, 3, 4, 1, 5, 2)
    return regroup(tuple(torn[axis] for axis in order), shape)


def _places(layout: Layout, rank: int) -> tuple[Array, ...] | None:
    """Return the offsets of the channels by output channel and by place along every axis.

    None if the layout is no map whose axes hold a whole axis of the image each, channels below.
    """
    found: list[Array | None] = [None] * (rank + 1)
    for axis in layout:
        head = axis[0].grid if axis else None
        if head is None or head.label is None:
            if any(d.grid is not None and d.grid.label is not None for d in axis):
                return None
            continue
        slot, rest = head.label + 1, axis[1:]
        if head.label == _CHANNELS:
            slot, rest = 0, axis
        elif not axis[0].whole:
            return None
        if found[slot] is not None or any(
            d.grid is None or d.grid.label != _CHANNELS for d in rest
        ):
            return None
        found[slot] = _offsets(rest)
    if found[0] is None:  # all channels have gone into the map
        found[0] = np.zeros(1)
    offsets = tuple(offset for offset in found if offset is not None)
    upsamples = len(offsets) == rank + 1 and any(offset.size > 1 for offset in offsets[1:])
    return offsets if upsamples else None


def _channel_axis(layout: Layout) -> int | None:
    """Return the axis that holds the channels left by a pixel shuffle."""
    for place, axis in enumerate(layout):
        if axis and axis[0].grid is not None and axis[0].grid.label == _CHANNELS:
            return place
    return None


def _offsets(digits: Axis) -> Array:
    """Return the sum of every combination of some digits of the channels, row-major."""
    parts = [np.arange(digit.size) * float(digit.stride) for digit in digits]
    return reduce(lambda one, two: np.add.outer(one, two).reshape(-1), parts, np.zeros(1))


def phase_response(facts: Facts, item: Upsampling, data: Array | None = None) -> Array:
    """Return the output of every phase for a flat input.

    Parameters
    ----------
    data
        One number per input channel, to which the bias is added; None: ones, without the bias.

    Returns
    -------
    Array
        Shape (output channels, places in a tile, row-major).

    Raises
    ------
    WeightsUnavailableError
        If the weights cannot be read.

    Notes
    -----
    Equals the output for a flat input, away from borders: phase p of a transposed convolution is
    the sum of the taps ``t`` with ``(t * dilation - pad) % stride == p`` along every axis.
    """
    operator = item.convolution
    transposed = operator.op_type == "ConvTranspose"
    weight, bias = _parameters(facts, operator)
    groups = groups_of(operator)
    channels = weight.shape[0] if transposed else weight.shape[1] * groups
    ones = np.ones(channels) if data is None else data
    if ones.size != channels:
        raise WeightsUnavailableError("the channels of the input do not fit the weight")
    taps = contracted(weight, ones, groups, transposed=transposed)
    added = bias if data is not None and bias is not None else np.zeros(len(taps))
    if added.shape != (len(taps),):
        raise WeightsUnavailableError("the bias does not fit the weight")
    if item.places is not None:
        return _of_shuffle(item.places, taps.reshape(len(taps), -1).sum(1) + added)
    windows = facts.windows(operator) or ()
    if prod(taps.shape[1:]) > MOST_TAPS or len(taps) * prod(item.strides) > MOST_NUMBERS:
        raise WeightsUnavailableError("there are too many taps or phases")
    out = np.zeros((len(taps), *item.strides))
    for place in np.ndindex(*taps.shape[1:]):
        phase = tuple(
            (t * w.dilation - w.pad_begin) % w.stride for t, w in zip(place, windows, strict=True)
        )
        out[(slice(None), *phase)] += taps[(slice(None), *place)]
    return np.asarray(out.reshape(len(taps), -1) + added[:, None])


def _of_shuffle(places: tuple[Array, ...], sums: Array) -> Array:
    index = places[0]
    for offsets in places[1:]:
        index = np.add.outer(index, offsets)
    return np.asarray(sums[index.astype(np.int64)].reshape(len(places[0]), -1))


def _parameters(facts: Facts, operator: Operator) -> tuple[Array, Array | None]:
    names = operator.inputs
    if operator.op_type == "QLinearConv":
        return dequantised(facts, operator, (names[3], names[4], names[5])), None
    bias = weights_of(facts, names[2]) if len(names) > 2 and names[2] else None
    return weights_of(facts, names[1]), bias


def score_of(response: Array) -> tuple[float, int] | None:
    """Return the unevenness of phases and the channel in which it is largest, None for all zeros.

    Examples
    --------
    >>> score_of(np.array([[1.0, 2.0, 1.0, 2.0]]))
    (0.6666666666666666, 0)
    """
    ranges = response.max(1) - response.min(1)
    mean = float(np.abs(response).mean())
    channel = int(ranges.argmax())
    return (float(ranges[channel]) / mean, channel) if mean > 0 else None


def unevenness(facts: Facts, item: Upsampling, limit: float) -> Unevenness | None:
    """Return how uneven the phases are, of a flat image where it can be followed that far.

    An input of ones says nothing of the features that a network makes. Where a flat image can be
    followed to the upsampling, the least uneven of several counts. Either way the phases are
    followed on to the output, as far as no activation saturates. None where all phases are zero.

    Parameters
    ----------
    limit
        Up to it nothing is asked of further flat images.

    Raises
    ------
    WeightsUnavailableError
        If the weights cannot be read.
    """
    response = phase_response(facts, item)
    plain = score_of(response)
    if plain is None or plain[0] <= limit:
        return Unevenness(*plain, flat_image=False) if plain is not None else None
    scores: list[tuple[float, int]] = []
    for features in facts.once(_flat_images):
        flat = _flat_response(facts, item, features)
        if flat is not None and (score := _at_the_end(facts, item, features, flat)) is not None:
            scores.append(score)
            if score[0] <= limit:
                break
    if scores:
        return Unevenness(*min(scores), flat_image=True)
    end = _at_the_end(facts, item, {}, response)
    return Unevenness(*min(plain, end or plain), flat_image=False)


def _flat_images(facts: Facts) -> list[FlatImage]:
    """Return what the graph makes of the flat images that all upsamplings are judged by."""
    return flat_features(facts, LEVELS)


def _flat_response(facts: Facts, item: Upsampling, features: Mapping[str, Array]) -> Array | None:
    """Return the phases for the features of a flat image, None where they are not known."""
    data = features.get(item.shuffled if item.places is not None else item.convolution.inputs[0])
    if data is None or data.ndim < 2 or data.size != data.shape[1]:
        return None
    if item.places is not None:
        return _of_shuffle(item.places, data.reshape(-1))
    return phase_response(facts, item, data.reshape(-1))


def _at_the_end(
    facts: Facts, item: Upsampling, features: Mapping[str, Array], response: Array
) -> tuple[float, int] | None:
    """Return the unevenness of phases where they were followed to, behind sums and 1x1 layers.

    Of several ends the most uneven one counts.
    """
    if response.shape[1] > MOST_PHASES:
        return None
    start = item.operator.outputs[0]
    names = pointwise(facts, start)
    behind = [op for op in facts.operators if op.outputs and op.outputs[0] in names[1:]]
    behind = [op for op in behind if op.op_type not in SATURATING]
    shape = [1] * len(facts.shape(start) or ())
    if item.channel_axis is not None:
        shape[item.channel_axis] = -1
    elif len(response) > 1:
        return None
    read = {name for op in behind for name in op.inputs if name in features}
    phases = {name: features[name][None] for name in read.difference(names)}
    phases[start] = response.T.reshape(response.shape[1], *shape)
    follow_flat(facts, phases, behind)
    reached = [name for name in names if name in phases and not np.isnan(phases[name]).any()]
    inner = {name for op in behind if op.outputs[0] in reached for name in op.inputs}
    ends = [name for name in reached if name not in inner]
    found = [score_of(phases[name].reshape(response.shape[1], -1).T) for name in ends]
    return max((score for score in found if score is not None), default=None)
