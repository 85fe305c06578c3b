"""Files whose operators and declared shapes make no sense: rules pass them by, none fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scotoma.engine import Options, lint_model
from scotoma.evidence.upsampling import _at_the_end as at_the_end
from scotoma.evidence.upsampling import upsamplings
from scotoma.facts import Facts
from scotoma.loader import load_model
from scotoma.registry import load_rules
from scotoma.testing import read_text_model

HEAD = '<ir_version: 8, opset_import: ["" : 17, "other" : 1]>'
MODELS = {
    # Operators of another domain have any number of inputs, and the names of known ones.
    "resize": """model (float[1, 3, 4, 4] x) => (float[1, 3, 3, 3] y)
        { y = com.microsoft.nchwc.Resize <kernel_shape = [3, 3]> () }""",
    "kernel": """model (float[1, 1, 6, 6] x) => (float[1, 2, 12, 12] y) {
            c = Conv (x, y)
            y = other.Transpose <blocksize = 2> ()
        }""",
    "gather": """model (float[2, 2, 8, 8] x) => (float[2, 2, 8, 8] y, float[2, 2, 8, 8] n)
        <float[2] s, float[2] b, float[2] m, float[2] v> {
            y = other.Gather (x)
            n, rm, rv = BatchNormalization <training_mode = 1> (x, s, b, m, v)
        }""",
    # Statistics of a batch, with which a shape is declared that has no such axis.
    "batch": """model (float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y)
        <int64[3] fold = {1, 2, 128}, float[2] s, float[2] b, float[2] m, float[2] v> {
            f = Reshape (x, fold)
            n, rm, rv = BatchNormalization <training_mode = 1> (f, s, b, m, v)
            y = Reshape (rv, f)
        }""",
    "bias": """model (float[1, 2, 6, 6] x) => (float[1, 3, 12, 12] y)
        <float[2, 3, 4, 4] w, float[2, 1, 3, 4, 4] b>
        { u = ConvTranspose <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w, b)  y = Sigmoid (u) }""",
}


@pytest.mark.parametrize("text", MODELS.values(), ids=MODELS)
def test_no_rule_fails(text: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(read_text_model(f"{HEAD} {text}").SerializeToString())
    report = lint_model(str(path), load_rules().rules, Options())
    assert (report.failure, report.rule_failures) == (None, ())


def test_phases_without_number_are_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    text = """model (float[1, 1, 6, 6] x) => (float[1, 1, h, w] y) <float[1, 1, 2, 2] w> {
        [up] u = ConvTranspose <strides = [4096, 2]> (x, w)
        y = Relu (u)
    }"""
    path.write_bytes(read_text_model(f"{HEAD} {text}").SerializeToString())
    facts = Facts.of(load_model(str(path)))
    (item,) = upsamplings(facts)
    assert at_the_end(facts, item, {}, np.ones((1, 8192))) is None
    assert at_the_end(facts, item, {}, np.ones((1, 4096))) is not None
