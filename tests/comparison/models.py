"""The models that are compared, and what is read off a comparison."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx

from scotoma.testing import read_text_model

Call = Callable[..., tuple[int, Any, str]]

SAMPLES = Path(__file__).parents[2] / "sample_models"
REAL = Path(__file__).parents[3] / "shared" / "models" / "real"

ONLY = ["--select", "unread-pixels"]
HEADER = '<ir_version: 8, opset_import: ["" : 17]>\n'
PYRAMID = """
model (float[1, 3, 33, 33] x) => (float[1, 4, h, w] y)
<float[4, 3, 3, 3] w1, float[4, 4, 3, 3] w2, float[4, 4, 1, 1] w3>
{
    [first] a = Conv <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]> (x, w1)
    [relu] b = Relu (a)
    [second] c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (b, w2)
    [third] d = Conv <kernel_shape = [1, 1], strides = [STEP, STEP]> (c, w3)
    [last] y = Relu (d)
}
"""


def sample(name: str) -> str:
    return str(SAMPLES / f"{name}.onnx")


def pyramid(step: int = 1) -> onnx.ModelProto:
    return read_text_model(HEADER + PYRAMID.replace("STEP", str(step)))


def codes(findings: list[Any]) -> list[tuple[str, str]]:
    return [(finding["code"], finding["node"]) for finding in findings]


def kinds(document: Any) -> list[str]:
    return [item["kind"] for found in document["comparisons"] for item in found["worse"]]
