"""ONNX protobuf without its weights: large payloads stay in the file, by their byte ranges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scotoma.errors import ModelError

if TYPE_CHECKING:
    import mmap

    Buffer = mmap.mmap | bytes

THRESHOLD = 1024
"""Messages and payloads up to this many bytes are copied whole."""
MAX_NODES = 1_000_000
"""Most operators that a model may have, subgraphs and expanded functions included."""
MAX_BODY_DEPTH = 30
"""Deepest nesting of If, Loop and Scan; protobuf itself parses 100 levels of messages."""
MAX_SLIM_BYTES = 1 << 29
"""Most bytes that a model may have beside its large weights."""
MAX_FIELDS = 20_000_000
"""Most protobuf fields that are looked at one by one."""

MARKER = 0x5C0704A5
"""``segment.end`` of a tensor whose payload was left out; ``segment.begin`` is its number.

No exporter and no runtime uses TensorProto.segment.
"""

_VARINT, _FIXED64, _BYTES, _START_GROUP, _END_GROUP, _FIXED32 = range(6)
_WIDTH = {_FIXED64: 8, _FIXED32: 4}
_MAX_VARINT_BYTES = 10
_MAX_LEVELS = 3 * MAX_BODY_DEPTH + 5


def _tag(field: int) -> int:
    return field << 3 | _BYTES


@dataclass(frozen=True, slots=True)
class Payload:
    """Where the elements of a large tensor are in the model file."""

    kind: str
    """Field of TensorProto: ``raw_data``, ``float_data`` ..., packed; or ``string_data``."""
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Slim:
    """A model without its large payloads."""

    data: bytes
    """A serialized ModelProto; a tensor that lost its payload carries `MARKER` and its number."""
    payloads: tuple[Payload, ...]


_PAYLOADS = {
    _tag(4): "float_data",
    _tag(5): "int32_data",
    _tag(6): "string_data",
    _tag(7): "int64_data",
    _tag(9): "raw_data",
    _tag(10): "double_data",
    _tag(11): "uint64_data",
}
_STRING_DATA = _tag(6)
_SEGMENT = _tag(3)

# Message types: a table from tag to the type of the message in that field. A tensor is a leaf.
_TENSOR: dict[int, dict] = {}  # type: ignore[type-arg]
_SPARSE = {_tag(1): _TENSOR, _tag(2): _TENSOR}
_ATTRIBUTE: dict[int, dict] = {}  # type: ignore[type-arg]
_NODE = {_tag(5): _ATTRIBUTE}
_GRAPH = {_tag(1): _NODE, _tag(5): _TENSOR, _tag(15): _SPARSE}
_ATTRIBUTE.update(
    {
        _tag(5): _TENSOR,
        _tag(6): _GRAPH,
        _tag(10): _TENSOR,
        _tag(11): _GRAPH,
        _tag(22): _SPARSE,
        _tag(23): _SPARSE,
    }
)
_FUNCTION = {_tag(7): _NODE, _tag(11): _ATTRIBUTE}
_TRAINING = {_tag(1): _GRAPH, _tag(2): _GRAPH}
_MODEL = {_tag(7): _GRAPH, _tag(20): _TRAINING, _tag(25): _FUNCTION}

_GRAPH_FIELD = 7
_MODEL_WIRE = {
    1: _VARINT,  # ir_version
    2: _BYTES,  # producer_name
    3: _BYTES,  # producer_version
    4: _BYTES,  # domain
    5: _VARINT,  # model_version
    6: _BYTES,  # doc_string
    _GRAPH_FIELD: _BYTES,
    8: _BYTES,  # opset_import
    14: _BYTES,  # metadata_props
    20: _BYTES,  # training_info
    25: _BYTES,  # functions
    26: _BYTES,  # configuration
}
_OTHER_FORMATS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the model itself"),
    (b"PK\x03\x04", "a ZIP archive (a PyTorch checkpoint?)"),
    (b"\x89HDF", "an HDF5 file (Keras weights?)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"<", "a markup file"),
    (b"{", "a JSON file"),
)


def slim(buffer: Buffer, threshold: int = THRESHOLD) -> Slim:
    """Copy a serialized ModelProto without its large tensor payloads.

    The work is linear in the number of messages; the pages of left-out payloads are not touched.

    Parameters
    ----------
    buffer
        The whole file.
    threshold
        Messages and payloads of at most so many bytes are copied whole.

    Raises
    ------
    ModelError
        ``truncated``, ``not-protobuf``, ``not-onnx`` or ``too-large``.
    """
    check_model(buffer)
    scanner = _Scanner(buffer, threshold)
    scanner.run()
    return Slim(b"".join(scanner.chunks), tuple(scanner.payloads))


def check_model(buffer: Buffer) -> None:
    """Look at the outermost fields only and raise `ModelError` unless they are a ModelProto's."""
    for magic, what in _OTHER_FORMATS:
        if buffer[: len(magic)] == magic:
            raise ModelError("not-protobuf", f"not an ONNX file but {what}")
    position, end = 0, len(buffer)
    has_graph = unknown = contradiction = False
    while position < end:
        try:
            tag, position = varint(buffer, position, end)
            field, wire = tag >> 3, tag & 7
            unknown |= field not in _MODEL_WIRE
            contradiction |= _MODEL_WIRE.get(field, wire) != wire
            has_graph |= field == _GRAPH_FIELD
            position = _skip(buffer, position, end, tag)
        except ModelError as error:
            if error.kind == "truncated" and (unknown or contradiction):
                raise ModelError("not-protobuf", "not a protobuf file") from None
            raise
    if contradiction or not has_graph:
        raise ModelError("not-onnx", "protobuf, but not an ONNX model: it holds no graph")


