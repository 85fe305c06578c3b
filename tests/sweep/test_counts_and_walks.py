"""Path counts and random walks equal linear twins that onnxruntime runs on one-hot images.

The twin for counting has all weights one and sums where a pool averages; the twin for walking
divides every sum by the number of its choices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from networks import Network, RefusedError, examples

from scotoma.sweep import Semiring, coverage, sweep

if TYPE_CHECKING:
    from collections.abc import Callable

Draw = "Callable[[st.SearchStrategy[Any]], Any]"
EXACT = 2**22
"""Integers up to here are exact in onnxruntime's float32, sums of a few of them too."""


class Twins:
    """A network, and two linear twins of it that see all one-hot images at once."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any], sizes: tuple[int, ...]):
        self.draw = draw
        self.rank = len(sizes)
        self.net = Network(1, 1, *sizes)
        pixels = int(np.prod(sizes))
        images = np.eye(pixels, dtype=np.float32).reshape(pixels, 1, *sizes)
        self.counting = Network(*images.shape, value=images)
        self.walking = Network(*images.shape, value=images)
        self.pool = [("x", "x", "x")]
        self.ended = False

    def __repr__(self) -> str:
        return "\n".join(
            f"{n.output[0]} {self.net.shape(n.output[0])} = {n.op_type}({list(n.input)}) "
            + str({a.name: list(a.ints) or a.i for a in n.attribute})
            for n in self.net.nodes
        )

    def pick(self, choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def numbers(self, low: int, high: int, count: int | None = None) -> list[int]:
        return [self.draw(st.integers(low, high)) for _ in range(count or self.rank)]

    def all(self, op_type: str, *tensors: tuple[str, str, str], **attributes: Any) -> Any:
        """Append one linear operator without choices to the network and both twins."""
        ints = attributes.pop("ints", ())
        return tuple(
            net.add(op_type, *(t[i] for t in tensors), *(net.ints(*v) for v in ints), **attributes)
            for i, net in enumerate((self.net, self.counting, self.walking))
        )

    def divided(self, tensor: str, divisor: float | np.integer) -> str:
        return self.walking.add("Mul", tensor, self.walking.constant(1 / divisor))

    def step(self) -> None:
        if self.ended:
            return
        tensor = self.pick(self.pool[-3:])
        try:
            result = self.pick(STEPS)(self, tensor)
        except RefusedError:
            return
        value = self.counting.values[result[1]]
        if value.size <= 1 << 18 and value.max() < EXACT:
            self.pool.append(result)


def ones(net: Network, out: int, channels: int, kernel: list[int]) -> str:
    return net.constant(np.ones((out, channels, *kernel)))


def conv(t: Twins, tensor: Any, out: int = 1) -> Any:
    channels = t.net.shape(tensor[0])[1]
    kernel = t.numbers(1, 4)
    attributes: dict[str, Any] = {"strides": t.numbers(1, 3), "dilations": t.numbers(1, 2)}
    if t.pick([True, True, False]):
        attributes["pads"] = t.numbers(0, 3, 2 * t.rank)
    else:
        attributes |= {"auto_pad": t.pick(["SAME_UPPER", "SAME_LOWER"]), "dilations": [1] * t.rank}
    names = [
        net.add("Conv", name, ones(net, out, channels, kernel), **attributes)
        for net, name in zip((t.net, t.counting, t.walking), tensor, strict=True)
    ]
    return names[0], names[1], t.divided(names[2], channels * np.prod(kernel))


def long_conv(t: Twins, tensor: Any) -> Any:
    """A kernel long enough to be summed by differences."""
    channels = t.net.shape(tensor[0])[1]
    kernel = [1] * (t.rank - 1) + [25 + t.pick([0, 3])]
    attributes: dict[str, Any] = {
        "strides": [1] * (t.rank - 1) + [t.pick([1, 2])],
        "pads": [0] * (t.rank - 1) + [t.pick([12, 20])] + [0] * (t.rank - 1) + [t.pick([12, 24])],
    }
    names = [
        net.add("Conv", name, ones(net, 1, channels, kernel), **attributes)
        for net, name in zip((t.net, t.counting, t.walking), tensor, strict=True)
    ]
    return names[0], names[1], t.divided(names[2], channels * np.prod(kernel))


def transposed(t: Twins, tensor: Any) -> Any:
    channels = t.net.shape(tensor[0])[1]
    kernel = t.numbers(1, 4)
    attributes: dict[str, Any] = {
        "strides": t.numbers(1, 3), "dilations": t.numbers(1, 2),
        "pads": t.numbers(0, 2, 2 * t.rank), "output_padding": t.numbers(0, 1),
    }  # fmt: skip
    names = [
        net.add("ConvTranspose", name, ones(net, channels, 1, kernel), **attributes)
        for net, name in zip((t.net, t.counting, t.walking), tensor, strict=True)
    ]
    real = Network(*t.net.shape(tensor[0]), value=np.ones(t.net.shape(tensor[0]), np.float32))
    choices = real.values[
        real.add("ConvTranspose", "x", ones(real, channels, 1, kernel), **attributes)
    ]
    walked = t.walking.add("Mul", names[2], t.walking.constant(1 / np.maximum(choices, 1)))
    return names[0], names[1], walked


def pool(t: Twins, tensor: Any) -> Any:
    attributes: dict[str, Any] = {
        "kernel_shape": t.numbers(1, 4), "strides": t.numbers(1, 3), "dilations": t.numbers(1, 2),
        "pads": t.numbers(0, 1, 2 * t.rank), "ceil_mode": t.pick([0, 1]),
    }  # fmt: skip
    sizes = t.net.shape(tensor[0])[2:]
    for i, size in enumerate(sizes):
        extent = (attributes["kernel_shape"][i] - 1) * attributes["dilations"][i] + 1
        if size + attributes["pads"][i] + attributes["pads"][t.rank + i] < extent:
            raise RefusedError("the window does not fit")
    op_type, padded = t.pick([("MaxPool", 0), ("AveragePool", 0), ("AveragePool", 1)])
    counting = t.counting.add("LpPool", tensor[1], p=1, **attributes)
    walking = t.walking.add("AveragePool", tensor[2], count_include_pad=padded, **attributes)
    if op_type == "AveragePool":
        attributes["count_include_pad"] = padded
    if not np.isfinite(t.walking.values[walking]).all():
        raise RefusedError("a window without a single real cell")
    return t.net.add(op_type, tensor[0], **attributes), counting, walking


def pad(t: Twins, tensor: Any) -> Any:
    begins, ends = t.numbers(-2, 3), t.numbers(-2, 3)
    for size, begin, end in zip(t.net.shape(tensor[0])[2:], begins, ends, strict=True):
        if size + min(begin, 0) + min(end, 0) <= 0:
            raise RefusedError("it crops everything")
    pads = [0, 0, *begins, 0, 0, *ends]
    mode = t.pick(["constant", "constant", "reflect", "edge", "wrap"])
    return t.all("Pad", tensor, ints=[pads], mode=mode)


def slice_(t: Twins, tensor: Any) -> Any:
    axis = t.draw(st.integers(2, t.rank + 1))
    size = t.net.shape(tensor[0])[axis]
    step = t.pick([1, 2, 3, -1, -2])
    low, high = t.draw(st.integers(0, size // 3)), size - t.draw(st.integers(0, size // 3))
    start, end = (low, high) if step > 0 else (high - 1, low - 1 - size)
    return t.all("Slice", tensor, ints=[[start], [end], [axis], [step]])


def add(t: Twins, tensor: Any) -> Any:
    shape = t.net.shape(tensor[0])
    other = t.pick([o for o in t.pool if t.net.shape(o[0]) == shape])
    names = t.all("Add", tensor, other)
    return names[0], names[1], t.divided(names[2], 2)


def total(t: Twins, tensor: Any) -> Any:
    shape = t.net.shape(tensor[0])
    alike = [o for o in t.pool if t.net.shape(o[0]) == shape]
    names = t.all("Sum", tensor, t.pick(alike), t.pick(alike))
    return names[0], names[1], t.divided(names[2], 3)


def broadcast(t: Twins, tensor: Any) -> Any:
    axis = t.draw(st.integers(2, t.rank + 1))
    row = t.all("Slice", tensor, ints=[[1], [2], [axis]])
    names = t.all("Add", tensor, row)
    return names[0], names[1], t.divided(names[2], 2)


def concat(t: Twins, tensor: Any) -> Any:
    axis = t.draw(st.integers(1, t.rank + 1))

    def rest(name: str) -> list[int]:
        return [n for i, n in enumerate(t.net.shape(name)) if i != axis]

    other = t.pick([o for o in t.pool if rest(o[0]) == rest(tensor[0])])
    return t.all("Concat", tensor, other, axis=axis)


def nearest(t: Twins, tensor: Any) -> Any:
    factors = [t.pick([0.5, 1.0, 2.0, 4.0]) for _ in range(t.rank)]
    return tuple(
        net.add(
            "Resize", name, "", net.constant([1, 1, *factors]), mode="nearest",
            coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        )
        for net, name in zip((t.net, t.counting, t.walking), tensor, strict=True)
    )  # fmt: skip


def mean(t: Twins, tensor: Any) -> Any:
    """Lose an axis; a window that slides along it later has no exact share of padding."""
    t.ended = True
    axis = t.draw(st.integers(2, t.rank + 1))
    return (
        t.net.add("ReduceMean", tensor[0], t.net.ints(axis)),
        t.counting.add("ReduceSum", tensor[1], t.counting.ints(axis)),
        t.walking.add("ReduceMean", tensor[2], t.walking.ints(axis)),
    )


def unshuffle(t: Twins, tensor: Any) -> Any:
    if t.rank != 2:
        raise RefusedError("not an image")
    if any(node.op_type == "DepthToSpace" for node in t.net.nodes):
        raise RefusedError("channels that came from channels are not counted")
    return t.all("SpaceToDepth", tensor, blocksize=2)


def shuffle(t: Twins, tensor: Any) -> Any:
    if t.rank != 2:
        raise RefusedError("not an image")
    mode = t.pick(["DCR", "CRD"])
    wide = conv(t, tensor, out=4)
    if 1 in t.net.shape(wide[0])[2:]:
        raise RefusedError("an axis of one cell is not told from one of channels by a reshape")
    return t.all("DepthToSpace", wide, blocksize=2, mode=mode)


STEPS = [
    conv, conv, conv, long_conv, transposed, pool, pool, pad, slice_, add, add, total, broadcast,
    concat, concat, nearest, mean, unshuffle, shuffle,
]  # fmt: skip


@st.composite
def twins(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Twins:
    found = Twins(draw, draw(st.sampled_from([(9, 8), (7, 12), (21,), (32,), (4, 5, 4)])))
    for _ in range(draw(st.integers(1, 6))):
        found.step()
    return found


@examples(400)
@given(twins())
def test_counts_and_walks_are_those_of_linear_twins(found: Twins) -> None:
    if len(found.pool) == 1:
        return
    static, counting, walking = found.pool[-1]
    geometry = found.net.geometry(static)
    sizes = found.net.shape("x")[2:]
    assert geometry.input.spatial_axes == tuple(range(2, found.rank + 2))
    assert not geometry.unanalysed

    paths = found.counting.values[counting].astype(np.float64)
    expected = paths.reshape(len(paths), -1).sum(axis=1).reshape(sizes)
    count = sweep(geometry, [static], Semiring.COUNT)
    assert count.exponent == 0
    assert count.values.tolist() == expected.tolist()

    chances = found.walking.values[walking].astype(np.float64)
    expected = chances.reshape(len(chances), -1).mean(axis=1).reshape(sizes)
    covered = coverage(geometry, [static])
    np.testing.assert_allclose(covered.walk, expected, rtol=1e-4, atol=1e-9)
    assert (covered.walk >= 0).all()
    assert ((covered.walk > 0) == ~covered.dead.mask).all()
    assert abs(covered.walk.sum() + sum(covered.absorbed.values()) - 1) < 1e-9
