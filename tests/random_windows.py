"""Operators of random networks that read windows, cut, join or resize maps."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from networks import RefusedError
from random_author import EVEN, FOLLOWED, LOST, Author, Result, raised
from resizes import NEAREST, TRANSFORMATIONS


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


def join(a: Author, tensor: str, channels: str) -> Result:
    other = a.partner(tensor)
    kind = _mixed(a, {channels, a.channels[other]})
    op_type = a.largest("Max", "Add", "Mul")
    if op_type == "Mul":
        tensor, other = raised(a, tensor), raised(a, other)
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
