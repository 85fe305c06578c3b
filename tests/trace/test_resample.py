"""The taps of Resize are those that onnxruntime weighs, mode by mode."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from networks import Network, RefusedError
from resizes import NEAREST, TRANSFORMATIONS, copied

from scotoma.trace.resample import Resampling, simplest, taps

SCALES = [0.25, 0.5, 0.75, 1.25, 1.5, 2.0, 3.0, 4.0]


def weighed(size: int, scale: float, attributes: dict[str, Any]) -> list[list[int]]:
    """Return, by output, the inputs whose one-hot rows reach it in onnxruntime."""
    images = np.eye(size, dtype=np.float32).reshape(size, 1, size, 1)
    net = Network(*images.shape, value=images)
    result = net.add("Resize", "x", "", net.constant([1, 1, scale, 1]), **attributes)
    values = net.values[result][:, 0, :, 0]
    # Coordinates in float32 leave weights of rounding size where the true one is zero.
    return [np.flatnonzero(np.abs(column) > 1e-5).tolist() for column in values.T]


def compare(size: int, scale: float, attributes: dict[str, Any]) -> None:
    expected = weighed(size, scale, attributes)
    # A table of taps does not depend on the order of opset defaults: every option is given.
    resampling = Resampling(
        size, len(expected), simplest(scale, size, len(expected)), attributes["mode"],
        attributes["coordinate_transformation_mode"], attributes.get("nearest_mode", ""),
        attributes.get("antialias") == 1, attributes.get("exclude_outside") == 1,
    )  # fmt: skip
    table = taps(resampling)
    assert table is not None
    found: list[set[int]] = [set() for _ in expected]
    for o, i in zip(table.outputs, table.inputs, strict=True):
        found[o].add(int(i))
    assert [sorted(cells) for cells in found] == expected


@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
@pytest.mark.parametrize("nearest", NEAREST)
def test_nearest(transformation: str, nearest: str) -> None:
    for size, scale in product([5, 8, 12], [0.25, 0.5, 2.0, 4.0]):
        compare(
            size,
            scale,
            {"mode": "nearest", "coordinate_transformation_mode": transformation,
             "nearest_mode": nearest},
        )  # fmt: skip


@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
@pytest.mark.parametrize("nearest", NEAREST)
def test_a_tie_is_decided_by_the_rounding_of_onnxruntime(transformation: str, nearest: str) -> None:
    for before, after in product([31, 56, 93, 100], [*range(1, 40), 60, 63, 75, 112]):
        if before == after:
            continue
        resampling, cells = copied(before, after, transformation, nearest)
        table = taps(resampling)
        assert table is not None
        assert table.outputs.tolist() == list(range(after))
        assert table.inputs.tolist() == cells


@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("antialias", [0, 1])
def test_linear_and_cubic(transformation: str, mode: str, antialias: int) -> None:
    for size, scale, outside in product([5, 8, 12], SCALES, [0, 1]):
        attributes = {
            "mode": mode, "coordinate_transformation_mode": transformation,
            "antialias": antialias,
        }  # fmt: skip
        if mode == "cubic":
            attributes["exclude_outside"] = outside
        try:
            compare(size, scale, attributes)
        except RefusedError:
            assert transformation == "half_pixel_symmetric"


@pytest.mark.parametrize(
    ("mode", "transformation", "nearest", "shifts"),
    [
        # the columns s = 2, 3, 4, 1/2, 1/3, 1/4 of a table measured with a ramp
        ("linear", "half_pixel", "", [0, 0, 0, 0, 0, 0]),
        ("linear", "asymmetric", "", [(1, 4), (1, 3), (3, 8), (-1, 2), -1, (-3, 2)]),
        ("linear", "align_corners", "", [0, 0, 0, 0, 0, 0]),
        ("cubic", "pytorch_half_pixel", "", [0, 0, 0, 0, 0, 0]),
    ],
)
def test_shift(mode: str, transformation: str, nearest: str, shifts: list[Any]) -> None:
    scales = [Fraction(2), Fraction(3), Fraction(4)]
    scales += [1 / s for s in scales]
    for scale, shift in zip(scales, shifts, strict=True):
        out = int(24 * scale)
        found = Resampling(24, out, scale, mode, transformation, nearest).shift
        assert found == (Fraction(*shift) if isinstance(shift, tuple) else shift)


def test_simplest_scale() -> None:
    assert simplest(float(np.float32(5 / 3)), 6, 10) == Fraction(5, 3)
    assert simplest(0.6, 8, 4) == Fraction(3, 5)
    assert simplest(2.0, 7, 14) == 2


def test_an_unknown_transformation_has_no_taps() -> None:
    assert taps(Resampling(4, 8, Fraction(2), "linear", "tf_crop_and_resize")) is None
