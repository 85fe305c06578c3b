"""Names, order, edges and bodies of the graph that a file becomes."""

from __future__ import annotations

import io
import sys
from typing import Any

import networkx as nx
import numpy as np
import onnx
import pytest
from loader.helpers import model, save, small_model, tensor, value
from onnx import helper

import scotoma
from scotoma.errors import ModelError
from scotoma.loader import load_model


def load(proto: Any, folder: Any, **options: Any) -> Any:
    return load_model(save(proto, folder), **options)


def node(op_type: Any, inputs: Any, outputs: Any, **options: Any) -> Any:
    return helper.make_node(op_type, inputs.split(), outputs.split(), **options)


def chain(graph: Any) -> Any:
    return [operator.name for operator in graph.operators]


def edges(network: Any) -> Any:
    return {
        (u.name, v.name, data["tensor"], data["output"], data["input"])
        for u, v, data in network.edges(data=True)
    }


def test_graph_of_a_small_model(tmp_path: Any) -> None:
    loaded = load(small_model(), tmp_path)
    assert chain(loaded.main) == ["conv", "Constant:c", "if", "LeakyRelu:y"]
    assert edges(loaded.graph) == {
        ("x", "conv", "x", 0, 0),
        ("conv", "if", "a", 0, None),
        ("Constant:c", "if", "c", 0, 0),
        ("if", "LeakyRelu:y", "d", 0, 0),
        ("LeakyRelu:y", "y", "y", 0, 0),
    }
    conv, _, branch, leaky = loaded.main.operators
    assert conv.attributes == {"pads": (1, 1, 1, 1), "group": 1}
    assert leaky.attributes == {"alpha": 0.5}
    assert (conv.domain, conv.version, conv.function) == ("", 17, None)
    assert branch.bodies.keys() == {"then_branch", "else_branch"}
    assert [op.name for graph in branch.bodies.values() for op in graph.operators] == [
        "neg",
        "neg#2",
    ]
    assert [v.name for v in loaded.main.inputs] == ["x"]
    assert loaded.main.inputs[0].shape == (1, 1, 4, 4)
    assert loaded.main.inputs[0].dtype == np.float32
    assert {op.name for _, op in loaded.walk()} == {*chain(loaded.main), "neg", "neg#2"}


def test_public_function_works_again_and_again(tmp_path: Any) -> None:
    path = save(small_model(), tmp_path)
    for _ in range(2):
        assert scotoma.load(path).graph.number_of_nodes() == 6


def test_names_are_unique(tmp_path: Any) -> None:
    nodes = [
        node("Neg", "x", "a", name="n"),
        node("Neg", "a", "b", name="n#2"),
        node("Neg", "b", "c", name="n"),
        node("Neg", "c", "d", name="n"),
        node("Neg", "d", "y"),
        node("Neg", "d", ""),
    ]
    assert chain(load(model(nodes), tmp_path).main) == ["n", "n#2", "n#3", "n#4", "Neg:y", "Neg:"]


def test_names_stay_raw_and_invalid_utf8_is_replaced(tmp_path: Any) -> None:
    data = model([node("Neg", "x", "y", name="\x1b[31m[b]Q")]).SerializeToString()
    (operator,) = load(data.replace(b"[b]Q", b"[b]\xff"), tmp_path).main.operators
    assert operator.name == "\x1b[31m[b]\ufffd"


@pytest.mark.parametrize("ir", [3, 8])
def test_initializers_are_no_inputs(ir: Any, tmp_path: Any) -> None:
    weight = tensor("w", np.ones((1, 1, 4, 4), np.float32))
    proto = model([node("Add", "w x", "y")], inputs=("w", "x"), initializers=[weight], ir=ir)
    loaded = load(proto, tmp_path)
    assert [v.name for v in loaded.main.inputs] == ["x"]
    assert edges(loaded.graph) == {("x", "Add:y", "x", 0, 1), ("Add:y", "y", "y", 0, 0)}


def test_declared_types(tmp_path: Any) -> None:
    proto = model([node("Neg", "x", "y")])
    proto.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", 10, ["N", 3, None, -1]))
    proto.graph.output[0].CopyFrom(onnx.ValueInfoProto(name="y"))
    proto.graph.value_info.append(helper.make_tensor_value_info("q", 16, None))
    main = load(proto, tmp_path).main
    assert main.inputs[0].shape == ("N", 3, None, -1)
    assert main.inputs[0].dtype == np.float16
    assert (main.outputs[0].shape, main.outputs[0].dtype) == (None, None)
    assert main.values["q"].shape is None
    assert main.values["q"].dtype.name == "bfloat16"


def test_file_order_is_kept_where_it_is_topological(tmp_path: Any) -> None:
    nodes = [node("Neg", "x", "b"), node("Neg", "x", "a"), node("Add", "a b", "y")]
    assert chain(load(model(nodes), tmp_path).main) == ["Neg:b", "Neg:a", "Add:y"]


def test_other_orders_are_sorted_by_position_in_the_file(tmp_path: Any) -> None:
    nodes = [node("Add", "a b", "y"), node("Neg", "x", "b"), node("Neg", "x", "a")]
    loaded = load(model(nodes), tmp_path)
    assert chain(loaded.main) == ["Neg:b", "Neg:a", "Add:y"]
    assert nx.is_directed_acyclic_graph(loaded.graph)


