"""Zeros in front of a max pool: where they win, and where nothing can be below them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from rule_fixtures import DEFAULT, FOLDER, FOLDS_PADS, OFF, measured, only_finding, run, text_of

from scotoma.testing import read_fixture

if TYPE_CHECKING:
    pass


@pytest.mark.parametrize(
    "name",
    ["signed_input", "after_leaky_relu", "after_wide_clip", "pads_as_attribute"],
)
def test_zeros_win_and_only_without_optimisation(name: str) -> None:
    text = text_of("zero-pad-before-max-pool", name)
    negative = {"x": -np.ones((1, 1, 8, 8), np.float32)}
    raised = run(text, negative)
    finding = only_finding("zero-pad-before-max-pool", name)
    assert measured(finding)["windows_with_zeros"] == int((raised == 0).sum()) == 28
    assert "leaves the zeros out unless its optimisation is off" in finding.message
    assert (run(text, negative, DEFAULT).max() < 0) == FOLDS_PADS


@pytest.mark.parametrize(
    ("name", "shape"), [("channels_last", (1, 8, 8, 2)), ("padded_axes", (1, 1, 8, 8))]
)
def test_zeros_win_at_every_level_where_the_pad_is_not_folded(
    name: str, shape: tuple[int, ...]
) -> None:
    finding = only_finding("zero-pad-before-max-pool", name)
    assert "optimisation" not in finding.message
    for level in (OFF, DEFAULT):
        feeds = {"x": -np.ones(shape, np.float32)}
        raised = run(text_of("zero-pad-before-max-pool", name), feeds, level)
        assert measured(finding)["windows_with_zeros"] == int((raised[0, 0] == 0).sum()) == 28


def test_zeros_win_behind_quantisation() -> None:
    text = text_of("zero-pad-before-max-pool", "quantised_signed")
    raised = run(text, {"x": -np.ones((1, 1, 8, 8), np.float32)})
    finding = only_finding("zero-pad-before-max-pool", "quantised_signed")
    assert measured(finding)["windows_with_zeros"] == int((raised == 0).sum()) == 28


def test_no_word_of_optimisation_where_something_lies_between() -> None:
    finding = only_finding("zero-pad-before-max-pool", "channels_last")
    assert finding.message == (
        "28 of its 64 windows hold zeros from 'Pad:a', which win over the negative numbers that "
        "'x' may hold"
    )


def test_zeros_change_a_stem_without_activation() -> None:
    text = text_of("zero-pad-before-max-pool", "after_convolution")
    feeds = {"x": np.random.default_rng(3).standard_normal((1, 3, 9, 9)).astype(np.float32)}
    text = text.replace("(x, w)", "(x, w, low)")
    text = text.replace("float zero", "float[4] low = {-4.0, -4.0, -4.0, -4.0}, float zero")
    plain, optimised = run(text, feeds), run(text, feeds, DEFAULT)
    assert (plain > optimised + 1e-3).any() == FOLDS_PADS
    assert np.allclose(plain[:, :, 1:-1, 1:-1], optimised[:, :, 1:-1, 1:-1], atol=1e-5)


TRAPS = [
    fixture
    for fixture in sorted((FOLDER / "zero-pad-before-max-pool").glob("*.onnxtxt"))
    if "# expect: SC302" not in fixture.read_text() and fixture.stem.startswith("after_")
]


@pytest.mark.parametrize("path", TRAPS, ids=lambda path: path.stem)
def test_what_is_proven_not_negative_is_not(path: Path) -> None:
    feeds = {"x": 3 * np.random.default_rng(5).standard_normal((1, 1, 8, 8)).astype(np.float32)}
    text = read_fixture(path).text
    unpadded = text.replace("pads = {0, 0, 1, 1, 0, 0, 1, 1}", "pads = {0, 0, 0, 0, 0, 0, 0, 0}")
    unpadded = unpadded.replace("y = MaxPool <kernel_shape = [3, 3]> (p)", "y = Identity (p)")
    assert unpadded.count("Identity") == 1
    assert run(unpadded, feeds).min() >= 0
    assert np.allclose(run(text, feeds), run(text, feeds, DEFAULT), atol=1e-5)
