"""Position sensitivity: hand-computed nets, strides, texture, samples and stated errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scotoma.measure.position import ONE_INPUT, position

VALID_5 = [1, 6, 21, 51, 96, 147, 192, 222, 237, 242, *[243] * 8,
           242, 237, 222, 192, 147, 96, 51, 21, 6, 1]  # fmt: skip
SAME_5 = [96, 171, 216, 236, 242, *[243] * 18, 242, 236, 216, 171, 96]


def flat(grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the answers of one input that was probed everywhere."""
    return grid.reshape(1, -1).astype(float), np.ones(grid.shape, bool)


@pytest.mark.parametrize("axis", [VALID_5, SAME_5])
def test_five_layers_on_a_black_image(axis: list[int]) -> None:
    """The article's experiment: a white pixel on black, weights 1, the sum of the output."""
    counts = np.outer(axis, axis)
    found = position(*flat(counts), (1, 1))
    exact = counts.std(ddof=1) / counts.mean()
    assert found.sensitivity.value == pytest.approx(exact, rel=1e-12)
    assert found.spread.value == found.sensitivity.value
    assert found.phase.value == 0
    assert found.sensitivity.error == 0
    assert found.sensitivity.probes == 784


def test_the_figures_of_the_article() -> None:
    # Sums over the map, 19,131,876 and 39,639,616, and of its squares, from those along an axis.
    for axis, total, squares in ((VALID_5, 4374, 941_962), (SAME_5, 6296, 1_461_628)):
        variance = (squares**2 - total**4 / 784) / 783
        exact = math.sqrt(variance) / (total**2 / 784)
        found = position(*flat(np.outer(axis, axis)), (1, 1)).sensitivity.value
        assert found == pytest.approx(exact, rel=1e-12)
    assert (sum(VALID_5) ** 2, sum(SAME_5) ** 2) == (19_131_876, 39_639_616)


def test_a_shift_invariant_model_has_none() -> None:
    for value in (9.0, 0.1, 1e-200):
        found = position(*flat(np.full((10, 10), value)), (1, 1))
        assert (found.sensitivity.value, found.spread.value) == (0.0, 0.0)


def test_a_stride_is_a_phase_and_no_place() -> None:
    grid = np.outer(np.tile([2, 1], 8), np.tile([1, 5, 3], 6))
    found = position(*flat(grid), (2, 3))
    assert found.sensitivity.value == 0
    phases = np.outer([2, 1], [1, 5, 3])
    assert found.phase.value == pytest.approx(phases.std(ddof=1) / phases.mean(), rel=1e-12)
    assert found.spread.value == pytest.approx(grid.std(ddof=1) / grid.mean(), rel=1e-12)
    # With another stride the same answers are a matter of place.
    assert position(*flat(grid), (2, 2)).sensitivity.value != 0


def textured(
    rng: np.random.Generator, inputs: int, places: int, own: float
) -> tuple[np.ndarray, float]:
    """Return answers with a known deviation between places, and noise from the texture."""
    place = rng.normal(0, own, places)
    gain = rng.uniform(0.5, 2, (inputs, 1))
    return 5 + gain + place + rng.normal(0, 1.0, (inputs, places)), own


@pytest.mark.parametrize("own", [0.0, 0.4])
def test_texture_is_taken_out(own: float) -> None:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(40):
        answers, _ = textured(rng, 5, 600, own)
        figure = position(answers, np.ones((20, 30), bool), (1, 1)).sensitivity
        assert figure.value is not None
        found.append((figure.value * answers.mean()) ** 2)
    assert np.mean(found) == pytest.approx(own**2, abs=0.012)
    # One input cannot tell texture from place, and says so.
    alone = position(answers[:1], np.ones((20, 30), bool), (1, 1))
    assert alone.reason == ONE_INPUT
    assert alone.sensitivity.value is not None
    assert alone.sensitivity.value * answers[0].mean() > 0.9


def test_two_standard_errors_cover() -> None:
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(100):
        place = rng.lognormal(0, 0.5, (20, 30))
        answers = place.ravel() * rng.gamma(8, 1 / 8, (6, 600))
        probed = rng.random((20, 30)) < 0.5
        figure = position(answers[:, probed.ravel()], probed, (1, 1)).sensitivity
        assert figure.value is not None
        assert figure.error is not None
        hits += abs(figure.value - place.std(ddof=1) / place.mean()) <= 2 * figure.error
    assert hits >= 85


def test_an_uneven_sample_is_weighted() -> None:
    """A border probed in full must not count for more than it is."""
    rng = np.random.default_rng(3)
    grid = np.full((40, 40), 10.0) + rng.normal(0, 0.5, (40, 40))
    edge = np.ones((40, 40), bool)
    edge[1:-1, 1:-1] = False
    grid[edge] = 2.0
    probed = edge | (rng.random((40, 40)) < 0.1)
    exact = grid.std(ddof=1) / grid.mean()
    part = position(grid[probed][None], probed, (1, 1)).sensitivity.value
    assert part == pytest.approx(exact, rel=0.05)
    unweighted = grid[probed].std(ddof=1) / grid[probed].mean()
    assert abs(unweighted / exact - 1) > 0.3


def test_what_cannot_be_told_has_a_reason() -> None:
    answers, probed = flat(np.arange(1.0, 65).reshape(8, 8))
    unknown = position(answers, probed, None)
    assert unknown.sensitivity.value is None
    assert unknown.reason == "the effective stride is not known"
    assert unknown.spread.value == pytest.approx(answers.std(ddof=1) / answers.mean())
    alone = position(answers, probed, (8, 8))
    assert alone.sensitivity.value is None
    assert alone.reason == "too few probed places share a phase of the stride"
    dead = position(np.zeros((3, 64)), probed, (1, 1))
    assert dead.spread.value is None
    assert dead.reason == "nothing that was probed moved the target"


def test_two_inputs_have_a_value_but_no_error() -> None:
    answers, _ = textured(np.random.default_rng(4), 2, 100, 1.0)
    figure = position(answers, np.ones((10, 10), bool), (1, 1)).sensitivity
    assert figure.value is not None
    assert figure.error is None
    products = answers - answers.mean(axis=1, keepdims=True)
    variance = float(products[0] @ products[1]) / 99
    assert figure.value == pytest.approx(math.sqrt(variance) / answers.mean())


def test_mirror_and_scale_do_not_matter() -> None:
    grid = np.random.default_rng(5).random((12, 12)) + 1
    found = position(*flat(grid), (3, 3)).sensitivity.value
    assert position(*flat(grid[::-1, ::-1] * 2.0**300), (3, 3)).sensitivity.value == pytest.approx(
        found, rel=1e-9
    )
