"""Payloads: external data only inside the folder, sizes that must be true, access forbidden."""

from __future__ import annotations

import os
import sys
import tracemalloc
from typing import Any

import numpy as np
import onnx
import pytest
from loader.helpers import model, save, tensor
from onnx import helper

from scotoma.errors import WeightsUnavailableError
from scotoma.loader import load_model

WEIGHTS = np.arange(64, dtype=np.float32).reshape(8, 8)


def load(stored: Any, folder: Any, **options: Any) -> Any:
    proto = model([helper.make_node("Neg", ["w"], ["y"])], initializers=[stored])
    return load_model(save(proto, folder), **options).main.initializers["w"]


def external(location: Any, dims: Any = (8, 8), **entries: Any) -> Any:
    stored = onnx.TensorProto(name="w", data_type=1, dims=dims)
    stored.data_location = onnx.TensorProto.EXTERNAL
    for key, item in {"location": location, **entries}.items():
        stored.external_data.add(key=key, value=str(item))
    return stored


def refused(stored: Any, reason: Any) -> None:
    with pytest.raises(WeightsUnavailableError, match=reason):
        stored.array()


@pytest.fixture
def folder(tmp_path: Any) -> Any:
    inside = tmp_path / "models"
    (inside / "sub").mkdir(parents=True)
    (inside / "sub" / "w.bin").write_bytes(b"\1" * 100 + WEIGHTS.tobytes() + b"\2" * 9)
    (tmp_path / "outside.bin").write_bytes(WEIGHTS.tobytes())
    return inside


@pytest.mark.parametrize("entries", [{"offset": 100, "length": 256}, {"offset": 100}])
def test_external_data_is_mapped(folder: Any, entries: Any) -> None:
    stored = load(external("sub/w.bin", **entries), folder)
    assert (stored.dtype, stored.shape, stored.nbytes) == (np.float32, (8, 8), 256)
    array = stored.array()
    assert np.array_equal(array, WEIGHTS)
    assert not array.flags.owndata
    assert not array.flags.writeable


def test_a_link_inside_the_folder_is_followed(folder: Any) -> None:
    (folder / "link.bin").symlink_to(folder / "sub" / "w.bin")
    assert np.array_equal(load(external("link.bin", offset=100), folder).array(), WEIGHTS)


def test_external_data_in_the_current_folder(folder: Any, monkeypatch: Any) -> None:
    load(external("sub/w.bin", offset=100), folder)
    monkeypatch.chdir(folder)
    stored = load_model("m.onnx").main.initializers["w"]
    assert np.array_equal(stored.array(), WEIGHTS)


@pytest.mark.parametrize(
    ("location", "entries", "reason"),
    [
        ("../outside.bin", {}, "outside of the model's folder"),
        ("sub/../../outside.bin", {}, "outside of the model's folder"),
        ("/etc/passwd", {}, "must be relative"),
        ("", {}, "must be relative"),
        ("link.bin", {}, "outside of the model's folder"),
        ("linked/outside.bin", {}, "outside of the model's folder"),
        ("loop", {}, "external data 'loop'"),
        ("absent.bin", {}, "No such file"),
        ("sub", {}, "not a regular file"),
        ("pipe", {}, "not a regular file"),
        ("empty.bin", {}, "empty"),
        ("a\0b", {}, "null"),
        ("sub/w.bin", {"offset": 200}, "ends at byte 365, 456 needed"),
        ("sub/w.bin", {"offset": 2**63}, "ends at byte"),
        ("sub/w.bin", {"length": 255}, "256 bytes declared, 255 there"),
        ("sub/w.bin", {"offset": -4}, "no number"),
        ("sub/w.bin", {"offset": "²"}, "no number"),
        ("sub/w.bin", {"offset": "9" * 5000}, "no number"),
    ],
)
def test_external_data_that_cannot_be_had(
    folder: Any, location: Any, entries: Any, reason: Any
) -> None:
    (folder / "link.bin").symlink_to(folder.parent / "outside.bin")
    (folder / "linked").symlink_to(folder.parent)
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "empty.bin").touch()
    os.mkfifo(folder / "pipe")
    refused(load(external(location, **entries), folder), reason)


def test_a_missing_file_is_missed_only_when_asked_for(folder: Any) -> None:
    stored = load(external("absent.bin"), folder)
    assert stored.shape == (8, 8)
    refused(stored, "tensor 'w' cannot be read: external data 'absent.bin'")


def test_standard_input_has_no_folder(folder: Any, monkeypatch: Any) -> None:
    load(external("sub/w.bin", offset=100), folder)
    monkeypatch.chdir(folder)
    with (folder / "m.onnx").open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        refused(load_model("-").main.initializers["w"], "standard input")


