"""What ``trace`` and ``measure`` print, from documents written by hand and from sample models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import example_rules
import pytest
from golden_files import check_golden

from scotoma.cli import main
from scotoma.report.measure import render_measure
from scotoma.report.trace import render_trace

SAMPLES = Path(__file__).parents[1] / "sample_models"

COVERAGE = {
    "dead_pixel_fraction": 447 / 50176,
    "dead_rows": [[223, 223]],
    "dead_cols": [[0, 2], [223, 223]],
    "corner_over_centre": 0.01956,
    "edge_over_centre": None,
    "left_right_ratio": 1.0,
    "top_bottom_ratio": 12345678.0,
    "absorbed_by_padding": 0.17731,
}


def tensor(name: str, **values: Any) -> dict[str, Any]:
    base = {
        "name": name,
        "node": f"node_{name}",
        "op_type": "Relu",
        "shape": [1, 8, 112, 112],
        "spatial_axes": [2, 3],
        "receptive_field": [7, 7],
        "receptive_field_local": [7, 7],
        "effective_stride": ["2", "2"],
        "centre": ["0", "0"],
        "note": "",
    }
    return {**base, **values}


def trace_document(**values: Any) -> dict[str, Any]:
    document = {
        "schema_version": "1",
        "model": {"path": "net\x1b.onnx"},
        "input": {
            "name": "x",
            "shape": [1, 3, 224, 224],
            "spatial_axes": [2, 3],
            "assumed": True,
        },
        "tensors": [
            tensor("x", node=None, op_type="Input"),
            tensor(
                "c",
                op_type="Conv",
                kind="strided convolution",
                absorbed_by_padding=0.0123,
                multiply_adds=118013952,
                parameters=9408,
            ),
            tensor("same"),
            tensor(
                "up",
                kind="upsampling",
                receptive_field=None,
                effective_stride=["1/3", "1/3"],
                centre=["31/2", "-1/3"],
                note="of the middle cell; others up to 9x9; whole-map paths see the whole image",
            ),
            tensor(example_rules.NASTY, node="a" * 60, shape=[], receptive_field_local=None),
        ],
        "coverage": COVERAGE,
        "coverage_local": {**COVERAGE, "dead_rows": [], "corner_over_centre": 0.5},
        "status": "partial",
        "unanalysed": [
            {"node": example_rules.NASTY, "op_type": "Weird", "reason": "unknown operator"}
        ],
    }
    return {**document, **values}


def test_trace_is_a_table() -> None:
    check_golden("trace.txt", click.unstyle(render_trace(trace_document())))


def test_trace_says_that_there_is_nothing_to_follow() -> None:
    document = trace_document(
        input=None, tensors=[], coverage=None, coverage_local=None, unanalysed=[]
    )
    assert click.unstyle(render_trace(document)) == (
        "net\\x1b.onnx\n"
        "  no spatial input: nothing to follow through the model\n"
        "\n"
        "coverage of the input: could not be told\n"
    )


def figure(
    value: float | None, error: float | None = None, probes: int = 784, reason: str | None = None
) -> dict[str, Any]:
    return {"value": value, "standard_error": error, "probes": probes, "reason": reason}


EMPTY = "no probe fell into the middles of the sides or the centre"


def test_a_measurement_is_a_table() -> None:
    document = {
        "model": {"path": "m.onnx"},
        "examined": {"name": "x", "shape": [1, 3, 28, 28], "spatial_axes": [2, 3], "assumed": True},
        "outputs": ["a" * 90 + "z", example_rules.NASTY, "c"],
        "target": "the last 3 feature maps, before Sigmoid 's', which hides changes",
        "functional": "sum",
        "inputs": [{"label": example_rules.NASTY}, {"label": "cats/2.png"}],
        "difference": "central",
        "delta": 0.5,
        "patch": 2,
        "channels": "each",
        "resolution": {"full": False, "probed": 196, "pixels": 784},
        "multiplexed": True,
        "passes": 1784,
        "seconds": 1.25,
        "complete": False,
        "influence": {
            "dead_rows": [[3, 3], [7, 9]],
            "dead_cols": [[at, at] for at in range(1, 28, 2)],
        },
        "figures": {
            "structural_dead_pixel_fraction": figure(0.25, 0.0),
            "absorbed_by_padding": figure(0.1234),
            "dead_pixel_fraction": figure(0.2604, 0.01, 196),
            "corner_over_centre": figure(0.01956, 0.0031, 8),
            "left_right_ratio": figure(1.0, 0.0),
            "top_bottom_ratio": figure(None, reason="the part below has no weight"),
            "edge_over_centre": figure(None, probes=0, reason=EMPTY),
            "border_over_interior": figure(None, probes=3, reason=EMPTY),
            "centroid_offset_rows": figure(3.3e-7, 3.2e-7),
            "centroid_offset_cols": figure(-12.5, 3.25),
        },
        "position": {"sensitivity": figure(None, None, 12), "reason": "too few places were probed"},
        "agreement": {
            "figures": {"corner_over_centre": {"reference": 0.5, "measured": 0.01956}},
            "rank_correlation": 0.987, "correlation": 0.5, "compared_pixels": 1234,
            "contradictions": 2, "contradicting_pixels": [[0, 1], [3, 4]],
            "unmoved": 4, "unmoved_pixels": [[0, 2], [0, 3], [0, 4], [0, 5]],
        },
        "notes": ["the output's softmax is left out", "contradiction: 2 places " + "moved " * 20],
    }  # fmt: skip
    text = click.unstyle(render_measure(document, ["out/influence.npy", "out/influence.png"]))
    assert all(len(line) <= 100 for line in text.splitlines())
    check_golden("measure.txt", text)


def test_trace_of_a_sample_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model, path = str(SAMPLES / "five_layers_valid.onnx"), tmp_path / "trace.json"
    assert main(["trace", model, "-o", f"json={path}", "-o", "-"]) == 0
    text = capsys.readouterr().out
    document = json.loads(path.read_text(encoding="utf-8"))
    assert [row["receptive_field"] for row in document["tensors"]] == [
        [size, size] for size in (1, 3, 5, 7, 9, 11)
    ]
    assert text.splitlines()[1] == "  input 'image' 1x1x28x28"
    assert text.count("11x11") == 1
    last = document["tensors"][-1]["name"]
    assert main(["trace", model, "--tensor", last, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["coverage"] == document["coverage"]


def test_trace_of_a_tensor_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", str(SAMPLES / "five_layers_valid.onnx"), "--tensor", "nope"]) == 2
    assert capsys.readouterr().err == "scotoma: the model has no tensor or node 'nope'\n"


@pytest.mark.parametrize("command", ["trace", "measure"])
def test_a_model_that_is_missing(
    command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = ["--out", str(tmp_path)] if command == "measure" else []
    assert main([command, str(tmp_path / "missing.onnx"), *options]) == 3
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)


def test_tensor_may_be_named_by_its_node(capsys: pytest.CaptureFixture[str]) -> None:
    model = str(SAMPLES / "five_layers_valid.onnx")
    assert main(["trace", model, "--tensor", "conv1", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    first = document["tensors"][1]
    assert (first["node"], document["functional"]) == ("conv1", [first["name"]])


def test_a_size_that_cannot_run_has_no_coverage(capsys: pytest.CaptureFixture[str]) -> None:
    model = str(SAMPLES / "five_layers_valid.onnx")
    assert main(["trace", model, "--size", "3x3", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["coverage"], document["coverage_local"]) == (None, None)
    assert [(u["node"], u["reason"]) for u in document["unanalysed"]] == [
        ("conv2", "cannot run at this size: its window spans 3 cells, the input has 1")
    ]
    fields = {row["node"]: row["receptive_field_local"] for row in document["tensors"]}
    assert fields["conv1"] == [3, 3]
    assert fields["conv3"] is None


def test_a_size_that_cannot_run_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    model = str(SAMPLES / "five_layers_valid.onnx")
    assert main(["lint", model, "--size", "3x3", "--format", "json"]) == 2
    captured = capsys.readouterr()
    reason = "'conv2' (Conv) cannot run at this size: its window spans 3 cells, the input has 1"
    assert json.loads(captured.out)["models"][0]["refusal"] == reason
    assert captured.err == f"scotoma: {model}: {reason}\n"
