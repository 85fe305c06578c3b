"""Unknown is an answer: no rule passes a model silently for an operator that nobody knows."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import helper

from scotoma.engine import Options, lint_model
from scotoma.findings import Undecided
from scotoma.registry import load_rules
from scotoma.results import ModelReport
from scotoma.rule import Rule
from scotoma.testing import Expectation, Fixture, find_fixtures, lint_text, read_text_model, said

RULES = {rule.meta.name: rule for rule in load_rules().rules}
FIRING = [
    fixture
    for fixture in find_fixtures(Path(__file__).parent)
    if any(
        e.kind == "finding" and e.code == RULES[fixture.rule].meta.code for e in fixture.expected
    )
]
each_fixture = pytest.mark.parametrize("fixture", FIRING, ids=lambda f: f"{f.rule}/{f.path.stem}")


def lint(model: onnx.ModelProto, rule: Rule, folder: Path) -> ModelReport:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return lint_model(str(path), [rule], Options(debug=True))


def unknown(source: str, made: str) -> onnx.NodeProto:
    return helper.make_node("Mystery", [source], [made], name="mystery", domain="acme")


def with_unknown_first(fixture: Fixture) -> onnx.ModelProto:
    """Return the fixture's model with an unknown operator between its input and all readers."""
    model = read_text_model(fixture.text)
    model.opset_import.append(helper.make_opsetid("acme", 1))
    stored = {tensor.name for tensor in model.graph.initializer}
    given = [value.name for value in model.graph.input if value.name not in stored]
    if given:
        rename(model.graph, given[0], "mystified")
        model.graph.node.insert(0, unknown(given[0], "mystified"))
    return model


def rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Let all operators, those in bodies too, read another tensor."""
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                rename(attribute.g, old, new)


def with_unknown_last(fixture: Fixture) -> onnx.ModelProto:
    """Return the fixture's model with an unknown operator in front of every output."""
    model = read_text_model(fixture.text)
    model.opset_import.append(helper.make_opsetid("acme", 1))
    for output in model.graph.output:
        inner = f"{output.name}_inner"
        rename(model.graph, output.name, inner)
        for node in model.graph.node:
            node.output[:] = [inner if name == output.name else name for name in node.output]
        model.graph.node.append(unknown(inner, output.name))
    return model


@each_fixture
def test_unknown_operator_in_front_is_no_silent_pass(fixture: Fixture, tmp_path: Path) -> None:
    rule = RULES[fixture.rule]
    report = lint(with_unknown_first(fixture), rule, tmp_path)
    assert {e.code for e in said(report)} == {rule.meta.code}


@pytest.mark.parametrize(
    "fixture",
    # What the file declares is then said of the unknown operator's own tensor.
    [f for f in FIRING if f.rule != "shape-disagreement"],
    ids=lambda f: f"{f.rule}/{f.path.stem}",
)
def test_unknown_operator_at_the_end_is_no_silent_pass(fixture: Fixture, tmp_path: Path) -> None:
    rule = RULES[fixture.rule]
    report = lint(with_unknown_last(fixture), rule, tmp_path)
    assert {e.code for e in said(report)} == {rule.meta.code}


STEM = """
    <ir_version: 8, opset_import: ["" : 17, "acme" : 1]>
    model (float[1, 1, 16, 16] x) => (float[1, 2] y)
    <float[2, 1, 3, 3] w, float[2, 2, 3, 3] v>
    {
        [odd] a = acme.Odd (x)
        [stem] b = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (a, w)
        [second] c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (b, v)
        d = GlobalAveragePool (c)
        y = Flatten (d)
    }
"""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("dead-kernel-taps", "'stem' (Conv) and 1 more operator lie behind it"),
        ("uneven-padding", "'stem' (Conv) lies behind it"),
        ("border-layer", "'stem' (Conv) and 1 more operator lie behind it"),
    ],
)
def test_reason_names_what_cannot_be_told(name: str, reason: str) -> None:
    report = lint_text(STEM, [RULES[name]])
    code = RULES[name].meta.code
    assert report.findings == ()
    assert report.undecided == (Undecided(code, "odd", f"{reason}, and it is not analysed"),)


def test_only_rules_that_have_something_to_look_at_are_undecided() -> None:
    every = said(lint_text(STEM, RULES.values()))
    codes = ("SC101", "SC104", "SC105", "SC106", "SC202", "SC306", "SC701")
    assert every == tuple(Expectation("undecided", code, "odd") for code in codes)


def test_unknown_operator_behind_the_boxes_of_a_detector_leaves_nothing_open() -> None:
    text = """
    # Non-maximum suppression of a vendor: all that is about the image stands in front of it.
    <ir_version: 8, opset_import: ["" : 17, "vendor" : 1]>
    model (float[1, 1, 15, 15] x) => (float[1, 1, 4] y)
    <float[4, 1, 3, 3] w, int64[3] shape = {1, 4, 225}, int64[1] zero = {0}, int64[1] one = {1},
     float[1, 4, 225] anchors, int64[3] kept = {1, -1, 4}>
    {
        a = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w)
        b = Reshape (a, shape)
        c = Add (b, anchors)
        d = vendor.Suppress (c)
        e = Slice (d, zero, one, one)
        f = Concat <axis = 1> (e, d)
        y = Reshape (f, kept)
    }
    """
    report = lint_text(text, RULES.values())
    assert [u.op_type for u in report.unanalysed] == ["Suppress"]
    assert report.undecided == ()
