"""Random models: shown to be random as they are, then measured on a copy that repeats itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from scotoma.errors import MeasurementError
from scotoma.measure import MeasureOptions, measure
from scotoma.measure.freeze import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from scotoma.facts import Facts
    from scotoma.measure import Influence

    Build = Callable[..., onnx.ModelProto]
    Examine = Callable[..., Facts]

NODE = helper.make_node
OPTIONS = MeasureOptions(
    functional="sum", inputs=("zeros",), delta=1.0, resolution="full", tensor="y"
)
RANDOM = "the model is random, the same input gave two different outputs"


def counts(facts: Facts) -> tuple[list[list[float]], list[str]]:
    influence: Influence = measure(facts, OPTIONS)
    notes = [note for note in influence.notes if note.startswith("the model")]
    return influence.values.tolist(), notes


def test_a_dropout_that_is_left_on_is_turned_off(build: Build, examine: Examine) -> None:
    nodes = [
        NODE("Add", ["x", "one"], ["r"]),
        NODE("Dropout", ["r", "ratio", "on"], ["d"], name="drop"),
        NODE("Neg", ["d"], ["y"]),
    ]
    weights = {
        "ratio": np.array(0.5, np.float32), "on": np.array(True), "one": np.array(1, np.float32),
    }  # fmt: skip
    values, notes = counts(examine(build(nodes, [1, 1, 2, 3], weights)))
    assert values == [[1] * 3] * 2
    assert notes == [f"{RANDOM}: measured on a copy in which 'drop' (Dropout) is off"]


@pytest.mark.parametrize(
    ("source", "slope"),
    [
        (NODE("RandomUniformLike", ["x"], ["r"], name="noise", low=2.0, high=8.0), 5),
        (NODE("RandomNormalLike", ["x"], ["r"], name="noise", mean=3.0), 3),
        (NODE("RandomUniform", [], ["r"], name="noise", shape=[1, 1, 2, 3]), 0.5),
        (NODE("RandomNormal", [], ["r"], name="noise", shape=[2, 3], mean=-2.5), 2.5),
        (NODE("Bernoulli", ["p"], ["r"], name="noise"), 0.25),
    ],
    ids=lambda case: case.op_type if isinstance(case, onnx.NodeProto) else "",
)
def test_random_numbers_become_their_expectation(
    build: Build, examine: Examine, source: onnx.NodeProto, slope: float
) -> None:
    nodes = [source, NODE("Add", ["x", "one"], ["a"]), NODE("Mul", ["a", "r"], ["y"])]
    weights = {"one": np.array(1, np.float32), "p": np.full((1, 1, 2, 3), 0.25, np.float32)}
    values, notes = counts(examine(build(nodes, [1, 1, 2, 3], weights)))
    assert values == [[slope] * 3] * 2
    said = f"'noise' ({source.op_type}) gives its expectation"
    assert notes == [f"{RANDOM}: measured on a copy in which {said}"]


def test_a_random_class_becomes_the_most_probable(build: Build, examine: Examine) -> None:
    nodes = [
        NODE("Multinomial", ["logits"], ["k"], name="draw"),
        NODE("Cast", ["k"], ["r"], to=TensorProto.FLOAT),
        NODE("Add", ["x", "one"], ["a"]),
        NODE("Mul", ["a", "r"], ["y"]),
    ]
    logits = np.array([[0.1, 0.2, 0.9, 0.8]], np.float32)
    weights = {"one": np.array(1, np.float32), "logits": logits}
    values, notes = counts(examine(build(nodes, [1, 1, 2, 2], weights)))
    assert values == [[2, 2], [2, 2]]
    assert notes[0].endswith("'draw' (Multinomial) gives its expectation")


def test_what_cannot_be_frozen_is_named(build: Build, examine: Examine) -> None:
    nodes = [
        NODE("Multinomial", ["logits"], ["k"], name="draw", sample_size=64),
        NODE("Cast", ["k"], ["c"], to=TensorProto.FLOAT),
        NODE("ReduceMean", ["c"], ["r"], keepdims=0),
        NODE("Add", ["x", "one"], ["a"]),
        NODE("Mul", ["a", "r"], ["y"]),
    ]
    weights = {"one": np.array(1, np.float32), "logits": np.zeros((1, 8), np.float32)}
    facts = examine(build(nodes, [1, 1, 2, 2], weights))
    with pytest.raises(MeasurementError) as refusal:
        measure(facts, OPTIONS)
    assert str(refusal.value) == f"{RANDOM}, and it cannot be frozen: 'draw' (Multinomial)"


def test_random_operators_without_effect_are_told(build: Build, examine: Examine) -> None:
    nodes = [
        NODE("RandomUniformLike", ["x"], ["r"], name="noise"),
        NODE("Mul", ["r", "zero"], ["n"]),
        NODE("Add", ["x", "n"], ["y"]),
    ]
    values, notes = counts(examine(build(nodes, [1, 1, 2, 2], {"zero": np.array(0, np.float32)})))
    assert values == [[1, 1], [1, 1]]
    operators = "'noise' (RandomUniformLike)"
    assert notes == [f"the model holds random operators ({operators}), but 65 runs were identical"]


def body(node: onnx.NodeProto) -> onnx.GraphProto:
    output = helper.make_tensor_value_info("d", TensorProto.FLOAT, None)
    return helper.make_graph([node], "body", [], [output])


def test_bodies_and_functions_are_covered(build: Build, examine: Examine) -> None:
    drop = NODE("Dropout", ["x", "ratio", "on"], ["d"], name="inner")
    choose = NODE(
        "If", ["on"], ["a"], then_branch=body(drop), else_branch=body(NODE("Neg", ["x"], ["d"]))
    )
    call = NODE("Noisy", ["a"], ["b"], domain="local")
    proto = build(
        [choose, call, NODE("Neg", ["b"], ["y"])],
        [1, 1, 2, 2],
        {"ratio": np.array(0.5, np.float32), "on": np.array(True)},
    )
    proto.functions.append(
        helper.make_function(
            "local", "Noisy", ["p"], ["q"],
            [
                NODE("RandomUniformLike", ["p"], ["r"], low=3.0, high=5.0),
                NODE("Mul", ["p", "r"], ["q"]),
            ],
            [helper.make_opsetid("", 17)],
        )
    )  # fmt: skip
    proto.opset_import.append(helper.make_opsetid("local", 1))
    influence = measure(
        examine(proto),
        MeasureOptions(functional="sum", random_inputs=1, delta=1.0, resolution="full", tensor="y"),
    )
    np.testing.assert_allclose(influence.values, [[4, 4], [4, 4]], rtol=1e-6)


def test_everything_else_stays_as_it_is() -> None:
    graph = helper.make_graph(
        [
            NODE("Dropout", ["x"], ["a"], name="off"),
            NODE("RandomNormalLike", ["a"], ["b"], name="theirs", domain="custom"),
            NODE("Conv", ["b", "w"], ["y"], pads=[1] * 4),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones((1, 1, 3, 3), np.float32), "w")],
    )
    proto = helper.make_model(graph)
    data = proto.SerializeToString()
    assert onnx.ModelProto.FromString(frozen(data, {})) == proto


def test_the_type_of_the_random_numbers_is_kept() -> None:
    graph = helper.make_graph(
        [
            NODE("RandomNormalLike", ["x"], ["a"]),
            NODE("RandomNormalLike", ["x"], ["b"], dtype=TensorProto.DOUBLE),
            NODE("RandomUniformLike", ["h"], ["c"]),
        ],
        "g",
        [],
        [],
    )
    data = helper.make_model(graph).SerializeToString()
    copy = onnx.ModelProto.FromString(frozen(data, {"h": np.dtype("float16")}))
    fills = [node for node in copy.graph.node if node.op_type == "ConstantOfShape"]
    values = [numpy_helper.to_array(node.attribute[0].t) for node in fills]
    assert [(value.dtype.name, value.tolist()) for value in values] == [
        ("float32", [0]), ("float64", [0]), ("float16", [0.5]),
    ]  # fmt: skip
