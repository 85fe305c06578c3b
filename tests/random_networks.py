"""Random networks of supported operators, drawn by hypothesis and built as they run."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from hypothesis import strategies as st
from networks import Network, RefusedError
from onnx import helper

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

MOST_ELEMENTS = 4096
LARGEST_VALUE = 1e6

EVEN, FOLLOWED, LOST = "even", "followed", "lost"
"""Whether the channels of a tensor see alike; if not, whether Scotoma still tells them apart."""

NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
TRANSFORMATIONS = (
    "half_pixel", "pytorch_half_pixel", "half_pixel_symmetric", "align_corners", "asymmetric",
)  # fmt: skip


class Author:
    """Draws operators onto a network; every tensor in `pool` is laid out (N, C, spatial...)."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any], shape: Sequence[int]) -> None:
        self.draw = draw
        self.net = Network(*shape)
        self.rank = len(shape) - 2
        self.channels: dict[str, str] = {"x": EVEN}
        self.pool = ["x"]
        self.exact = True
        """False once an operator was drawn of which Scotoma says more than is read."""
        self.exactly: set[str] = {"x"}
        """Tensors made before that."""
        self.placeless = False
        """Some axis lost its places: what pads or picks along it is told by its share only."""
        self.bounded = False
        """A normalisation was drawn: a probe behind it need not become the largest of a window."""

    def __repr__(self) -> str:
        lines = [f"x {self.net.shape('x')}, exact: {self.exact}"]
        for node in self.net.nodes:
            inputs = [
                str(self.net.weights[n].tolist() if self.net.weights[n].size < 9 else n)
                if n in self.net.weights
                else n
                for n in node.input
            ]
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            shape = self.net.shape(node.output[0])
            lines.append(f"{node.output[0]} {shape} = {node.op_type}{tuple(inputs)} {attributes}")
        return "\n".join(lines)

    # -- drawing -------------------------------------------------------------------------------

    def pick(self, choices: Sequence[T]) -> T:
        found: T = self.draw(st.sampled_from(choices))
        return found

    def number(self, low: int, high: int) -> int:
        found: int = self.draw(st.integers(low, high))
        return found

    def numbers(self, low: int, high: int, count: int | None = None) -> list[int]:
        return [self.number(low, high) for _ in range(self.rank if count is None else count)]

    def flag(self) -> bool:
        found: bool = self.draw(st.booleans())
        return found

    def spatial(self) -> int:
        return 2 + self.number(0, self.rank - 1)

    def partner(self, tensor: str, *, but: int | None = None) -> str:
        """Return a tensor of the same shape, one axis set aside."""

        def key(name: str) -> list[int]:
            return [n for i, n in enumerate(self.net.shape(name)) if i != but]

        return self.pick([name for name in self.pool if key(name) == key(tensor)])

    # -- building ------------------------------------------------------------------------------

    def step(self) -> None:
        """Draw one operator onto one tensor, or nothing where onnxruntime refuses it."""
        before = len(self.net.nodes), self.exact
        name = self.pick(sorted(OPERATORS))
        tensor = self.pick(self.pool[-3:])
        channels = self.channels[tensor]
        try:
            if self.placeless and name in PICKING:
                self.exact = False
            result, after = OPERATORS[name](self, tensor, channels)
            self.placeless |= name in MIXING
        except RefusedError:
            result = ""
        value = self.net.values.get(result)
        if (
            value is None
            or value.ndim != self.rank + 2
            or value.size > MOST_ELEMENTS
            or not np.isfinite(value).all()
            or np.abs(value).max() > LARGEST_VALUE
        ):
            nodes, self.exact = before
            del self.net.nodes[nodes:]
            return
        self.channels[result] = after
        if self.exact:
            self.exactly.add(result)
        if result not in self.pool:
            self.pool.append(result)

    def permuted(self, tensor: str, *order: int) -> str:
        return self.net.add("Transpose", tensor, perm=list(order))

    def reshaped(self, tensor: str, *shape: int) -> str:
        return self.net.add("Reshape", tensor, self.net.ints(*shape))

    def channels_last(self, tensor: str) -> str:
        return self.permuted(tensor, 0, *range(2, self.rank + 2), 1)

    def channels_first(self, tensor: str) -> str:
        return self.permuted(tensor, 0, self.rank + 1, *range(1, self.rank + 1))

    def weight(self, *shape: int) -> str:
        rng = np.random.default_rng(len(self.net.nodes))
        return self.net.constant(rng.uniform(0.5, 1, shape))

    def normalised(
        self, tensor: str, axes: Sequence[int], op_type: str, *inputs: str, **attributes: Any
    ) -> str:
        """Append a normalisation, every place scaled by its own amount before and after.

        What is alike everywhere, or has two places only, is normalised to a constant, and the
        mean of what is normalised is one.
        """
        shape = self.net.shape(tensor)
        if prod(shape[axis] for axis in axes) < 3:
            raise RefusedError("too few places")
        self.bounded = True
        sizes = [n if i in axes else 1 for i, n in enumerate(shape)]
        scaled = self.net.add("Mul", tensor, self.weight(*sizes))
        shifted = self.net.add("Add", scaled, self.weight(*sizes))
        result = self.net.add(op_type, shifted, *inputs, **attributes)
        return self.net.add("Mul", result, self.weight(*sizes))

    def largest(self, *others: str) -> str:
        """Draw an operator, one that looks for the largest only where a probe is the largest."""
        return self.pick(others[1:] if self.bounded else others)

    def selects_channels(self, channels: str) -> None:
        """Note that an operator tells channels apart."""
        if channels == LOST:
            self.exact = False


