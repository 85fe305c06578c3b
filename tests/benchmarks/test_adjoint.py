"""The benchmarks of the adjoint: their networks are the published ones, their verdicts follow."""

from __future__ import annotations

import importlib.util
import json
import sys
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import programs
import pytest
from networks import session
from onnx import helper

from scotoma.facts import Facts
from scotoma.loader import load_model

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PUBLISHED = {
    "ResNet-18": 11_689_512 - 4_800,
    "MobileNetV2": 3_504_872 - 17_056 + 2,
    "ConvNeXt-T": 28_589_128,
}
"""Parameters. A normalisation that is folded into a convolution leaves one of its two for every
channel; the limits of MobileNetV2's activations are two numbers more."""


def module(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))  # they import each other
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, made)  # where dataclasses look their module up
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_network_is_the_published_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = module("vision_models", monkeypatch).MODELS[name](1)
    assert sum(prod(tensor.dims) for tensor in made.graph.initializer) == PUBLISHED[name]
    onnx.save(made, tmp_path / "model.onnx")
    facts = Facts.of(load_model(tmp_path / "model.onnx"))
    (output,) = facts.model.main.outputs
    assert facts.status == "complete"
    assert facts.shape(output.name) == (1, 1000)
    image = np.random.default_rng(0).standard_normal((1, 3, 224, 224), np.float32)
    answer = session(made).run(None, {"image": image})[0]
    assert np.isfinite(answer).all()
    assert answer.std() > 0.1  # the signal does not die out on its way


def result(benchmark: Any, name: str, *, adjoint: float, pixels: int = 224 * 224) -> Any:
    times = {
        "forward": [1.0, 10.0, 1.0], "probe": [1.0, 10.0, 1.0], "batch": [7.0, 70.0, 7.0],
        "with residuals": [1.5, 15.0, 9.0], "adjoint": [adjoint, 10 * adjoint, adjoint],
        "cotangents": [8.0, 8.0, 8.0], "torch": [4.5, 45.0, 45.0],
        "torch backward": [2.0, 20.0, 2.0],
    }  # fmt: skip
    return benchmark.Result(name, pixels, times, {}, 1.0)


def test_aims(monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = module("adjoint", monkeypatch)
    lines = benchmark.aims([
        result(benchmark, "ResNet-18", adjoint=2.5),
        result(benchmark, "MobileNetV2", adjoint=2.5),
        result(benchmark, "ResNet-18 at 1024", adjoint=1.5, pixels=1 << 20),
    ])  # fmt: skip
    # The third round, in which only the forward was disturbed, does not decide.
    assert lines == [
        "- NOT MET: ResNet-18: map in forwards: 4.00, at most 3.5",
        "- met: ResNet-18: map / PyTorch forward and backward: 0.89, at most 1",
        "- NOT MET: ResNet-18: adjoint / PyTorch backward: 1.25, at most 1",
        "- met: ResNet-18: quicker than one pixel at a time: 12,544×, at least 5,000",
        "- met: MobileNetV2: map in forwards: 4.00, at most 5",
        "- met: MobileNetV2: map / PyTorch forward and backward: 0.89, at most 1",
        "- NOT MET: MobileNetV2: adjoint / PyTorch backward: 1.25, at most 1",
        "- met: MobileNetV2: quicker than one pixel at a time: 12,544×, at least 5,000",
        "- met: ResNet-18 at 1024: map in forwards: 3.00, at most 3.5",
        "- met: ResNet-18 at 1024: map / PyTorch forward and backward: 0.67, at most 1",
        "- met: ResNet-18 at 1024: adjoint / PyTorch backward: 0.75, at most 1",
    ]


def save(
    path: Path, *nodes: onnx.NodeProto, output: int = onnx.TensorProto.FLOAT, declared: str = ""
) -> None:
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 1, 6, 6])],
        [helper.make_tensor_value_info("y", output, None)],
        value_info=[
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1, 6, 6])
            for name in declared
        ],
    )
    opsets = [helper.make_opsetid("", 19), helper.make_opsetid("strange", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)


def test_coverage_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    pool = helper.make_node(
        "AveragePool", ["x"], ["m"], "pool", kernel_shape=[2, 2], strides=[3, 3]
    )
    save(folder / "dead.onnx", pool, helper.make_node("Relu", ["m"], ["y"], "relu"))
    odd = helper.make_node("Odd", ["x"], ["m"], "odd", domain="strange")
    save(folder / "unknown.onnx", odd, helper.make_node("Relu", ["m"], ["y"], "relu"))
    save(folder / "stuck.onnx", odd, helper.make_node("Relu", ["m"], ["n"], "relu"),
         helper.make_node("Sigmoid", ["n"], ["y"], "sigmoid"), declared="m")  # fmt: skip
    save(folder / "cut.onnx", helper.make_node("ArgMax", ["x"], ["y"], "best", axis=3),
         output=onnx.TensorProto.INT64)  # fmt: skip
    (folder / "torn.onnx").write_bytes(b"\x08")
    document = tmp_path / "seen.json"
    done = programs.python(
        str(BENCHMARKS / "adjoint_coverage.py"), str(folder),
        "--json", str(document), "--jobs", "2",
    )  # fmt: skip
    seen = {entry["model"]: entry for entry in json.loads(document.read_text())}
    assert {name: entry["state"] for name, entry in seen.items()} == {
        "cut": "by nature", "dead": "whole", "stuck": "part", "torn": "error",
        "unknown": "none",
    }  # fmt: skip
    assert seen["stuck"]["share"] == 2 / 3  # both behind the unknown operator
    assert seen["stuck"]["stops"] == [["strange.Odd", "there is no adjoint rule for it", 1]]
    assert "strange:Odd" in seen["stuck"]["runtime"]
    # Windows of 2 at a stride of 3 leave every third row and column out.
    assert seen["dead"]["soundness"] == {
        "dead": 20, "dead_with_gradient": 0, "live": 16, "silent": 0,
        "inputs": seen["dead"]["soundness"]["inputs"], "forward": True,
    }  # fmt: skip
    assert done.returncode == 1
    assert f"- folder/torn: {seen['torn']['reason']}" in done.stdout.splitlines()
