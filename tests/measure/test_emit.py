"""The forward and the backward of a model, written as models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from measure.nets import NODE, SAMPLES, Build, Examine, run, weights

from scotoma.cli import main
from scotoma.errors import MeasurementError
from scotoma.facts import Facts
from scotoma.measure import MeasureOptions
from scotoma.measure.emit import emit


class TestEmit:
    def test_both_models_run_as_the_readme_says(
        self, smooth: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        paths = emit(smooth, MeasureOptions(), tmp_path / "new")
        names = ["forward.onnx", "backward.onnx", "adjoint.json", "README.txt"]
        assert sorted(path.name for path in paths) == sorted(names)
        monkeypatch.chdir(tmp_path / "new")
        code = (tmp_path / "new" / "README.txt").read_text("utf-8").split("\n\n")[-1]
        x = np.random.default_rng(3).standard_normal((1, 3, 10, 8)).astype(np.float32)
        scope: dict[str, Any] = {"feed": {"x": x}}
        index = json.loads(Path("adjoint.json").read_text("utf-8"))
        assert index["targets"] == ["y"]
        assert [entry["tensor"] for entry in index["gradients"]] == ["x"]
        text = "\n".join(line.removeprefix("    ") for line in code.splitlines())
        # the file is closed here, as no test may leave one open
        text = text.replace('json.load(open("adjoint.json"))', "index")
        scope["index"] = index
        exec(text, scope)
        (gradient,) = scope["gradients"]
        np.save(tmp_path / "x.npy", x[0])
        found = run(smooth, "adjoint", functional="sum", inputs=(str(tmp_path / "x.npy"),))
        assert np.abs(gradient.sum(axis=(0, 1))) == pytest.approx(found.values, rel=1e-5)

    def test_by_the_command(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        model, folder = str(SAMPLES / "one_layer_same.onnx"), tmp_path / "emitted"
        options = ["--out", str(tmp_path / "out"), "--emit-adjoint", str(folder)]
        assert main(["measure", model, *options]) == 0
        assert f"wrote {folder / 'backward.onnx'}" in capsys.readouterr().out.splitlines()
        session = onnxruntime.InferenceSession(folder / "backward.onnx")
        index = json.loads((folder / "adjoint.json").read_text("utf-8"))
        assert [value.name for value in session.get_outputs()] == [
            entry["output"] for entry in index["gradients"]
        ]

    def test_not_without_a_gradient(self, build: Build, examine: Examine, tmp_path: Path) -> None:
        nodes = [NODE("Floor", ["x"], ["f"]), NODE("Conv", ["f", "w"], ["y"])]
        facts = examine(build(nodes, [1, 1, 4, 4], {"w": weights(1, 1, 1, 1)}))
        with pytest.raises(MeasurementError, match=r"^no gradient passes between"):
            emit(facts, MeasureOptions(), tmp_path / "new")
        assert not (tmp_path / "new").exists()
