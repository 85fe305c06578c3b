"""Operators with more or fewer ends than their definition knows."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from loader.helpers import save
from onnx import TensorProto, helper

from scotoma.facts import Facts
from scotoma.loader import load_model
from scotoma.loader.arity import bounds
from scotoma.sizes import survey


def one_operator(node: onnx.NodeProto) -> onnx.ModelProto:
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 8, 8])
    end = onnx.ValueInfoProto(name="y")
    graph = helper.make_graph([node], "g", [image], [end])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    ("op_type", "domain", "inputs", "fitted"),
    [
        ("Mul", "", ["x"], ("x", "")),
        ("Mul", "", ["x", "x", "x"], ("x", "x")),
        ("Where", "", [], ("", "", "")),
        ("MaxPool", "", [], ("",)),
        ("Clip", "", ["x", "", "x"], ("x", "", "x")),
        ("Concat", "", ["x"] * 5, ("x",) * 5),
        ("Constant", "", ["x"], ()),
        ("Mul", "com.acme", ["x"], ("x",)),
        ("Convolve", "", ["x"] * 9, ("x",) * 9),
    ],
)
def test_inputs_are_as_many_as_the_definition_knows(
    op_type: str, domain: str, inputs: list[str], fitted: tuple[str, ...], tmp_path: Path
) -> None:
    node = helper.make_node(op_type, inputs, ["y"], domain=domain)
    (operator,) = load_model(save(one_operator(node), tmp_path)).main.operators
    assert (operator.inputs, operator.outputs) == (fitted, ("y",))


@pytest.mark.parametrize(
    "node", [helper.make_node("Relu", ["x"], []), helper.make_node("Constant", [], [], value_int=3)]
)
def test_a_missing_output_has_no_name_and_no_shape(node: onnx.NodeProto, tmp_path: Path) -> None:
    model = load_model(save(one_operator(node), tmp_path))
    (operator,) = model.main.operators
    assert operator.outputs == ("",)
    assert "" not in Facts.of(model).resolution.shapes


def test_an_operator_of_another_domain_has_an_output_at_least(tmp_path: Path) -> None:
    node = helper.make_node("Pool", ["x"], [], domain="com.acme")
    (operator,) = load_model(save(one_operator(node), tmp_path)).main.operators
    assert (operator.inputs, operator.outputs) == (("x",), ("",))


def test_bounds_hold_for_every_version() -> None:
    schemas = [s for s in onnx.defs.get_all_schemas_with_history() if s.domain == ""]
    assert len(schemas) > 100
    for schema in schemas:
        few, many, made = bounds(schema.name) or (0, 0, 0)
        assert few <= schema.min_input <= schema.max_input <= many, schema.name
        assert made <= schema.min_output, schema.name


def test_sizes_of_a_pool_without_an_input_are_surveyed(tmp_path: Path) -> None:
    pool = helper.make_node("MaxPool", [], ["y"], kernel_shape=[2, 2], ceil_mode=1)
    facts = Facts.of(load_model(save(one_operator(pool), tmp_path)))
    found = survey(facts, limits=[(7, 9)], budget=None)
    assert [(row.size, row.phantoms) for row in found.axes[0]] == [(7, None), (8, None), (9, None)]
