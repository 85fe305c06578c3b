"""What results show at a prompt: one line with the verdict."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

import scotoma
from scotoma.errors import MeasurementError, UsageError
from scotoma.testing import read_text_model

SAMPLES = Path(__file__).parents[2] / "sample_models"
FIVE = SAMPLES / "five_layers_valid.onnx"


def skipping() -> onnx.ModelProto:
    return read_text_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        agraph (float[1, 1, 8, 8] x) => (float[1, 1, 4, 4] y) {
            [pool] y = MaxPool <kernel_shape = [1, 1], strides = [2, 2]> (x)
        }""")


def flat() -> onnx.ModelProto:
    return read_text_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        agraph (float[1, 8] x) => (float[1, 8] y) {
            y = Relu(x)
        }""")


def test_a_trace_says_what_is_not_read() -> None:
    assert repr(scotoma.trace(skipping(), name="m.onnx")) == (
        "<TraceResult of 'm.onnx': 2 tensors, 75.00% of the pixels have no path to an output>"
    )
    assert repr(scotoma.trace(flat(), name="m.onnx")) == (
        "<TraceResult of 'm.onnx': 0 tensors, no image>"
    )


def test_sizes_say_which_is_the_best() -> None:
    found = scotoma.sizes(skipping(), name="m.onnx", limits=[(7, 9)])
    assert repr(found) == (
        "<SizesResult of 'm.onnx': 3 sizes compared, 7x7 is the best, 8x8 the current one>"
    )
    assert repr(scotoma.sizes(flat(), name="m.onnx")) == "<SizesResult of 'm.onnx': no image>"


def test_a_measurement_says_what_does_not_count() -> None:
    found = scotoma.measure(skipping(), name="m.onnx", functional="sum", resolution="full")
    assert repr(found) == "<MeasureResult of 'm.onnx': complete, 75.00% dead pixels>"
    found = scotoma.measure(FIVE, method="perturb", resolution="full", passes=40)
    assert repr(found).startswith(f"<MeasureResult of '{FIVE}': incomplete, ")


def test_a_comparison_and_what_the_rules_say() -> None:
    assert repr(scotoma.diff(skipping(), skipping(), isolated=True)) == (
        "<DiffResult: 1 model compared: nothing got worse>"
    )
    said = "1 model: 0 errors, 1 warning, 0 notes, 0 undecided"

    assert (
        repr(scotoma.lint(skipping(), select=["SC101"], isolated=True)) == f"<LintResult: {said}>"
    )


def test_a_path_stays_harmless() -> None:
    shown = repr(scotoma.trace(skipping(), name="evil\x1b[2J\n.onnx"))
    assert shown.startswith("<TraceResult of 'evil\\x1b[2J\\n.onnx': ")


def test_what_goes_wrong_with_a_measurement_names_the_model() -> None:
    with pytest.raises(UsageError, match=r"^m\.onnx: the model has no tensor or node 'nope'; "):
        scotoma.measure(skipping(), name="m.onnx", tensor="nope")
    with pytest.raises(MeasurementError, match=r"^m\.onnx: the model has no spatial input "):
        scotoma.measure(flat(), name="m.onnx")
