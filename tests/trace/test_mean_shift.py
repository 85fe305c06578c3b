"""How far a Resize moves its map: the table measured in onnxruntime, and onnxruntime itself."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from networks import Network

from scotoma.trace.resample import Resampling, simplest

SCALES = [Fraction(s) for s in ("2", "3", "4", "3/2", "1/2", "1/3", "1/4")]
TABLE = {
    ("linear", "half_pixel", ""): "0 0 0 0 0 0 0",
    ("cubic", "half_pixel", ""): "0 0 0 0 0 0 0",
    ("linear", "pytorch_half_pixel", ""): "0 0 0 0 0 0 0",
    ("linear", "half_pixel_symmetric", ""): "0 0 0 0 0 0 0",
    ("linear", "align_corners", ""): "0 0 0 0 0 0 0",
    ("linear", "asymmetric", ""): "1/4 1/3 3/8 1/6 -1/2 -1 -3/2",
    ("cubic", "asymmetric", ""): "1/4 1/3 3/8 1/6 -1/2 -1 -3/2",
    ("nearest", "asymmetric", "floor"): "0 0 0 -1/6 -1/2 -1 -3/2",
    ("nearest", "asymmetric", "round_prefer_floor"): "0 1/3 1/4 1/6 -1/2 -1 -3/2",
    ("nearest", "asymmetric", "round_prefer_ceil"): "1/2 1/3 1/2 1/6 -1/2 -1 -3/2",
    ("nearest", "asymmetric", "ceil"): "1/2 2/3 3/4 1/2 -1/2 -1 -3/2",
    ("nearest", "half_pixel", "floor"): "-1/2 -1/3 -1/2 -1/2 -1/2 0 -1/2",
    ("nearest", "half_pixel", "round_prefer_floor"): "0 0 0 -1/6 -1/2 0 -1/2",
    ("nearest", "half_pixel", "ceil"): "1/2 1/3 1/2 1/2 1/2 0 1/2",
}


def resampling(key: tuple[str, str, str], scale: Fraction, size: int = 48) -> Resampling:
    mode, transformation, rounding = key
    return Resampling(size, int(size * scale), scale, mode, transformation, rounding)


@pytest.mark.parametrize("key", TABLE, ids=" ".join)
def test_table(key: tuple[str, str, str]) -> None:
    expected = [Fraction(v) for v in TABLE[key].split()]
    assert [resampling(key, scale).mean_shift for scale in SCALES] == expected


@pytest.mark.parametrize("key", TABLE, ids=" ".join)
@pytest.mark.parametrize("scale", [Fraction(2), Fraction(3), Fraction(4), Fraction(1, 2)])
def test_a_ramp_in_onnxruntime(key: tuple[str, str, str], scale: Fraction) -> None:
    size = 24
    mode, transformation, rounding = key
    ramp = np.tile(np.arange(size, dtype=np.float32), (size, 1))[None, None]
    net = Network(1, 1, size, size, value=ramp)
    attributes = {"mode": mode, "coordinate_transformation_mode": transformation}
    if rounding:
        attributes["nearest_mode"] = rounding
    scales = net.constant([1, 1, 1, float(scale)])
    row = net.values[net.add("Resize", "x", "", scales, **attributes)][0, 0, 0]  # type: ignore[arg-type]
    place = (np.arange(len(row)) + 0.5) / float(scale) - 0.5
    # Whole periods, far enough from the borders for a cubic; align_corners is even over all.
    off = (row - place) if transformation == "align_corners" else (row - place)[12:-12]
    off = off if len(off) else row - place
    period = max(scale.numerator, 1)
    found = off[: len(off) // period * period].mean()
    exact = Resampling(
        size, len(row), simplest(float(scale), size, len(row)), mode, transformation, rounding
    ).mean_shift
    assert exact is not None
    assert found == pytest.approx(float(exact), abs=0.02)


def test_align_corners_with_nearest_is_the_mean_over_all_outputs() -> None:
    shift = Resampling(4, 8, Fraction(2), "nearest", "align_corners", "floor").mean_shift
    # 0 0 0 1 1 2 2 3 against a middle of 1.5.
    assert shift == Fraction(9, 8) - Fraction(3, 2)


def test_tensorflow_half_pixel() -> None:
    key = ("nearest", "tf_half_pixel_for_nn", "floor")
    assert resampling(key, Fraction(2)).mean_shift == 0
    assert resampling(key, Fraction(1, 2)).mean_shift == Fraction(1, 2)


def test_one_output_reads_the_first_cell() -> None:
    one = Resampling(4, 1, Fraction(1, 4), "linear", "pytorch_half_pixel")
    assert one.mean_shift == Fraction(-3, 2)
