"""The map metrics on maps small enough to check by hand."""

from __future__ import annotations

import numpy as np
import pytest

from scotoma import metrics

VALID = [1, 2, 3, 3, 3, 3, 3, 3, 2, 1]
SAME = [2, 3, 3, 3, 3, 3, 3, 3, 3, 2]


def test_blocks_of_one_layer_maps() -> None:
    valid = np.outer(VALID, VALID)
    assert metrics.corner_over_centre(valid) == 1 / 9
    assert metrics.edge_over_centre(valid) == 3 / 9
    same = np.outer(SAME, SAME)
    assert metrics.corner_over_centre(same) == 4 / 9
    assert metrics.edge_over_centre(same) == 6 / 9


@pytest.mark.parametrize(
    ("length", "depth", "width"),
    # 80 / 32 = 2.5 rounds to the even 2; 112 / 32 = 3.5 to 4.
    [(1, 1, 1), (2, 1, 2), (28, 1, 2), (48, 2, 2), (49, 2, 3), (80, 2, 2), (112, 4, 4),
     (224, 7, 8), (225, 7, 7), (299, 9, 9), (300, 9, 10)],
)  # fmt: skip
def test_block_sizes(length: int, depth: int, width: int) -> None:
    grid = np.zeros((length, length))
    first = (length - width) // 2
    assert (length - width) % 2 == 0
    grid[first : first + width, first : first + width] = 1
    assert metrics.centre_mean(grid) == 1
    # one cell more on every side is outside the block
    if width < length:
        grid[first - 1 : first + width + 1, first - 1 : first + width + 1] = 1
        grid[first : first + width, first : first + width] = 0
        assert metrics.centre_mean(grid) == 0
    corners = np.zeros((length, length))
    corners[:depth, :depth] = 3
    expected = 3.0 if length == 1 else 3 / 4
    assert metrics.corner_mean(corners) == expected


def test_edge_blocks_are_b_deep_and_c_wide_on_an_oblong_map() -> None:
    grid = np.zeros((64, 101))  # b = 2; c = 2 along the rows, 3 along the columns
    grid[:2, 49:52] = 1
    grid[31:33, -2:] = 2
    assert metrics.edge_mean(grid) == (1 + 0 + 0 + 2) / 4
    everything_else = np.ones((64, 101))
    everything_else[:2, 49:52] = 0
    everything_else[-2:, 49:52] = 0
    everything_else[31:33, :2] = 0
    everything_else[31:33, -2:] = 0
    assert metrics.edge_mean(everything_else) == 0


def test_halves() -> None:
    assert metrics.left_right_ratio([[1, 2, 3, 4]]) == 3 / 7
    assert metrics.left_right_ratio([[1, 2, 3]]) == 2 / 4
    assert metrics.top_bottom_ratio([[6], [2], [0]]) == 7 / 1
    assert metrics.top_bottom_ratio([[6, 0], [1, 1]]) == 3
    assert metrics.left_right_ratio([[1, 0], [1, 0]]) is None


@pytest.mark.parametrize("size", [31, 32])
def test_a_mirrored_map_is_exactly_balanced(size: int) -> None:
    half = np.random.default_rng(3).random((size, 16))
    middle = [] if size % 2 == 0 else [np.full((size, 1), 0.1)]
    grid = np.concatenate([half, *middle, half[:, ::-1]], axis=1)
    assert metrics.left_right_ratio(grid) == 1
    assert metrics.top_bottom_ratio(grid.T) == 1


def test_signals_and_volumes() -> None:
    signal = [1, 2, 4, 2, 1]
    assert metrics.corner_over_centre(signal) == 1 / 4
    assert metrics.edge_over_centre(signal) == 1 / 4
    assert metrics.left_right_ratio([3, 100, 1]) == 53 / 51
    assert metrics.top_bottom_ratio(signal) is None
    volume = np.einsum("i,j,k->ijk", [1, 2, 1], [1, 3, 1], [1, 5, 1])
    assert metrics.corner_over_centre(volume) == 1 / 30
    assert metrics.edge_mean(volume) == (15 * 2 + 10 * 2 + 6 * 2) / 6


def test_what_is_not_defined_is_none() -> None:
    functions = (
        metrics.centre_mean, metrics.corner_over_centre, metrics.edge_over_centre,
        metrics.left_right_ratio, metrics.top_bottom_ratio,
    )  # fmt: skip
    for function in functions:
        assert function(np.zeros((0, 4))) is None
        assert function(np.float64(3)) is None
        assert function(np.full((4, 4), np.inf)) is None
        assert function(np.full((4, 4), np.nan)) is None
    for function in functions[1:]:
        assert function(np.zeros((4, 4))) is None
    assert metrics.dead_pixel_fraction(np.zeros((0, 3), bool)) is None
    assert metrics.dead_ranges(np.zeros((0, 3), bool)) == ((), ())


def test_sums_beyond_float64_are_none_and_silent() -> None:
    huge = np.full((4, 4), 1.7e308)
    assert metrics.left_right_ratio(huge) is None
    assert metrics.corner_over_centre(np.full((3, 3), 1.7e308)) is None
    assert metrics.corner_over_centre(np.full((3, 3), 1e300)) == 1


def test_dead_pixels() -> None:
    dead = np.zeros((6, 8), bool)
    dead[-1] = True
    dead[:, 0] = True
    dead[:, 3:5] = True
    dead[2, 6] = True
    assert metrics.dead_ranges(dead) == (((5, 5),), ((0, 0), (3, 4)))
    assert metrics.dead_pixel_fraction(dead) == (6 * 3 + 5 + 1) / 48
    assert metrics.dead_ranges([True, False, True]) == ((), ((0, 0), (2, 2)))
    assert metrics.dead_ranges(np.ones((2, 2), bool)) == (((0, 1),), ((0, 1),))
