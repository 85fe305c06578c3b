"""The benchmarks measure valid models, and compare what they say they compare."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import onnx
import programs
import pytest

from scotoma.facts import Facts
from scotoma.loader import load_model

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def make(folder: Path, *names: str) -> None:
    programs.python(str(BENCHMARKS / "models.py"), str(folder), *names, check=True)


@pytest.fixture(scope="module")
def runner() -> Any:
    spec = importlib.util.spec_from_file_location("benchmarks_run", BENCHMARKS / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    make(path, "nodes_1e3", "vgg19_without_weights")
    return path


def test_the_graph_of_a_thousand_nodes_is_a_valid_vision_net(folder: Path) -> None:
    path = folder / "nodes_1e3.onnx"
    onnx.checker.check_model(str(path), full_check=True)
    model = load_model(path)
    counts = Counter(op.op_type for op in model.main.operators)
    assert counts.total() == 1003
    assert counts == {
        "Conv": 247, "BatchNormalization": 247, "Relu": 264, "Add": 105, "Concat": 52,
        "Shape": 17, "Gather": 17, "Reshape": 34, "Transpose": 17,
        "GlobalAveragePool": 1, "Flatten": 1, "Gemm": 1,
    }  # fmt: skip
    facts = Facts.of(model)
    assert facts.status == "complete"
    assert facts.shape(model.main.operators[-4].outputs[0]) == (1, 8, 16, 16)
    dead = facts.dead()
    assert dead is not None
    assert dead.fraction == 0


def test_the_models_are_the_same_every_time(folder: Path, tmp_path: Path) -> None:
    make(tmp_path, "nodes_1e3")
    one, two = (
        hashlib.sha256((place / "nodes_1e3.onnx").read_bytes()).hexdigest()
        for place in (folder, tmp_path)
    )
    assert one == two


def test_the_vgg_is_vgg19(folder: Path) -> None:
    path = folder / "vgg19_without_weights.onnx"
    onnx.checker.check_model(str(path), full_check=True)
    facts = Facts.of(load_model(path))
    counts = Counter(op.op_type for op in facts.operators)
    assert (counts["Conv"], counts["MaxPool"], counts["Gemm"]) == (16, 5, 3)
    assert facts.geometry is not None
    last = next(op for op in reversed(facts.operators) if op.op_type == "MaxPool").outputs[0]
    grids = facts.geometry.grids(last)
    assert grids is not None
    # VGG-16 has 212 (Araujo et al. 2019); three more 3x3 layers add 2 * (4 + 8 + 16).
    assert [(g.field.size, g.field.effective_stride) for g in grids if g.field] == [
        (268, Fraction(32))
    ] * 2
    weights = [facts.shape(op.inputs[1]) for op in facts.operators if op.op_type == "Gemm"]
    assert weights == [(4096, 25088), (4096, 4096), (1000, 4096)]


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds(runner: Any) -> None:
    run = runner.Run
    runs = {
        ("a", "x"): {0: run(2.0, 1.0), 1: run(30.0, 1.0), 2: run(8.0, 1.0), 3: run(99.0, 1.0)},
        ("b", "x"): {0: run(1.0, 1.0), 1: run(10.0, 1.0), 2: run(1.0, 1.0)},
    }
    assert runner.ratio(runs, ("a", "x"), ("b", "x")) == 3.0


def test_aims_say_what_is_not_met(runner: Any) -> None:
    names = ["", *(n for n in (runner.RESNET, runner.DENSENET, *runner.MADE))]
    lint = runner.COLUMNS[0]
    runs = {(name, lint): {0: runner.Run(0.4, 60.0)} for name in names}
    runs["", runner.IMPORTS] = {0: runner.Run(0.2, 50.0)}
    runs["", "scotoma --help"] = {0: runner.Run(0.25, 15.0)}
    runs[runner.DENSENET, lint] = {0: runner.Run(0.7, 60.0)}
    runs[runner.HEAVY, lint] = {0: runner.Run(0.4, 251.0)}
    verdicts = [line.partition(":")[0] for line in runner.aims(runs)]
    assert verdicts == ["- met", "- NOT MET", "- met", "- NOT MET", "- met", "- NOT MET"]


def test_a_command_that_fails_ends_the_measurement(runner: Any) -> None:
    case = runner.Case("m", "broken", ("-c", "import sys; sys.exit('no such thing')"))
    with pytest.raises(SystemExit, match=r"broken of m ended with 1:\nno such thing"):
        runner.run_once(case, {})


def test_table_is_markdown(runner: Any) -> None:
    assert runner.table(["a", "bb"], [["long", "1"]]) == [
        "| a    | bb |",
        "| ---- | -: |",
        "| long |  1 |",
    ]
