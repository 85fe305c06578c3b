"""What runs at another size, and what holds numbers for one size only."""

from __future__ import annotations

import pytest
from text_models import facts_of

from scotoma.evidence.baked import baked_size
from scotoma.evidence.resized import Resized
from scotoma.evidence.strided import is_even, strided_layers
from scotoma.facts import Facts

SIZE = (17, 17)
NET = """
g (float[1,4,16,16] x) => (float[1,M,N,K] y)
<float[4,4,3,3] w, float[4] c, float[16] r, int64[2] two = {{2,2}}, int64[2] half = {{8,8}},
 float s = {{1}}, float[4] t = {{1,1,1,1}}, float[8] u = {{{}}},
 uint8 z = {{0}}, uint8[4] zt = {{0,0,0,0}}, uint8[8] zu = {{{}}},
 int64[4] rows = {{1,-1,1,1}}, int64[4] fixed = {{1,4,8,8}}> {{
  a = Conv <pads = [1,1,1,1], strides = [2,2]> (x, w)
  {}
}}
"""
TAILS = {
    "split": ("b, d = Split <axis = 1> (a, two)\n  y = Add (b, d)", True, True),
    "split-backwards": ("b, d = Split <axis = -3> (a, two)\n  y = Add (b, d)", True, True),
    "split-rows": ("b, d = Split <axis = 2> (x, half)\n  y = Conv (b, w)", False, False),
    "trained": (
        "b, m, v = BatchNormalization <training_mode = 1> (a, c, c, c, c)\n  y = Relu (b)",
        True, True,
    ),
    "transposed": (
        "b = Transpose <perm = [0,2,3,1]> (a)\n  y = Transpose <perm = [0,3,1,2]> (b)",
        True, True,
    ),
    "normalised-rows": (
        "b = Transpose <perm = [0,2,3,1]> (x)\n  y = BatchNormalization (b, r, r, r, r)",
        False, False,
    ),
    "quantised": (
        "b = QuantizeLinear (a, s, z)\n  y = DequantizeLinear (b, s, z)", True, True,
    ),
    "quantised-channels": (
        "b = QuantizeLinear (a, t, zt)\n  y = DequantizeLinear (b, t, zt)", True, True,
    ),
    "quantised-rows": ("y = QuantizeLinear <axis = 2> (a, u, zu)", True, False),
    "reshaped": ("b = Softmax <axis = 3> (a)\n  y = Reshape (b, rows)", True, False),
    "reshaped-to-one-size": ("y = Reshape (a, fixed)", False, False),
}  # fmt: skip
"""The rest of a network; whether it is known to run at 17x17, and how it reads the image there."""


def text_of(tail: str) -> str:
    return NET.format(", ".join("1" * 8), ", ".join("0" * 8), tail)


@pytest.mark.parametrize("name", TAILS)
def test_what_runs_at_another_size(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tail, runs, complete = TAILS[name]
    facts = facts_of(text_of(tail))
    assert facts.geometry is not None
    assert not facts.resolution.unresolved
    assert (facts.at(SIZE) is not None) is runs
    there = Resized(facts.geometry, size=SIZE)
    assert (there.runs, there.complete) == (runs, complete)
    if runs:
        monkeypatch.setattr(Facts, "at", None)
        layers = strided_layers(facts)
        assert [layer.operator.op_type for layer in layers] == ["Conv", "Conv"]
        assert (is_even(facts, layers, (16, 16)), is_even(facts, layers, SIZE)) == (False, True)


def test_sizes_of_tensors_that_are_not_followed() -> None:
    tail = "b = Softmax <axis = 3> (a)\n  d = Conv <strides = [3,3]> (b, w)\n  y = Relu (d)"
    facts = facts_of(text_of(tail))
    assert facts.geometry is not None
    there = Resized(facts.geometry, size=(23, 29))
    assert {"b", "d"} <= there.lost
    assert [there.along(name, axis) for name in "abd" for axis in (0, 1)] == [12, 15, 12, 15, 4, 5]


@pytest.mark.parametrize(
    ("tail", "pinned"), [("y = Relu (a)", False), ("y = Reshape (a, fixed)", True)]
)
def test_an_open_size_is_tried_by_what_is_known(tail: str, pinned: bool) -> None:
    text = text_of(tail).replace("float[1,4,16,16] x", "float[1,4,H,W] x")
    facts = facts_of(text.replace("{1,4,8,8}", "{1,4,112,112}"))
    assert facts.image_size == (224, 224)
    assert (baked_size(facts) is not None) is pinned
