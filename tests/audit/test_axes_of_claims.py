"""Claims about one axis, an overhang and a crop: what a check must not take for the claim."""

from __future__ import annotations

from fractions import Fraction

import pytest
from audit.claims import Examine, checked, claim

from scotoma.audit.errors import NotMeasuredError
from scotoma.audit.layer import layer, padding_read
from scotoma.findings import CONFIRMED


def test_an_overhang_is_no_padding(examine: Examine) -> None:
    text = """model (float[1, 1, 28, 28] x) => (float[1, 1, 15, 15] y) { [op] y = MaxPool <
        kernel_shape = [2, 2], strides = [2, 2], pads = [1, 1, 0, 0], ceil_mode = 1> (x) }"""
    exam = examine(text)
    assert padding_read(layer(exam, "op"), 0) == (1, 0)
    assert checked(claim("SC202", "op"), exam) == CONFIRMED


def test_a_layer_behind_a_crop_is_not_measured(examine: Examine) -> None:
    text = """model (float[1, 1, 12, 12] x) => (float[1, 1, 12, 11] y)
    <int64[8] p = {0, 0, -1, 0, 0, 0, 1, 0}> {
        a = Pad (x, p)
        [op] y = MaxPool <kernel_shape = [2, 2], pads = [0, 0, 1, 0]> (a)
    }"""
    with pytest.raises(NotMeasuredError, match="crops"):
        checked(claim("SC201", "op", drift=Fraction(1, 2)), examine(text))


def test_an_axis_that_is_too_short_to_tell_contradicts_nothing(examine: Examine) -> None:
    text = """model (float[1, 1, 16, 6] x) => (float[1, 1, 32, 3] y) <float[4] s = {1, 1, 2, 0.5}>
    { [op] y = Resize <mode = "nearest"> (x, , s) }"""
    with pytest.raises(NotMeasuredError, match="no cells away"):
        checked(claim("SC206", "op", shift=Fraction(-1, 2)), examine(text))
