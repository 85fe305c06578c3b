from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from scotoma.engine import Options, examine, lint_model
from scotoma.findings import Location
from scotoma.places import numbered, places_of
from scotoma.registry import load_rules
from scotoma.results import ModelReport
from scotoma.testing import read_text_model

FOLDER = Path(__file__).parents[1] / "sample_models"
SAMPLES = sorted(FOLDER.glob("*.onnx"))
RULES = load_rules().rules


def lint(path: Path) -> ModelReport:
    return lint_model(str(path), RULES, Options(debug=True))


def fingerprints(path: Path) -> Counter[tuple[str, str]]:
    return Counter((f.code, f.fingerprint) for f in lint(path).findings)


def disguised(path: Path, folder: Path, seed: int) -> Path:
    """Return the same model with all names changed and its nodes in another order."""
    model = onnx.load(path)
    graph = model.graph
    generator = random.Random(seed)
    names = {v.name for v in graph.input} | {t.name for t in graph.initializer}
    names |= {name for node in graph.node for name in (*node.input, *node.output) if name}
    shuffled = sorted(names)
    generator.shuffle(shuffled)
    new = {name: f"t{index}" for index, name in enumerate(shuffled)} | {"": ""}
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = new.get(value.name, value.name)
    left = list(graph.node)
    ready = {t.name for t in graph.initializer} | {v.name for v in graph.input} | {""}
    order = []
    for node in left:
        node.input[:] = [new[name] for name in node.input]
        node.output[:] = [new[name] for name in node.output]
    while left:
        able = [node for node in left if ready.issuperset(node.input)]
        node = generator.choice(able)
        left.remove(node)
        ready.update(node.output)
        node.name = f"n{generator.random()}"
        order.append(node)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in order]
    del graph.node[:]
    graph.node.extend(copies)
    initializers = list(graph.initializer)
    generator.shuffle(initializers)
    copied = [onnx.TensorProto.FromString(t.SerializeToString()) for t in initializers]
    del graph.initializer[:]
    graph.initializer.extend(copied)
    made = folder / f"{path.stem}_{seed}.onnx"
    onnx.save(model, made)
    return made


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_fingerprints_survive_other_names_and_another_order(path: Path, tmp_path: Path) -> None:
    expected = fingerprints(path)
    assert fingerprints(disguised(path, tmp_path, 1)) == expected
    assert max(expected.values(), default=1) == 1


@pytest.mark.parametrize("stem", ["digits_dropout", "digits_patches", "digits_valid"])
def test_fingerprints_survive_another_exporter(stem: str) -> None:
    script = fingerprints(FOLDER / f"{stem}_torchscript.onnx")
    assert script == fingerprints(FOLDER / f"{stem}_dynamo.onnx")
    assert script


def test_every_operator_has_a_place_of_its_own() -> None:
    facts = examine(str(FOLDER / "residual_net.onnx"), Options())
    places = places_of(facts)
    assert set(places.by_node) == {operator.name for operator in facts.operators}
    assert len(set(places.by_node.values())) == len(facts.operators)


def places_in(text: str, folder: Path) -> dict[str, str]:
    path = folder / "model.onnx"
    path.write_bytes(read_text_model(text).SerializeToString())
    return dict(places_of(examine(str(path), Options())).by_node)


BRANCHES = """
<ir_version: 8, opset_import: ["" : 17]>
model (float[1, 2, 8, 8] x) => (float[1, 2, 8, 8] y, float[1, 2, 4, 4] z)
<float[2, 2, 3, 3] w, float[2, 2, 3, 3] v>
{{
    [one] a = Conv <kernel_shape = [3, 3], pads = {pads}> (x, w)
    [two] b = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, v)
    {more}
    [act] y = Relu (a)
    [pool] z = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (b)
}}
"""


def test_what_a_layer_is_for_tells_equal_layers_apart(tmp_path: Path) -> None:
    plain = places_in(BRANCHES.format(pads="[1, 1, 1, 1]", more=""), tmp_path)
    assert plain["one"] != plain["two"]
    turned = BRANCHES.format(pads="[1, 1, 1, 1]", more="")
    turned = turned.replace("Relu (a)", "Relu (b)").replace("2]> (b)", "2]> (a)")
    swapped = places_in(turned, tmp_path)
    assert (swapped["one"], swapped["two"]) == (plain["two"], plain["one"])
    assert swapped["pool"] == plain["pool"]


def test_places_leave_padding_and_helpers_alone(tmp_path: Path) -> None:
    plain = places_in(BRANCHES.format(pads="[1, 1, 1, 1]", more=""), tmp_path)
    assert places_in(BRANCHES.format(pads="[2, 2, 0, 0]", more=""), tmp_path) == plain
    helped = places_in(
        BRANCHES.format(pads="[1, 1, 1, 1]", more="[id] c = Identity (b)").replace(
            "(b)\n}", "(c)\n}"
        ),
        tmp_path,
    )
    assert {name: helped[name] for name in plain} == plain


