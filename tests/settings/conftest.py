from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SAMPLES = Path(__file__).parents[2] / "sample_models"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def document(run: Run) -> Callable[..., Any]:
    """Lint and return the JSON document."""

    def call(*arguments: str) -> Any:
        return json.loads(run("lint", *arguments, "--format", "json")[1])

    return call


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with two models in folders of their own."""
    for folder, sample in (("small", "five_layers_valid"), ("pools", "ceil_pool")):
        (tmp_path / folder).mkdir()
        shutil.copy(SAMPLES / f"{sample}.onnx", tmp_path / folder / "model.onnx")
    monkeypatch.chdir(tmp_path)
    return tmp_path