def test_a_body_can_read_what_the_file_makes_later(tmp_path: Any) -> None:
    proto = small_model()
    proto.graph.node.insert(0, proto.graph.node.pop(2))
    assert chain(load(proto, tmp_path).main) == ["conv", "Constant:c", "if", "LeakyRelu:y"]


def test_bodies_in_bodies_read_the_main_graph(tmp_path: Any) -> None:
    inner = helper.make_graph([node("Neg", "x", "i")], "inner", [], [value("i")])
    middle = helper.make_graph(
        [node("If", "c", "m", then_branch=inner, else_branch=inner, name="in")],
        "middle",
        [],
        [value("m")],
    )
    outer = node("If", "c", "y", then_branch=middle, else_branch=middle, name="out")
    loaded = load(model([outer], inputs=("x", "c")), tmp_path)
    assert edges(loaded.graph) == {
        ("c", "out", "c", 0, 0),
        ("c", "out", "c", 0, None),
        ("x", "out", "x", 0, None),
        ("out", "y", "y", 0, 0),
    }


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Add", "x b", "a", name="in"), node("Neg", "a", "b"), node("Neg", "b", "y")],
        [node("Add", "x y", "y", name="self")],
    ],
)
def test_cycles(nodes: Any, tmp_path: Any) -> None:
    with pytest.raises(ModelError, match=r"cyclic: '(in|Neg:b|self)' depends on itself") as caught:
        load(model(nodes), tmp_path)
    assert caught.value.kind == "cyclic"


def test_two_makers_of_a_tensor_are_refused(tmp_path: Any) -> None:
    with pytest.raises(ModelError, match="'p' and 'q' both make the tensor 'y'") as caught:
        load(model([node("Neg", "x", "y", name="p"), node("Abs", "x", "y", name="q")]), tmp_path)
    assert caught.value.kind == "not-onnx"


def test_several_edges_between_two_operators(tmp_path: Any) -> None:
    nodes = [node("Split", "x", "a b", name="s"), node("Add", "b a", "y", name="add")]
    assert edges(load(model(nodes), tmp_path).graph) - {
        ("x", "s", "x", 0, 0),
        ("add", "y", "y", 0, 0),
    } == {("s", "add", "b", 1, 0), ("s", "add", "a", 0, 1)}


def test_an_input_that_is_an_output(tmp_path: Any) -> None:
    loaded = load(model([node("Neg", "x", "y")], outputs=("y", "x")), tmp_path)
    assert edges(loaded.graph) == {("x", "Neg:y", "x", 0, 0), ("Neg:y", "y", "y", 0, 0)}


def test_versions_and_producer(tmp_path: Any) -> None:
    imports = [helper.make_opsetid("ai.onnx", 13), helper.make_opsetid("", 11)]
    proto = model([node("Neg", "x", "y", domain="ai.onnx"), node("Q", "x", "z", domain="q")])
    del proto.opset_import[:]
    proto.opset_import.extend(imports)
    proto.producer_name, proto.producer_version = "pytorch", "2.9"
    loaded = load(proto, tmp_path)
    assert [(op.domain, op.version) for op in loaded.main.operators] == [("", 13), ("q", None)]
    assert loaded.producer == "pytorch 2.9"
    del proto.opset_import[:]
    assert load(proto, tmp_path).opsets == {}
    proto.ir_version = 2
    assert load(proto, tmp_path).opsets == {"": 1}


def test_attributes_without_a_type(tmp_path: Any) -> None:
    proto = model([node("Conv", "x w", "y", pads=[1, 2], auto_pad="VALID", group=3, alpha=0.5)])
    for attribute in proto.graph.node[0].attribute:
        attribute.ClearField("type")
    (operator,) = load(proto, tmp_path).main.operators
    assert operator.attributes == {"pads": (1, 2), "auto_pad": "VALID", "group": 3, "alpha": 0.5}


def test_standard_input(monkeypatch: Any, tmp_path: Any) -> None:
    data = model(
        [node("Add", "x w", "y")],
        initializers=[tensor("w", np.arange(4096, dtype=np.float32))],
    ).SerializeToString()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    loaded = load_model("-")
    assert loaded.path == "-"
    assert np.array_equal(loaded.main.initializers["w"].array(), np.arange(4096))
    assert loaded.graph_sha256 == load(data, tmp_path).graph_sha256
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(ModelError) as caught:
        load_model("-")
    assert caught.value.kind == "empty"


def test_unreadable_paths(tmp_path: Any) -> None:
    (tmp_path / "file").write_bytes(b"x")
    import os

    os.mkfifo(tmp_path / "pipe")
    for path, kind in (
        (tmp_path / "absent.onnx", "missing"),
        (tmp_path / "file" / "m.onnx", "missing"),
        (tmp_path, "unreadable"),
        (tmp_path / "pipe", "unreadable"),
        ("a\0b", "unreadable"),
        (tmp_path / ("n" * 300), "unreadable"),
    ):
        with pytest.raises(ModelError) as caught:
            load_model(path)
        assert caught.value.kind == kind
