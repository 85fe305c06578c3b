"""Which axes of a graph input are the image grid, told by the operators that read it first."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scotoma.loader.tensors import StoredTensor
from scotoma.resolve.step import read_small

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scotoma.loader.model import AttributeValue, Graph, Operator, Value

LARGEST_SEARCH = 400
"""So many tensors are followed from an input until its layout counts as not told."""
COLOURS = frozenset({1, 3, 4})
"""Channel counts of images: grey, colour, colour with opacity."""

_CONVOLUTIONS = {
    ("", "Conv"): 1,
    ("", "ConvInteger"): 1,
    ("", "DeformConv"): 1,
    ("", "QLinearConv"): 3,
    ("", "ConvTranspose"): 1,
    ("com.microsoft", "FusedConv"): 1,
    ("com.microsoft", "NhwcFusedConv"): 1,
    ("com.microsoft", "QLinearConv"): 3,
    ("com.microsoft.nchwc", "Conv"): 1,
}
"""Convolutions, with the place of their weight."""
_CHANNELS_FIRST = """
    MaxPool AveragePool LpPool GlobalAveragePool GlobalMaxPool GlobalLpPool DepthToSpace
    SpaceToDepth LRN InstanceNormalization GridSample BatchNormalization
"""
_PASSING = """
    Identity Cast Clip Relu LeakyRelu Sigmoid Tanh Neg Abs Sqrt Exp Log Floor Ceil Round Add Sub
    Mul Div Pow Max Min Where QuantizeLinear DequantizeLinear Dropout Pad Slice Resize Upsample
    Concat Split Softmax LayerNormalization BatchNormalization PRelu Erf HardSwish CastLike Gather
    Quant BipolarQuant QLinearAdd QLinearMul Expand Tile
"""

_CHANNELS_LAST = frozenset({"NhwcMaxPool", "NhwcFusedConv"})
_POOLS = frozenset(_CHANNELS_FIRST.split()) | _CHANNELS_LAST
_PASSED = frozenset(_PASSING.split())

Axes = tuple["int | None", ...]
"""Which axis of the input stands at each axis of a tensor; None: one that was added."""
UNRANKED: Axes = ()
"""The axes of a tensor of unknown rank."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the image grid of an input lies."""

    rank: int
    spatial: tuple[int, ...]
    """Axes of the grid in order; empty: not spatial."""
    channel: int | None
    channels: int | None = None
    """What the first convolution asks for."""


@dataclass(slots=True)
class Readers:
    """Who reads a tensor, and which small integer constants there are."""

    consumers: dict[str, list[tuple[Operator, int]]]
    producers: dict[str, Operator]
    graph: Graph

    @classmethod
    def of(cls, graph: Graph) -> Readers:
        """Collect the consumers of every tensor."""
        consumers: dict[str, list[tuple[Operator, int]]] = {}
        producers: dict[str, Operator] = {}
        for operator in graph.operators:
            for slot, name in enumerate(operator.inputs):
                consumers.setdefault(name, []).append((operator, slot))
            if operator.op_type == "Constant" and operator.outputs:
                producers[operator.outputs[0]] = operator
        return cls(consumers, producers, graph)

    def integers(self, operator: Operator, attribute: str, slot: int) -> tuple[int, ...] | None:
        """Return a list of integers that is an attribute or a stored constant."""
        found = operator.attributes.get(attribute)
        if isinstance(found, tuple):
            return tuple(number for number in found if isinstance(number, int))
        if len(operator.inputs) <= slot:
            return None
        name = operator.inputs[slot]
        tensor = self.graph.initializers.get(name)
        if tensor is None and name in self.producers:
            attributes = self.producers[name].attributes
            found = attributes.get("value_ints")
            if isinstance(found, tuple):
                return tuple(number for number in found if isinstance(number, int))
            tensor = stored(attributes)
        return whole_numbers(tensor) if tensor is not None else None

    def weight_shape(self, operator: Operator, slot: int) -> tuple[int, ...] | None:
        """Return the stored shape of a convolution's weight, through a dequantiser too."""
        name = operator.inputs[slot] if slot < len(operator.inputs) else ""
        tensor = self.graph.initializers.get(name)
        if tensor is None and name in self.producers:
            tensor = stored(self.producers[name].attributes)
        return tuple(tensor.shape) if tensor is not None else None


def stored(attributes: Mapping[str, AttributeValue]) -> StoredTensor | None:
    """Return the tensor of a Constant operator."""
    value = attributes.get("value")
    return value if isinstance(value, StoredTensor) else None


def whole_numbers(tensor: StoredTensor) -> tuple[int, ...] | None:
    """Read a small integer tensor; None for all others."""
    value = read_small(tensor)
    if value is None or value.dtype.kind not in "iu" or value.size > 64:
        return None
    return tuple(value.ravel().tolist())


def find_layout(value: Value, readers: Readers) -> Layout | None:
    """Tell the layout of a graph input from what reads it; None if it could not be an image.

    The axes are followed through cell-wise operators, transpositions and added axes until an
    operator whose layout is fixed (a convolution, a pool) takes the tensor in.
    """
    if value.dtype is not None and value.dtype.kind in "ibcO" and value.dtype.name != "int8":
        return None
    declared = value.shape
    found = follow(value, readers)
    if found is not None:
        return found
    if declared is None or len(declared) < 3:
        return None
    return guess(declared)


