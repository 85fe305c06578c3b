"""What the rules on automatic padding and declared shapes say, and what onnxruntime does there."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from packaging.version import Version
from rule_fixtures import RULES, only_finding, text_of

from scotoma.findings import Finding, Severity
from scotoma.testing import lint_text, read_text_model

IMAGE = np.arange(64, dtype=np.float32).reshape(1, 1, 8, 8)
ort.set_default_logger_severity(4)


def outcome(text: str, image: Any = IMAGE, **more: Any) -> Any:
    """Load and run in onnxruntime: the first output, or where and why it is refused."""
    try:
        session = ort.InferenceSession(read_text_model(text).SerializeToString())
    except Exception as error:  # noqa: BLE001  onnxruntime raises types of its own
        return f"load: {error}"
    try:
        return session.run(None, {"x": image, **more})[0]
    except Exception as error:  # noqa: BLE001  onnxruntime raises types of its own
        return f"run: {error}"


def by_remedy(finding: Finding, text: str) -> str:
    """Do what a finding says: pads in place of auto_pad."""
    pads = re.search(r"write (pads=\[[\d, ]+\])", finding.remedy)
    assert pads is not None
    return re.sub(r'auto_pad = "\w+"', pads[1].replace("=", " = "), text)


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("convolution", IMAGE),
        ("one_axis", IMAGE),
        ("pointwise", IMAGE),
        ("quantised", IMAGE.astype(np.uint8)),
        ("strided", np.ones((1, 1, 9, 9), np.float32)),
    ],
)
def test_dilated_convolutions_are_refused_and_the_remedy_runs(name: str, image: Any) -> None:
    text = text_of("dilated-auto-pad", name)
    reason = outcome(text, image)
    assert isinstance(reason, str)
    assert reason.startswith("run:")
    assert "Dilation not supported for AutoPadType" in reason
    finding = only_finding("dilated-auto-pad", name)
    assert finding.severity is Severity.ERROR
    declared = read_text_model(text).graph.output[0].type.tensor_type.shape
    out = outcome(by_remedy(finding, text), image)
    assert out.shape == tuple(d.dim_value for d in declared.dim)


def test_a_dilated_convolution_is_refused_in_a_branch_that_is_taken() -> None:
    text = text_of("dilated-auto-pad", "in_branch")
    assert outcome(text, c=np.array(True)).shape == (1, 1, 8, 8)
    assert "Dilation not supported" in outcome(text, c=np.array(False))
    assert outcome(text_of("dilated-auto-pad", "clear_untaken_branch")).shape == (1, 1, 8, 8)


def test_a_dilated_pool_comes_out_smaller() -> None:
    text = text_of("dilated-auto-pad", "pool")
    assert outcome(text).shape == (1, 1, 6, 6)
    finding = only_finding("dilated-auto-pad", "pool")
    assert finding.message == (
        "auto_pad=SAME_UPPER means pads of [2, 2, 2, 2] with its dilation of 2; onnxruntime leaves "
        "the dilation out and pads by [1, 1, 1, 1], which makes 6x6 windows instead of 8x8"
    )
    fixed = re.sub(r"\) => \(float\[[^\]]*\] y\)", ") => (float[1, 1, 8, 8] y)", text)
    assert outcome(by_remedy(finding, fixed)).shape == (1, 1, 8, 8)


@pytest.mark.parametrize("name", ["clear_explicit", "clear_plain", "clear_valid",
                                  "clear_pointwise_pool", "clear_transposed"])  # fmt: skip
def test_other_dilated_and_automatic_padding_runs(name: str) -> None:
    text = text_of("dilated-auto-pad", name)
    size = 4 if name == "clear_valid" else 8
    assert outcome(text).shape == (1, 1, size, size)


def test_remedies_name_the_size_where_it_matters() -> None:
    assert only_finding("dilated-auto-pad", "convolution").remedy == (
        "take auto_pad out and write pads=[2, 2, 2, 2]"
    )
    assert only_finding("dilated-auto-pad", "strided").remedy == (
        "take auto_pad out and write pads=[2, 2, 2, 2], right for an input of 9x9"
    )


since_1_30 = pytest.mark.skipif(
    Version(ort.__version__) < Version("1.30"), reason="older versions pad by nothing"
)


@since_1_30
@pytest.mark.parametrize(
    ("name", "total", "cells"),
    [("max", -1, [0, 2, 4, 6]), ("average", -2, [4.5, 8.5])],
)
def test_narrow_pools_are_refused(name: str, total: int, cells: list[float]) -> None:
    text = text_of("narrow-auto-pad", name)
    assert "padding values must be non-negative" in outcome(text)
    finding = only_finding("narrow-auto-pad", name)
    assert finding.severity is Severity.ERROR
    assert [(m.name, m.value) for m in finding.measurements] == [("automatic_padding", total)]
    assert outcome(by_remedy(finding, text))[0, 0, 0].tolist() == cells


@pytest.mark.parametrize(
    "name", ["average_that_moves", "lp_that_moves", "convolution_that_moves", "integers_that_move"]
)
def test_other_narrow_windows_move(name: str) -> None:
    """The image counts its cells: 1x1 windows with stride 4 read cell (1, 1), not (0, 0)."""
    text = text_of("narrow-auto-pad", name)
    image = IMAGE.astype(np.int8) if name == "integers_that_move" else IMAGE
    assert outcome(text, image).ravel().tolist() == [9, 13, 41, 45]
    finding = only_finding("narrow-auto-pad", name)
    assert finding.severity is Severity.WARNING
    assert {m.name: m.value for m in finding.measurements}["window_shift"] == 1
    assert outcome(by_remedy(finding, text), image).ravel().tolist() == [0, 4, 32, 36]


def test_narrow_messages() -> None:
    assert only_finding("narrow-auto-pad", "max").message == (
        "auto_pad=SAME_UPPER gives its 1x1 window with stride 2x2 a padding of -1 cells, below "
        "zero; onnxruntime since 1.30 refuses that when it runs"
    )
    assert only_finding("narrow-auto-pad", "convolution_that_moves").message.endswith(
        "a padding of -3 cells, below zero; onnxruntime moves its windows by 1 and 1 cells, where "
        "the specification moves them by none"
    )


def sliding(op: str, opset: int, size: int, kernel: int, stride: int, mode: str) -> str:
    weight = f"<float[1, 1, {kernel}] w = {{{', '.join(['1.0'] * kernel)}}}>" * (op == "Conv")
    return f"""<ir_version: 8, opset_import: ["" : {opset}]>
    model (float[1, 1, {size}] x) => (float[1, 1, n] y) {weight} {{
        y = {op} <kernel_shape = [{kernel}], strides = [{stride}], {mode}>
            ({"x, w" if op == "Conv" else "x"})
    }}"""


@since_1_30
@pytest.mark.parametrize(
    ("op", "opset"),
    [("MaxPool", 11), ("AveragePool", 18), ("AveragePool", 19), ("LpPool", 18), ("Conv", 17)],
)
def test_narrow_padding_is_found_wherever_it_does_harm(op: str, opset: int) -> None:
    """All small windows: refused, moved against the padding of the specification, or as it says."""
    counts = {"refused": 0, "moved": 0, "clear": 0}
    for lower in (False, True):
        for size in range(1, 13):
            for kernel in range(1, 4):
                for stride in range(1, 7):
                    name = "SAME_LOWER" if lower else "SAME_UPPER"
                    text = sliding(op, opset, size, kernel, stride, f'auto_pad = "{name}"')
                    total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
                    small, large = total // 2, total - total // 2
                    pads = [large, small] if lower else [small, large]
                    image = np.arange(1, size + 1, dtype=np.float32).reshape(1, 1, size)
                    out = outcome(text, image)
                    explicit = sliding(op, opset, size, kernel, stride, f"pads = {pads}")
                    plain = outcome(explicit, image)
                    report = lint_text(text, [RULES.get("narrow-auto-pad")])
                    found = [f.severity for f in report.findings]
                    if isinstance(out, str):
                        wanted, kind = [Severity.ERROR], "refused"
                    elif out.shape != plain.shape or not np.allclose(out, plain):
                        wanted, kind = [Severity.WARNING], "moved"
                    else:
                        wanted, kind = [], "clear"
                    assert found == wanted, (text, out, plain)
                    counts[kind] += 1
    refuses = op == "MaxPool" or (op, opset) == ("AveragePool", 18)
    assert (counts["refused"] > 0) == refuses
    assert (counts["moved"] > 0) != refuses
    assert counts["clear"] > 200


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("convolution", IMAGE),
        ("transposed_convolution", IMAGE),
        ("quantised_convolution", IMAGE.astype(np.uint8)),
    ],
)
def test_convolutions_with_both_do_not_load(name: str, image: Any) -> None:
    reason = outcome(text_of("conflicting-auto-pad", name), image)
    assert isinstance(reason, str)
    assert reason.startswith("load:")
    assert re.search("has both 'auto_pad' and 'pads'|cannot be used simultaneously", reason)
    assert only_finding("conflicting-auto-pad", name).severity is Severity.ERROR


def inferred(text: str) -> tuple[int, ...]:
    model = read_text_model(text)
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    made = onnx.shape_inference.infer_shapes(model).graph.output[0]
    return tuple(d.dim_value for d in made.type.tensor_type.shape.dim)


@pytest.mark.parametrize(
    ("name", "size", "pads", "automatic"),
    [("pool", 8, (1, 1, 6, 6), (1, 1, 8, 8)), ("valid_pool", 9, (1, 1, 3, 3), (1, 1, 3, 3))],
)
def test_pools_with_both_are_read_in_two_ways(
    name: str, size: int, pads: tuple[int, ...], automatic: tuple[int, ...]
) -> None:
    text = text_of("conflicting-auto-pad", name)
    image = np.arange(size * size, dtype=np.float32).reshape(1, 1, size, size)
    out = outcome(text, image)
    assert (inferred(text), out.shape) == (pads, automatic)
    without = outcome(re.sub(r'auto_pad = "\w+", ', "", text), image)
    assert without.shape == pads
    assert without.shape != out.shape or not np.allclose(without, out)


@pytest.mark.parametrize("name", ["clear_equal_pool", "clear_valid_pool"])
def test_pools_of_which_both_say_the_same(name: str) -> None:
    text = text_of("conflicting-auto-pad", name)
    assert np.array_equal(outcome(text), outcome(re.sub(r'auto_pad = "\w+", ', "", text)))


def test_conflict_messages() -> None:
    assert only_finding("conflicting-auto-pad", "convolution").message == (
        "it has auto_pad=SAME_UPPER and pads=[0, 0, 0, 0]; onnxruntime does not load a model with "
        "both"
    )
    assert only_finding("conflicting-auto-pad", "pool").message == (
        "auto_pad=SAME_UPPER pads it by [1, 1, 1, 1] and its pads are [0, 0, 0, 0]; onnxruntime "
        "takes the first and onnx's shape inference the second"
    )


@pytest.mark.parametrize(
    ("name", "said", "tensor"),
    [
        ("output", "1x1x6x6", "y"),
        ("inner", "1x1x9x9", "a"),
        ("channels", "1x3x8x8", "y"),
        ("after_activation", "1x1x6x6", "y"),
    ],
)
def test_the_stated_shape_is_not_what_is_made(name: str, said: str, tensor: str) -> None:
    text = text_of("shape-disagreement", name)
    finding = only_finding("shape-disagreement", name)
    assert finding.severity is Severity.WARNING
    assert [location.tensor for location in finding.locations] == [tensor]
    made = {m.name: (m.value, m.limit) for m in finding.measurements}["stated_shape"]
    model = read_text_model(text)
    del model.graph.output[:], model.graph.value_info[:]
    model.graph.output.add(name=tensor)
    session = ort.InferenceSession(model.SerializeToString())
    actual = session.run(None, {"x": IMAGE})[0].shape
    assert made == (said, "x".join(map(str, actual)))


def test_inference_and_runtime_disagree_on_ceil_mode_with_automatic_padding() -> None:
    text = text_of("shape-disagreement", "inferred")
    assert inferred(text) == (1, 1, 3, 3)
    assert outcome(text, IMAGE[:, :, :6, :6]).shape == (1, 1, 2, 2)
    finding = only_finding("shape-disagreement", "inferred")
    assert finding.message == "onnx infers 1x1x3x3 for 'y', its operator makes 1x1x2x2"


def test_an_open_batch_is_written_by_its_name() -> None:
    assert only_finding("shape-disagreement", "open_batch").message == (
        "the file declares nx1x6x6 for 'y', its operator makes 1x1x8x8"
    )
