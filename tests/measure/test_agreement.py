"""Two maps of one model side by side."""

from __future__ import annotations

import json

import numpy as np
import pytest

from scotoma import metrics
from scotoma.measure.agreement import agree

RNG = np.random.default_rng(0)


def test_proportional_maps_agree_entirely() -> None:
    grid = RNG.random((6, 7)) + 0.1
    found = agree(grid, 1e-30 * grid)
    assert found.compared_pixels == 42
    assert found.correlation == pytest.approx(1)
    assert found.rank_correlation == pytest.approx(1)
    assert found.max_relative_error == pytest.approx(0, abs=1e-12)
    assert found.relative_error == pytest.approx(0, abs=1e-12)
    assert (found.contradictions, found.unmoved) == (0, 0)
    assert found.figures["left_right_ratio"][0] == metrics.left_right_ratio(grid)
    assert found.figures["left_right_ratio"][1] == pytest.approx(metrics.left_right_ratio(grid))


def test_numbers_by_hand() -> None:
    # scaled to a mean of 1: 0.5 1 1.5 against 0.5 0.5 2
    found = agree(np.array([1.0, 2, 3]), np.array([1.0, 1, 4]))
    assert found.max_relative_error == pytest.approx(0.5)
    assert found.relative_error == pytest.approx(np.sqrt(0.5 / 3.5))
    logs = np.log([1, 2, 3]), np.log([1, 1, 4])
    assert found.correlation == pytest.approx(np.corrcoef(*logs)[0, 1])
    assert found.rank_correlation == pytest.approx(np.corrcoef([0, 1, 2], [0.5, 0.5, 2])[0, 1])


def test_an_order_turned_round() -> None:
    found = agree(np.array([1.0, 2, 4]), np.array([4.0, 2, 1]))
    assert found.correlation == pytest.approx(-1)
    assert found.rank_correlation == pytest.approx(-1)


def test_contradictions_are_named() -> None:
    graph = np.array([[0.0, 0, 1], [1, 1, 1]])
    measured = np.array([[0.0, 3, 1], [0, 2, 9]])
    probed = np.array([[True, True, True], [True, True, False]])
    found = agree(graph, measured, probed=probed)
    assert (found.contradictions, found.contradicting) == (1, ((0, 1),))
    assert (found.unmoved, found.unmoved_pixels) == (1, ((1, 0),))
    assert found.compared_pixels == 2  # (0, 2) and (1, 1)


def test_dead_is_what_the_masks_say() -> None:
    """A path whose probability underflows is no dead pixel; neither is a tiny answer."""
    graph, measured = np.array([0.0, 1.0]), np.array([0.0, 1.0])
    live = np.zeros(2, bool)
    found = agree(graph, measured, reference_dead=live, measured_dead=live)
    assert (found.contradictions, found.unmoved, found.compared_pixels) == (0, 0, 1)
    found = agree(graph, measured, reference_dead=graph == 0, measured_dead=live)
    assert found.contradicting == ((0,),)


def test_only_some_of_many_are_named() -> None:
    found = agree(np.zeros((10, 10)), np.ones((10, 10)))
    assert found.contradictions == 100
    assert found.contradicting == tuple((0, x) for x in range(10)) + tuple((1, x) for x in range(6))


def test_unprobed_pixels_count_for_nothing() -> None:
    graph = np.arange(1.0, 10)
    probed = np.arange(9) % 2 == 0
    found = agree(graph, np.where(probed, graph, np.nan), probed=probed)
    assert found.compared_pixels == 5
    assert found.correlation == pytest.approx(1)
    nothing = agree(graph, graph, probed=np.zeros(9, bool))
    assert nothing.compared_pixels == 0
    assert nothing.correlation is None
    assert nothing.figures["left_right_ratio"][1] is None


def test_constant_and_enormous_maps() -> None:
    even = agree(np.ones(5), np.ones(5))
    assert (even.correlation, even.max_relative_error) == (None, 0.0)
    huge = agree(np.array([1e308, 1.5e308]), np.array([1.0, 1.5]))
    assert huge.max_relative_error == pytest.approx(0)


def test_the_document_keeps_the_contract() -> None:
    document = agree(np.array([[1.0, 2], [3, 0]]), np.array([[1.0, 2], [3, 1]])).document()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert {"compared_pixels", "correlation", "max_relative_error"} <= set(document)
    assert document["contradicting_pixels"] == [[1, 1]]
    assert document["figures"]["top_bottom_ratio"] == {"reference": 1.0, "measured": 3 / 4}


def test_rounding_is_no_order() -> None:
    graph = np.array([1.0, 1, 1, 2, 2, 2])
    noisy = graph * (1 + 1e-7 * np.array([1, -1, 0, 1, 0, -1]))
    assert agree(graph, noisy).rank_correlation == pytest.approx(1)
