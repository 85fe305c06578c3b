"""Operators that make no sense: one line that names them, never an exception."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from adjoint.jacobians import split
from onnx import helper, parser

from scotoma.adjoint import build, registry
from scotoma.loader import load_model
from scotoma.resolve import resolve

if TYPE_CHECKING:
    from pathlib import Path

NONSENSE = {
    "Transpose <perm = [0, 9]> (x)": "its perm is no order of the axes",
    "Transpose <perm = 3> (x)": "attribute 'perm' is not a list of integers",
    "Concat <axis = 9> (x, x)": "the shape of 'm' is not known",
    "Softmax <axis = 7> (x)": "it has no axis 7",
    "ReduceSum <axes = 1> (x)": "attribute 'axes' is not a list of integers",
    'Gemm <alpha = "a"> (x, x)': "attribute 'alpha' is not a number",
    "LeakyRelu <alpha = [1.0]> (x)": "attribute 'alpha' is not a number",
    "Conv (x, w)": "its windows are not known",
    "MaxPool <kernel_shape = [0, 0]> (x)": "its windows are not known",
    "Mul (x)": "inputs or attributes make no sense",
    "Slice (x)": "inputs or attributes make no sense",
    "Slice (x, x, x)": "its parameter 'x' is not a known constant",
    "Pad <mode = 5> (x)": "attribute 'mode' is not a string",
    "Elu <alpha = -1.0> (x)": "its alpha is not positive",
    "LayerNormalization <axis = 5> (x, w)": "it has no axis 5",
    "BatchNormalization (x)": "inputs or attributes make no sense",
}


@pytest.mark.parametrize("node", NONSENSE)
def test_nonsense_is_named(node: str) -> None:
    model = parser.parse_model(f"""
        <ir_version: 8, opset_import: ["": 17]>
        g (float[2, 3] x) => (float[2, 3] y) <float[3, 3] w = {{1, 0, 0, 0, 1, 0, 0, 0, 1}}> {{
            [odd] m = {node}
            y = Relu (m)
        }}""")
    model.graph.value_info.extend([model.graph.output[0], model.graph.output[0]])
    model.graph.value_info[0].name = "m"
    missing = split(model, ["y"], ["x"]).missing
    (found,) = missing
    assert found.node == "odd"
    assert NONSENSE[node] in found.reason
    assert "\n" not in found.reason


SHAPES = [(), (0,), (3,), (2, 3), (1, 2, 3, 3)]


@pytest.mark.parametrize("count", [0, 1, 3, 8])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_no_rule_breaks_at_inputs_that_make_no_sense(
    shape: tuple[int, ...], count: int, tmp_path: Path
) -> None:
    """All operators at once, each with the same tensor at every input and no attributes."""
    declare = helper.make_tensor_value_info
    rules = registry.known()
    names = [f"{domain}.{op_type}" for domain, op_type in rules]
    nodes = [
        helper.make_node(op_type, ["x"] * count, [name], name=name, domain=domain)
        for name, (domain, op_type) in zip(names, rules, strict=True)
    ]
    made = [declare(name, 1, shape) for name in names]
    graph = helper.make_graph(nodes, "g", [declare("x", 1, shape)], made)
    imports = {domain: helper.make_opsetid(domain, 1 if domain else 20) for domain, _ in rules}
    model = helper.make_model(graph, opset_imports=list(imports.values()))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    resolution = resolve(load_model(tmp_path / "model.onnx"))
    known = [name for name in names if resolution.shapes.get(name) is not None]
    assert len(known) > len(names) / 2
    adjoint = build(resolution, known, ["x"])
    assert {missing.node for missing in adjoint.missing} < set(known)
    for missing in adjoint.missing:
        assert missing.reason
        assert "\n" not in missing.reason
