"""What strides fold: the same from whole kernels, axis by axis, and from boxes of any size."""

from __future__ import annotations

import tracemalloc
from itertools import product
from math import prod
from pathlib import Path

import numpy as np
import pytest

from scotoma.errors import WeightsUnavailableError
from scotoma.evidence.aliasing import AT_ONCE, filtered, folded_response, response
from scotoma.facts import Facts
from scotoma.loader import load_model
from scotoma.testing import read_text_model

TOO_LARGE = 1 << 26
"""Bytes that no box may take."""


def facts_of(text: str, folder: Path) -> Facts:
    path = folder / "model.onnx"
    head = '<ir_version: 8, opset_import: ["" : 17]>'
    path.write_bytes(read_text_model(f"{head} {text}").SerializeToString())
    return Facts.of(load_model(str(path)))


def by_definition(
    kernel: np.ndarray, strides: tuple[int, ...], dilations: tuple[int, ...]
) -> float:
    strengths = []
    for turns in product(*map(range, strides)):
        phase = np.zeros(kernel.shape[2:])
        for axis, (m, s, d) in enumerate(zip(turns, strides, dilations, strict=True)):
            shape = [-1 if i == axis else 1 for i in range(len(strides))]
            phase = phase + (np.arange(phase.shape[axis]) * d * m / s).reshape(shape)
        found = (kernel * np.exp(-2j * np.pi * phase)).reshape(prod(kernel.shape[:2]), -1)
        strengths.append(np.linalg.norm(found.sum(axis=1)))
    return float(max(strengths[1:]) / strengths[0])


@pytest.mark.parametrize(
    ("shape", "strides", "dilations"),
    [
        ((4, 3, 3, 3), (2, 2), (1, 1)),
        ((4, 3, 5, 4), (3, 2), (2, 1)),
        ((3, 2, 7), (4,), (3,)),
        ((2, 2, 2, 3, 2), (2, 1, 3), (1, 1, 1)),
        ((600, 600, 2, 2), (2, 2), (1, 1)),
        ((5, 3, 20, 24), (12, 15), (1, 2)),
    ],
)
def test_the_response_is_that_of_the_definition(
    shape: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...]
) -> None:
    kernel = np.random.default_rng(0).standard_normal(shape) + 0.3
    found = folded_response(kernel, strides, dilations)
    assert found == pytest.approx(by_definition(kernel, strides, dilations), rel=1e-9)


def test_both_ways_are_tried() -> None:
    assert prod((7, 4)) <= AT_ONCE < prod((20, 24, 12, 15))


def test_a_box_passes_most_along_one_axis(tmp_path: Path) -> None:
    facts = facts_of(
        """model (float[1, 1, 32, 33] x) => (float[1, 1, 15, 15] y) {
            [box] a = AveragePool <kernel_shape = [3, 4]> (x)
            [pool] y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (a)
        }""",
        tmp_path,
    )
    whole = by_definition(np.ones((1, 1, 3, 4)), (2, 2), (1, 1))
    assert response(facts, facts.producers["a"], (2, 2)) == pytest.approx(whole)
    assert filtered(facts, "a", (2, 2), 0.34)
    assert not filtered(facts, "a", (2, 2), 0.33)


def test_a_box_of_any_size_takes_no_memory(tmp_path: Path) -> None:
    facts = facts_of(
        """model (float[1, 1, 32, 32] x) => (float[1, 1, 16, 16] y) {
            [box] a = AveragePool <kernel_shape = [20001, 20001],
                                   pads = [10000, 10000, 10000, 10000]> (x)
            [pool] y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (a)
        }""",
        tmp_path,
    )
    tracemalloc.start()
    try:
        passed = response(facts, facts.producers["a"], (2, 2))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert passed == pytest.approx(1 / 20001)
    assert peak < TOO_LARGE


@pytest.mark.parametrize(
    ("size", "weights", "strides", "reason"),
    [
        (16386, "1, 1, 2, 2", "1, 8192", "folds more frequencies"),
        (4098, "1, 1, 1, 2048", "1, 2049", "kernel is larger"),
        (66, "1024, 1024, 1, 1", "1, 2048", "folds more frequencies"),
    ],
)
def test_what_takes_too_long_is_not_looked_at(
    size: int, weights: str, strides: str, reason: str, tmp_path: Path
) -> None:
    inputs = weights.split(", ")[1]
    facts = facts_of(
        f"""model (float[1, {inputs}, 2, {size}] x) => (float[1, n, h, w] y) <float[{weights}] w>
        {{ [conv] y = Conv <strides = [{strides}]> (x, w) }}""",
        tmp_path,
    )
    given = tuple(map(int, strides.split(", ")))
    with pytest.raises(WeightsUnavailableError, match=reason):
        response(facts, facts.producers["y"], given)