Result = tuple[str, str]


def _window(a: Author, kind: str) -> dict[str, Any]:
    kernel = a.numbers(1, 4)
    attributes: dict[str, Any] = {"strides": a.numbers(1, 3)}
    dilated = a.flag()
    attributes["dilations"] = a.numbers(1, 3) if dilated else [1] * a.rank
    auto_pad = a.pick(["NOTSET", "NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])
    if auto_pad == "NOTSET":
        attributes["pads"] = a.numbers(0, 3 if kind == "conv" else 1, 2 * a.rank)
    else:
        attributes["auto_pad"] = auto_pad
    return {"kernel_shape": kernel, **attributes}


def conv(a: Author, tensor: str, channels: str) -> Result:
    count = a.net.shape(tensor)[1]
    group = a.pick([1, 1, 1, count] + ([2] if count % 2 == 0 else []))
    if group == 1:
        out = a.number(1, 3)
        after = EVEN
    else:
        out = group * (1 if group == count else a.number(1, 2))
        after = channels
        if channels != EVEN and group != count:
            a.exact = False
    attributes = _window(a, "conv")
    kernel = attributes.pop("kernel_shape")
    return a.net.conv(tensor, kernel, out, group=group, **attributes), after


def pool(a: Author, tensor: str, channels: str) -> Result:
    op_type = a.largest("MaxPool", "AveragePool", "LpPool")
    attributes = _window(a, "pool") | {"ceil_mode": a.number(0, 1)}
    # onnxruntime pools once where the window is a little too large for the input; nobody else does.
    for axis, cells in enumerate(a.net.shape(tensor)[2:]):
        kernel, stride = attributes["kernel_shape"][axis], attributes["strides"][axis]
        size = cells
        if "pads" in attributes:
            size += attributes["pads"][axis] + attributes["pads"][a.rank + axis]
        elif attributes["auto_pad"] != "VALID":
            same = (-(-cells // stride) - 1) * stride + kernel
            if same < cells and attributes["ceil_mode"]:
                raise RefusedError("negative padding under ceil_mode crops in some pools only")
            size = max(cells, same)
        if size < (kernel - 1) * attributes["dilations"][axis] + 1:
            raise RefusedError("the window does not fit")
    if op_type == "AveragePool":
        attributes["count_include_pad"] = a.number(0, 1)
    return a.net.add(op_type, tensor, **attributes), channels


def conv_transpose(a: Author, tensor: str, channels: str) -> Result:
    count = a.net.shape(tensor)[1]
    depthwise = a.flag()
    attributes: dict[str, Any] = {
        "strides": a.numbers(1, 3),
        "dilations": a.numbers(1, 2),
        "group": count if depthwise else 1,
    }
    how = a.pick(["pads", "pads", "SAME_UPPER", "SAME_LOWER", "VALID", "output_shape"])
    if how == "pads":
        attributes["pads"] = a.numbers(0, 2, 2 * a.rank)
        attributes["output_padding"] = a.numbers(0, 2)
    elif how == "output_shape":
        sizes = a.net.shape(tensor)[2:]
        attributes["output_shape"] = [
            n * s - a.number(0, 2) for n, s in zip(sizes, attributes["strides"], strict=True)
        ]
    else:
        attributes["auto_pad"] = how
    weight = a.weight(count, 1 if depthwise else a.number(1, 2), *a.numbers(1, 4))
    result = a.net.add("ConvTranspose", tensor, weight, **attributes)
    return result, (channels if depthwise else EVEN)


def pad(a: Author, tensor: str, channels: str) -> Result:
    mode = a.pick(["constant", "reflect", "edge", "wrap"])
    with_channels = mode == "constant" and a.number(0, 5) == 0
    begins, ends = a.numbers(-2, 3), a.numbers(-2, 3)
    for n, begin, end in zip(a.net.shape(tensor)[2:], begins, ends, strict=True):
        if n + min(begin, 0) + min(end, 0) <= 0:
            raise RefusedError("it crops everything")
    head = [0, a.number(0, 1) if with_channels else 0]
    tail = [0, a.number(0, 1) if with_channels else 0]
    pads = a.net.ints(*head, *begins, *tail, *ends)
    after = LOST if with_channels and channels == EVEN else channels
    return a.net.add("Pad", tensor, pads, mode=mode), after


def slice_(a: Author, tensor: str, channels: str) -> Result:
    axes = sorted({a.pick([1, *range(2, a.rank + 2), *range(2, a.rank + 2)]) for _ in range(2)})
    if 1 in axes:
        a.selects_channels(channels)
    starts, ends, steps = [], [], []
    for axis in axes:
        size = a.net.shape(tensor)[axis]
        step = a.pick([1, 1, 2, 3, -1, -2])
        low, high = a.number(0, max(size // 3, 0)), size - a.number(0, size // 3)
        starts.append(low if step > 0 else high - 1)
        ends.append(high if step > 0 else low - 1 - size)
        steps.append(step)
    ints = [a.net.ints(*starts), a.net.ints(*ends), a.net.ints(*axes), a.net.ints(*steps)]
    return a.net.add("Slice", tensor, *ints), channels


def concat(a: Author, tensor: str, channels: str) -> Result:
    axis = a.pick([1, 1, a.spatial()])
    other = a.partner(tensor, but=axis)
    both = {channels, a.channels[other]}
    if axis == 1:
        after = LOST if both <= {EVEN, LOST} else _mixed(a, both)
    else:
        after = channels if len(both) == 1 else _mixed(a, both)
    return a.net.add("Concat", tensor, other, axis=axis), after


def _mixed(a: Author, kinds: set[str]) -> str:
    """Return what becomes of channels where tensors of several kinds meet."""
    if LOST in kinds and FOLLOWED in kinds:
        a.exact = False
        return LOST
    return max(kinds, key=[EVEN, FOLLOWED, LOST].index)


def split(a: Author, tensor: str, channels: str) -> Result:
    axis = a.pick([1, a.spatial()])
    if axis == 1:
        a.selects_channels(channels)
    size = a.net.shape(tensor)[axis]
    first = a.number(1, max(size - 1, 1))
    if first == size:
        return tensor, channels
    result = a.net.add("Split", tensor, a.net.ints(first, size - first), axis=axis, outputs=2)
    if a.flag():
        result = result[:-1] + "1"
    return result, channels


def gather(a: Author, tensor: str, channels: str) -> Result:
    axis = a.pick([1, a.spatial(), a.spatial()])
    if axis == 1:
        a.selects_channels(channels)
    size = a.net.shape(tensor)[axis]
    indices = [a.number(-size, size - 1) for _ in range(a.number(1, 5))]
    return a.net.add("Gather", tensor, a.net.ints(*indices), axis=axis), channels


def _raised(a: Author, tensor: str) -> str:
    """Add a constant, so that no cell made of padding alone multiplies a path by zero."""
    return a.net.add("Add", tensor, a.weight(*[1] * len(a.net.shape(tensor))))


def join(a: Author, tensor: str, channels: str) -> Result:
    other = a.partner(tensor)
    kind = _mixed(a, {channels, a.channels[other]})
    op_type = a.largest("Max", "Add", "Mul")
    if op_type == "Mul":
        tensor, other = _raised(a, tensor), _raised(a, other)
    return a.net.add(op_type, tensor, other), kind


def broadcast(a: Author, tensor: str, channels: str) -> Result:
    axis = a.spatial()
    if a.flag():
        row = a.net.add("Slice", tensor, a.net.ints(0), a.net.ints(1), a.net.ints(axis))
    else:
        row = a.net.add("ReduceMean", tensor, a.net.ints(axis), keepdims=1)
    return a.net.add("Add", *a.draw(st.permutations([tensor, row]))), channels


def scale(a: Author, tensor: str, channels: str) -> Result:
    constant = a.weight(*(n if a.flag() else 1 for n in a.net.shape(tensor)[1:]))
    op_type = a.pick(["Mul", "Add"])
    return a.net.add(op_type, *a.draw(st.permutations([tensor, constant]))), channels


def unary(a: Author, tensor: str, channels: str) -> Result:
    return a.net.add(a.pick(["LeakyRelu", "Identity"]), tensor), channels


def resize(a: Author, tensor: str, channels: str) -> Result:
    shape = a.net.shape(tensor)
    mode = a.pick(["nearest", "linear", "cubic"])
    transformation = a.pick(TRANSFORMATIONS)
    attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": transformation}
    if mode == "nearest":
        attributes["nearest_mode"] = a.pick(NEAREST)
    else:
        attributes["antialias"] = a.number(0, 1)
        if mode == "cubic":
            attributes["exclude_outside"] = a.number(0, 1)
    # Powers of two keep the coordinates exact in onnxruntime's float32.
    factors = [a.pick([0.25, 0.5, 0.5, 1.0, 2.0, 2.0, 4.0]) for _ in range(a.rank)]
    if transformation == "align_corners":
        sizes = [(n - 1) * a.pick([1, 2, 4]) + 1 for n in shape[2:]]
        inputs = ["", "", a.net.ints(*shape[:2], *sizes)]
    elif a.flag():
        inputs = ["", a.net.constant([1, 1, *factors])]
    else:
        sizes = [max(1, int(n * f)) for n, f in zip(shape[2:], factors, strict=True)]
        if any(int(n * f) != n * f for n, f in zip(shape[2:], factors, strict=True)):
            raise RefusedError("sizes without an exact scale")
        inputs = ["", "", a.net.ints(*shape[:2], *sizes)]
    return a.net.add("Resize", tensor, *inputs, **attributes), channels


def space_to_depth(a: Author, tensor: str, channels: str) -> Result:
    if a.rank != 2:
        raise RefusedError("not an image")
    a.selects_channels(channels)
    n, c, h, w = a.net.shape(tensor)
    b = a.pick([2, 3])
    if a.flag():
        result = a.net.add("SpaceToDepth", tensor, blocksize=b)
    else:
        one = a.reshaped(tensor, n, c, h // b, b, w // b, b)
        result = a.reshaped(a.permuted(one, 0, 1, 3, 5, 2, 4), n, c * b * b, h // b, w // b)
    return result, (FOLLOWED if channels != LOST else LOST)


def depth_to_space(a: Author, tensor: str, channels: str) -> Result:
    if a.rank != 2:
        raise RefusedError("not an image")
    a.selects_channels(channels)
    n, c, h, w = a.net.shape(tensor)
    if c % 4 or a.flag():
        tensor, channels = a.net.conv(tensor, [1, 1], 4), EVEN
        c = 4
    match a.pick(["DCR", "CRD", "reshape"]):
        case "reshape":
            one = a.reshaped(tensor, n, c // 4, 2, 2, h, w)
            result = a.reshaped(a.permuted(one, 0, 1, 4, 2, 5, 3), n, c // 4, 2 * h, 2 * w)
        case mode:
            result = a.net.add("DepthToSpace", tensor, blocksize=2, mode=mode)
    return result, channels


def shuffle(a: Author, tensor: str, channels: str) -> Result:
    n, c, *sizes = a.net.shape(tensor)
    group = a.pick([g for g in range(1, c + 1) if c % g == 0])
    one = a.reshaped(tensor, n, group, c // group, *sizes)
    two = a.permuted(one, 0, 2, 1, *range(3, a.rank + 3))
    return a.reshaped(two, n, c, *sizes), channels


def tokens(a: Author, tensor: str, channels: str) -> Result:
    """Flatten the places, work on the channels of every token, and fold back."""
    n, c, *sizes = a.net.shape(tensor)
    flat = a.reshaped(tensor, n, c, prod(sizes))
    last = a.permuted(flat, 0, 2, 1)
    match a.pick(["matmul", "norm", "softmax", "slice", "none"]):
        case "matmul":
            last, channels, c = a.net.add("MatMul", last, a.weight(c, 3)), EVEN, 3
        case "norm":
            last = a.normalised(last, [2], "LayerNormalization", a.weight(c))
            channels = EVEN
        case "softmax":
            last, channels = a.normalised(last, [2], "Softmax", axis=-1), EVEN
        case "slice":
            # A class token set before the others and taken away again.
            token = a.weight(n, 1, c)
            last = a.net.add("Concat", token, last, axis=1)
            last = a.net.add("Slice", last, a.net.ints(1), a.net.ints(1 << 30), a.net.ints(1))
    return a.reshaped(a.permuted(last, 0, 2, 1), n, c, *sizes), channels


def attention(a: Author, tensor: str, channels: str) -> Result:
    n, c, *sizes = a.net.shape(tensor)
    flat = a.reshaped(tensor, n, c, prod(sizes))
    kernel = a.weight(prod(sizes), prod(sizes))
    return a.reshaped(a.net.add("MatMul", flat, kernel), n, c, *sizes), channels


def channels_last(a: Author, tensor: str, channels: str) -> Result:
    """Work on the channels with the channels last, as ConvNeXt and TensorFlow exports do."""
    c = a.net.shape(tensor)[1]
    last = a.channels_last(tensor)
    match a.pick(["matmul", "norm", "softmax", "gather"]):
        case "matmul":
            last, channels = a.net.add("MatMul", last, a.weight(c, 2)), EVEN
        case "norm":
            last = a.normalised(last, [a.rank + 1], "LayerNormalization", a.weight(c))
            channels = EVEN
        case "softmax":
            last, channels = a.normalised(last, [a.rank + 1], "Softmax", axis=-1), EVEN
        case _:
            axis = a.spatial() - 1
            index = a.number(0, a.net.shape(last)[axis] - 1)
            last = a.net.add("Gather", last, a.net.ints(index, 0), axis=axis)
    return a.channels_first(last), channels


def windows(a: Author, tensor: str, channels: str) -> Result:
    """Work inside windows that were moved into the batch, and put them back."""
    if a.rank != 2:
        raise RefusedError("not an image")
    n, c, h, w = a.net.shape(tensor)
    b = a.pick([2, 3, 4])
    one = a.permuted(a.reshaped(tensor, n, c, h // b, b, w // b, b), 0, 2, 4, 1, 3, 5)
    part = a.reshaped(one, n * (h // b) * (w // b), c, b, b)
    match a.pick(["conv", "pool", "mean", "none"]):
        case "conv":
            part, channels = a.net.conv(part, [2, 3], c, pads=[0, 1, 1, 1]), EVEN
        case "pool":
            op_type = a.largest("MaxPool", "AveragePool")
            part = a.net.add(op_type, part, kernel_shape=[3, 1], pads=[1, 0, 1, 0])
        case "mean":
            mean = a.net.add("ReduceMean", part, a.net.ints(2, 3), keepdims=1)
            part = a.net.add("Mul", part, mean)
    back = a.permuted(a.reshaped(part, n, h // b, w // b, c, b, b), 0, 3, 1, 4, 2, 5)
    return a.reshaped(back, n, c, h, w), channels


def reduce(a: Author, tensor: str, channels: str) -> Result:
    axes = sorted({a.number(1, a.rank + 1) for _ in range(2)})
    op_type = a.largest("ReduceMax", "ReduceMean", "ReduceSum", "ReduceL2")
    result = a.net.add(op_type, tensor, a.net.ints(*axes), keepdims=1)
    return result, (EVEN if 1 in axes else channels)


def gate(a: Author, tensor: str, channels: str) -> Result:
    """Squeeze and excite."""
    squeezed = a.net.add("GlobalAveragePool", tensor)
    excited = a.net.conv(squeezed, [1] * a.rank, a.net.shape(tensor)[1])
    return a.net.add("Mul", _raised(a, tensor), excited), channels


def normalise(a: Author, tensor: str, channels: str) -> Result:
    if a.flag():
        axis = a.pick([1, a.spatial()])
        result = a.normalised(tensor, [axis], "Softmax", axis=axis)
        return result, (EVEN if axis == 1 else channels)
    c = a.net.shape(tensor)[1]
    places = range(2, a.rank + 2)
    weights = a.weight(c), a.weight(c)
    return a.normalised(tensor, places, "InstanceNormalization", *weights), channels


def repeat(a: Author, tensor: str, channels: str) -> Result:
    if a.flag():
        repeats = [1, 1 if channels == LOST else a.number(1, 2), *a.numbers(1, 2)]
        return a.net.add("Tile", tensor, a.net.ints(*repeats)), channels
    axis = a.spatial()
    row = a.net.add("Slice", tensor, a.net.ints(0), a.net.ints(1), a.net.ints(axis))
    shape = [1] * (a.rank + 2)
    shape[axis] = a.number(1, 5)
    return a.net.add("Expand", row, a.net.ints(*shape)), channels


OPERATORS: dict[str, Callable[[Author, str, str], Result]] = {
    "conv": conv, "conv again": conv, "conv once more": conv, "pool": pool, "pool again": pool,
    "conv_transpose": conv_transpose, "pad": pad, "slice": slice_, "concat": concat,
    "concat again": concat, "split": split, "gather": gather, "join": join, "join again": join,
    "broadcast": broadcast, "scale": scale, "unary": unary, "resize": resize,
    "space_to_depth": space_to_depth, "depth_to_space": depth_to_space, "shuffle": shuffle,
    "tokens": tokens, "attention": attention, "channels_last": channels_last, "windows": windows,
    "reduce": reduce, "gate": gate, "normalise": normalise, "repeat": repeat,
}  # fmt: skip

MIXING = {"attention", "reduce", "repeat"}
PICKING = {
    "conv", "conv again", "conv once more", "pool", "pool again", "conv_transpose", "pad",
    "slice", "split", "gather", "resize", "windows", "channels_last", "space_to_depth",
}  # fmt: skip

SHAPES = st.sampled_from(
    [(1, 1, 9, 8), (1, 2, 8, 12), (1, 3, 6, 6), (1, 2, 17), (1, 1, 24), (1, 2, 4, 5, 6)]
)


@st.composite
def networks(draw: Callable[[st.SearchStrategy[Any]], Any], most: int = 7) -> Author:
    """Draw a network; its last tensor is one cell of the one before."""
    author = Author(draw, draw(SHAPES))
    for _ in range(draw(st.integers(1, most))):
        author.step()
    last = author.pool[-1]
    axes = range(2, author.rank + 2)
    cell = [author.number(0, author.net.shape(last)[axis] - 1) for axis in axes]
    author.pool.append(author.net.cell(last, cell, axes))
    if author.exact and not author.placeless:
        author.exactly.add(author.pool[-1])
    return author
