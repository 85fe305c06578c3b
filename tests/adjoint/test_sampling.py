"""Adjoint rules of GridSample, AffineGrid and RoiAlign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from adjoint.jacobians import Single, assert_equal, split
from hypothesis import given
from hypothesis import strategies as st
from networks import examples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

NAMES = {"linear": "bilinear", "nearest": "nearest", "cubic": "bicubic"}


def sampled(
    mode: str, padding: str, corners: bool, space: int = 2, batch: int = 2, opset: int = 16
) -> Single:
    """Return a GridSample of which some places lie outside, none close to a kink."""
    roll = np.random.default_rng(space)
    sizes = [3, 4, 2][:space]
    x = roll.standard_normal((batch, 2, *sizes))
    out = [2, 5, 2][:space]
    # In steps of the grid that are odd fractions of a cell.
    steps = roll.integers(-20, 20, (batch, *out, space))
    grid = (steps + 0.31) / 10
    return Single(
        "GridSample", [x, grid], (0, 1), opset=opset, padding_mode=padding,
        align_corners=int(corners), mode=NAMES[mode] if opset < 20 else mode,
    )  # fmt: skip


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("corners", [False, True])
def test_grid_sample(mode: str, padding: str, corners: bool) -> None:
    model = sampled(mode, padding, corners)
    adjoint = split(model.model(), ["o0"], ["i0", "i1"])
    assert adjoint.missing == ()
    expected = sampled(mode, padding, corners, opset=20).by_double()
    if mode == "nearest":
        assert list(adjoint.zero) == ["i1"]
        expected["i1"][:] = 0
    found = model.by_adjoint()
    if mode == "cubic":
        # Far outside, weights of rounding size are left of a sum that is 0.
        for jacobian in (found["i1"], expected["i1"]):
            jacobian[np.abs(jacobian) < 1e-5] = 0
    assert_equal(found, cleaned(expected))


def cleaned(expected: dict[str, Array]) -> dict[str, Array]:
    """Take the rounding errors of the differences away."""
    return {
        name: np.where(np.abs(jacobian) < 1e-7, 0, jacobian) for name, jacobian in expected.items()
    }


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_grid_sample_in_space(mode: str, padding: str) -> None:
    model = sampled(mode, padding, False, space=3, batch=1, opset=20)
    expected = model.by_double()
    if mode == "nearest":
        expected["i1"][:] = 0
    assert_equal(model.by_adjoint(), cleaned(expected))


def test_grid_sample_of_contrib_operators() -> None:
    x = np.random.default_rng(1).standard_normal((1, 1, 3, 3))
    grid = np.array([[[[0.1, 0.3], [-0.7, 1.05]]]])
    model = Single("com.microsoft.GridSample", [x, grid], (0, 1), mode="bilinear")
    plain = Single("GridSample", [x, grid], (0, 1), mode="linear")
    assert_equal(model.by_adjoint(), cleaned(plain.by_double()))


def test_only_the_image_of_a_grid_sample_is_followed_where_the_grid_is_constant() -> None:
    x, grid = np.random.default_rng(2).standard_normal((1, 3, 4, 4)), np.zeros((1, 1, 1, 2))
    found = Single("GridSample", [x, grid], opset=16).by_adjoint()["i0"]
    expected = np.zeros((3, 3, 4, 4))
    for channel in range(3):
        expected[channel, channel, 1:3, 1:3] = 0.25
    np.testing.assert_allclose(found, expected.reshape(3, -1))


@pytest.mark.parametrize("corners", [0, 1])
@pytest.mark.parametrize("size", [(2, 3, 4, 5), (1, 1, 3, 1), (1, 2, 2, 3, 4)])
def test_affine_grid(corners: int, size: tuple[int, ...]) -> None:
    rank = len(size) - 2
    theta = np.zeros((size[0], rank, rank + 1))
    model = Single("AffineGrid", [theta, np.array(size)], align_corners=corners)
    expected = model.by_linearity()["i0"]
    expected[np.abs(expected) < 1e-6] = 0
    found = model.by_adjoint()["i0"]
    found[np.abs(found) < 1e-6] = 0
    assert_equal({"i0": found}, {"i0": expected})


ROIS = np.array([[0.0, 0.0, 4.0, 3.0], [1.2, 0.7, 3.9, 5.3], [-2.5, 1.0, 2.0, 9.0], [3, 3, 3, 3]])


@given(
    st.sampled_from(["half_pixel", "output_half_pixel"]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from([0.5, 1.0, 1.7]),
)
@examples(30)
def test_roi_align(mode: str, rows: int, columns: int, samples: int, scale: float) -> None:
    images = np.array([0, 1, 1, 0])
    model = Single(
        "RoiAlign", [np.zeros((2, 2, 4, 5)), ROIS, images], opset=16, output_height=rows,
        output_width=columns, sampling_ratio=samples, spatial_scale=scale,
        coordinate_transformation_mode=mode,
    )  # fmt: skip
    expected, found = model.by_linearity(), model.by_adjoint()
    for jacobian in (expected["i0"], found["i0"]):
        jacobian[np.abs(jacobian) < 1e-6] = 0
    assert_equal(found, expected)


def test_regions_before_opset_16_are_not_shifted() -> None:
    values = [np.zeros((1, 1, 4, 4)), ROIS[:2], np.array([0, 0])]
    model = Single("RoiAlign", values, opset=10, sampling_ratio=2, output_height=2)
    assert_equal(model.by_adjoint(), cleaned(model.by_linearity()))


@pytest.mark.parametrize(
    ("attributes", "variable", "reason"),
    [
        ({"mode": "max", "sampling_ratio": 1}, (0,), "it takes the maximum of its samples"),
        ({}, (0,), "its number of samples depends on the regions"),
        (
            {"sampling_ratio": 1}, (0, 1),
            "its regions depend on what the gradient is taken of",
        ),
    ],
)  # fmt: skip
def test_refused_regions(
    attributes: dict[str, Any], variable: tuple[int, ...], reason: str
) -> None:
    values = [np.zeros((1, 1, 4, 4)), ROIS, np.zeros(4, np.int64)]
    model = Single("RoiAlign", values, variable, opset=16, **attributes)
    adjoint = split(model.model(), ["o0"], list(model.values))
    assert [missing.reason for missing in adjoint.missing] == [reason]


def test_claims_of_giant_sizes_are_refused_at_once() -> None:
    grid = Single("AffineGrid", [np.zeros((1, 2, 3)), np.array([1, 1, 1 << 40, 2])])
    values = [np.zeros((1, 1, 4, 4)), ROIS, np.zeros(4, np.int64)]
    regions = Single(
        "RoiAlign", values, opset=16, sampling_ratio=2, output_height=1 << 40
    )  # fmt: skip
    for model in (grid, regions):
        (missing,) = split(model.model(), ["o0"], ["i0"]).missing
        assert missing.reason == "an axis of it is too long to list"
