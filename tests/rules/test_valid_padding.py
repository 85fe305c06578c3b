"""The numbers of valid-padding-blind-spot where branches do not join once they are padded."""

from __future__ import annotations

from pathlib import Path

import pytest

from scotoma.registry import load_rules
from scotoma.testing import read_fixture

FOLDER = Path(__file__).parent / "valid-padding-blind-spot"


def test_the_corner_is_counted_to_the_output_and_the_loss_up_to_the_join() -> None:
    fixture = read_fixture(FOLDER / "cropped_skip.onnxtxt")
    (finding,) = fixture.lint([load_rules().get("SC102")]).findings
    numbers = {m.name: m.value for m in finding.measurements}
    # The corner pixel: conv1, conv2 and conv3 have one window each that reads it. A central one has
    # 9 x 9 paths through conv2 and 9 through the crop, and each joined cell is read 9 times.
    assert numbers["corner_over_centre_paths"] == pytest.approx(1 / ((81 + 9) * 9))
    # Up to the join: 1 path in each corner. Padded, 5 x 5 lead through conv2, and through the crop,
    # which is at the begin of a larger map then, one in the first corner and none in the others.
    assert numbers["lost_path_share"] == pytest.approx(1 - 1 / (25 + 1 / 4))
