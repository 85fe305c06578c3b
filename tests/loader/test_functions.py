"""Local functions are inlined, and cannot make the loader hang."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from loader.helpers import model, save, value
from onnx import helper

from scotoma.errors import ModelError
from scotoma.loader import load_model
from scotoma.loader.functions import MAX_CALL_DEPTH

IMPORTS = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]


def node(op_type: Any, inputs: Any, outputs: Any, domain: Any = "", **options: Any) -> Any:
    return helper.make_node(op_type, inputs, outputs, domain=domain, **options)


def call(op_type: Any, inputs: Any, outputs: Any, **options: Any) -> Any:
    return node(op_type, inputs, outputs, domain="f", **options)


def function(
    name: Any,
    inputs: Any,
    outputs: Any,
    nodes: Any,
    *,
    opset: Any = 17,
    domain: Any = "f",
    **options: Any,
) -> Any:
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("f", 1)]
    return helper.make_function(domain, name, inputs, outputs, nodes, imports, **options)


def load(nodes: Any, functions: Any, folder: Any, **options: Any) -> Any:
    proto = model(nodes, functions=functions, imports=IMPORTS, **options)
    return load_model(save(proto, folder))


def seen(loaded: Any) -> Any:
    return [(op.op_type, op.inputs, op.outputs, op.function) for op in loaded.main.operators]


def reference(node: Any, name: Any, kind: Any) -> Any:
    node.attribute.append(onnx.AttributeProto(name=name, ref_attr_name=name, type=kind))
    return node


def test_calls_are_replaced_and_names_kept_apart(tmp_path: Any) -> None:
    twice = function(
        "F", ["a"], ["b"], [node("Neg", ["a"], ["t"], name="n"), node("Abs", ["t"], ["b"])]
    )
    nodes = [
        node("Neg", ["x"], ["one/t"]),
        call("F", ["one/t"], ["m"], name="one"),
        call("F", ["m"], ["y"]),
    ]
    loaded = load(nodes, [twice], tmp_path)
    assert seen(loaded) == [
        ("Neg", ("x",), ("one/t",), None),
        ("Neg", ("one/t",), ("one/t#2",), "F"),
        ("Abs", ("one/t#2",), ("m",), "F"),
        ("Neg", ("m",), ("F:y/t",), "F"),
        ("Abs", ("F:y/t",), ("y",), "F"),
    ]
    assert [op.name for op in loaded.main.operators][1:] == ["one/n", "Abs:m", "F:y/n", "Abs:y"]


def test_nested_functions_carry_their_own_versions(tmp_path: Any) -> None:
    inner = function("G", ["p"], ["q"], [node("Exp", ["p"], ["q"])], opset=11)
    outer = function(
        "F", ["a"], ["b"], [call("G", ["a"], ["c"], name="g"), node("Log", ["c"], ["b"])], opset=13
    )
    loaded = load([call("F", ["x"], ["y"], name="f")], [outer, inner], tmp_path)
    assert seen(loaded) == [
        ("Exp", ("x",), ("f/c",), "G"),
        ("Log", ("f/c",), ("y",), "F"),
    ]
    assert [op.version for op in loaded.main.operators] == [11, 13]


def test_attribute_references(tmp_path: Any) -> None:
    leaf = function(
        "G",
        ["a"],
        ["b"],
        [
            reference(reference(node("LeakyRelu", ["a"], ["b"]), "alpha", 1), "axis", 2),
        ],
        attributes=["axis"],
        attribute_protos=[helper.make_attribute("alpha", 0.25)],
    )
    outer = function(
        "F", ["a"], ["b"], [reference(call("G", ["a"], ["b"]), "axis", 2)], attributes=["axis"]
    )
    nodes = [
        call("F", ["x"], ["m"], axis=3),
        call("G", ["m"], ["n"], alpha=0.5),
        call("F", ["n"], ["y"]),
    ]
    assert [op.attributes for op in load(nodes, [leaf, outer], tmp_path).main.operators] == [
        {"alpha": 0.25, "axis": 3},
        {"alpha": 0.5},
        {"alpha": 0.25},
    ]


def test_left_out_inputs_and_outputs(tmp_path: Any) -> None:
    clip = function(
        "F",
        ["a", "lo", "hi"],
        ["b", "c"],
        [node("Clip", ["a", "lo", "hi"], ["b"]), node("Neg", ["a"], ["c"])],
    )
    loaded = load([call("F", ["x", "", "h"], ["y"], name="f")], [clip], tmp_path)
    assert seen(loaded) == [
        ("Clip", ("x", "", "h"), ("y",), "F"),
        ("Neg", ("x",), ("f/c",), "F"),
    ]


def test_an_input_passed_through_and_an_output_twice(tmp_path: Any) -> None:
    through = function("F", ["a"], ["a", "b", "b"], [node("Neg", ["a"], ["b"])])
    loaded = load([call("F", ["x"], ["p", "q", "r"], name="f")], [through], tmp_path)
    assert seen(loaded) == [
        ("Neg", ("x",), ("q",), "F"),
        ("Identity", ("x",), ("p",), "F"),
        ("Identity", ("q",), ("r",), "F"),
    ]


def test_bodies_in_functions_and_functions_in_bodies(tmp_path: Any) -> None:
    neg = function("G", ["a"], ["b"], [node("Neg", ["a"], ["b"])])
    body = helper.make_graph([call("G", ["a"], ["r"], name="g")], "body", [], [value("r")])
    branch = function(
        "F", ["c", "a"], ["b"], [node("If", ["c"], ["b"], then_branch=body, else_branch=body)]
    )
    loaded = load(
        [call("F", ["c", "x"], ["y"], name="f")], [branch, neg], tmp_path, inputs=("c", "x")
    )
    (operator,) = loaded.main.operators
    assert (operator.op_type, operator.inputs, operator.outputs) == ("If", ("c",), ("y",))
    inner = operator.bodies["then_branch"]
    assert [(op.op_type, op.inputs, op.outputs) for op in inner.operators] == [
        ("Neg", ("x",), ("f/r",))
    ]
    assert [v.name for v in inner.outputs] == ["f/r"]
    assert loaded.graph.number_of_edges() == 3


def test_standard_operators_take_precedence_as_in_onnxruntime(tmp_path: Any) -> None:
    fake = function("Relu", ["a"], ["b"], [node("Neg", ["a"], ["b"])], domain="")
    custom = function("Relu", ["a"], ["b"], [node("Neg", ["a"], ["b"])])
    proto = model(
        [node("Relu", ["x"], ["m"]), call("Relu", ["m"], ["y"])],
        functions=[fake, custom],
        imports=IMPORTS,
    )
    assert [op.op_type for op in load_model(save(proto, tmp_path)).main.operators] == [
        "Relu",
        "Neg",
    ]
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    x = np.linspace(-1, 1, 16, dtype=np.float32).reshape(1, 1, 4, 4)
    assert np.array_equal(session.run(None, {"x": x})[0], -np.maximum(x, 0))


def test_recursive_functions_stay_calls(tmp_path: Any) -> None:
    body = helper.make_graph([call("F", ["a"], ["r"])], "body", [], [value("r")])
    one = function("F", ["a"], ["b"], [call("G", ["a"], ["b"])])
    two = function(
        "G", ["a"], ["b"], [node("If", ["a"], ["b"], then_branch=body, else_branch=body)]
    )
    three = function("H", ["a"], ["b"], [call("F", ["a"], ["t"]), call("S", ["t"], ["b"])])
    self_calling = function("S", ["a"], ["b"], [call("S", ["a"], ["b"])])
    loaded = load([call("H", ["x"], ["y"], name="h")], [one, two, three, self_calling], tmp_path)
    assert seen(loaded) == [("F", ("x",), ("h/t",), "H"), ("S", ("h/t",), ("y",), "H")]
    assert [op.domain for op in loaded.main.operators] == ["f", "f"]


@pytest.mark.parametrize("leaf", [[node("Neg", ["a"], ["b"])], []], ids=["operators", "nothing"])
def test_function_bomb(leaf: Any, tmp_path: Any) -> None:
    functions = [function("F0", ["a"], ["b"], leaf)] + [
        function(
            f"F{i}",
            ["a"],
            ["b"],
            [call(f"F{i - 1}", ["a"], ["t"]), call(f"F{i - 1}", ["t"], ["b"])],
        )
        for i in range(1, 60)
    ]
    with pytest.raises(ModelError) as caught:
        load([call("F59", ["x"], ["y"])], functions, tmp_path)
    assert caught.value.kind == "too-large"


def test_calls_nested_too_deeply_stay_calls(tmp_path: Any) -> None:
    functions = [function("F0", ["a"], ["b"], [node("Neg", ["a"], ["b"])])] + [
        function(f"F{i}", ["a"], ["b"], [call(f"F{i - 1}", ["a"], ["b"])]) for i in range(1, 3000)
    ]
    last = MAX_CALL_DEPTH - 1
    loaded = load(
        [call(f"F{last}", ["x"], ["m"]), call("F2999", ["m"], ["y"])], functions, tmp_path
    )
    assert seen(loaded)[0] == ("Neg", ("x",), ("m",), "F0")
    assert len(loaded.main.operators) == 2
    assert loaded.main.operators[1].domain == "f"
