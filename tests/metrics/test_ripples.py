"""Ripple: transposed and strided convolutions, checkerboards, noise, smooth maps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scotoma import metrics


def overlap(kernel: int, stride: int, length: int) -> np.ndarray:
    """Return how often each cell of a transposed convolution is written, borders cut off."""
    line = np.zeros(length + 2 * kernel)
    for start in range(0, len(line) - kernel + 1, stride):
        line[start : start + kernel] += 1
    return line[kernel:-kernel]


@pytest.mark.parametrize(
    ("kernel", "stride", "tile"),
    [(2, 2, [1, 1]), (3, 2, [2, 1]), (4, 2, [2, 2]), (5, 2, [3, 2]), (3, 3, [1, 1, 1]),
     (4, 3, [1, 2, 1]), (5, 3, [1, 2, 2]), (6, 3, [2, 2, 2]), (7, 2, [4, 3]),
     (11, 4, [3, 3, 3, 2])],
)  # fmt: skip
def test_overlapping_windows(kernel: int, stride: int, tile: list[int]) -> None:
    line = overlap(kernel, stride, 96)
    middle = line[48:-24][: 2 * stride].tolist()
    assert sorted(middle) == sorted(tile * 2)
    mean = sum(tile) / stride
    amplitude = math.sqrt(sum((v / mean - 1) ** 2 for v in tile) / stride)
    by_period = {r.period: r for r in metrics.ripple(line)}
    if amplitude == 0:
        assert {(r.share, r.amplitude) for r in by_period.values()} == {(0.0, 0.0)}
        assert metrics.strongest(tuple(by_period.values())) is None
        return
    found = by_period[stride]
    assert (found.share, found.amplitude) == pytest.approx((1.0, amplitude), rel=1e-9)
    strongest = metrics.strongest(tuple(by_period.values()))
    assert strongest is not None
    assert strongest.period == stride


def test_two_axes_of_a_transposed_convolution() -> None:
    line = overlap(3, 2, 48)
    grid = np.outer(line, np.ones(40)) * 7.3
    assert metrics.ripple(grid, -2)[0].amplitude == pytest.approx(1 / 3)
    assert {r.amplitude for r in metrics.ripple(grid, -1)} == {0.0}
    both = np.outer(line, line)
    for axis in (-1, -2):
        found = metrics.ripple(both, axis)[0]
        assert found.period == 2
        assert found.share == pytest.approx(1)
        assert found.amplitude == pytest.approx(1 / 3)


def test_a_checkerboard_ripples_along_both_axes() -> None:
    board = 1 + 0.25 * (-1.0) ** np.add.outer(np.arange(32), np.arange(40))
    for axis in (-1, -2):
        found = {r.period: r for r in metrics.ripple(board, axis)}
        assert (found[2].share, found[2].amplitude) == pytest.approx((1, 0.25))
        assert found[3].share < 0.05
        assert found[4].share == pytest.approx(1)


@pytest.mark.parametrize("value", [0.0, 0.1, 3.0, 1e-300, 1e300])
def test_a_constant_map_has_exactly_none(value: float) -> None:
    found = metrics.ripple(np.full((40, 64), value))
    assert [r.period for r in found] == list(range(2, 13))  # 48 cells of the interior: up to 12
    assert {(r.share, r.amplitude) for r in found} == {(0.0, 0.0)}


def test_noise_has_next_to_none_and_a_smooth_map_too() -> None:
    noise = np.random.default_rng(0).lognormal(0, 0.5, (96, 96))
    assert max(r.share for r in metrics.ripple(noise)) < 0.05
    places = np.arange(224) - 111.5
    smooth = np.exp(-(places**2) / (2 * 50**2))
    assert max(r.amplitude for r in metrics.ripple(np.outer(smooth, smooth))) < 0.01


def test_ripple_under_a_smooth_map_keeps_its_amplitude() -> None:
    places = np.arange(224) - 111.5
    smooth = np.exp(-(places**2) / (2 * 50**2))
    line = smooth * np.tile([2.0, 1.0], 112)
    found = metrics.strongest(metrics.ripple(line))
    assert found is not None
    assert found.period == 2
    assert found.amplitude == pytest.approx(1 / 3, rel=0.01)
    assert found.share > 0.99


def test_mirror_and_scale_do_not_matter() -> None:
    grid = np.random.default_rng(2).random((48, 48)) + np.tile([0, 1, 0], 16)
    found = metrics.ripple(grid)
    assert metrics.ripple(grid * 2.0**400) == found
    for turned in (grid[:, ::-1], grid[::-1]):
        mirrored = metrics.ripple(turned)
        assert [r.share for r in mirrored] == pytest.approx([r.share for r in found], abs=0.02)


def test_periods_that_do_not_fit_are_left_out() -> None:
    assert [r.period for r in metrics.ripple(np.ones(10))] == [2]  # the interior is 8 long
    assert metrics.ripple(np.ones(7)) == ()
    assert metrics.ripple([1.0, math.nan] * 20) == ()
    assert metrics.ripple(np.ones(40), axis=-2) == ()
    assert [r.period for r in metrics.ripple(np.ones(64), periods=[4, 400])] == [4]
    assert metrics.ripple(np.ones(1000))[-1].period == 32


def test_chance_is_no_ripple() -> None:
    rng = np.random.default_rng(4)
    for shape in ((128,), (224,), (60, 60)):
        for _ in range(20):
            assert metrics.strongest(metrics.ripple(rng.lognormal(0, 0.4, shape))) is None
    line = np.tile([1.0, 1, 1, 2], 30) * rng.lognormal(0, 0.2, 120)
    found = metrics.strongest(metrics.ripple(line))
    assert found is not None
    assert found.period == 4
