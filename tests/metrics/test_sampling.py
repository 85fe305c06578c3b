"""Figures of sampled maps: what is filled, and whether the stated errors hold."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scotoma import metrics
from scotoma.metrics import blocks
from scotoma.metrics.border import border_distance
from scotoma.metrics.sampling import nearest_source

SHAPE = (72, 84)


def test_the_nearest_probe_stands_for_a_pixel() -> None:
    """Where all pixels are equally far from the border, nearest means nearest."""
    rng = np.random.default_rng(0)
    sources = np.sort(rng.choice(300, 20, replace=False))
    found = nearest_source((300,), sources)
    middle = np.arange(100, 200)
    gaps = np.abs(middle - found[middle])
    least = np.abs(middle[:, None] - sources).min(axis=1)
    assert (gaps - least).max() <= 4  # the distance from the border weighs a little


def test_a_border_probed_in_full_does_not_colour_the_interior() -> None:
    probed = np.zeros((9, 9), bool)
    probed[[0, -1]] = probed[:, [0, -1]] = True
    probed[4, 4] = True
    values = np.where(border_distance((9, 9)) == 0, 1.0, 5.0)
    assert (metrics.fill(np.where(probed, values, np.nan), probed) == values).all()


def test_probes_keep_their_values_and_nothing_probed_is_refused() -> None:
    rng = np.random.default_rng(1)
    values, probed = rng.random((20, 30, 4)), rng.random((20, 30, 4)) < 0.05
    filled = metrics.fill(values, probed)
    assert (filled[probed] == values[probed]).all()
    assert np.isin(filled, values[probed]).all()
    with pytest.raises(ValueError, match=r"^no pixel was probed$"):
        metrics.fill(values, np.zeros(values.shape, bool))


def test_weights_say_for_how_many_pixels_a_probe_stands() -> None:
    probed = np.array([True, False, False, True, False, True])
    # both ends are a ring of their own: the three pixels between go to the middle probe
    assert metrics.Partition(probed).weights.tolist() == [1, 4, 1]


def truth(rng: np.random.Generator) -> np.ndarray:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    smooth = np.exp(-((rows - 30) ** 2) / 900 - (columns - 46) ** 2 / 800)
    border = 0.3 + 0.7 * np.minimum(1, border_distance(SHAPE) / 6)
    return np.asarray(smooth * border * np.exp(rng.normal(0, 0.5, SHAPE)))


def jittered(rng: np.random.Generator, cell: int) -> np.ndarray:
    probed = np.zeros(SHAPE, bool)
    for row in range(0, SHAPE[0], cell):
        for column in range(0, SHAPE[1], cell):
            probed[row + rng.integers(cell), column + rng.integers(cell)] = True
    for part in (blocks.corner_blocks, blocks.edge_blocks, blocks.centre_blocks):
        for block in part(SHAPE):
            probed[block] = True
    return probed


COVERED = (
    "border_over_interior", "left_right_ratio", "top_bottom_ratio", "centroid_offset_rows",
    "centroid_offset_cols", "effective_radius_rows", "effective_width_cols",
)  # fmt: skip


def test_two_standard_errors_cover_nine_of_ten_samples() -> None:
    rng = np.random.default_rng(4)
    inside = dict.fromkeys(COVERED, 0)
    ratios: dict[str, list[float]] = {key: [] for key in COVERED}
    runs = 40
    for _ in range(runs):
        grid, probed = truth(rng), jittered(rng, 6)
        full = metrics.figures(metrics.Sample(grid))
        part = metrics.figures(metrics.Sample(np.where(probed, grid, np.nan), probed))
        for key in COVERED:
            value, error = part[key].value, part[key].error
            exact = full[key].value
            assert value is not None
            assert error is not None
            assert exact is not None
            inside[key] += abs(value - exact) <= 2 * error
            ratios[key].append((value - exact) / error)
        # The blocks were probed in full.
        assert part["corner_over_centre"] == full["corner_over_centre"]
        assert part["edge_over_centre"].error == 0
    assert min(inside.values()) >= 0.88 * runs, inside
    # nor are the errors stated far too large
    assert min(float(np.std(values)) for values in ratios.values()) > 0.4


def test_the_share_of_dead_pixels_is_covered_too() -> None:
    rng = np.random.default_rng(5)
    dead = np.zeros(SHAPE, bool)
    dead[:, 50:] = rng.random((72, 34)) < 0.5
    hits = 0
    for _ in range(30):
        probed = jittered(rng, 6)
        figure = metrics.fraction(dead & probed, probed)
        assert figure.value is not None
        assert figure.error is not None
        assert figure.probes == probed.sum()
        hits += abs(figure.value - dead.mean()) <= 2 * figure.error
    assert hits >= 27


def test_more_probes_leave_a_smaller_error_and_all_leave_none() -> None:
    rng = np.random.default_rng(6)
    grid = truth(rng)
    errors = []
    for cell in (12, 6, 3):
        probed = jittered(rng, cell)
        errors.append(metrics.figures(metrics.Sample(grid, probed))["centroid_offset_cols"].error)
    errors.append(metrics.figures(metrics.Sample(grid))["centroid_offset_cols"].error)
    assert None not in errors
    assert errors == sorted(errors, reverse=True)  # type: ignore[type-var]
    assert errors[-1] == 0


def test_the_mean_of_a_part_is_a_simple_random_sample_of_it() -> None:
    values = np.zeros((8, 8))
    probed = np.zeros((8, 8), bool)
    ring = border_distance((8, 8)) == 0  # 28 pixels, of which 4 are probed
    for place, value in (((0, 1), 1.0), ((0, 5), 3.0), ((7, 4), 2.0), ((4, 7), 2.0)):
        values[place], probed[place] = value, True
    values[2:6, 2:6], probed[2:6, 2:6] = 4.0, True  # the interior, all of it
    figure = metrics.figures(metrics.Sample(values, probed))["border_over_interior"]
    assert figure.value == 2 / 4
    assert figure.probes == 4 + 16
    variance = (1 + 1) / 3
    assert figure.error == pytest.approx(math.sqrt(variance / 4 * (1 - 4 / 28)) / 4)
    assert ring.sum() == 28


@pytest.mark.parametrize(
    ("places", "corners", "edges", "probes"),
    [
        ([(7, 7), (4, 4)], "corners", "middles of the sides", 1),
        ([(0, 0), (0, 7), (4, 4)], "centre", "centre", 1),
        ([(4, 4), (4, 9)], "corners or the centre", "middles of the sides or the centre", 0),
    ],
)
def test_a_ratio_of_which_a_part_has_no_probe_is_unknown(
    places: list[tuple[int, int]], corners: str, edges: str, probes: int
) -> None:
    probed = np.zeros((16, 16), bool)
    probed[tuple(np.transpose(places))] = True
    found = metrics.figures(metrics.Sample(np.full((16, 16), 2.0), probed))
    for key, empty in (("corner_over_centre", corners), ("edge_over_centre", edges)):
        reason = f"no probe fell into the {empty}"
        assert found[key] == metrics.Figure(None, None, probes, reason)


def test_a_ratio_of_two_parts_with_a_probe_each_has_a_value() -> None:
    probed = np.zeros((16, 16), bool)
    values = np.full((16, 16), np.nan)
    for place, value in (((15, 0), 1.0), ((7, 8), 4.0), ((3, 3), 9.0)):
        probed[place], values[place] = True, value
    found = metrics.figures(metrics.Sample(values, probed))
    assert found["corner_over_centre"] == metrics.Figure(0.25, None, 2)
    assert found["border_over_interior"] == metrics.Figure(0.25, None, 2)
    assert found["edge_over_centre"].value is None


def test_a_ring_without_a_probe_is_unknown() -> None:
    probed = np.zeros((16, 16), bool)
    probed[0, 4] = probed[3, 3] = probed[8, 8] = True
    values = np.where(probed, 3.0, np.nan)
    rings = metrics.ring_figures(metrics.Sample(values, probed))
    reasons = [ring.reason for ring in rings]
    ring, interior = "no probe fell into the ring", "no probe fell into the ring or the interior"
    assert reasons == [None, ring, ring, None, ring]
    assert [(ring.value, ring.probes) for ring in rings] == [
        (1.0, 2), (None, 1), (None, 1), (1.0, 2), (None, 1),
    ]  # fmt: skip
    probed[8, 8] = False
    rings = metrics.ring_figures(metrics.Sample(values, probed))
    assert [ring.reason for ring in rings] == [
        "no probe fell into the interior", interior, interior,
        "no probe fell into the interior", interior,
    ]  # fmt: skip
