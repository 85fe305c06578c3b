"""Whole measurements of inputs of every element type and layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from text_models import facts_of

from scotoma.measure import MeasureOptions, measure

if TYPE_CHECKING:
    from pathlib import Path

    from scotoma.facts import Facts

COUNT = np.outer([2, 3, 3, 3, 2], [2, 3, 3, 2])
"""3x3 taps on each pixel of 5x4, padded by 1."""


def counting(element_type: str, folder: Path, *, last: bool = False) -> Facts:
    """Return a model that adds up 3x3 windows of two channels: its sum counts taps."""
    shape, first = ("1, 5, 4, 2", "t = Transpose <perm = [0, 3, 1, 2]> (f)") if last else (
        "1, 2, 5, 4", "t = Identity (f)"
    )  # fmt: skip
    ones = ", ".join(["1"] * 18)
    return facts_of(
        f"""model ({element_type}[{shape}] x) => (float[1, 1, 5, 4] y)
        <float[1, 2, 3, 3] w = {{{ones}}}>
        {{ f = Cast <to = 1> (x)  {first}  y = Conv <pads = [1, 1, 1, 1]> (t, w) }}""",
        folder,
    )


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize(
    "element_type",
    ["float", "float16", "double", "uint8", "int8", "uint16", "uint64"],
)
def test_influence_is_per_unit_of_input(element_type: str, last: bool, tmp_path: Path) -> None:
    options = MeasureOptions(functional="sum", resolution="full", random_inputs=2)
    found = measure(counting(element_type, tmp_path, last=last), options)
    assert found.values.shape == (5, 4)
    assert np.allclose(found.values, 2 * COUNT, rtol=2e-3 if "float" in element_type else 1e-6)
    assert not found.dead.any()


@pytest.mark.parametrize("element_type", ["uint8", "int8", "uint16", "float"])
@pytest.mark.parametrize("text", ["zeros", "random"])
def test_a_stimulus_counts_exactly(element_type: str, text: str, tmp_path: Path) -> None:
    options = MeasureOptions(
        functional="sum", inputs=(text,), delta=4.0, resolution="full", random_inputs=1
    )
    found = measure(counting(element_type, tmp_path), options)
    if text == "zeros" or element_type != "float":
        assert found.values.tolist() == (2 * COUNT).tolist()
    assert (found.difference, found.functional.name) == ("forward", "sum")
    # pixels at the upper end go down: the influence is the same
    assert np.allclose(found.values, 2 * COUNT, rtol=1e-5)
