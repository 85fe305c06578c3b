"""What tests of measurements share: parts of small nets, and ways in which they are measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from scotoma.facts import Facts
from scotoma.measure import Influence, MeasureOptions, measure

Build = Callable[..., onnx.ModelProto]
Examine = Callable[..., Facts]

SAMPLES = Path(__file__).parents[2] / "sample_models"
NODE = helper.make_node
ONES = np.ones((1, 1, 3, 3), np.float32)
COUNT = MeasureOptions(functional="sum", inputs=("zeros",), delta=1.0, resolution="full")
"""Where all weights are 1, influence is a number of paths."""
TRAP = "'zeros' is the same at every pixel"


def weights(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def strided() -> onnx.NodeProto:
    return NODE("Conv", ["x", "w"], ["y"], name="stem", kernel_shape=[3, 3], strides=[2, 2])


def run(facts: Facts, method: str, **changes: Any) -> Influence:
    return measure(facts, dataclasses.replace(MeasureOptions(method=method), **changes))


def counts(facts: Facts, /, **changes: Any) -> Influence:
    return measure(facts, dataclasses.replace(COUNT, **changes))


def notes(influence: Influence) -> list[str]:
    """Return what is said besides the warning of a constant input."""
    return [note for note in influence.notes if not note.startswith(TRAP)]


def errors(one: Influence, other: Influence) -> np.ndarray:
    """Return the relative difference by input and pixel."""
    largest = np.maximum(one.responses, other.responses)
    return np.abs(one.responses - other.responses) / np.where(largest > 0, largest, 1)
