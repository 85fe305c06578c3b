"""Receptive fields equal the extent of what onnxruntime shows each cell to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from networks import Network, RefusedError, examples

if TYPE_CHECKING:
    from collections.abc import Callable

    Draw = Callable[[st.SearchStrategy[Any]], Any]

LENGTH, MARGIN = 240, 50
"""Fields leave borders out of account, so cells that may feel one are not looked at."""


class Signal:
    """A network over a signal whose batch is the signal itself and one changed place each."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        base = np.random.default_rng(0).uniform(1, 2, (1, 1, LENGTH)).astype(np.float32)
        images = np.concatenate([base, base + 1e5 * np.eye(LENGTH)[:, None]]).astype(np.float32)
        self.net = Network(*images.shape, value=images)
        self.pool = ["x"]

    def __repr__(self) -> str:
        return "\n".join(
            f"{n.output[0]} = {n.op_type}({list(n.input)}) "
            + str({a.name: list(a.ints) or a.i or a.s for a in n.attribute})
            for n in self.net.nodes
        )

    def number(self, low: int, high: int) -> int:
        found: int = self.draw(st.integers(low, high))
        return found

    def pick(self, choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def step(self) -> None:
        tensor = self.pick(self.pool[-2:])
        try:
            result = self.pick(STEPS)(self, tensor)
        except RefusedError:
            return
        if 8 <= self.net.shape(result)[2] <= 4 * LENGTH:
            self.pool.append(result)

    def changed(self, tensor: str) -> np.ndarray:
        """Return which cells of a tensor change with which pixel, shape (pixels, cells)."""
        values = self.net.values[tensor].astype(np.float64)
        base = values[:1]
        # Resize rounds the last image of a batch in another way than the others.
        return np.asarray((np.abs(values[1:] - base) > 1e-5 * np.abs(base) + 1e-4).any(axis=1))


def conv(s: Signal, tensor: str) -> str:
    attributes: dict[str, Any] = {"strides": [s.number(1, 3)], "dilations": [s.number(1, 3)]}
    pads = [s.number(0, 3), s.number(0, 3)]
    return s.net.conv(tensor, [s.number(1, 5)], pads=pads, **attributes)


def pool(s: Signal, tensor: str) -> str:
    return s.net.add(
        "AveragePool", tensor, kernel_shape=[s.number(1, 4)], strides=[s.number(1, 3)],
        ceil_mode=s.number(0, 1), dilations=[s.number(1, 2)],
    )  # fmt: skip


def transposed(s: Signal, tensor: str) -> str:
    weight = s.net.constant(np.random.default_rng(1).uniform(0.5, 1, (1, 1, s.number(1, 5))))
    return s.net.add(
        "ConvTranspose", tensor, weight, strides=[s.number(1, 3)], dilations=[s.number(1, 2)],
        pads=[s.number(0, 2), s.number(0, 2)], output_padding=[s.number(0, 1)],
    )  # fmt: skip


def resize(s: Signal, tensor: str) -> str:
    scales = s.net.constant([1, 1, s.pick([0.5, 2.0, 4.0])])
    mode = s.pick(["nearest", "linear", "cubic"])
    attributes = {} if mode == "nearest" else {"antialias": s.number(0, 1)}
    transformation = s.pick(["asymmetric", "half_pixel", "pytorch_half_pixel"])
    return s.net.add(
        "Resize", tensor, "", scales, mode=mode,
        coordinate_transformation_mode=transformation, **attributes,
    )  # fmt: skip


def slice_(s: Signal, tensor: str) -> str:
    size = s.net.shape(tensor)[2]
    step = s.pick([1, 1, 2, 3, -1])
    low, high = s.number(0, 3), size - s.number(0, 3)
    start, end = (low, high) if step > 0 else (high - 1, low - 1 - size)
    ints = [s.net.ints(v) for v in (start, end, 2, step)]
    return s.net.add("Slice", tensor, *ints)


def pad(s: Signal, tensor: str) -> str:
    pads = s.net.ints(0, 0, s.number(-2, 3), 0, 0, s.number(-2, 3))
    return s.net.add("Pad", tensor, pads, mode=s.pick(["constant", "reflect", "edge"]))


def add(s: Signal, tensor: str) -> str:
    shape = s.net.shape(tensor)
    return s.net.add("Add", tensor, s.pick([o for o in s.pool if s.net.shape(o) == shape]))


def cropped_add(s: Signal, tensor: str) -> str:
    """Join two maps of nearly the same size, as a U-Net does with valid padding."""
    full = s.net.shape(tensor)[2]
    other = s.pick([o for o in s.pool if abs(s.net.shape(o)[2] - full) <= 6])
    size = min(s.net.shape(tensor)[2], s.net.shape(other)[2])
    pair = [s.net.add("Slice", t, *map(s.net.ints, (0, size, 2))) for t in (tensor, other)]
    return s.net.add("Add", *pair)


def unshuffle(s: Signal, tensor: str) -> str:
    n, c, size = s.net.shape(tensor)
    one = s.net.add("Reshape", tensor, s.net.ints(n, c, size // 2, 2))
    two = s.net.add("Transpose", one, perm=[0, 1, 3, 2])
    three = s.net.add("Reshape", two, s.net.ints(n, 2 * c, size // 2))
    return s.net.conv(three, [1])


def shuffle(s: Signal, tensor: str) -> str:
    n, _, size = s.net.shape(tensor)
    two = s.net.conv(tensor, [1], 2)
    one = s.net.add("Reshape", two, s.net.ints(n, 1, 2, size))
    turned = s.net.add("Transpose", one, perm=[0, 1, 3, 2])
    return s.net.add("Reshape", turned, s.net.ints(n, 1, 2 * size))


STEPS = [conv, conv, conv, pool, transposed, resize, slice_, pad, add, add, cropped_add, unshuffle,
         shuffle]  # fmt: skip


@st.composite
def signals(draw: Draw) -> Signal:
    found = Signal(draw)
    for _ in range(draw(st.integers(1, 6))):
        found.step()
    return found


@examples(250)
@given(signals())
def test_fields_are_what_cells_read(found: Signal) -> None:
    if len(found.pool) == 1:
        return
    tensors = found.pool[1:]
    geometry = found.net.geometry(*tensors)
    assert not geometry.unanalysed
    for tensor in tensors:
        grids = geometry.local_grids(tensor)
        assert grids is not None
        field = grids[0].field
        if field is None:
            assert grids[0].note
            continue
        changed = found.changed(tensor)
        for cell in range(changed.shape[1]):
            first, last = field.at(cell)
            pixels = np.flatnonzero(changed[:, cell])
            if first > last and MARGIN < field.at(cell)[0] < LENGTH - MARGIN:
                assert pixels.tolist() == []
            if first <= last and first >= MARGIN and last < LENGTH - MARGIN:
                assert (pixels.min(initial=LENGTH), pixels.max(initial=-1)) == (first, last)