def follow(value: Value, readers: Readers) -> Layout | None:
    """Search breadth first for the first operator with a fixed layout."""
    start: Axes = UNRANKED if value.shape is None else tuple(range(len(value.shape)))
    queue: deque[tuple[str, Axes]] = deque([(value.name, start)])
    seen = {value.name}
    pool: Layout | None = None
    while queue and len(seen) < LARGEST_SEARCH:
        name, axes = queue.popleft()
        for operator, slot in readers.consumers.get(name, ()):
            found = anchor(operator, slot, axes, readers, value)
            if found is not None and found.channels is not None:
                return found
            pool = pool or found
            if not operator.outputs or operator.outputs[0] in seen:
                continue
            following = passed(operator, slot, axes, readers, value)
            if following is not None:
                seen.add(operator.outputs[0])
                queue.append((operator.outputs[0], following))
    return pool


def anchor(
    operator: Operator, slot: int, axes: Axes, readers: Readers, value: Value
) -> Layout | None:
    """Return the layout that an operator forces on the axes it reads; None if it forces none."""
    kind = (operator.domain, operator.op_type)
    weight_slot = _CONVOLUTIONS.get(kind)
    is_pool = operator.op_type in _POOLS
    if slot != 0 or (weight_slot is None and not is_pool):
        return None
    weight = None if weight_slot is None else readers.weight_shape(operator, weight_slot)
    if axes == UNRANKED:
        if weight is None:
            return None
        axes = tuple(range(len(weight)))
    if len(axes) < 3:
        return None
    last = operator.op_type in _CHANNELS_LAST or operator.attributes.get("channels_last") == 1
    grid = axes[1:-1] if last else axes[2:]
    spatial = tuple(axis for axis in grid if axis is not None)
    rank = len(axes) if value.shape is None else len(value.shape)
    if not spatial:
        return None
    channels: int | None = None
    if weight is not None and len(weight) > 2:
        group = operator.attributes.get("group", 1)
        inner = weight[0] if operator.op_type == "ConvTranspose" else weight[1]
        channels = inner * group if isinstance(group, int) and inner > 0 < group else 0
    elif weight_slot is not None:
        channels = 0
    return Layout(rank, spatial, axes[-1] if last else axes[1], channels)


def passed(
    operator: Operator, slot: int, axes: Axes, readers: Readers, value: Value
) -> Axes | None:
    """Return the axes of the operator's output; None if they cannot be followed through it."""
    op_type = operator.op_type
    if op_type in _PASSED:
        if op_type == "Gather" and readers.integers(operator, "indices", 1) is None:
            return None
        return axes
    if axes == UNRANKED:
        return None
    if op_type == "Transpose" and slot == 0:
        order = operator.attributes.get("perm", tuple(range(len(axes)))[::-1])
        if not isinstance(order, tuple) or sorted(map(str, order)) != sorted(
            map(str, range(len(axes)))
        ):
            return None
        return tuple(axes[int(axis)] for axis in order)
    if op_type in {"Unsqueeze", "Squeeze"} and slot == 0:
        places = readers.integers(operator, "axes", 1)
        return None if places is None else regrouped(op_type, axes, places)
    if op_type == "Reshape" and slot == 0 and value.shape is not None:
        target = readers.integers(operator, "shape", 1)
        return None if target is None else reshaped(axes, target, value.shape)
    return None


def regrouped(op_type: str, axes: Axes, places: tuple[int, ...]) -> Axes | None:
    """Add or drop axes of one cell."""
    rank = len(axes) + (len(places) if op_type == "Unsqueeze" else 0)
    marked = {place + rank if place < 0 else place for place in places}
    if not marked <= set(range(rank)):
        return None
    if op_type == "Squeeze":
        return tuple(axis for place, axis in enumerate(axes) if place not in marked)
    rest = iter(axes)
    return tuple(None if place in marked else next(rest, None) for place in range(rank))


def reshaped(
    axes: Axes, target: tuple[int, ...], declared: tuple[int | str | None, ...]
) -> Axes | None:
    """Follow a Reshape that only adds or drops axes of one cell."""
    sizes = [declared[axis] if axis is not None else 1 for axis in axes]
    wanted = [sizes[i] if size == 0 and i < len(sizes) else size for i, size in enumerate(target)]
    source = [(axis, size) for axis, size in zip(axes, sizes, strict=True) if size != 1]
    result: list[int | None] = []
    for size in wanted:
        if size == 1:
            result.append(None)
            continue
        if not source or (size not in (-1, source[0][1]) and isinstance(source[0][1], int)):
            return None
        result.append(source.pop(0)[0])
    return None if source else tuple(result)


def guess(declared: tuple[int | str | None, ...]) -> Layout:
    """Tell the layout from the declared sizes alone: channels first unless they look last."""
    rank = len(declared)
    if rank == 3:
        if declared[2] in COLOURS and large(declared[0]) and large(declared[1]):
            return Layout(3, (0, 1), 2)
        if declared[2] in COLOURS and large(declared[1]):
            return Layout(3, (1,), 2)
        if declared[0] in COLOURS - {1} and large(declared[1]) and large(declared[2]):
            return Layout(3, (1, 2), 0)
    elif declared[-1] in COLOURS and declared[1] not in COLOURS:
        return Layout(rank, tuple(range(1, rank - 1)), rank - 1)
    return Layout(rank, tuple(range(2, rank)), 1)


def large(size: int | str | None) -> bool:
    """Tell whether an axis could be a side of an image."""
    return isinstance(size, int) and size > 16
