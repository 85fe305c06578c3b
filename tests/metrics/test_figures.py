"""Figures with their probes and errors, of full maps over several inputs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scotoma import metrics

RNG = np.random.default_rng(3)
GRID = RNG.random((20, 24)) + 0.1


def test_the_figures_of_a_full_map_are_those_of_the_functions() -> None:
    found = metrics.figures(metrics.Sample(GRID), receptive_field=(15, 12))
    expected = {
        "corner_over_centre": metrics.corner_over_centre(GRID),
        "edge_over_centre": metrics.edge_over_centre(GRID),
        "border_over_interior": metrics.border_over_interior(GRID),
        "left_right_ratio": metrics.left_right_ratio(GRID),
        "top_bottom_ratio": metrics.top_bottom_ratio(GRID),
        "point_asymmetry": metrics.point_asymmetry(GRID),
        "centroid_offset_rows": metrics.centroid_offset(GRID, -2),
        "centroid_offset_cols": metrics.centroid_offset(GRID, -1),
        "effective_radius_rows": metrics.effective_radius(GRID, -2),
        "effective_radius_cols": metrics.effective_radius(GRID, -1),
        "effective_width_rows": metrics.effective_width(GRID, -2),
        "effective_share_rows": (metrics.effective_width(GRID, -2) or 0) / 15,
        "effective_width_cols": metrics.effective_width(GRID, -1),
        "effective_share_cols": (metrics.effective_width(GRID, -1) or 0) / 12,
    }
    assert list(found)[: len(expected)] == list(expected)
    assert {key: found[key].value for key in expected} == expected
    assert {key: found[key].error for key in expected} == dict.fromkeys(expected, 0.0)
    rest = set(found) - set(expected)
    assert rest == {"ripple_rows", "ripple_cols"}
    assert found["ripple_cols"].value == 0  # noise
    striped = GRID * np.tile([1, 3], 12)
    top = metrics.strongest(metrics.ripple(striped))
    assert top is not None
    assert metrics.figures(metrics.Sample(striped))["ripple_cols"].value == top.amplitude
    assert found["left_right_ratio"].probes == GRID.size
    assert found["corner_over_centre"].probes == 4 + 4


@pytest.mark.parametrize(
    ("shape", "endings"), [((9,), {"cols"}), ((5, 6, 7), {"rows", "cols", "slices"})]
)
def test_every_axis_has_its_own_key(shape: tuple[int, ...], endings: set[str]) -> None:
    found = metrics.figures(metrics.Sample(np.ones(shape)))
    offsets = {key for key in found if key.startswith("centroid")}
    assert offsets == {f"centroid_offset_{ending}" for ending in endings}
    assert ("top_bottom_ratio" in found) == (len(shape) > 1)
    assert all(figure.value in (0, 1) for key, figure in found.items() if "effective" not in key
               and figure.value is not None)  # fmt: skip


def responses(inputs: int) -> np.ndarray:
    return np.asarray(GRID.ravel() * np.random.default_rng(7).gamma(4, 0.25, (inputs, GRID.size)))


def test_the_error_over_inputs_is_the_jackknife() -> None:
    answers = responses(5)
    sample = metrics.Sample(answers.mean(axis=0).reshape(GRID.shape), None, answers)
    found = metrics.figures(sample)["left_right_ratio"]
    without = [
        metrics.left_right_ratio(np.delete(answers, one, axis=0).mean(axis=0).reshape(GRID.shape))
        for one in range(5)
    ]
    numbers = np.array(without, dtype=float)
    expected = math.sqrt(4 / 5 * ((numbers - numbers.mean()) ** 2).sum())
    assert found.error == pytest.approx(expected, rel=1e-9)


def test_the_error_over_inputs_covers() -> None:
    hits = 0
    exact = metrics.left_right_ratio(GRID)
    assert exact is not None
    for seed in range(100):
        noise = np.random.default_rng(seed).gamma(4, 0.25, (6, GRID.size))
        answers = GRID.ravel() * noise
        sample = metrics.Sample(answers.mean(axis=0).reshape(GRID.shape), None, answers)
        figure = metrics.figures(sample)["left_right_ratio"]
        assert figure.value is not None
        assert figure.error is not None
        hits += abs(figure.value - exact) <= 2 * figure.error
    assert 85 <= hits <= 100


def test_both_errors_add_up_and_equal_inputs_have_none() -> None:
    answers = responses(6)
    probed = np.random.default_rng(8).random(GRID.shape) < 0.4
    some = answers[:, probed.ravel()]
    values = np.where(probed, answers.mean(axis=0).reshape(GRID.shape), np.nan)
    alone = metrics.figures(metrics.Sample(values, probed))["centroid_offset_rows"]
    both = metrics.figures(metrics.Sample(values, probed, some))["centroid_offset_rows"]
    equal = np.tile(values[probed], (6, 1))
    same = metrics.figures(metrics.Sample(values, probed, equal))["centroid_offset_rows"]
    assert alone.value == both.value == same.value
    assert alone.error is not None
    assert both.error is not None
    assert both.error > alone.error > 0
    assert same.error == pytest.approx(alone.error, rel=1e-9)


def test_many_inputs_are_left_out_in_groups() -> None:
    answers = responses(40)
    sample = metrics.Sample(answers.mean(axis=0).reshape(GRID.shape), None, answers)
    assert len(sample.replicates) == 16
    for group, replicate in enumerate(sample.replicates):
        others = answers[np.arange(40) % 16 != group]
        assert np.array_equal(replicate, others.mean(axis=0).reshape(GRID.shape))


def test_rings() -> None:
    found = metrics.ring_figures(metrics.Sample(GRID))
    assert [figure.value for figure in found] == list(metrics.ring_profile(GRID))
    assert {figure.error for figure in found} == {0.0}
    inner = (20 - 10) * (24 - 10)
    assert found[0].probes == 2 * 20 + 2 * 22 + inner
    assert found[-1].probes == inner
    probed = np.random.default_rng(9).random(GRID.shape) < 0.5
    partly = metrics.ring_figures(metrics.Sample(np.where(probed, GRID, np.nan), probed))
    for full, part in zip(found, partly, strict=True):
        assert full.value is not None
        assert part.value is not None
        assert part.error is not None
        assert abs(part.value - full.value) < 4 * part.error
    assert metrics.ring_figures(metrics.Sample(np.ones((2, 5)))) == ()


def test_a_map_without_weight_has_no_ratios() -> None:
    found = metrics.figures(metrics.Sample(np.zeros((16, 16))))
    known = {key for key, figure in found.items() if figure.value is not None}
    assert known == {"ripple_rows", "ripple_cols"}
    reasons = {key: found[key].reason for key in found.keys() - known}
    assert set(reasons.values()) == {"nothing that was probed has weight"}
    assert found["ripple_rows"].value == 0
    assert metrics.fraction(np.zeros((0, 3), bool)).value is None


def test_a_figure_without_a_value_says_why() -> None:
    hollow = np.ones((16, 16))
    hollow[7:9, 7:9] = 0
    found = metrics.figures(metrics.Sample(hollow), (0, 5))
    assert found["corner_over_centre"].reason == "the centre has no weight"
    assert found["effective_share_rows"].reason == "the receptive field is not known"
    assert found["effective_share_cols"].reason is None
    wild = np.where(hollow > 0, 1.0, np.inf)
    found = metrics.figures(metrics.Sample(wild))
    assert found["corner_over_centre"].reason == "the map holds numbers that are not finite"
    assert found["ripple_rows"].reason == "the map holds numbers that are not finite"
    flat = metrics.figures(metrics.Sample(np.ones((2, 5))))
    assert flat["border_over_interior"].reason == "the map is too small to have an interior"
    assert flat["ripple_cols"].reason == "the map is too short for a pattern"
    one_side = np.zeros((8, 8))
    one_side[:, 0] = 1
    half = metrics.figures(metrics.Sample(one_side))["left_right_ratio"]
    assert half.reason == "the part that it is compared with has no weight"


def test_what_is_probed_nowhere_has_no_share() -> None:
    figure = metrics.fraction(np.zeros((4, 4), bool), np.zeros((4, 4), bool))
    assert figure == metrics.Figure(None, None, 0, "nothing was probed")
