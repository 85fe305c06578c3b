"""Writes ONNX models as protobuf bytes, so that neither graph nor weights are ever held whole."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import IO

BLOCK = 1 << 22
"""Bytes of weights that are made at a time."""
FLOAT, INT64 = 1, 7
_ITEM_BYTES = {FLOAT: 4, INT64: 8}
_FLOAT_ATTRIBUTE, _INT_ATTRIBUTE, _TENSOR_ATTRIBUTE, _INTS_ATTRIBUTE = 1, 2, 4, 7


def varint(value: int) -> bytes:
    """Return a non-negative number in base 128, the low digits first."""
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)


def number(field: int, value: int) -> bytes:
    """Return an integer field; a negative value takes ten bytes."""
    return varint(field << 3) + varint(value & (1 << 64) - 1)


def message(field: int, body: bytes | str) -> bytes:
    """Return a field that holds a message, a text or bytes."""
    data = body.encode() if isinstance(body, str) else body
    return varint(field << 3 | 2) + varint(len(data)) + data


@dataclass(frozen=True, slots=True)
class Tensor:
    """An initializer; without data its elements are seeded random bytes that make small floats."""

    name: str
    shape: tuple[int, ...]
    data: tuple[int, ...] | None = None
    """Integers (int64); None: random float32."""

    @property
    def element_type(self) -> int:
        """Number of the type in TensorProto.DataType."""
        return FLOAT if self.data is None else INT64

    @property
    def nbytes(self) -> int:
        """Length of the payload."""
        return prod(self.shape) * _ITEM_BYTES[self.element_type]

    def head(self) -> bytes:
        """Return the fields before the payload."""
        dims = b"".join(number(1, size) for size in self.shape)
        return dims + number(2, self.element_type) + message(8, self.name)

    def chunks(self, noise: bytes) -> Iterator[bytes]:
        """Yield the whole TensorProto."""
        yield self.head() + varint(9 << 3 | 2) + varint(self.nbytes)
        if self.data is not None:
            yield struct.pack(f"<{len(self.data)}q", *self.data)
            return
        for start in range(0, self.nbytes, len(noise)):
            yield noise[: min(len(noise), self.nbytes - start)]

    def length(self) -> int:
        """Return the number of bytes of the TensorProto."""
        head = self.head() + varint(9 << 3 | 2) + varint(self.nbytes)
        return len(head) + self.nbytes


Attribute = int | float | tuple[int, ...] | Tensor


def node(
    op_type: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    name: str,
    **attributes: Attribute,
) -> bytes:
    """Return a node as a field of its GraphProto."""
    ends = b"".join([message(1, x) for x in inputs] + [message(2, y) for y in outputs])
    body = ends + message(3, name) + message(4, op_type)
    for key, value in attributes.items():
        body += message(5, message(1, key) + _attribute(value))
    return message(1, body)


def _attribute(value: Attribute) -> bytes:
    if isinstance(value, float):
        return varint(2 << 3 | 5) + struct.pack("<f", value) + number(20, _FLOAT_ATTRIBUTE)
    if isinstance(value, int):
        return number(3, value) + number(20, _INT_ATTRIBUTE)
    if isinstance(value, Tensor):
        return message(5, b"".join(value.chunks(bytes(4)))) + number(20, _TENSOR_ATTRIBUTE)
    return b"".join(number(8, item) for item in value) + number(20, _INTS_ATTRIBUTE)


def value_info(field: int, name: str, shape: Iterable[int]) -> bytes:
    """Return a float tensor's declaration as a field of its GraphProto."""
    dims = b"".join(message(1, number(1, size)) for size in shape)
    tensor_type = number(1, FLOAT) + message(2, dims)
    return message(field, message(1, name) + message(2, message(1, tensor_type)))


@dataclass(frozen=True, slots=True)
class Net:
    """A whole model: what is small as bytes, and the weights as what they will be."""

    nodes: list[bytes]
    weights: list[Tensor]
    input_shape: tuple[int, ...]
    output: str
    output_shape: tuple[int, ...]
    opset: int = 17

    def write(self, file: IO[bytes], seed: int) -> None:
        """Write the ModelProto."""
        noise = _small_floats(seed)
        ends = (
            message(2, "benchmark")
            + value_info(11, "input", self.input_shape)
            + value_info(12, self.output, self.output_shape)
        )
        lengths = [weight.length() for weight in self.weights]
        inner = sum(len(varint(5 << 3 | 2)) + len(varint(n)) + n for n in lengths)
        graph_length = sum(map(len, self.nodes)) + inner + len(ends)
        file.write(number(1, 8) + message(2, "scotoma-benchmarks"))
        file.write(message(8, number(2, self.opset)))
        file.write(varint(7 << 3 | 2) + varint(graph_length))
        file.writelines(self.nodes)
        for weight, length in zip(self.weights, lengths, strict=True):
            file.write(varint(5 << 3 | 2) + varint(length))
            file.writelines(weight.chunks(noise))
        file.write(ends)


def _small_floats(seed: int) -> bytes:
    """Return a block of float32 between 2**-8 and 2**-7 whose mantissas are random."""
    block = bytearray(random.Random(seed).randbytes(BLOCK))
    block[3::4] = b"\x3b" * (BLOCK // 4)
    block[2::4] = bytes(byte & 0x7F | 0x80 for byte in block[2::4])
    return bytes(block)
