"""If, Loop and what else is beyond one operator: branches, followers, last resorts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from resolve.models import FLOAT, build, by_op, node, reasons, resolved

BOOL = onnx.TensorProto.BOOL
F32 = np.float32


def branch(
    nodes: list[onnx.NodeProto], output: str, constants: Mapping[str, np.ndarray] | None = None
) -> onnx.GraphProto:
    return build(nodes, outputs=[output], constants=constants).graph


def conditional(
    then_nodes: list[onnx.NodeProto],
    else_nodes: list[onnx.NodeProto],
    condition: str = "flag",
    **more: Any,
) -> onnx.ModelProto:
    operator = node(
        "If",
        [condition],
        ["y"],
        name="choose",
        then_branch=branch(then_nodes, "t"),
        else_branch=branch(else_nodes, "e", more.pop("else_constants", None)),
    )
    nodes = [node("Relu", "x", ["r"]), *more.pop("before", ()), operator, node("Neg", "y", ["z"])]
    inputs = {"x": [1, 3, 8, 8]} | more.pop("inputs", {})
    return build(nodes, inputs, ["z"], **more)


POOL = node("MaxPool", "r", ["t"], kernel_shape=[2, 2], name="pool")
ABS = node("Abs", "r", ["e"], name="abs")


@pytest.mark.parametrize(
    ("flag", "names", "shape"),
    [
        (True, ["pool", "choose/y"], (1, 3, 7, 7)),
        (False, ["abs", "choose/y"], (1, 3, 8, 8)),
    ],
)
def test_the_branch_that_is_taken_replaces_the_if(
    flag: bool, names: list[str], shape: tuple[int, ...], tmp_path: Path
) -> None:
    model = conditional([POOL], [ABS], constants={"flag": np.array(flag)})
    resolution = resolved(model, tmp_path)
    assert [operator.name for operator in resolution.operators][1:-1] == names
    alias = resolution.operators[2]
    assert (alias.op_type, alias.domain, alias.outputs) == ("Identity", "", ("y",))
    assert alias.inputs == ("t" if flag else "e",)
    assert (alias.bodies, alias.attributes) == ({}, {})
    assert resolution.shapes["z"] == shape
    assert ("pool" in resolution.windows) == flag
    assert reasons(resolution) == []


def test_a_condition_may_be_folded_and_a_branch_may_have_constants(tmp_path: Path) -> None:
    before = [
        node("Shape", "r", ["s"]),
        node("Size", "s", ["rank"]),
        node("Equal", "rank three", ["flag"]),
    ]
    model = conditional(
        [POOL],
        [node("Add", "r bias", ["e"])],
        before=before,
        constants={"three": np.array(3)},
        else_constants={"bias": np.ones((2, 1, 1, 1), F32)},
    )
    resolution = resolved(model, tmp_path)
    assert resolution.shapes["z"] == (2, 3, 8, 8)
    assert resolution.values["bias"].shape == (2, 1, 1, 1)
    assert [operator.op_type for operator in resolution.operators[-3:]] == [
        "Add",
        "Identity",
        "Neg",
    ]


def test_a_condition_on_the_input_leaves_the_if(tmp_path: Path) -> None:
    model = conditional([POOL], [ABS], inputs={"flag": (BOOL, [])})
    resolution = resolved(model, tmp_path)
    assert [operator.op_type for operator in resolution.operators] == ["Relu", "If", "Neg"]
    assert reasons(resolution) == [("If", "the condition depends on the input", False)]
    assert (resolution.shapes["y"], resolution.shapes["z"]) == (None, None)


def test_branches_that_agree_give_the_shape(tmp_path: Path) -> None:
    model = conditional([node("Exp", "r", ["t"])], [ABS], inputs={"flag": (BOOL, [])})
    resolution = resolved(model, tmp_path)
    assert resolution.shapes["z"] == (1, 3, 8, 8)
    assert "y" not in resolution.constants
    assert reasons(resolution) == []


def test_an_if_in_the_branch_of_an_if(tmp_path: Path) -> None:
    inner = node(
        "If",
        ["flag"],
        ["t"],
        name="inner",
        then_branch=branch([node("GlobalMaxPool", "r", ["tt"])], "tt"),
        else_branch=branch([node("Exp", "r", ["ee"])], "ee"),
    )
    model = conditional([inner], [ABS], constants={"flag": np.array(True)})
    resolution = resolved(model, tmp_path)
    assert [operator.op_type for operator in resolution.operators] == [
        "Relu", "GlobalMaxPool", "Identity", "Identity", "Neg",
    ]  # fmt: skip
    assert resolution.shapes["z"] == (1, 3, 1, 1)


def test_two_ifs_with_the_same_names_inside_are_not_mixed_up(tmp_path: Path) -> None:
    first = node("If", ["flag"], ["y"], name="a",
                 then_branch=branch([POOL], "t"), else_branch=branch([ABS], "e"))  # fmt: skip
    second = node("If", ["flag"], ["z"], name="b",
                  then_branch=branch([POOL], "t"), else_branch=branch([ABS], "e"))  # fmt: skip
    model = build(
        [node("Relu", "x", ["r"]), first, second],
        {"x": [1, 3, 8, 8]},
        ["y", "z"],
        constants={"flag": np.array(True)},
    )
    resolution = resolved(model, tmp_path)
    assert resolution.shapes["y"] == (1, 3, 7, 7)
    assert [operator.op_type for operator in resolution.operators] == [
        "Relu", "MaxPool", "Identity", "If",
    ]  # fmt: skip
    assert resolution.shapes["z"] is None


def loop(value_info: Sequence[onnx.ValueInfoProto] = ()) -> onnx.ModelProto:
    body = helper.make_graph(
        [node("Identity", "c", ["d"]), node("Exp", "v", ["w"])],
        "body",
        [
            helper.make_tensor_value_info("n", onnx.TensorProto.INT64, []),
            helper.make_tensor_value_info("c", BOOL, []),
            helper.make_tensor_value_info("v", FLOAT, [1, 3, 8, 8]),
        ],
        [
            helper.make_tensor_value_info("d", BOOL, []),
            helper.make_tensor_value_info("w", FLOAT, [1, 3, 8, 8]),
        ],
    )
    nodes = [node("Loop", ["m", "", "x"], ["l"], body=body), node("Relu", "l")]
    constants = {"m": np.array(3)}
    return build(nodes, {"x": [1, 3, 8, 8]}, constants=constants, value_info=list(value_info))


def test_a_loop_is_not_followed(tmp_path: Path) -> None:
    resolution = resolved(loop(), tmp_path)
    assert reasons(resolution) == [
        ("Loop", "the number of rounds of a Loop is not followed", False)
    ]
    assert resolution.shapes["y"] is None


def test_declared_shapes_are_a_last_resort_at_the_declared_size_only(tmp_path: Path) -> None:
    declared = [helper.make_tensor_value_info("l", FLOAT, [1, 3, 8, 8])]
    assert resolved(loop(declared), tmp_path).shapes["y"] == (1, 3, 8, 8)
    resolution = resolved(loop(declared), tmp_path, size=(9, 9))
    assert resolution.shapes["y"] is None
    assert [operator.op_type for operator in by_op(resolution, "Loop")] == ["Loop"]


def test_a_declared_shape_never_beats_a_computed_one(tmp_path: Path) -> None:
    lie = [helper.make_tensor_value_info("p", FLOAT, [1, 3, 3, 3])]
    pool = node("MaxPool", "x", ["p"], kernel_shape=[3, 3], strides=[3, 3], pads=[1] * 4,
                ceil_mode=1)  # fmt: skip
    model = build([pool, node("Relu", "p")], {"x": [1, 3, 5, 5]}, value_info=lie)
    resolution = resolved(model, tmp_path)
    assert resolution.shapes["y"] == (1, 3, 2, 2)


def test_only_the_cause_is_listed_not_what_follows(tmp_path: Path) -> None:
    nodes = [
        node("Magic", "x", ["m"], domain="my.own", name="magic"),
        node("Relu", "m", ["a"]),
        node("Shape", "a", ["s"]),
        node("Gather", "s zero", ["g"]),
        node("Reshape", "x s", ["b"]),
        node("Add", "a b", ["c"]),
        node("Abs", "x", ["d"]),
    ]
    model = build(
        nodes,
        {"x": [1, 3, 8, 8]},
        ["c", "d", "g"],
        constants={"zero": np.array(0)},
        imports=[("my.own", 1)],
    )
    resolution = resolved(model, tmp_path)
    assert reasons(resolution) == [("Magic", "my.own:Magic is not known", False)]
    assert resolution.refused_at == ()
    assert resolution.shapes["d"] == (1, 3, 8, 8)
    assert [resolution.shapes[name] for name in "mabc"] == [None] * 4


def test_an_operator_without_a_function_of_its_own_asks_onnx(tmp_path: Path) -> None:
    model = build(
        [node("StringNormalizer", "c", ["s"]), node("Col2Im", "x size block", ["y"])],
        {"x": [1, 8, 25]},
        ["y", "s"],
        constants={"size": np.array([6, 6]), "block": np.array([2, 2]), "c": np.array(["a", "b"])},
        opset=18,
    )
    resolution = resolved(model, tmp_path)
    assert resolution.shapes["y"] == (1, 2, 6, 6)
    assert [u.operator.op_type for u in resolution.unresolved] == ["StringNormalizer"]