def test_weights_forbidden(folder: Any) -> None:
    large = np.ones((20, 20), np.float32)
    refused(load(external("sub/w.bin", offset=100), folder, weights=False), "forbidden")
    refused(load(tensor("w", large), folder, weights=False), "forbidden")
    assert np.array_equal(load(tensor("w", WEIGHTS), folder, weights=False).array(), WEIGHTS)
    assert np.array_equal(load(tensor("w", large), folder).array(), large)


@pytest.mark.parametrize("size", [10, 3000])
@pytest.mark.parametrize(
    "dims", [[9], [1 << 62, 1 << 62], [-1], [-3000, -1], [3000, 1, 1 << 40], [0], [1] * 99, []]
)
def test_sizes_that_lie_are_refused_without_allocating(dims: Any, size: Any, tmp_path: Any) -> None:
    stored = tensor("w", np.ones(size, np.float32))
    del stored.dims[:]
    stored.dims.extend(dims)
    tracemalloc.start()
    try:
        refused(load(stored, tmp_path), "declared|negative")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_dimensions_that_numpy_cannot_hold(tmp_path: Any) -> None:
    stored = onnx.TensorProto(name="w", data_type=1, dims=[0, 1 << 62, 1 << 62], raw_data=b"")
    refused(load(stored, tmp_path), "impossible")
    stored = onnx.TensorProto(name="w", data_type=1, dims=[1] * 99, raw_data=bytes(4))
    refused(load(stored, tmp_path), "impossible")


@pytest.mark.parametrize("raw", [b"\0" * 12, b"\0" * 5000])
@pytest.mark.parametrize("data_type", [0, 27, 99])
def test_unknown_element_types(data_type: Any, raw: Any, tmp_path: Any) -> None:
    stored = load(onnx.TensorProto(name="w", data_type=data_type, dims=[3], raw_data=raw), tmp_path)
    assert (stored.dtype, stored.nbytes) == (None, None)
    refused(stored, "not understood")


def test_malformed_numbers(tmp_path: Any) -> None:
    cut = onnx.TensorProto(name="w", data_type=7, dims=[2000], int64_data=[1 << 20] * 2000)
    data = model([helper.make_node("Neg", ["w"], ["y"])], initializers=[cut]).SerializeToString()
    path = save(data.replace(b"\x80\x80\x40", b"\x80\x80\x80"), tmp_path)
    refused(load_model(path).main.initializers["w"], "cut short")
    wrong = onnx.TensorProto(name="w", data_type=7, dims=[2000], float_data=[1] * 2000)
    refused(load(wrong, tmp_path), "cannot be in float_data")


def test_strings(tmp_path: Any) -> None:
    few = onnx.TensorProto(name="w", data_type=8, dims=[2], string_data=[b"a", b"\xff"])
    assert load(few, tmp_path).array().tolist() == ["a", "\ufffd"]
    many = onnx.TensorProto(name="w", data_type=8, dims=[2], string_data=[b"a" * 999, b"b" * 999])
    stored = load(many, tmp_path)
    assert stored.nbytes is None
    refused(stored, "string")


def sparse_model(dims: Any, indices: Any, values: Any = (1.0, 2.0)) -> Any:
    proto = model([helper.make_node("Neg", ["w"], ["y"])])
    proto.graph.sparse_initializer.add(
        dims=dims,
        values=tensor("w", np.array(values, np.float32)),
        indices=tensor("", np.array(indices, np.int64)),
    )
    return proto


@pytest.mark.parametrize("indices", [[1, 5], [[0, 1], [1, 2]]])
def test_sparse_initializers(indices: Any, tmp_path: Any) -> None:
    stored = load_model(save(sparse_model([2, 3], indices), tmp_path)).main.initializers["w"]
    assert stored.shape == (2, 3)
    assert stored.array().tolist() == [[0, 1, 0], [0, 0, 2]]


@pytest.mark.parametrize(
    ("dims", "indices", "reason"),
    [
        ([2, 3], [1, 6], "out of range"),
        ([2, 3], [-1, 1], "out of range"),
        ([2, 3], [[0, 3], [0, 0]], "out of range"),
        ([2, 3], [1], "malformed"),
        ([2, 3], [[0, 0, 0]] * 2, "malformed"),
        ([1 << 30, 1 << 30], [1, 2], "too large"),
    ],
)
def test_sparse_initializers_that_lie(dims: Any, indices: Any, reason: Any, tmp_path: Any) -> None:
    stored = load_model(save(sparse_model(dims, indices), tmp_path)).main.initializers["w"]
    refused(stored, reason)


def test_a_segment_in_the_file_is_not_taken_for_a_payload(tmp_path: Any) -> None:
    stored = onnx.TensorProto(name="w", data_type=1, dims=[4])
    stored.segment.begin = 0
    refused(load(stored, tmp_path), "segments")
