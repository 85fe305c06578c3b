"""Leaks between samples in files that onnxruntime does not run everywhere, or at all."""

from __future__ import annotations

import pytest

from scotoma.registry import load_rules
from scotoma.testing import lint_text, said

RULES = load_rules()
BLOCKED = """
<ir_version: 8, opset_import: ["" : 17, "com.microsoft.nchwc" : 1]>
model (float[4, 3, 8, 8] x) => (float[4, 8, 8, 8] y)
<float[8, 3, 1, 1] w>
{
    b = com.microsoft.nchwc.Conv <kernel_shape = [1, 1]> (x, w)
    c = com.microsoft.nchwc.ReorderOutput <channels = 8> (b)
    [mean] m = ReduceMean <axes = [AXES]> (c)
    y = Div (c, m)
}
"""
NO_SUCH_AXIS = """
<ir_version: 8, opset_import: ["" : 17]>
model (float[4, 3, 8, 8] x) => (float[4, 8, 8, 3] y)
{
    a = Transpose <perm = [0, 2, 3, 1]> (x)
    y = Softmax <axis = AXIS> (a)
}
"""
OLD_SOFTMAX = """
<ir_version: 8, opset_import: ["" : OPSET]>
model (float[4, 3, 8, 8] x) => (float[3, 8, 4, 8] y)
{
    a = Transpose <perm = [1, 2, 0, 3]> (x)
    [first] b = Softmax <axis = AXIS> (a)
    [second] y = Softmax <axis = 2> (b)
}
"""


@pytest.mark.parametrize(("axes", "nodes"), [("0, 2, 3", ["mean"]), ("2, 3", [])])
def test_samples_are_followed_through_blocked_layers(axes: str, nodes: list[str]) -> None:
    report = lint_text(BLOCKED.replace("AXES", axes), [RULES.get("batch-leak")])
    assert [(e.code, e.node) for e in said(report)] == [("SC505", node) for node in nodes]


@pytest.mark.parametrize("axis", ["-9", "9"])
def test_an_axis_that_no_tensor_has_is_none_of_the_batch(axis: str) -> None:
    report = lint_text(NO_SUCH_AXIS.replace("AXIS", axis), [RULES.get("batch-leak")])
    assert (said(report), report.rule_failures) == ((), ())


@pytest.mark.parametrize(
    ("opset", "axis", "node"),
    [(11, 0, "first"), (11, 1, "first"), (11, 2, "first"), (11, 3, "second"), (13, 1, "second")],
)
def test_softmax_of_old_takes_in_all_axes_from_its_own_on(opset: int, axis: int, node: str) -> None:
    """What follows a layer that mixes samples has no samples any more: the first one is named."""
    text = OLD_SOFTMAX.replace("OPSET", str(opset)).replace("AXIS", str(axis))
    report = lint_text(text, [RULES.get("batch-leak")])
    named = [[place.node for place in found.locations] for found in report.findings]
    assert (named, report.undecided) == ([[node]], ())
