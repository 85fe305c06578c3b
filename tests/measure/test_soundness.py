"""The graph's claims, held against onnxruntime: the quick part of ``benchmarks/soundness.py``."""

from __future__ import annotations

import importlib
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from networks import SHARED
from onnx import helper

from scotoma.facts import Facts
from scotoma.loader import load_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import onnx

    Build = Callable[..., onnx.ModelProto]
    Examine = Callable[..., Facts]

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SAMPLES = sorted((Path(__file__).parents[2] / "sample_models").glob("*.onnx"))
LARGEST = 1 << 21
"""Bytes of a model that is quick enough to be tried here."""
NODE = helper.make_node


def published() -> list[Any]:
    """Return small models that people published, and a seeded sample of architectures."""
    real = sorted((SHARED / "real").glob("*.onnx"))
    zoo = sorted((SHARED / "zoo").glob("*.onnx"))
    small = [path for path in real if path.stat().st_size < LARGEST]
    found = random.Random(5).sample(small, min(12, len(small)))
    found += random.Random(6).sample(zoo, min(4, len(zoo)))
    skip = pytest.mark.skip(reason=f"{SHARED} is not there")
    return [pytest.param(path, id=path.stem) for path in found] or [pytest.param(None, marks=skip)]


@pytest.fixture(scope="module")
def soundness() -> Iterator[Any]:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("soundness")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_sample_models(soundness: Any, path: Path) -> None:
    verdict = soundness.examine(Facts.of(load_model(path)), live=16, seconds=4.0)
    assert verdict.note == ""
    assert (verdict.contradicted, verdict.unexplained) == (False, [])
    assert dict(verdict.explained) == {}
    assert sum(verdict.moved.values()) == verdict.live > 0
    assert verdict.dead == (265 if "patches" in path.stem else 0)


@pytest.mark.parametrize("path", published())
def test_published_models(soundness: Any, path: Path) -> None:
    verdict = soundness.examine(Facts.of(load_model(path)), live=8, seconds=2.0)
    assert (verdict.contradicted, verdict.unexplained) == (False, [])
    assert sum(verdict.moved.values()) + sum(verdict.explained.values()) == verdict.live


def test_what_is_lost_is_named(soundness: Any, build: Build, examine: Examine) -> None:
    nodes = [
        NODE("Conv", ["x", "w"], ["a"], name="stem", pads=[1] * 4),
        NODE("Add", ["a", "low"], ["b"], name="shift"),
        NODE("Relu", ["b"], ["c"], name="gate"),
        NODE("Conv", ["c", "w"], ["y"], name="head", pads=[1] * 4),
    ]
    weights = {"w": np.ones((1, 1, 3, 3), np.float32), "low": np.array(-1e4, np.float32)}
    verdict = soundness.examine(examine(build(nodes, [1, 1, 6, 6], weights)), live=5)
    assert dict(verdict.explained) == {"lost at 'gate' (Relu)": 5}
    assert verdict.sound
    table = soundness.row("m", verdict)
    assert table == "| m | 36 | 0 | 0 of 5 | 5 lost at 'gate' (Relu) |"


def test_a_contradiction_is_found(
    soundness: Any, build: Build, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [NODE("Conv", ["x", "w"], ["y"], strides=[2, 2])]
    facts = examine(build(nodes, [1, 1, 8, 8], {"w": np.ones((1, 1, 3, 3), np.float32)}))
    assert soundness.examine(facts, live=4).sound
    prepare = soundness.prepare

    def lie(*given: Any) -> Any:
        setup = prepare(*given)
        setup.structural.dead[3, 3] = True
        return setup

    monkeypatch.setattr(soundness, "prepare", lie)
    verdict = soundness.examine(facts, live=4)
    assert (verdict.contradicted, verdict.dead) == (True, 16)
    assert soundness.row("m", verdict).startswith("| m | 64 | 16 MOVED | 4 of 4 |")
