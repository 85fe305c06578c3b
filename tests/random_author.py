"""Writes networks whose every operator runs, and keeps in mind what is known of their tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st
from networks import Network, RefusedError
from onnx import helper

T = TypeVar("T")
MOST_ELEMENTS = 4096
LARGEST_VALUE = 1e6
EVEN, FOLLOWED, LOST = "even", "followed", "lost"
"""Whether the channels of a tensor see alike; if not, whether Scotoma still tells them apart."""

MIXING = {"attention", "reduce", "repeat"}
PICKING = {
    "conv", "conv again", "conv once more", "pool", "pool again", "conv_transpose", "pad",
    "slice", "split", "gather", "resize", "windows", "channels_last", "space_to_depth",
}  # fmt: skip


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

    def step(self, operators: Mapping[str, Operator]) -> None:
        """Draw one operator onto one tensor, or nothing where onnxruntime refuses it."""
        before = len(self.net.nodes), self.exact
        name = self.pick(sorted(operators))
        tensor = self.pick(self.pool[-3:])
        channels = self.channels[tensor]
        try:
            if self.placeless and name in PICKING:
                self.exact = False
            result, after = operators[name](self, tensor, channels)
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
"""The name of a tensor, and how its channels see."""
Operator = Callable[[Author, str, str], Result]
"""Adds operators to a network, on a tensor and its kind of channels; may raise RefusedError."""


def raised(a: Author, tensor: str) -> str:
    """Add a constant, so that no cell made of padding alone multiplies a path by zero."""
    return a.net.add("Add", tensor, a.weight(*[1] * len(a.net.shape(tensor))))
