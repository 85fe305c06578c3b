"""One place of a feature map: its effective receptive field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scotoma.cli import main
from scotoma.errors import UsageError
from scotoma.facts import Facts
from scotoma.loader import load_model
from scotoma.measure import MeasureOptions, document, measure
from scotoma.measure.summary import summarise

SAMPLES = Path(__file__).parents[2] / "sample_models"


@pytest.fixture
def five() -> Facts:
    """Five 3x3 convolutions of ones without padding on 28x28 pixels."""
    return Facts.of(load_model(str(SAMPLES / "five_layers_valid.onnx")))


@pytest.mark.parametrize("method", ["adjoint", "auto", "perturb"])
def test_the_map_is_the_field_of_that_unit(five: Facts, method: str) -> None:
    options: dict[str, Any] = {} if method != "perturb" else {"resolution": "full"}
    found = measure(five, MeasureOptions(method=method, unit=(3, 4), **options))
    # Five boxcars of three taps in a row, at rows 3 to 13 and columns 4 to 14.
    taps = np.array([1.0])
    for _ in range(5):
        taps = np.convolve(taps, np.ones(3))
    expected = np.zeros((28, 28))
    expected[3:14, 4:15] = np.outer(taps, taps)
    assert found.values == pytest.approx(expected, rel=2e-3)
    assert (found.values == 0).tolist() == (expected == 0).tolist()
    assert found.dead.tolist() == (expected == 0).tolist()
    assert found.structural is not None
    assert found.structural.dead.tolist() == (expected == 0).tolist()
    assert found.structural.walk == pytest.approx(expected / expected.sum())
    assert document(found)["unit"] == {"place": [3, 4], "receptive_field": [[3, 13], [4, 14]]}
    summary = summarise(found)
    # The middle holds most: 95.45 % lie in 9 of 11 rows.
    assert summary.figures["effective_share_rows"].value == pytest.approx(0.66, abs=0.2)
    assert summary.position is None


def test_inner_tensors_have_units(five: Facts) -> None:
    found = measure(five, MeasureOptions(method="adjoint", tensor="map2", unit=(0, 23)))
    taps = np.array([1.0, 2, 3, 2, 1])
    expected = np.zeros((28, 28))
    expected[:5, 23:] = np.outer(taps, taps)
    assert found.values == pytest.approx(expected)
    assert found.target.why == "as asked, its unit 0,23 alone"


def test_a_unit_of_many_channels_is_an_estimate_beside_its_field() -> None:
    facts = Facts.of(load_model(str(SAMPLES / "residual_net.onnx")))
    found = measure(facts, MeasureOptions(tensor="/block1/relu/Relu_output_0", unit=(2, 5)))
    assert found.gradients is not None
    assert found.structural is not None
    assert not (found.gradients.linked & found.structural.dead).any()
    assert found.gradients.linked.any()
    assert found.confirmation is not None
    assert found.confirmation.moved == 0
    assert document(found)["agreement"]["contradictions"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": (18, 0)}, "--unit 18,0: 'feature_map' has 18x18 places, counted from 0"),
        ({"unit": (1,)}, "--unit 1: 'feature_map' has 18x18 places, counted from 0"),
        (
            {"unit": (0, 0), "functional": "logit"},
            "a logit is no place of a map: give --unit or --functional logit",
        ),
    ],
)
def test_units_that_are_not_there(five: Facts, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        measure(five, MeasureOptions(**options))
    assert str(refusal.value) == message


def test_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["measure", str(SAMPLES / "five_layers_valid.onnx"), "--out", str(tmp_path / "out")]
    assert main([*call, "--unit", "3,4"]) == 0
    assert "  target 'feature_map': the last feature map, its unit 3,4 alone" in (
        capsys.readouterr().out.splitlines()
    )
    assert main([*call, "--unit", "3;4"]) == 2
    assert "is not whole numbers with commas between" in capsys.readouterr().err
