"""Border, centroid, spread and symmetry of maps that can be checked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scotoma import metrics

THREE = np.ones(3)


def repeated(kernel: list[float] | np.ndarray, times: int) -> np.ndarray:
    """Return the path counts of a chain of equal kernels: its effective receptive field."""
    line = np.ones(1)
    for _ in range(times):
        line = np.convolve(line, kernel)
    return line


def test_rings_of_five_valid_layers() -> None:
    # One axis of 28: a corner is read once, the middle of an edge 243 times, the centre 59,049.
    half = [1, 6, 21, 51, 96, 147, 192, 222, 237, 242, 243, 243, 243, 243]
    axis = np.array([*half, *half[::-1]], dtype=float)
    profile = metrics.ring_profile(np.outer(axis, axis))
    interior = axis[7:21].sum() ** 2 / 14**2
    expected = []
    for ring in range(8):
        inside = axis[ring : 28 - ring].sum() ** 2
        without = axis[ring + 1 : 27 - ring].sum() ** 2
        cells = (28 - 2 * ring) ** 2 - (26 - 2 * ring) ** 2
        expected.append((inside - without) / cells / interior)
    assert profile == pytest.approx(expected, rel=1e-12)
    assert metrics.border_over_interior(np.outer(axis, axis)) == pytest.approx(expected[0])


def test_the_border_is_as_deep_as_the_blocks() -> None:
    grid = np.ones((64, 80))  # b = 2; the interior begins at ring 16
    grid[:2] = grid[-2:] = 3
    grid[:, :2] = grid[:, -2:] = 3
    grid[2, 2:-2] = 100  # ring 2 belongs to neither
    assert metrics.border_over_interior(grid) == 3
    assert metrics.ring_profile(grid)[0] == metrics.ring_profile(grid)[1] == 3
    assert metrics.ring_profile(grid)[3:] == (1.0,) * 14


def test_rings_of_a_volume_and_of_a_signal() -> None:
    volume = np.ones((3, 4, 5))
    volume[1, 1:3, 1:4] = 2  # 6 cells inside, 54 around
    assert metrics.ring_profile(volume) == (0.5, 1.0)
    assert metrics.ring_profile([1, 2, 4, 2, 1]) == (3 / 8, 6 / 8)
    assert metrics.ring_profile(np.ones((2, 9))) == ()
    assert metrics.border_over_interior(np.ones((2, 9))) is None


@pytest.mark.parametrize("layers", [1, 2, 54])
def test_an_even_same_kernel_drifts_half_a_pixel_a_layer(layers: int) -> None:
    # A unit far from the border reads cells 0 and 1 beside it in every layer.
    line = np.zeros(129)
    line[64 : 65 + layers] = repeated([1, 1], layers)
    assert metrics.centroid_offset(line) == pytest.approx(layers / 2, rel=1e-12)
    assert metrics.centroid_offset(np.outer(line, np.ones(3)), axis=-2) == pytest.approx(layers / 2)
    assert metrics.centroid_offset(np.outer(line, np.ones(3))) == 0


@pytest.mark.parametrize(("size", "axis"), [((8, 8), -1), ((9, 5), -2), ((4, 5, 6), -3)])
def test_a_mirrored_map_has_its_centroid_in_the_middle(size: tuple[int, ...], axis: int) -> None:
    half = np.random.default_rng(0).random(size)
    grid = half + np.flip(half, axis)
    assert metrics.centroid_offset(grid, axis) == 0
    shifted = metrics.centroid_offset(half, axis)
    assert shifted is not None
    assert metrics.centroid_offset(np.flip(half, axis), axis) == -shifted


@pytest.mark.parametrize(
    ("layers", "deviation", "share"),
    [(5, 1.8257, 0.82), (10, 2.582, 0.52), (40, 5.164, 0.26)],
)
def test_the_effective_field_of_uniform_layers(layers: int, deviation: float, share: float) -> None:
    """Luo et al.: the effective field grows with the root of the depth, the theoretical with it."""
    line = repeated(THREE, layers)
    field = 2 * layers + 1
    assert len(line) == field
    unit = np.outer(line, line)
    exact = math.sqrt(layers * (3**2 - 1) / 12)
    for axis in (-1, -2):
        radius = metrics.effective_radius(unit, axis)
        assert radius == pytest.approx(exact, rel=1e-12)
        assert radius == pytest.approx(deviation, abs=5e-4)
        width = metrics.effective_width(unit, axis)
        assert width is not None
        assert width == int(width)
        assert round(width / field, 2) == share
        inside = np.abs(np.arange(field) - layers) <= (width - 1) / 2
        assert line[inside].sum() >= 0.9545 * line.sum() > line[inside].sum() - line[inside][:1] * 2


def test_the_spread_of_an_even_map() -> None:
    assert metrics.effective_radius(np.ones((7, 12))) == pytest.approx(math.sqrt((12**2 - 1) / 12))
    assert metrics.effective_width(np.ones((7, 100))) == 96  # 95 of 100 hold less than 95.45 %
    assert metrics.effective_width([0, 0, 5, 0]) == 1
    assert metrics.effective_radius([0, 0, 5, 0]) == 0


def test_point_asymmetry() -> None:
    assert metrics.point_asymmetry([[0, 0], [0, 4]]) == 1
    assert metrics.point_asymmetry(np.arange(9).reshape(3, 3)) == 1
    assert metrics.point_asymmetry([[1, 2, 3], [3, 2, 1]]) == 0
    assert metrics.point_asymmetry([1, 2, 4]) == 0.75
    known = [[True, False], [True, True]]
    assert metrics.point_asymmetry([[4, 9], [1, 2]], known) == 0.5  # of the pair 4 and 2
    assert metrics.point_asymmetry([[4, 9]], [[True, False]]) is None


FIGURES = (
    metrics.border_over_interior, metrics.centroid_offset, metrics.effective_radius,
    metrics.effective_width, metrics.point_asymmetry, metrics.left_right_ratio,
)  # fmt: skip


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("factor", [2.0**-1000, 2.0**900])
def test_the_scale_of_a_map_does_not_matter(figure: object, factor: float) -> None:
    grid = np.random.default_rng(1).integers(1, 2**20, (12, 13)).astype(float)
    assert callable(figure)
    assert figure(grid * factor) == figure(grid)


@pytest.mark.parametrize(
    "figure",
    [metrics.centroid_offset, metrics.effective_radius, metrics.effective_width,
     metrics.point_asymmetry],
)  # fmt: skip
def test_what_has_no_weight_has_no_figure(figure: object) -> None:
    assert callable(figure)
    for grid in (
        np.zeros((4, 4)), np.zeros((0, 4)), np.float64(3), np.full((4, 4), np.nan),
        np.full((4, 4), np.inf), [[1, -1]],
    ):  # fmt: skip
        assert figure(grid) is None


@pytest.mark.parametrize(
    "figure", [metrics.centroid_offset, metrics.effective_radius, metrics.effective_width]
)
def test_an_axis_that_is_not_there_has_no_figure(figure: object) -> None:
    assert callable(figure)
    assert figure([1, 2, 3], axis=-2) is None
