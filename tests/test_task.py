"""What a model is taken to be for, told from small graphs of every kind and from published ones."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from networks import LIGHT, SHARED

from scotoma.evidence.task import task_of
from scotoma.facts import Facts
from scotoma.findings import Severity
from scotoma.loader import load_model
from scotoma.registry import load_rules
from scotoma.task import Task
from scotoma.testing import lint_text, read_text_model

HEADER = '<ir_version: 8, opset_import: ["" : 17]>\nmodel (float[1, 3, 32, 32] x) => '
WEIGHTS = (
    "<float[4, 3, 3, 3] w, float[6, 4, 1, 1] v, float[5400, 7] flat, float[5400, 2] less, "
    "int64[2] row = {1, -1}, int64[3] cells = {1, 6, -1}, int64[3] boxes = {1, -1, 4}, "
    "int64[1] most = {9}, float[900, 12] mix>"
)
STEM = "[c1] a = Conv <strides = [1, 1]> (x, w) [c2] b = Conv (a, v) "
TWO_HEADS = """c = Conv (a, v) f = Reshape (b, row) e = Reshape (c, row)
    g = Gemm (f, flat) h = Gemm (e, less) [both] y = Concat <axis = 1> (g, h)"""
BESIDE = """[p] h = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (b)
    g = GlobalAveragePool (b) y = Flatten (g)"""
BOXES = """l = Reshape (b, boxes) s = Reshape (b, cells)
    [nms] y = NonMaxSuppression (l, s, most)"""
TWO_SCALES = (
    "the last map of 'fine' (Relu) has a cell every 1 px, that of 'coarse' (Relu) a cell every 2 px"
)
COARSE = "[p] half = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (b) "


def told(outputs: str, body: str) -> tuple[str, str] | None:
    """Return the task of a small model and the reason; None where it cannot be told."""
    model = read_text_model(f"{HEADER}({outputs})\n{WEIGHTS}\n{{ {STEM}{body} }}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.onnx"
        path.write_bytes(model.SerializeToString())
        found = task_of(Facts.of(load_model(str(path))))
    assert found is None or found.assumed
    return None if found is None else (found.value, found.because)


@pytest.mark.parametrize(
    ("outputs", "body", "expected"),
    [
        (
            "float[1, 6] y",
            "[pool] g = GlobalAveragePool (b) y = Flatten (g)",
            ("classify", "'pool' (GlobalAveragePool) sums the last map up, blind to places"),
        ),
        (
            "float[1, 7] y",
            "f = Reshape (b, row) [fc] y = Gemm (f, flat)",
            ("classify", "'fc' (Gemm) reads the last map as a whole"),
        ),
        (
            "float[1, 6] y",
            "[own] u = Mystery (b) g = GlobalAveragePool (u) [vector] y = Flatten (g)",
            ("classify", "output 'y' of 'vector' (Flatten) is one vector for the image"),
        ),
        (
            "float[1, 9] y",
            TWO_HEADS,
            ("classify", "output 'y' of 'both' (Concat) is one vector for the image"),
        ),
        (
            "float[1, 6, 30, 30] y",
            "[last] y = Relu (b)",
            ("dense", "output 'y' of 'last' (Relu) has a cell every 1 px"),
        ),
        (
            "float[1, 6] y, float[1, 6, 15, 15] h",
            BESIDE,
            ("dense", "output 'h' of 'p' (MaxPool) has a cell every 2 px"),
        ),
        (
            "float[1, 6, 900] y",
            "[list] y = Reshape (b, cells)",
            ("dense", "output 'y' of 'list' (Reshape) has a cell every 1 px"),
        ),
        (
            "float[1, 6, 30, 30] y, float[1, 6, 15, 15] z",
            COARSE + "[fine] y = Relu (b) [coarse] z = Relu (half)",
            ("detect", TWO_SCALES),
        ),
        (
            "float[1, 6, 1125] y",
            COARSE
            + "[fine] f = Relu (b) [coarse] e = Relu (half) "
            + "lf = Reshape (f, cells) le = Reshape (e, cells) y = Concat <axis = 2> (lf, le)",
            ("detect", TWO_SCALES),
        ),
        (
            "int64[?, 3] y",
            BOXES,
            ("detect", "'nms' (NonMaxSuppression) works on boxes"),
        ),
        ("float[1, 6, 12] y", "l = Reshape (b, cells) [queries] y = MatMul (l, mix)", None),
    ],
    ids=[
        "pooled", "flattened", "not-analysed", "two-ways", "map", "map-beside-vector", "list",
        "maps", "lists", "boxes", "queries",
    ],
)  # fmt: skip
def test_the_graph_tells_the_task(
    outputs: str, body: str, expected: tuple[str, str] | None
) -> None:
    assert told(outputs, body) == expected


def test_a_batch_is_no_axis_of_the_answer() -> None:
    text = (
        '<ir_version: 8, opset_import: ["" : 17]>\n'
        "model (float[2, 3, 8, 8] x) => (float[2, 3, 1, 1] y) { [pool] y = GlobalMaxPool (x) }"
    )
    report = lint_text(text, ())
    assert report.task is not None
    assert (report.task.value, report.task.assumed) == (Task.CLASSIFY, True)


def test_without_an_image_nothing_is_told() -> None:
    text = (
        '<ir_version: 8, opset_import: ["" : 17]>\n'
        "model (float[1, 8] x) => (float[1, 8] y) { y = Relu (x) }"
    )
    assert lint_text(text, ()).task is None


SHIFTED = """<ir_version: 8, opset_import: ["" : 17]>
model (float[1, 1, 16, 16] x) => ({output} y)
<float[0] roi, float[4] scales = {{1, 1, 4, 4}}, float[1, 1, 3, 3] w>
{{
    [half] a = MaxPool <kernel_shape = [4, 4], strides = [4, 4]> (x)
    [up] u = Resize <mode = "linear", coordinate_transformation_mode = "asymmetric">
        (a, roi, scales)
    c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w)
    [sum] s = Add (c, u)
    {last}
}}
"""


@pytest.mark.parametrize(
    ("output", "last", "severity"),
    [
        ("float[1, 1, 16, 16]", "y = Relu (s)", Severity.WARNING),
        ("float[1, 1, 1, 1]", "y = GlobalAveragePool (s)", Severity.NOTE),
    ],
    ids=["map", "class"],
)
def test_a_shift_weighs_less_in_a_class_than_in_a_map(
    output: str, last: str, severity: Severity
) -> None:
    report = lint_text(SHIFTED.format(output=output, last=last), load_rules().select(["SC2"]))
    found = {(f.code, f.primary.node): f.severity for f in report.findings}
    assert found["SC206", "up"] is severity
    assert found["SC204", "sum"] is severity


def test_errors_and_conversions_weigh_the_same_for_every_task() -> None:
    rules = {rule.meta.name: rule.meta for rule in load_rules().rules}
    lowered = {name for name, meta in rules.items() if meta.severity_by_task}
    assert lowered == {"even-kernel", "misaligned-merge", "shifted-resize", "border-dimming-pool"}
    for name in lowered:
        meta = rules[name]
        assert meta.severity_by_task == {Task.CLASSIFY: Severity.NOTE}
        assert meta.rated(Severity.WARNING, Task.CLASSIFY) is Severity.NOTE
        assert meta.rated(Severity.ERROR, Task.CLASSIFY) is Severity.ERROR
        assert meta.rated(Severity.WARNING, Task.DENSE) is Severity.WARNING
        assert meta.rated(Severity.WARNING, None) is Severity.WARNING


PUBLISHED = {
    "zoo/tv_*": Task.CLASSIFY,
    "zoo/timm_*": Task.CLASSIFY,
    "zoo/tv_deeplab*": Task.DENSE,
    "zoo/tv_ssd*": Task.DETECT,
    "zoo/yolo*": Task.DETECT,
    "zoo/unet*": Task.DENSE,
    "zoo/srcnn*": Task.DENSE,
    "zoo/pspnet*": Task.DENSE,
    "zoo/fast_style*": Task.DENSE,
    "zoo/dcgan*": Task.DENSE,
    "zoo/lenet*": Task.CLASSIFY,
    "real/*ultraface*": Task.DETECT,
    "real/*RFB*": Task.DETECT,
    "real/*yunet*": Task.DETECT,
    "real/*blazeface*": Task.DETECT,
    "real/AIRLegend*": Task.DETECT,
    "real/*mnist*": Task.CLASSIFY,
    "real/*cifar*": Task.CLASSIFY,
    "real/*selfie*": Task.DENSE,
    "real/*ppocr*": Task.DENSE,
}
"""Globs over files, the later ones decide."""


def test_published_architectures_are_told() -> None:
    if not SHARED.exists():
        pytest.skip(f"{SHARED} is not there")
    expected = {path: task for glob, task in PUBLISHED.items() for path in SHARED.glob(glob)}
    expected = {path: task for path, task in expected.items() if path.suffix == ".onnx"}
    found = {path: task_of(Facts.of(load_model(str(path)))) for path in expected}
    wrong = {p.name: t and t.value for p, t in found.items() if (t and t.value) != expected[p]}
    assert wrong == {}


@pytest.mark.parametrize("path", sorted(LIGHT.glob("*.onnx")), ids=lambda path: path.stem)
def test_the_architectures_of_onnx_classify(path: Path) -> None:
    found = task_of(Facts.of(load_model(str(path))))
    assert found is not None
    assert found.value is Task.CLASSIFY
