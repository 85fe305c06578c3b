"""The scanner: payloads left in the file, whatever the bytes say never more than a ModelError."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loader.helpers import model, save, small_model, tensor
from onnx import helper

from scotoma.errors import ModelError
from scotoma.loader import load_model, wire
from scotoma.loader.tensors import StoredTensor

SMALL = small_model().SerializeToString()


def kind_of(data: bytes, folder: Any) -> str:
    """The kind of error that loading ends with, or ``loads``."""
    try:
        load_model(save(data, folder))
    except ModelError as error:
        return error.kind
    return "loads"


def field(number: int, body: bytes) -> bytes:
    return wire.encode_varint(number << 3 | 2) + wire.encode_varint(len(body)) + body


def weights_model(weights: Any, **fields: Any) -> Any:
    """One Conv-like node on one large weight, stored as the given field."""
    proto = model([helper.make_node("Add", ["x", "w"], ["y"])], initializers=[tensor("w", weights)])
    stored = proto.graph.initializer[0]
    if fields:
        stored.ClearField("raw_data")
        for name, values in fields.items():
            getattr(stored, name).extend(values)
    return proto


def test_slim_is_the_model_when_nothing_is_large() -> None:
    assert wire.slim(SMALL) == wire.Slim(SMALL, ())


def test_descending_everywhere_keeps_the_message() -> None:
    proto = onnx.ModelProto.FromString(wire.slim(SMALL, threshold=-1).data)
    found, original = proto.graph, onnx.ModelProto.FromString(SMALL).graph
    assert found.initializer[0].segment.end == wire.MARKER
    found.initializer[0].CopyFrom(original.initializer[0])
    found.node[1].attribute[0].t.CopyFrom(original.node[1].attribute[0].t)
    assert found == original


def test_payloads_wherever_a_tensor_can_be(tmp_path: Any) -> None:
    large = np.arange(600, dtype=np.float32)
    body = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=tensor("", large + 1))],
        "body",
        [],
        [helper.make_tensor_value_info("c", 1, [600])],
    )
    function = helper.make_function(
        "f",
        "F",
        [],
        ["o"],
        [helper.make_node("Constant", [], ["o"], value=tensor("", large + 2))],
        [helper.make_opsetid("", 17)],
    )
    nodes = [
        helper.make_node("If", ["x"], ["i"], then_branch=body, else_branch=body, name="if"),
        helper.make_node("F", [], ["y"], domain="f", name="call"),
    ]
    proto = model(
        nodes,
        initializers=[tensor("w", large)],
        functions=[function],
        imports=[helper.make_opsetid("", 17), helper.make_opsetid("f", 1)],
    )
    slim = wire.slim(proto.SerializeToString())
    assert [payload.length for payload in slim.payloads] == [2400] * 4
    assert len(slim.data) < 1000
    loaded = load_model(save(proto, tmp_path))
    found = {op.name: op for _, op in loaded.walk()}
    assert np.array_equal(loaded.main.initializers["w"].array(), large)
    assert sorted(found) == ["Constant:c", "Constant:c#2", "Constant:y", "if"]
    for name, plus in (("Constant:c", 1), ("Constant:c#2", 1), ("Constant:y", 2)):
        constant = found[name].attributes["value"]
        assert isinstance(constant, StoredTensor)
        assert np.array_equal(constant.array(), large + plus)


INTEGERS = np.array([0, 1, -1, 127, 128, -(2**31), 2**31 - 1] * 200, np.int32)


@pytest.mark.parametrize(
    ("array", "stored_field", "stored"),
    [
        (np.linspace(-1, 1, 700, dtype=np.float32), "float_data", None),
        (np.linspace(-1, 1, 700), "double_data", None),
        (INTEGERS, "int32_data", None),
        (INTEGERS.astype(np.int16), "int32_data", None),
        (INTEGERS.astype(np.uint8), "int32_data", None),
        (INTEGERS > 0, "int32_data", np.uint8),
        (INTEGERS.astype(np.int64) << 30, "int64_data", None),
        (INTEGERS.astype(np.uint64), "uint64_data", None),
        (INTEGERS.astype(np.uint32), "uint64_data", None),
        (np.linspace(-2, 2, 900, dtype=np.float16), "int32_data", np.uint16),
    ],
    ids=lambda value: str(getattr(value, "dtype", value)),
)
@pytest.mark.parametrize("count", [3, None], ids=["inline", "in file"])
def test_typed_fields(
    array: Any, stored_field: Any, stored: Any, count: Any, tmp_path: Any
) -> None:
    array = array[:count]
    values = array.view(stored) if stored else array
    proto = weights_model(array, **{stored_field: values.tolist()})
    data = proto.SerializeToString()
    assert bool(wire.slim(data).payloads) == (count is None)
    found = load_model(save(data, tmp_path)).main.initializers["w"]
    assert found.dtype == array.dtype
    assert found.array().dtype == array.dtype
    assert found.array().tobytes() == array.tobytes()


@pytest.mark.parametrize("code", range(16, 27))
@pytest.mark.parametrize("elements", [9, 9000])
@pytest.mark.parametrize("raw", [True, False])
def test_types_that_numpy_lacks(code: Any, elements: Any, raw: Any, tmp_path: Any) -> None:
    bits = {21: 4, 22: 4, 23: 4, 25: 2, 26: 2}.get(code, 16 if code == 16 else 8)
    stored = np.random.default_rng(code).integers(0, 256, -(-elements * bits // 8), np.uint8)
    proto = onnx.TensorProto(name="w", data_type=code, dims=[elements])
    if raw:
        proto.raw_data = stored.tobytes()
    else:
        proto.int32_data.extend((stored.view(np.uint16) if bits == 16 else stored).tolist())
    whole = model([helper.make_node("Identity", ["w"], ["y"])], initializers=[proto])
    found = load_model(save(whole, tmp_path)).main.initializers["w"]
    expected = onnx.numpy_helper.to_array(proto)
    assert found.dtype == found.array().dtype == expected.dtype
    assert found.nbytes == len(stored)
    assert found.array().tobytes() == expected.tobytes()


def test_unpacked_numbers_and_pieces_parse_as_protobuf_does(tmp_path: Any) -> None:
    values = np.arange(900, dtype=np.float32)
    packed = field(4, values[:500].tobytes())
    unpacked = b"".join(b"\x25" + item.tobytes() for item in values[500:])
    head = b"\x08" + wire.encode_varint(900) + b"\x10\x01" + field(8, b"w")
    graph = field(1, helper.make_node("Neg", ["w"], ["y"]).SerializeToString())
    for body in (
        packed + unpacked,
        field(4, values[:1].tobytes()) + field(4, values[1:].tobytes()),
    ):
        data = b"\x08\x08" + field(7, graph + field(5, head + body))
        found = load_model(save(data, tmp_path)).main.initializers["w"].array()
        assert np.array_equal(found, values)


def test_graph_in_two_pieces_is_merged_and_unknown_fields_are_tolerated(tmp_path: Any) -> None:
    first = field(1, helper.make_node("Neg", ["x"], ["a"]).SerializeToString())
    second = field(1, helper.make_node("Abs", ["a"], ["y"]).SerializeToString())
    group = b"\xa3\x06" + b"\x08\x01" + b"\xa4\x06"
    data = b"\x08\x08" + field(7, first + field(99, b"?")) + group + field(7, second + group)
    operators = load_model(save(data, tmp_path)).main.operators
    assert [operator.op_type for operator in operators] == ["Neg", "Abs"]


def test_large_weights_cost_nothing(tmp_path: Any) -> None:
    shape = (16, 1 << 20)
    ones = weights_model(np.ones(shape, np.float32)).SerializeToString()
    path = save(ones, tmp_path)
    first = load_model(path)
    second = load_model(save(weights_model(np.zeros(shape, np.float32)), tmp_path, "zeros.onnx"))
    slim = wire.slim(ones)
    assert len(slim.data) < 300
    assert first.graph_sha256 == second.graph_sha256 == hashlib.sha256(slim.data).hexdigest()
    other = load_model(save(weights_model(np.ones((8, 1 << 20), np.float32)), tmp_path, "o.onnx"))
    assert other.graph_sha256 != first.graph_sha256
    array = first.main.initializers["w"].array()
    assert not array.flags.owndata
    assert array.shape == shape
    assert array[15, -1] == 1


class Counting(bytes):
    """Bytes that note which of them are looked at."""

    seen = 0

    def __getitem__(self, index: Any) -> Any:
        found = bytes.__getitem__(self, index)
        type(self).seen += 1 if isinstance(index, int) else len(found)
        return found


def test_bytes_read_do_not_grow_with_weights() -> None:
    data = Counting(weights_model(np.ones(1 << 20, np.float32)).SerializeToString())
    wire.slim(data)
    assert 0 < Counting.seen < 1000


def test_every_truncation_is_refused_or_loads(tmp_path: Any) -> None:
    # A file cut after its graph is a whole model: the version of the operators is all it lacks.
    kinds = [kind_of(SMALL[:size], tmp_path) for size in range(len(SMALL))]
    graph_at = SMALL.index(b"\x3a")
    assert kinds[0] == "empty"
    assert kinds[1] == "truncated"
    assert kinds[2] == "not-onnx"
    assert set(kinds[graph_at + 1 : -20]) == {"truncated"}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_flipped_bytes_never_crash(tmp_path_factory: Any, data: Any) -> None:
    folder = tmp_path_factory.getbasetemp()
    changed = bytearray(SMALL)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(SMALL) - 1))] = data.draw(st.integers(0, 255))
    refusals = {"truncated", "not-protobuf", "not-onnx", "cyclic", "too-large"}
    assert kind_of(bytes(changed), folder) in {"loads", *refusals}


def refusal(data: bytes, threshold: int) -> str:
    """The kind of error that the scanner ends with, or ``scanned``."""
    try:
        wire.slim(data, threshold)
    except ModelError as error:
        return error.kind
    return "scanned"


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=1, max_size=60), st.sampled_from([-1, wire.THRESHOLD]))
def test_random_bytes_never_crash(data: bytes, threshold: int) -> None:
    kinds = {"truncated", "not-protobuf", "not-onnx", "too-large"}
    assert refusal(data, threshold) in {"scanned", *kinds}
    # As the graph of a model they pass the first look, and the scanner has to walk them.
    assert refusal(field(7, data), threshold) in {"scanned", *kinds}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "empty"),
        (b"hello, world", "not-protobuf"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "not-protobuf"),
        (b"PK\x03\x04" + bytes(40), "not-protobuf"),
        (b"version https://git-lfs.github.com/spec/v1\n", "not-protobuf"),
        (bytes(64), "not-protobuf"),
        (b"\x08\x08\x3a" + b"\xff" * 9 + b"\x01", "truncated"),
        (b"\x08\x08\x3a" + b"\xff" * 30, "not-protobuf"),
        (b"\x08\x08\x3a\x80\x80\x80\x80\x80\x40" + bytes(9), "truncated"),
        (onnx.ModelProto.FromString(SMALL).graph.SerializeToString(), "not-onnx"),
        (tensor("t", np.arange(9)).SerializeToString(), "not-onnx"),
        (onnx.TensorProto(dims=[3], data_type=7, int64_data=[1]).SerializeToString(), "not-onnx"),
        (onnx.ModelProto(ir_version=8).SerializeToString(), "not-onnx"),
        (onnx.ModelProto(ir_version=8, graph=onnx.GraphProto()).SerializeToString(), "not-onnx"),
        (field(99, b"abc") + b"\x08\x01", "not-onnx"),
    ],
)
def test_what_is_no_model(data: Any, kind: Any, tmp_path: Any) -> None:
    assert kind_of(data, tmp_path) == kind


def nested(levels: int, padding: int) -> bytes:
    graph = field(1, field(4, b"Neg")) + field(2, b"n" * padding)
    for _ in range(levels):
        attribute = field(1, b"then_branch") + b"\xa0\x01\x05" + field(6, graph)
        graph = field(1, field(4, b"If") + field(5, attribute))
    return b"\x08\x08" + field(7, graph)


@pytest.mark.parametrize("padding", [1, 2000])
def test_deep_nesting(padding: Any, tmp_path: Any) -> None:
    assert kind_of(nested(30, padding), tmp_path) == "loads"
    for levels in (31, 32, 33, 40, 2000):
        assert kind_of(nested(levels, padding), tmp_path) == "too-large"


def test_node_limit(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(wire, "MAX_NODES", 1000)
    data = field(1, b"") * 1001
    assert kind_of(b"\x08\x08" + field(7, data), tmp_path) == "too-large"
    assert kind_of(b"\x08\x08" + field(7, data[2:]), tmp_path) == "loads"
