"""Makes random operators repeat themselves, in a copy of a serialized ONNX file.

A dropout that is on is turned off; random numbers become their expectation, a random class the
most probable one. Bodies of If, Loop and Scan and local functions are covered. Like
`scotoma.measure.edit` it works on the wire format, so that no weight is parsed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scotoma.measure.edit import BYTES, MODEL_GRAPH, VARINT, field, fields, varint

if TYPE_CHECKING:
    from scotoma.loader.model import Model, Operator

# Field numbers of onnx.proto.
MODEL_FUNCTIONS = 25
GRAPH_NODE, FUNCTION_NODE = 1, 7
NODE_INPUT, NODE_OUTPUT, NODE_NAME, NODE_TYPE, NODE_ATTRIBUTE, NODE_DOMAIN = 1, 2, 3, 4, 5, 7
ATTRIBUTE_NAME, ATTRIBUTE_FLOAT, ATTRIBUTE_INT, ATTRIBUTE_TENSOR = 1, 2, 3, 5
ATTRIBUTE_GRAPH, ATTRIBUTE_INTS, ATTRIBUTE_GRAPHS, ATTRIBUTE_TYPE = 6, 8, 11, 20
TENSOR_DIMS, TENSOR_TYPE, TENSOR_RAW = 1, 2, 9
INT, TENSOR = 2, 4
"""Kinds of attributes."""
FLOAT, INT32, INT64, FLOAT16, DOUBLE = 1, 6, 7, 10, 11
"""Element types."""
NUMPY = {FLOAT: "<f4", FLOAT16: "<f2", DOUBLE: "<f8"}
TYPES = {np.dtype(code).newbyteorder("="): number for number, code in NUMPY.items()}

RANDOM = frozenset(
    {
        "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
        "RandomUniformLike",
    }
)  # fmt: skip


def suspects(model: Model) -> tuple[Operator, ...]:
    """Return the operators that may answer differently every time, bodies included."""
    return tuple(
        operator
        for _, operator in model.walk()
        if not operator.domain
        and (
            operator.op_type in RANDOM
            or (operator.op_type == "Dropout" and len(operator.inputs) > 2 and operator.inputs[2])
        )
    )


def frozen(data: bytes, dtypes: Mapping[str, np.dtype]) -> bytes:
    """Return a copy of a model in which the operators of `suspects` repeat themselves.

    What has no replacement (several samples of a Multinomial) stays as it is.

    Parameters
    ----------
    data
        The file.
    dtypes
        Element type by tensor, as far as known; float32 is taken for the others.

    Raises
    ------
    MeasurementError
        If the file is not well-formed protobuf.
    """
    return _rewritten(memoryview(data), dtypes, {MODEL_GRAPH: _graph, MODEL_FUNCTIONS: _function})


Rewrite = Callable[[memoryview, Mapping[str, np.dtype]], bytes]


def _rewritten(
    message: memoryview, dtypes: Mapping[str, np.dtype], inner: Mapping[int, Rewrite]
) -> bytes:
    """Return a message with the fields of some numbers rewritten, everything else as it is."""
    pieces: list[bytes | memoryview] = []
    for number, wire, whole, payload in fields(message):
        rewrite = inner.get(number) if wire == BYTES else None
        pieces.append(whole if rewrite is None else field(number, rewrite(payload, dtypes)))
    return b"".join(pieces)


def _graph(graph: memoryview, dtypes: Mapping[str, np.dtype]) -> bytes:
    return _nodes(graph, GRAPH_NODE, dtypes)


def _function(function: memoryview, dtypes: Mapping[str, np.dtype]) -> bytes:
    return _nodes(function, FUNCTION_NODE, dtypes)


def _nodes(holder: memoryview, node_field: int, dtypes: Mapping[str, np.dtype]) -> bytes:
    """Return a graph or a function with each of its nodes replaced by one or more."""
    pieces: list[bytes | memoryview] = []
    for number, wire, whole, payload in fields(holder):
        if number == node_field and wire == BYTES:
            pieces.extend(field(node_field, node) for node in _replaced(payload, dtypes))
        else:
            pieces.append(whole)
    return b"".join(pieces)


def _replaced(payload: memoryview, dtypes: Mapping[str, np.dtype]) -> list[bytes]:
    """Return the nodes that stand for a node: itself, with its bodies rewritten, for most."""
    node = _Node.read(payload)
    if not node.domain:
        if node.op_type == "Dropout" and len(node.inputs) > 2:
            return [node.written("Dropout", node.inputs[:2])]
        if node.op_type == "Bernoulli":
            to = node.number("dtype")
            attributes = b"" if to is None else _int("to", to)
            return [_made("Identity" if to is None else "Cast", node, node.inputs[:1], attributes)]
        if node.op_type == "Multinomial" and node.number("sample_size", 1) == 1:
            return _most_probable(node)
        if node.op_type in RANDOM and node.op_type != "Multinomial":
            return _expectation(node, dtypes)
    bodies = {NODE_ATTRIBUTE: _attribute}
    return [_rewritten(payload, dtypes, bodies)]


def _attribute(attribute: memoryview, dtypes: Mapping[str, np.dtype]) -> bytes:
    return _rewritten(attribute, dtypes, {ATTRIBUTE_GRAPH: _graph, ATTRIBUTE_GRAPHS: _graph})


def _most_probable(node: _Node) -> list[bytes]:
    """Take the class of the largest log-probability: (batch, classes) to (batch, 1)."""
    between = f"{node.outputs[0]}:argmax"
    axes = _int("axis", 1) + _int("keepdims", 1)
    to = _int("to", node.number("dtype", INT32) or INT32)
    return [
        _made("ArgMax", node, node.inputs[:1], axes, between),
        _made("Cast", node, (between,), to),
    ]


def _expectation(node: _Node, dtypes: Mapping[str, np.dtype]) -> list[bytes]:
    """Fill the shape that the random numbers would have with what they are on average."""
    if node.op_type.startswith("RandomNormal"):
        mean = node.real("mean", 0.0)
    else:
        mean = (node.real("low", 0.0) + node.real("high", 1.0)) / 2
    shape = f"{node.outputs[0]}:shape"
    if node.op_type.endswith("Like"):
        like = dtypes.get(node.inputs[0])
        known = FLOAT if like is None else TYPES.get(like, FLOAT)
        first = _made("Shape", node, node.inputs[:1], b"", shape)
    else:
        known = FLOAT
        sizes = np.array(node.numbers("shape"), "<i8")
        first = _made("Constant", node, (), _tensor("value", sizes, INT64), shape)
    kind = node.number("dtype", known) or known
    value = np.array([mean], np.dtype(NUMPY.get(kind, NUMPY[FLOAT])))
    return [
        first,
        _made("ConstantOfShape", node, (shape,), _tensor("value", value, kind)),
    ]


@dataclass(frozen=True, slots=True)
class _Node:
    """What is needed of a NodeProto."""

    payload: memoryview
    op_type: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, memoryview]

    @staticmethod
    def read(payload: memoryview) -> _Node:
        texts: dict[int, list[str]] = {}
        attributes = {}
        for number, wire, _, inner in fields(payload):
            if wire == BYTES and number == NODE_ATTRIBUTE:
                named = [p for n, w, _, p in fields(inner) if (n, w) == (ATTRIBUTE_NAME, BYTES)]
                attributes[_text(named[-1]) if named else ""] = inner
            elif wire == BYTES:
                texts.setdefault(number, []).append(_text(inner))
        last = {number: values[-1] for number, values in texts.items()}
        domain = last.get(NODE_DOMAIN, "")
        return _Node(
            payload,
            last.get(NODE_TYPE, ""),
            "" if domain == "ai.onnx" else domain,
            last.get(NODE_NAME, ""),
            tuple(texts.get(NODE_INPUT, ())),
            tuple(texts.get(NODE_OUTPUT, ())),
            attributes,
        )

    def written(self, op_type: str, inputs: tuple[str, ...]) -> bytes:
        """Return the node with other inputs, attributes and outputs as they are."""
        kept = (
            whole for number, _, whole, _ in fields(self.payload)
            if number not in (NODE_INPUT, NODE_TYPE)
        )  # fmt: skip
        read = b"".join(field(NODE_INPUT, name.encode()) for name in inputs)
        return read + field(NODE_TYPE, op_type.encode()) + b"".join(kept)

    def number(self, name: str, default: int | None = None) -> int | None:
        """Return an attribute that is a whole number."""
        found = self.numbers(name, ATTRIBUTE_INT)
        return found[-1] if found else default

    def numbers(self, name: str, kind: int = ATTRIBUTE_INTS) -> list[int]:
        """Return an attribute that is a list of whole numbers, packed or not."""
        found: list[int] = []
        for number, wire, whole, payload in fields(self.attributes.get(name, memoryview(b""))):
            if number == kind and wire == VARINT:
                found.append(_number(whole[len(varint(kind << 3)) :]))
            elif number == kind and wire == BYTES:
                # Each packed number is read as the field that it would be alone.
                rest = bytes(payload)
                while rest:
                    size = next((i + 1 for i, byte in enumerate(rest) if byte < 0x80), len(rest))
                    found.append(_number(memoryview(rest[:size])))
                    rest = rest[size:]
        return found

    def real(self, name: str, default: float) -> float:
        """Return an attribute that is a float."""
        key = varint(ATTRIBUTE_FLOAT << 3 | 5)
        for number, _, whole, _ in fields(self.attributes.get(name, memoryview(b""))):
            if number == ATTRIBUTE_FLOAT and bytes(whole[: len(key)]) == key:
                default = struct.unpack("<f", bytes(whole[len(key) :]))[0]
        return default


def _made(
    op_type: str,
    node: _Node,
    inputs: tuple[str, ...],
    attributes: bytes,
    output: str | None = None,
) -> bytes:
    """Return a new node that makes the first output of an old one, or something on the way."""
    return b"".join(
        [
            *(field(NODE_INPUT, name.encode()) for name in inputs),
            field(NODE_OUTPUT, (output or node.outputs[0]).encode()),
            field(NODE_NAME, f"{node.name}:{op_type}".encode()),
            field(NODE_TYPE, op_type.encode()),
            attributes,
        ]
    )


def _int(name: str, value: int) -> bytes:
    """Return an attribute that holds a whole number, at least 0."""
    payload = field(ATTRIBUTE_NAME, name.encode())
    payload += varint(ATTRIBUTE_INT << 3) + varint(value)
    return field(NODE_ATTRIBUTE, payload + varint(ATTRIBUTE_TYPE << 3) + varint(INT))


def _tensor(name: str, values: np.ndarray, kind: int) -> bytes:
    """Return an attribute that holds a tensor of one axis."""
    tensor = field(TENSOR_DIMS, varint(len(values)))
    tensor += varint(TENSOR_TYPE << 3) + varint(kind)
    tensor += field(TENSOR_RAW, values.tobytes())
    payload = field(ATTRIBUTE_NAME, name.encode()) + field(ATTRIBUTE_TENSOR, tensor)
    return field(NODE_ATTRIBUTE, payload + varint(ATTRIBUTE_TYPE << 3) + varint(TENSOR))


def _number(encoded: memoryview) -> int:
    value = 0
    for place, byte in enumerate(encoded):
        value |= (byte & 0x7F) << 7 * place
    return value


def _text(payload: memoryview) -> str:
    return bytes(payload).decode(errors="replace")
