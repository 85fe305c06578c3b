"""The fixtures of rules, what is found on them, and how onnxruntime runs them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import onnxruntime as ort
import pytest
from networks import SHARED
from packaging.version import Version

from scotoma.findings import Finding
from scotoma.registry import load_rules
from scotoma.testing import find_fixtures, lint_text, read_fixture, read_text_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


FOLDER = Path(__file__).parent / "rules"
RULES = load_rules()
OFF = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
DEFAULT = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
FOLDS_PADS = Version(ort.__version__) < Version("1.32")
"""Later versions of onnxruntime no longer fold a zero Pad into a max pool."""
ort.set_default_logger_severity(4)


def firing(rule: str) -> list[str]:
    code = RULES.get(rule).meta.code
    return [
        fixture.path.stem
        for fixture in find_fixtures(FOLDER / rule)
        if any(e.code == code and e.kind == "finding" for e in fixture.expected)
    ]


def text_of(rule: str, name: str) -> str:
    return read_fixture(FOLDER / rule / f"{name}.onnxtxt").text


def only_finding(rule: str, name: str) -> Finding:
    report = lint_text(text_of(rule, name), [RULES.get(rule)])
    assert len(report.findings) == 1
    return report.findings[0]


def measured(finding: Finding) -> dict[str, object]:
    return {m.name: m.value for m in finding.measurements}


@cache
def ground_truth() -> dict[str, Any]:
    path = SHARED / "ground_truth.json"
    if not path.exists():
        pytest.skip(f"needs {path}")
    return cast("dict[str, Any]", json.loads(path.read_text()))


class Runner:
    """A model in onnxruntime without optimisations."""

    def __init__(self, proto: Any) -> None:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(proto.SerializeToString(), options)
        self.shape = self.session.get_inputs()[0].shape

    def __call__(self, image: Array) -> list[Array]:
        return cast("list[Array]", self.session.run(None, {"x": image.astype(np.float32)}))

    def noise(self, seed: int = 0) -> Array:
        noise: Array = np.random.default_rng(seed).uniform(-1, 1, self.shape)
        return noise

    def reacting(self) -> Iterator[tuple[tuple[int, ...], list[Array]]]:
        """Yield every pixel with the cells of each output that change when it does."""
        image = self.noise()
        before = self(image)
        for place in np.ndindex(*self.shape[2:]):
            other = image.copy()
            other[(slice(None), slice(None), *place)] += 3
            yield place, [a != b for a, b in zip(self(other), before, strict=True)]


def run(model: str | Any, feeds: dict[str, Any], level: Any = OFF) -> NDArray[Any]:
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    proto = read_text_model(model) if isinstance(model, str) else model
    session = ort.InferenceSession(proto.SerializeToString(), options)
    return cast("NDArray[Any]", session.run(None, feeds)[0])


def failure(model: str, feeds: dict[str, Any]) -> str:
    """Load and run in onnxruntime: ``load: reason``, ``run: reason``, or nothing if all is well."""
    try:
        session = ort.InferenceSession(read_text_model(model).SerializeToString())
    except Exception as error:  # noqa: BLE001  onnxruntime raises types of its own
        return f"load: {error}"
    try:
        session.run(None, feeds)
    except Exception as error:  # noqa: BLE001  onnxruntime raises types of its own
        return f"run: {error}"
    return ""


def ones(*shape: int) -> dict[str, Any]:
    return {"x": np.ones(shape, np.float32)}
