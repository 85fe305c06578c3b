"""Figures of whole measurements in onnxruntime, on nets whose figures can be computed by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from measure.nets import COUNT, NODE, Build, Examine

from scotoma import metrics
from scotoma.measure import MeasureOptions, measure
from scotoma.measure.picture import render, sheet_of
from scotoma.measure.summary import Summary, summarise

if TYPE_CHECKING:
    from scotoma.measure import Influence


def value(summary: Summary, key: str) -> float:
    found = summary.figures[key].value
    assert found is not None
    return found


def both(influence: Influence) -> tuple[Influence, Summary]:
    return influence, summarise(influence)


@pytest.fixture
def five_valid(convolutions: Build, examine: Examine) -> tuple[Influence, Summary]:
    return both(measure(examine(convolutions(5, 0, [1, 1, 28, 28])), COUNT))


def test_five_valid_layers(five_valid: tuple[Influence, Summary]) -> None:
    _, summary = five_valid
    assert value(summary, "corner_over_centre") == 1 / 59049
    assert value(summary, "edge_over_centre") == 243 / 59049
    assert value(summary, "left_right_ratio") == value(summary, "top_bottom_ratio") == 1
    assert value(summary, "centroid_offset_rows") == value(summary, "point_asymmetry") == 0
    assert value(summary, "absorbed_by_padding") == pytest.approx(0, abs=1e-12)
    assert value(summary, "structural_dead_pixel_fraction") == 0
    assert value(summary, "ripple_cols") == 0
    assert summary.position is not None
    variance = (941_962**2 - 4374**4 / 784) / 783
    assert summary.position.sensitivity.value == pytest.approx(variance**0.5 / (4374**2 / 784))
    assert summary.position.reason is not None  # one input, but a constant one
    agreement = summary.agreement
    assert agreement is not None
    assert agreement.max_relative_error == pytest.approx(0, abs=1e-9)
    assert agreement.correlation == pytest.approx(1)
    assert (agreement.contradictions, agreement.unmoved, agreement.compared_pixels) == (0, 0, 784)
    assert summary.receptive_field == (11, 11)
    assert "effective_share_rows" not in summary.figures  # 18x18 places, not one


def test_one_unit_shows_its_effective_field(convolutions: Build, examine: Examine) -> None:
    # Without a name the target is the last map of several places, the one before.
    unit = replace(COUNT, tensor="y")
    summary = summarise(measure(examine(convolutions(5, 0, [1, 1, 11, 11])), unit))
    assert value(summary, "effective_radius_rows") == pytest.approx((5 * 8 / 12) ** 0.5, rel=1e-12)
    assert value(summary, "effective_width_cols") == 9
    assert value(summary, "effective_share_cols") == 9 / 11


def test_a_stride_is_a_ripple_and_a_phase(build: Build, examine: Examine) -> None:
    weights = {"w": np.ones((1, 1, 3, 3), np.float32)}
    node = NODE("Conv", ["x", "w"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1])
    summary = summarise(measure(examine(build([node], [1, 1, 33, 33], weights)), COUNT))
    for axis in ("rows", "cols"):
        found = summary.ripple[axis]
        assert found is not None
        assert found.period == 2
        assert found.amplitude == pytest.approx(1 / 3)  # read once, twice, once …
        assert value(summary, f"ripple_{axis}") == found.amplitude
    assert summary.position is not None
    assert summary.position.sensitivity.value == 0
    phases = np.outer([1, 2], [1, 2])
    shares = np.outer([17, 16], [17, 16])
    assert summary.position.phase.value is not None
    mean = (phases * shares).sum() / 33**2
    assert summary.position.phase.value == pytest.approx(phases.std(ddof=1) / mean, rel=0.02)


def test_unread_pixels_are_dead_in_both(build: Build, examine: Examine) -> None:
    weights = {"w": np.ones((1, 1, 3, 3), np.float32)}
    node = NODE("Conv", ["x", "w"], ["y"], strides=[2, 2])
    influence, summary = both(measure(examine(build([node], [1, 1, 8, 8], weights)), COUNT))
    for key in ("structural_dead_pixel_fraction", "dead_pixel_fraction"):
        assert value(summary, key) == 15 / 64
        assert summary.figures[key].probes == 64
    assert summary.agreement is not None
    assert summary.agreement.compared_pixels == 49
    sheet = sheet_of(influence, summary)
    assert sheet.unread.sum() == 15
    assert not sheet.contradictory.any()
    first = sheet.rows[0]
    assert (first.name, first.measured, first.graph) == ("dead pixels", "23.4%", "23.4%")
    assert sheet.structural is not None
    assert sheet.structural.sum() == pytest.approx(64)


def test_the_document_is_json_of_numbers(five_valid: tuple[Influence, Summary]) -> None:
    document = five_valid[1].document()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert list(document) == ["figures", "rings", "ripple", "position", "agreement"]
    assert document["figures"]["corner_over_centre"] == {
        "value": 1 / 59049, "standard_error": 0.0, "probes": 8, "reason": None,
    }  # fmt: skip
    assert [ring["distance"] for ring in document["rings"]] == list(range(8))
    assert document["ripple"] == {"rows": None, "cols": None}
    assert set(document["position"]) == {"sensitivity", "phase", "spread", "reason"}


def test_a_sampled_figure_has_one_value(convolutions: Build, examine: Examine) -> None:
    """What stands beside the graph's figure is the figure itself."""
    options = MeasureOptions(method="perturb", passes=400, random_inputs=2, multiplex=False)
    influence = measure(examine(convolutions(5, 0, [1, 1, 40, 40])), options)
    assert 20 < influence.probed.sum() < 200
    document = summarise(influence).document()
    beside = document["agreement"]["figures"]
    assert {key: pair["measured"] for key, pair in beside.items()} == {
        key: document["figures"][key]["value"] for key in beside
    }
    rise = np.array([1, 6, 21, 51, 96, 147, 192, 222, 237, 242])
    axis = np.concatenate([rise, np.full(20, 243), rise[::-1]])
    expected = metrics.border_over_interior(np.outer(axis, axis))
    assert beside["border_over_interior"]["reference"] == pytest.approx(expected)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_sample_states_its_errors_and_can_be_drawn(
    build: Build, examine: Examine, rank: int
) -> None:
    weights = {"w": np.ones((1, 1, *[3] * rank), np.float32)}
    node = NODE("Conv", ["x", "w"], ["y"], strides=[2] * rank)
    size = {1: 60, 2: 24, 3: 9}[rank]
    options = MeasureOptions(resolution={1: 20, 2: 8, 3: 4}[rank], random_inputs=3)
    influence = measure(examine(build([node], [1, 1, *[size] * rank], weights)), options)
    summary = summarise(influence)
    figure = summary.figures["left_right_ratio"]
    assert figure.value is not None
    assert figure.error is not None
    assert figure.error > 0
    assert figure.probes == influence.probed.sum() < influence.probed.size
    sheet = sheet_of(influence, summary)
    assert sheet.lines[-1].startswith("every pixel shows the nearest of ")
    assert render(sheet) is not None
