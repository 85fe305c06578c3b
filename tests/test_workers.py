from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from scotoma import workers
from scotoma.engine import Options
from scotoma.registry import load_rules
from scotoma.results import ModelReport

FOLDER = Path(__file__).parents[1] / "sample_models"

Run = Callable[..., tuple[int, str, str]]

KILLER = '''
"""Ends its process.

What it finds
-------------
Nothing.

Why it matters
--------------
Memory can run out.

What to do
----------
Nothing.
"""

import os

from scotoma.findings import Severity
from scotoma.rule import Rule, RuleMeta


class Killer(Rule):
    """Ends its process where the model is a certain one."""

    meta = RuleMeta(code="XZ1", name="killer", severity=Severity.NOTE, since="0.1.0")

    def check(self, facts):
        if "bad" in facts.model.path:
            os._exit(9)
        yield from ()
'''


def test_any_number_of_processes_gives_the_same_bytes(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ceil_pool", "five_layers_valid", "residual_net", "unet_misfit"):
        shutil.copy(FOLDER / f"{name}.onnx", tmp_path)
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    one = run("lint", ".", "none.onnx", "--format", "json")
    assert one[0] == 3
    assert [model["path"] for model in json.loads(one[1])["models"]] == [
        "broken.onnx", "ceil_pool.onnx", "five_layers_valid.onnx", "none.onnx",
        "residual_net.onnx", "unet_misfit.onnx",
    ]  # fmt: skip
    assert str(tmp_path) not in one[1]
    for jobs in ("2", "9"):
        assert run("lint", ".", "none.onnx", "--format", "json", "--jobs", jobs) == one
    # The order of the arguments does not matter, nor that a model is named twice.
    given = ["unet_misfit.onnx", "none.onnx", "./ceil_pool.onnx", ".", str(tmp_path / "none.onnx")]
    assert run("lint", *given, "--format", "json", "--jobs", "2") == one


def test_a_process_that_dies_takes_only_its_model_with_it(tmp_path: Path) -> None:
    rules_folder = tmp_path / "rules"
    rules_folder.mkdir()
    (rules_folder / "killer.py").write_text(KILLER.lstrip())
    paths = []
    for name in ("a", "bad", "c"):
        shutil.copy(FOLDER / "five_layers_valid.onnx", tmp_path / f"{name}.onnx")
        paths.append(str(tmp_path / f"{name}.onnx"))
    chosen = load_rules([str(rules_folder)]).select(["XZ1", "SC102"])
    tasks = [workers.Task(path, chosen, Options()) for path in paths]
    a, bad, c = workers.lint(tasks, jobs=2, directories=(str(rules_folder),))
    assert [f.code for f in a.findings] == ["SC102"]
    assert (c.path, c.findings, c.status) == (paths[2], a.findings, a.status)
    assert (bad.path, bad.status, bad.findings) == (paths[1], "error", ())
    assert bad.failure is not None
    assert bad.failure.kind == "internal"
    assert "ended unexpectedly" in bad.failure.message


def test_one_model_needs_no_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def run_here(task: workers.Task) -> ModelReport:
        seen.append(os.getpid())
        return ModelReport(path=task.path, status="complete")

    monkeypatch.setattr(workers, "run", run_here)
    tasks = [workers.Task(path, (), Options()) for path in ("a.onnx", "-")]
    reports = workers.lint(tasks, jobs=4, directories=())
    assert [report.path for report in reports] == ["a.onnx", "-"]
    assert seen == [os.getpid()] * 2
