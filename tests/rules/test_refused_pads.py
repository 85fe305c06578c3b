"""Padding that onnxruntime refuses: as much as the kernel, or more than can be reflected."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from packaging.version import Version
from rule_fixtures import FOLDS_PADS, RULES, failure, ones, only_finding, run, text_of

from scotoma.engine import Options, lint_model
from scotoma.findings import Severity
from scotoma.testing import Expectation, said

if TYPE_CHECKING:
    pass


@pytest.mark.parametrize(
    ("name", "pad", "kernel"),
    [
        ("max", 2, 2),
        ("average", 2, 2),
        ("lp", 2, 2),
        ("one_side", 3, 3),
        ("dilated", 2, 2),
        ("in_branch", 2, 2),
        ("pad_in_front", 3, 3),
        ("pad_in_front_of_padding", 3, 3),
    ],
)
def test_pools_padded_by_their_kernel_do_not_load(name: str, pad: int, kernel: int) -> None:
    reason = failure(text_of("pads-exceed-kernel", name), ones(1, 1, 8, 8))
    folded = name.startswith("pad_in_front")
    if FOLDS_PADS or not folded:
        assert reason.startswith("load:")
        assert "Pad should be smaller than kernel" in reason
    else:
        assert reason == ""
    finding = only_finding("pads-exceed-kernel", name)
    assert finding.severity is (Severity.WARNING if folded else Severity.ERROR)
    assert [(m.value, m.limit) for m in finding.measurements] == [(pad, kernel - 1)]


@pytest.mark.parametrize("name", ["pad_in_front", "pad_in_front_of_padding"])
def test_a_pad_in_front_loads_without_optimisation(name: str) -> None:
    text = text_of("pads-exceed-kernel", name)
    assert run(text, ones(1, 1, 8, 8)).shape == (1, 1, 12, 12)
    finding = only_finding("pads-exceed-kernel", name)
    assert finding.message.endswith(
        "it is padded by 3 cells beside a kernel of 3; onnxruntime 1.20 to 1.31 folds that Pad "
        "into it and then does not load more than 2, unless its optimisation is off"
    )


@pytest.mark.parametrize(
    "name",
    [
        "clear_widest", "clear_convolution", "clear_pad_read_twice", "clear_pad_by_axes",
        "clear_uncounted_padding",
    ],
)  # fmt: skip
def test_less_than_the_kernel_loads(name: str) -> None:
    assert failure(text_of("pads-exceed-kernel", name), ones(1, 1, 8, 8)) == ""


@pytest.mark.skipif(
    Version(ort.__version__) < Version("1.27"), reason="older versions read beyond the border"
)
@pytest.mark.parametrize(
    ("name", "shape", "asked", "most"),
    [
        ("as_many_as_there_are", (1, 1, 8, 4), 4, 3),
        ("cropped_first", (1, 1, 8, 4), 3, 1),
        ("pads_as_attribute", (1, 1, 8, 4), 4, 3),
        ("behind_a_pool", (1, 1, 8, 8), 3, 1),
    ],
)
def test_reflecting_too_much_is_refused(
    name: str, shape: tuple[int, ...], asked: int, most: int
) -> None:
    reason = failure(text_of("reflect-pad-too-large", name), ones(*shape))
    assert reason.startswith("run:")
    assert f"({asked}) exceeds maximum allowed ({most})" in reason
    finding = only_finding("reflect-pad-too-large", name)
    assert finding.severity is Severity.ERROR
    assert [(m.value, m.limit) for m in finding.measurements] == [(asked, most)]


@pytest.mark.parametrize("name", ["clear_most", "clear_edge", "clear_wrap"])
def test_what_can_be_reflected_runs(name: str) -> None:
    assert failure(text_of("reflect-pad-too-large", name), ones(1, 1, 8, 4)) == ""


def test_reflecting_message() -> None:
    assert only_finding("reflect-pad-too-large", "as_many_as_there_are").message == (
        "it reflects 4 cells on axis 3, which has 3 to reflect at this size (it is 4 long); "
        "onnxruntime since 1.27 refuses that when it runs, up to 1.22 it read zeros"
    )


def test_hostile_pads_are_not_believed(tmp_path: Path) -> None:
    """Pads as long as the file likes, and too few of them: no rule counts them out."""
    nodes = [
        helper.make_node("Pad", ["x"], ["a"], "wide", pads=[0, 0, 2**40, 0, 0, 0, 2**40, 0]),
        helper.make_node("AveragePool", ["a"], ["b"], "mean", kernel_shape=[2, 2]),
        helper.make_node("MaxPool", ["a"], ["y"], "max", kernel_shape=[2, 2]),
        helper.make_node("MaxPool", ["x"], ["z"], "few", kernel_shape=[2, 2], pads=[2**62] * 3),
        helper.make_node("MaxPool", ["x"], ["u"], "huge", kernel_shape=[2, 2], pads=[2**62] * 4),
        helper.make_node("Pad", ["x"], ["c"], "short", mode="reflect", pads=[1]),
        helper.make_node("Pad", ["x"], ["d"], "mirror", mode="reflect", pads=[2**61] * 8),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, [1, 1, 4, 4])],
        [value(name, TensorProto.FLOAT, None) for name in ("b", "y", "z", "u", "c", "d")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 10)])
    path = tmp_path / "hostile.onnx"
    path.write_bytes(model.SerializeToString())
    names = (
        "border-dimming-pool", "zero-pad-before-max-pool", "padding-only-window",
        "pads-exceed-kernel", "reflect-pad-too-large", "shape-disagreement",
    )  # fmt: skip
    report = lint_model(str(path), [RULES.get(name) for name in names], Options(debug=True))
    assert said(report) == (
        Expectation("finding", "SC304", "huge"),
        Expectation("finding", "SC305", "mirror"),
        Expectation("undecided", "SC303", "max"),
        Expectation("undecided", "SC303", "mean"),
        Expectation("undecided", "SC305", "short"),
    )
