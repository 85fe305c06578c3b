"""Operators of random networks that move cells between axes or read whole maps."""

from __future__ import annotations

from math import prod

from networks import RefusedError
from random_author import EVEN, FOLLOWED, LOST, Author, Result, raised


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
    return a.net.add("Mul", raised(a, tensor), excited), channels


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
