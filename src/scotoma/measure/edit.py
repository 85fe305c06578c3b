"""Edits of a serialized ONNX file: tap tensors, free the dimensions of its inputs.

Both work on the protobuf wire format (https://protobuf.dev/programming-guides/encoding), so that
no weight is parsed and the rest of the file stays as it is, byte for byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scotoma.errors import MeasurementError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# Field numbers of onnx.proto.
MODEL_GRAPH = 7
GRAPH_INPUT, GRAPH_OUTPUT, GRAPH_VALUE_INFO = 11, 12, 13
VALUE_NAME, VALUE_TYPE = 1, 2
TYPE_TENSOR = 1
TENSOR_SHAPE = 2
SHAPE_DIMENSION = 1

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def tap(data: bytes, tensors: Iterable[str]) -> bytes:
    """Make tensors outputs of the graph.

    A second ``graph`` field is appended that holds the outputs only: protobuf merges the fields of
    a message that occurs twice.
    """
    values = (field(VALUE_NAME, tensor.encode()) for tensor in tensors)
    return data + field(MODEL_GRAPH, b"".join(field(GRAPH_OUTPUT, value) for value in values))


def free(data: bytes, ranks: Mapping[str, int]) -> bytes:
    """Take the sizes out of the named inputs, keeping their ranks.

    Shapes that the file declares for intermediate tensors and outputs go too: they were worked
    out for the old sizes.

    Parameters
    ----------
    data
        The file.
    ranks
        Rank by the name of the input.

    Raises
    ------
    MeasurementError
        If the file is not well-formed protobuf.
    """
    pieces: list[bytes | memoryview] = []  # views, so that no weight is copied twice
    for number, wire, whole, payload in fields(memoryview(data)):
        if number == MODEL_GRAPH and wire == BYTES:
            pieces.append(field(MODEL_GRAPH, _free_graph(payload, ranks)))
        else:
            pieces.append(whole)
    return b"".join(pieces)


def _free_graph(graph: memoryview, ranks: Mapping[str, int]) -> bytes:
    pieces: list[bytes | memoryview] = []
    for number, wire, whole, payload in fields(graph):
        if wire == BYTES and number == GRAPH_INPUT:
            rank = ranks.get(_name(payload))
            pieces.append(whole if rank is None else field(number, _reshaped(payload, rank)))
        elif wire == BYTES and number == GRAPH_OUTPUT:
            pieces.append(field(number, _reshaped(payload, None)))
        elif number != GRAPH_VALUE_INFO:
            pieces.append(whole)
    return b"".join(pieces)


def _name(value: memoryview) -> str:
    name = b""
    for number, wire, _, payload in fields(value):
        if number == VALUE_NAME and wire == BYTES:
            name = bytes(payload)
    return name.decode(errors="replace")


def _reshaped(value: memoryview, rank: int | None) -> bytes:
    """Give a tensor's ValueInfoProto `rank` unknown dimensions; None: no shape at all."""
    shape = b"" if rank is None else field(TENSOR_SHAPE, field(SHAPE_DIMENSION, b"") * rank)

    def tensor_type(payload: memoryview) -> bytes:
        kept = (whole for number, _, whole, _ in fields(payload) if number != TENSOR_SHAPE)
        return field(TYPE_TENSOR, b"".join(kept) + shape)

    def any_type(payload: memoryview) -> bytes:
        return b"".join(
            tensor_type(inner) if (number, wire) == (TYPE_TENSOR, BYTES) else whole
            for number, wire, whole, inner in fields(payload)
        )

    return b"".join(
        field(VALUE_TYPE, any_type(inner)) if (number, wire) == (VALUE_TYPE, BYTES) else whole
        for number, wire, whole, inner in fields(value)
    )


def field(number: int, payload: bytes) -> bytes:
    """Return a length-delimited field."""
    return varint(number << 3 | BYTES) + varint(len(payload)) + payload


def varint(value: int) -> bytes:
    """Return a number as protobuf writes it."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def fields(message: memoryview) -> Iterator[tuple[int, int, memoryview, memoryview]]:
    """Yield number, wire type, the whole field and, of a length-delimited one, its payload."""
    at = 0
    while at < len(message):
        start = at
        key, at = _read_varint(message, at)
        wire = key & 7
        payload = message[:0]
        if wire == VARINT:
            _, at = _read_varint(message, at)
        elif wire == BYTES:
            length, at = _read_varint(message, at)
            payload = message[at : at + length]
            at += length
        elif wire in (FIXED32, FIXED64):
            at += 4 if wire == FIXED32 else 8
        else:
            raise MeasurementError("the file is not well-formed protobuf")
        if at > len(message):
            raise MeasurementError(
                "the file is not well-formed protobuf: a field runs past its end"
            )
        yield key >> 3, wire, message[start:at], payload


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise MeasurementError("the file is not well-formed protobuf: it ends within a number")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise MeasurementError("the file is not well-formed protobuf: a number has no end")