def varint(buffer: Buffer, position: int, end: int) -> tuple[int, int]:
    """Return the number at a position and the position behind it."""
    value = 0
    for index in range(min(_MAX_VARINT_BYTES, end - position)):
        byte = buffer[position + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, position + index + 1
    if end - position >= _MAX_VARINT_BYTES:
        raise _no_protobuf("an endless number", position)
    raise _truncated(end)


def _no_protobuf(what: str, position: int) -> ModelError:
    return ModelError("not-protobuf", f"not an ONNX file: no protobuf, {what} at byte {position}")


def _truncated(position: int) -> ModelError:
    return ModelError("truncated", f"cut short: a field runs past its end at byte {position}")


def _skip(buffer: Buffer, position: int, end: int, tag: int) -> int:
    """Return the position behind the field whose tag was just read."""
    wire = tag & 7
    if tag >> 3 == 0:
        raise _no_protobuf("field number 0", position)
    if wire == _BYTES:
        length, position = varint(buffer, position, end)
        position += length
    elif wire == _VARINT:
        _, position = varint(buffer, position, end)
    elif wire in _WIDTH:
        position += _WIDTH[wire]
    elif wire == _START_GROUP:
        position = _skip_group(buffer, position, end)
    else:
        raise _no_protobuf(f"wire type {wire}", position)
    if position > end:
        raise _truncated(end)
    return position


def _skip_group(buffer: Buffer, position: int, end: int) -> int:
    depth = 1
    while depth:
        tag, position = varint(buffer, position, end)
        wire = tag & 7
        if wire == _START_GROUP:
            depth += 1
        elif wire == _END_GROUP:
            depth -= 1
        else:
            position = _skip(buffer, position, end, tag)
    return position


@dataclass(slots=True)
class _Frame:
    """A message that is being copied."""

    table: dict  # type: ignore[type-arg]
    position: int
    end: int
    copied: int
    """Start of what is not copied yet."""
    tag: int
    header: int
    """Index of the chunk that gets the tag and length, which are known last."""
    size: int = 0


class _Scanner:
    """Copies nested messages with a stack of its own, so that depth costs no recursion."""

    def __init__(self, buffer: Buffer, threshold: int) -> None:
        self.buffer = buffer
        self.threshold = threshold
        self.chunks: list[bytes] = []
        self.payloads: list[Payload] = []
        self.total = 0
        self.fields = 0
        self.nodes = 0

    def run(self) -> None:
        stack = [_Frame(_MODEL, 0, len(self.buffer), 0, 0, -1)]
        while stack:
            frame = stack[-1]
            child = self._advance(frame)
            if child is not None:
                if len(stack) >= _MAX_LEVELS:
                    raise too_deep()
                stack.append(child)
                continue
            stack.pop()
            if stack:
                head = encode_varint(frame.tag) + encode_varint(frame.size)
                self.chunks[frame.header] = head
                stack[-1].size += frame.size + len(head)

    def _advance(self, frame: _Frame) -> _Frame | None:
        """Walk one message up to the next large child, which is returned, or to its end."""
        buffer, table, end, threshold = self.buffer, frame.table, frame.end, self.threshold
        position = frame.position
        node_tag = _tag(1) if table is _GRAPH else _tag(7) if table is _FUNCTION else 0
        fields = nodes = 0
        child_frame = None
        while position < end:
            start = position
            fields += 1
            tag = buffer[position]
            position += 1
            if tag >= 0x80:
                tag, position = varint(buffer, start, end)
            if tag & 7 != _BYTES:
                position = _skip(buffer, position, end, tag)
                continue
            if position >= end:
                raise _truncated(end)
            length = buffer[position]
            position += 1
            if length >= 0x80:
                length, position = varint(buffer, position - 1, end)
            if position + length > end:
                raise _truncated(end)
            nodes += tag == node_tag
            if length > threshold and tag in table:
                child = table[tag]
                self._copy(frame, start)
                frame.position = frame.copied = position + length
                if child is not _TENSOR:
                    child_frame = _Frame(
                        child, position, position + length, position, tag, len(self.chunks)
                    )
                    self.chunks.append(b"")
                    break
                self._tensor(frame, tag, position, position + length)
            elif tag < 8:
                raise _no_protobuf("field number 0", start)
            position += length
            if fields + self.fields > MAX_FIELDS:
                raise ModelError("too-large", f"more than {MAX_FIELDS:,} protobuf fields")
        else:
            self._copy(frame, end)
        self._count(fields, nodes)
        return child_frame

    def _count(self, fields: int, nodes: int) -> None:
        self.fields += fields
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise too_many_nodes()

    def _copy(self, frame: _Frame, stop: int) -> None:
        if stop > frame.copied:
            frame.size += self._emit(self.buffer[frame.copied : stop])

    def _emit(self, chunk: bytes) -> int:
        self.total += len(chunk)
        if self.total > MAX_SLIM_BYTES:
            limit = MAX_SLIM_BYTES >> 20
            raise ModelError("too-large", f"more than {limit} MiB beside the weights")
        self.chunks.append(chunk)
        return len(chunk)

    def _tensor(self, frame: _Frame, tag: int, start: int, end: int) -> None:
        """Copy a large tensor without its payload."""
        found = self._tensor_fields(start, end)
        pieces: list[bytes] = []
        if found is None:
            pieces.append(self.buffer[start:end])
        else:
            rest, payload = found
            pieces.extend(self.buffer[first:last] for first, last in rest)
            if payload is not None:
                number = encode_varint(len(self.payloads))
                segment = b"\x08" + number + b"\x10" + encode_varint(MARKER)
                pieces.append(encode_varint(_SEGMENT) + encode_varint(len(segment)) + segment)
                self.payloads.append(payload)
        body = b"".join(pieces)
        frame.size += self._emit(encode_varint(tag) + encode_varint(len(body)) + body)

    def _tensor_fields(
        self, position: int, end: int
    ) -> tuple[list[tuple[int, int]], Payload | None] | None:
        """Return the byte ranges to copy and the payload; None: copy the tensor as it is.

        A payload in several pieces (unpacked numbers, say) is put together by the protobuf
        parser, so such a tensor is not taken apart here.
        """
        buffer = self.buffer
        rest: list[tuple[int, int]] = []
        payload: Payload | None = None
        pieces = 0
        while position < end:
            start = position
            self.fields += 1
            tag, position = varint(buffer, position, end)
            if tag & 7 == _BYTES and tag in _PAYLOADS:
                length, position = varint(buffer, position, end)
                payload = Payload(_PAYLOADS[tag], position, length)
                position += length
                if position > end:
                    raise _truncated(end)
                pieces += tag != _STRING_DATA
            else:
                position = _skip(buffer, position, end, tag)
                if tag & ~7 | _BYTES in _PAYLOADS:
                    pieces += 2
                elif tag != _SEGMENT:
                    rest.append((start, position))
            if pieces > 1 or self.fields > MAX_FIELDS:
                break
        if self.fields > MAX_FIELDS:
            raise ModelError("too-large", f"more than {MAX_FIELDS:,} protobuf fields")
        if pieces > 1 or (pieces == 1 and payload and payload.length <= self.threshold):
            return None
        return rest, payload


def encode_varint(value: int) -> bytes:
    """Return a non-negative number as a protobuf varint."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def too_deep() -> ModelError:
    """Return the error for subgraphs that are nested too deeply."""
    return ModelError("too-large", f"subgraphs nested more than {MAX_BODY_DEPTH} deep")


def too_many_nodes() -> ModelError:
    """Return the error for a graph that is too large."""
    return ModelError("too-large", f"more than {MAX_NODES:,} operators")
