"""Adjoint rules of DepthToSpace, SpaceToDepth and CumSum: linear, so exact."""

from __future__ import annotations

import numpy as np
import pytest
from adjoint.jacobians import Single, assert_equal, split


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_depth_to_space(mode: str, size: int) -> None:
    x = np.zeros((2, 2 * size**2, 2, 3))
    model = Single("DepthToSpace", [x], mode=mode, blocksize=size)
    np.testing.assert_array_equal(model.by_adjoint()["i0"], model.by_linearity()["i0"])


def test_depth_to_space_before_there_were_modes() -> None:
    model = Single("DepthToSpace", [np.zeros((1, 8, 2, 1))], opset=9, blocksize=2)
    np.testing.assert_array_equal(model.by_adjoint()["i0"], model.by_linearity()["i0"])


@pytest.mark.parametrize("size", [1, 2, 3])
def test_space_to_depth(size: int) -> None:
    x = np.zeros((2, 2, 2 * size, size))
    model = Single("SpaceToDepth", [x], blocksize=size)
    np.testing.assert_array_equal(model.by_adjoint()["i0"], model.by_linearity()["i0"])


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("exclusive", [0, 1])
def test_cumulative_sum(axis: int, reverse: int, exclusive: int) -> None:
    values = [np.zeros((2, 3, 4)), np.array(axis)]
    model = Single("CumSum", values, reverse=reverse, exclusive=exclusive)
    np.testing.assert_array_equal(model.by_adjoint()["i0"], model.by_linearity()["i0"])


def test_cumulative_sum_in_float64() -> None:
    model = Single("CumSum", [np.zeros(3), np.array([0])])
    found = model.by_adjoint(np.float64)
    assert found["i0"].dtype == np.float64
    assert_equal(found, {"i0": np.tril(np.ones((3, 3)))})


def test_an_unknown_order_is_refused() -> None:
    model = Single("DepthToSpace", [np.zeros((1, 4, 1, 1))], mode="XYZ", blocksize=2)
    (missing,) = split(model.model(), ["o0"], ["i0"]).missing
    assert missing.reason == "its mode 'XYZ' is not known"