def test_places_tell_slots_apart() -> None:
    facts = examine(str(FOLDER / "residual_net.onnx"), Options())
    places = places_of(facts)
    add = next(op for op in facts.operators if op.op_type == "Add")
    found = [
        places.of(Location(add.name)),
        places.of(Location(add.name, tensor=add.inputs[1])),
        places.of(Location(None, tensor=facts.model.main.inputs[0].name)),
        places.of(Location(None, tensor=facts.model.main.outputs[0].name)),
        places.of(Location(None)),
        places.of(Location("no such node")),
    ]
    assert len(set(found)) == len(found)
    assert places.of(Location(add.name, tensor=add.inputs[0])) == found[0]


def test_several_findings_at_one_place_are_numbered() -> None:
    assert numbered([("A", "x"), ("A", "x"), ("A", "x"), ("B", "x")]) == ["x", "x+1", "x+2", "x"]


def test_a_finding_without_a_place_goes_by_its_names() -> None:
    finding = lint(FOLDER / "five_layers_valid.onnx").findings[0]
    assert finding.place is not None
    assert replace(finding, place=None).fingerprint != finding.fingerprint
    moved = replace(finding, locations=(Location("other", "Conv"),))
    assert moved.fingerprint == finding.fingerprint


def test_places_reach_into_bodies(tmp_path: Path) -> None:
    text = """
<ir_version: 8, opset_import: ["" : 17]>
model (float[1, 2, 8, 8] x, bool c) => (float[1, 2, 8, 8] y)
{
    [choose] y = If (c) <
        then_branch = yes () => (float[1, 2, 8, 8] a) {
            [ten] k = Constant <value_float = 10.0> ()
            [first] f = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x)
            [second] a = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (f)
        },
        else_branch = no () => (float[1, 2, 8, 8] b) {
            [third] b = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x)
        }
    >
}
"""
    found = places_in(text, tmp_path)
    assert set(found) == {"choose", "ten", "first", "second", "third"}
    assert len(set(found.values())) == 5
    assert found["first"].startswith("If.then_branch/")
    assert found["third"].startswith("If.else_branch/")


def test_the_order_of_summands_does_not_matter(tmp_path: Path) -> None:
    text = """
<ir_version: 8, opset_import: ["" : 17]>
model (float[1, 2, 8, 8] x) => (float[1, 2, 8, 8] y)
<float[2, 2, 3, 3] w, float[2, 2, 1, 1] v>
{
    [wide] a = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w)
    [narrow] b = Conv <kernel_shape = [1, 1]> (x, v)
    [add] y = Add (a, b)
}
"""
    plain = places_in(text, tmp_path)
    assert places_in(text.replace("(a, b)", "(b, a)"), tmp_path) == plain
    joined = text.replace("Add", "Concat <axis = 1>")
    assert places_in(joined, tmp_path)["add"] != plain["add"]
    swapped = joined.replace("(a, b)", "(b, a)")
    assert places_in(swapped, tmp_path)["add"] != places_in(joined, tmp_path)["add"]


PLAIN = """
    [stem] a = Conv <kernel_shape = [1, 1]> (x, w1)
    [relu] b = Relu (a)
    [skip] y = Conv <kernel_shape = [1, 1], strides = [2, 2]> (b, w2)
"""
TWINS = {
    "operators of a quantiser": """
        q = QuantizeLinear (x, s, z)
        a = QLinearConv <kernel_shape = [1, 1]> (q, s, z, v1, s, z, s, z)
        [skip] b = QLinearConv <kernel_shape = [1, 1], strides = [2, 2]> (a, s, z, v2, s, z, s, z)
        y = DequantizeLinear (b, s, z)
    """,
    "operators that a runtime fused": """
        b = com.microsoft.FusedConv
            <activation = "Relu", kernel_shape = [1, 1]> (x, w1)
        [skip] y = Conv <kernel_shape = [1, 1], strides = [2, 2]> (b, w2)
    """,
}


@pytest.mark.parametrize("twin", TWINS)
def test_fingerprints_survive_quantisation_and_fusion(twin: str, tmp_path: Path) -> None:
    header = """
        <ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
        model (float[1, 2, 8, 8] x) => (float[1, 3, 4, 4] y)
        <float[4, 2, 1, 1] w1, float[3, 4, 1, 1] w2, uint8[4, 2, 1, 1] v1, uint8[3, 4, 1, 1] v2,
         float s, uint8 z>
    """
    found = []
    for name, body in (("plain", PLAIN), ("twin", TWINS[twin])):
        path = tmp_path / f"{name}.onnx"
        onnx.save(read_text_model(f"{header} {{ {body} }}"), path)
        found.append({f.fingerprint for f in lint(path).findings if f.code == "SC101"})
        assert len(found[-1]) == 1
    assert found[0] == found[1]
