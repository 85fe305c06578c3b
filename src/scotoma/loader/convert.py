"""Single protobuf messages to Scotoma's types: texts, tensors, declared values, attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scotoma.loader import payload, wire
from scotoma.loader.model import Value
from scotoma.loader.tensors import (
    External,
    ExternalFiles,
    InFile,
    Inline,
    Location,
    Sparse,
    StoredTensor,
    Unavailable,
)

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterable

    import onnx

    from scotoma.loader.model import AttributeValue

FORBIDDEN = "reading weights is forbidden"
_EXTERNAL = 1  # TensorProto.EXTERNAL

# Numbers of AttributeProto.AttributeType.
FLOAT, INT, STRING, TENSOR, GRAPH, FLOATS, INTS, STRINGS, TENSORS, GRAPHS, SPARSE = range(1, 12)
_FIELDS = (
    ("t", TENSOR),
    ("g", GRAPH),
    ("sparse_tensor", SPARSE),
    ("i", INT),
    ("f", FLOAT),
    ("s", STRING),
)
_REPEATED = (("ints", INTS), ("floats", FLOATS), ("strings", STRINGS), ("graphs", GRAPHS))


def text(value: str | bytes) -> str:
    """Return a protobuf string, which is ``bytes`` when it is not UTF-8."""
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def texts(values: Iterable[str]) -> tuple[str, ...]:
    """Return protobuf strings as a tuple."""
    found = tuple(values)
    return tuple(map(text, found)) if bytes in map(type, found) else found


def domain_of(message: onnx.NodeProto | onnx.FunctionProto | onnx.OperatorSetIdProto) -> str:
    """Return the operator domain, ``""`` for the standard one."""
    domain = message.domain
    return "" if domain == "ai.onnx" else text(domain) if domain else ""


def opsets_of(imports: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    """Return imported versions by domain; of two versions of a domain the newer one."""
    opsets: dict[str, int] = {}
    for item in imports:
        domain = domain_of(item)
        opsets[domain] = max(item.version, opsets.get(domain, item.version))
    return opsets


def value_of(proto: onnx.ValueInfoProto, name: str) -> Value:
    """Return a declared tensor; sequences, maps and optionals have neither type nor shape."""
    if not proto.type.HasField("tensor_type"):
        return Value(name, None, None)
    tensor = proto.type.tensor_type
    shape: tuple[int | str | None, ...] | None = None
    if tensor.HasField("shape"):
        shape = tuple(
            dim.dim_value if dim.HasField("dim_value") else text(dim.dim_param) or None
            for dim in tensor.shape.dim
        )
    return Value(name, payload.numpy_dtype(tensor.elem_type), shape)


@dataclass(frozen=True, slots=True)
class TensorReader:
    """Turns tensor messages into stored tensors."""

    mapped: mmap.mmap | bytes
    payloads: tuple[wire.Payload, ...]
    files: ExternalFiles
    weights: bool

    def tensor(self, proto: onnx.TensorProto, name: str | None = None) -> StoredTensor:
        """Return a dense tensor."""
        data_type = proto.data_type
        shape = tuple(proto.dims)
        elements = 1
        for dim in shape:
            elements *= dim
        return StoredTensor(
            text(proto.name) if name is None else name,
            payload.numpy_dtype(data_type),
            shape,
            payload.stored_bytes(data_type, max(elements, 0)),
            self._location(proto),
            data_type,
        )

    def _location(self, proto: onnx.TensorProto) -> Location:
        if proto.data_location == _EXTERNAL:
            if not self.weights:
                return Unavailable(FORBIDDEN)
            entries = {text(entry.key): text(entry.value) for entry in proto.external_data}
            return External(
                self.files,
                entries.get("location", ""),
                entries.get("offset", ""),
                entries.get("length", ""),
            )
        if not proto.HasField("segment"):
            return Inline(proto)
        number = proto.segment.begin
        if proto.segment.end != wire.MARKER or not 0 <= number < len(self.payloads):
            return Unavailable("stored in segments")
        if not self.weights:
            return Unavailable(FORBIDDEN)
        found = self.payloads[number]
        return InFile(self.mapped, found.kind, found.offset, found.length)

    def sparse(self, proto: onnx.SparseTensorProto, name: str) -> StoredTensor:
        """Return a sparse tensor."""
        values = self.tensor(proto.values)
        return StoredTensor(
            name,
            values.dtype,
            tuple(proto.dims),
            values.nbytes,
            Sparse(values, self.tensor(proto.indices)),
            values.data_type,
        )

    def attribute(self, proto: onnx.AttributeProto) -> AttributeValue | None:
        """Return an attribute's value; None for graphs, types, lists of tensors and no value."""
        kind = proto.type or _guess(proto)
        if kind == INT:
            return proto.i
        if kind == INTS:
            return tuple(proto.ints)
        if kind == FLOAT:
            return proto.f
        if kind == STRING:
            return proto.s.decode("utf-8", "replace")
        if kind == TENSOR:
            return self.tensor(proto.t)
        if kind == FLOATS:
            return tuple(proto.floats)
        if kind == STRINGS:
            return tuple(item.decode("utf-8", "replace") for item in proto.strings)
        if kind == SPARSE:
            return self.sparse(proto.sparse_tensor, text(proto.sparse_tensor.values.name))
        return None


def body_protos(proto: onnx.AttributeProto) -> list[tuple[str, onnx.GraphProto]]:
    """Return the graphs in an attribute, named as the attribute (with ``#2`` ... in a list)."""
    kind = proto.type or _guess(proto)
    name = text(proto.name)
    if kind == GRAPH:
        return [(name, proto.g)]
    if kind == GRAPHS:
        return [
            (name if index == 1 else f"{name}#{index}", graph)
            for index, graph in enumerate(proto.graphs, 1)
        ]
    return []


def _guess(proto: Any) -> int:
    """Return the type of an attribute of the first IR versions, which do not state it."""
    for field, kind in _FIELDS:
        if proto.HasField(field):
            return kind
    for field, kind in _REPEATED:
        if len(getattr(proto, field)):
            return kind
    return INTS
