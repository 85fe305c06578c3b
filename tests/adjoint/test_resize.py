"""The adjoint of Resize and Upsample is the transpose of what onnxruntime computes."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from adjoint.jacobians import Single, split
from hypothesis import assume, given
from hypothesis import strategies as st
from networks import RefusedError, examples
from resizes import NEAREST, TRANSFORMATIONS, copied

from scotoma.adjoint.interpolation import taps
from scotoma.adjoint.rules import resize
from scotoma.trace import resample
from scotoma.trace.resample import Resampling

if TYPE_CHECKING:
    from collections.abc import Sequence


NOISE = 1e-5
SCALES = [0.25, 1 / 3, 0.4, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0]


def scaled(shape: Sequence[int], scales: Sequence[float], **attributes: Any) -> Single:
    """Return a Resize of zeros, of which every column of the Jacobian is exact."""
    inputs = [np.zeros(shape), None, np.array(scales, float)]
    return Single("Resize", inputs, **attributes)


def sized(shape: Sequence[int], sizes: Sequence[int], **attributes: Any) -> Single:
    return Single("Resize", [np.zeros(shape), None, None, np.array(sizes)], **attributes)


def check(model: Single) -> None:
    """Compare weights up to the rounding of the coordinates, which are in single precision."""
    expected, found = model.by_linearity()["i0"], model.by_adjoint()["i0"]
    expected[np.abs(expected) < NOISE] = 0
    found[np.abs(found) < NOISE] = 0
    np.testing.assert_array_equal(found != 0, expected != 0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=NOISE)


@st.composite
def shapes(draw: st.DrawFn, rank: int) -> tuple[list[int], list[float]]:
    """Draw the shape of an image of some axes and the scale of each."""
    size = draw(st.lists(st.integers(1, 7), min_size=rank, max_size=rank))
    scales = draw(st.lists(st.sampled_from(SCALES), min_size=rank, max_size=rank))
    assume(all(int(np.float32(n) * np.float32(s)) for n, s in zip(size, scales, strict=True)))
    assume(scales != [1.0] * rank)
    return [1, 2, *size], [1.0, 1.0, *scales]


@given(
    shapes(2),
    st.sampled_from([*TRANSFORMATIONS, "tf_half_pixel_for_nn"]),
    st.sampled_from(NEAREST),
)
@examples(80)
def test_nearest(drawn: tuple[list[int], list[float]], transformation: str, nearest: str) -> None:
    opset = 11 if transformation.startswith("tf") else 19
    inputs = [np.zeros(drawn[0]), np.zeros(0), np.array(drawn[1])]
    check(
        Single(
            "Resize", inputs, opset=opset, mode="nearest", nearest_mode=nearest,
            coordinate_transformation_mode=transformation,
        )
    )  # fmt: skip


@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
@pytest.mark.parametrize("nearest", NEAREST)
def test_nearest_at_every_size(transformation: str, nearest: str) -> None:
    """Which cell is nearest at a tie is decided by the rounding of the coordinates."""
    for before, after in product([3, 8, 20, 31], range(1, 40)):
        if before == after:
            continue
        resampling, cells = copied(before, after, transformation, nearest)
        assert taps(resampling, 0.0).cells[:, 0].tolist() == cells


@given(
    shapes(2), st.sampled_from(TRANSFORMATIONS), st.sampled_from(["linear", "cubic"]),
    st.booleans(), st.booleans(), st.sampled_from([-0.75, -0.5]),
)  # fmt: skip
@examples(120)
def test_linear_and_cubic(
    drawn: tuple[list[int], list[float]],
    transformation: str,
    mode: str,
    antialias: bool,
    outside: bool,
    cubic: float,
) -> None:
    model = scaled(
        *drawn, mode=mode, antialias=int(antialias), cubic_coeff_a=cubic,
        exclude_outside=int(outside and (mode == "cubic" or antialias)),
        coordinate_transformation_mode=transformation,
    )  # fmt: skip
    try:
        model.by_linearity()
    except RefusedError:
        assume(False)
    check(model)


@given(
    st.lists(st.integers(-3, 6).map(lambda n: n / 10), min_size=2, max_size=2),
    st.lists(st.integers(1, 12).map(lambda n: n / 10), min_size=2, max_size=2),
    st.lists(st.integers(1, 7), min_size=4, max_size=4),
    st.sampled_from(["nearest", "linear", "cubic"]),
)
@examples(60)
def test_crop_and_resize(
    starts: list[float], spans: list[float], sizes: list[int], mode: str
) -> None:
    before, after = sizes[:2], sizes[2:]
    assume(before != after)
    ends = [start + span for start, span in zip(starts, spans, strict=True)]
    roi = np.array([0, 0, *starts, 1, 1, *ends])
    inputs = [np.zeros([1, 1, *before]), roi, None, np.array([1, 1, *after])]
    check(
        Single(
            "Resize", inputs, opset=18, mode=mode, extrapolation_value=7.0,
            coordinate_transformation_mode="tf_crop_and_resize",
        )
    )  # fmt: skip


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_aspect_ratio_is_kept(policy: str, mode: str) -> None:
    for sizes in ([7, 5], [3, 9], [4, 4], [11, 6]):
        model = sized([1, 2, 5, 6], sizes, axes=[2, 3], keep_aspect_ratio_policy=policy, mode=mode)
        check(model)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_some_axes_in_any_order(mode: str) -> None:
    check(scaled([1, 2, 3, 4], [2.0, 1.5], axes=[3, 2], mode=mode))
    check(sized([1, 2, 3, 4], [5, 8], axes=[3, 2], mode=mode))


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_channels_last(mode: str) -> None:
    check(scaled([1, 3, 4, 2], [1, 2, 2, 1], mode=mode))
    check(scaled([1, 4, 3, 2], [1, 1.5, 0.5, 1], mode=mode))


@pytest.mark.parametrize(("mode", "rank"), [("nearest", 1), ("nearest", 3), ("linear", 3)])
def test_one_and_three_axes(mode: str, rank: int) -> None:
    check(scaled([1, 2, *[4, 3, 2][:rank]], [1, 1, *[2, 1.5, 3][:rank]], mode=mode))


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("scale", [0.4, 0.5, 0.6, 1.5, 3.0])
def test_resize_before_opset_11(mode: str, scale: float) -> None:
    inputs = [np.zeros([1, 2, 10, 5]), np.array([1, 1, scale, scale])]
    check(Single("Resize", inputs, opset=10, mode=mode))


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("scale", [1.5, 2.0, 3.0])
def test_upsample(mode: str, scale: float) -> None:
    scales = [1.0, 1.0, scale, 1.0]
    check(Single("Upsample", [np.zeros([1, 2, 4, 3]), np.array(scales)], opset=9, mode=mode))
    check(Single("Upsample", [np.zeros([1, 2, 4, 3])], opset=7, mode=mode, scales=scales))


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("limits", [(1, 8), (1, 1), (1, 0)])
def test_axes_too_long_for_a_matrix(
    mode: str, limits: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    dense, few = limits
    monkeypatch.setattr(resize, "DENSE", dense)
    monkeypatch.setattr(resize, "FEW", few)
    monkeypatch.setattr(resize, "LARGEST", 1 if few == 0 else 1 << 24)
    check(scaled([1, 2, 5, 6], [1, 1, 2, 0.7], mode=mode))


@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("antialias", [False, True])
def test_weights_are_zero_where_the_static_sweep_sees_no_path(
    transformation: str, mode: str, antialias: bool
) -> None:
    for before, after, outside in product([5, 7, 12], [1, 3, 4, 9, 10, 24], [False, True]):
        resampling = Resampling(
            before, after, Fraction(after, before), mode, transformation,
            antialias=antialias, exclude_outside=outside,
        )  # fmt: skip
        static = resample.taps(resampling)
        assert static is not None
        paths = np.zeros((after, before), bool)
        paths[static.outputs, static.inputs] = True
        weights = taps(resampling, -0.75).matrix()
        assert not weights[~paths].any()
        # Elsewhere a weight is zero only where two cells are stood for by one.
        assert (weights[paths] != 0).mean() > 0.9
        if mode == "linear":
            assert weights[paths].all()


def kernels(model: Single) -> list[str]:
    """Return the operators of the backward graph."""
    import onnx

    backward = split(model.model(), ["o0"], ["i0"]).backward
    assert backward is not None
    return [node.op_type for node in onnx.ModelProto.FromString(backward).graph.node]


def test_every_case_has_its_quickest_operator() -> None:
    asymmetric = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    up = scaled([1, 1, 4, 4], [1, 1, 2, 3], mode="nearest", **asymmetric)
    assert kernels(up) == ["AveragePool", "Mul", "Identity"]
    down = scaled([1, 1, 4, 4], [1, 1, 0.5, 1], mode="linear", **asymmetric)
    assert kernels(down) == ["Reshape", "Pad", "Reshape", "Identity"]
    linear = scaled([1, 1, 4, 4], [1, 1, 1.5, 2], mode="linear")
    assert kernels(linear) == ["MatMul", "MatMul", "Identity"]


def test_an_unknown_mode_is_refused() -> None:
    model = sized([1, 1, 4], [1, 1, 8], mode="lanczos")
    (missing,) = split(model.model(), ["o0"], ["i0"]).missing
    assert missing.reason == "its mode 'lanczos' is not known"


def test_what_keeps_its_shape_is_copied_whatever_the_scale() -> None:
    asymmetric = {"coordinate_transformation_mode": "asymmetric", "mode": "linear"}
    np.testing.assert_array_equal(
        scaled([1, 1, 3, 3], [1, 1, 1.2, 1.3], **asymmetric).by_adjoint()["i0"], np.eye(9)
    )
    check(scaled([1, 1, 3, 3], [1, 1, 1.2, 1.3], **asymmetric))
    check(scaled([1, 1, 3, 2], [1, 1, 1.2, 2.0], **asymmetric))


def test_claims_of_giant_sizes_are_refused_at_once() -> None:
    model = sized([1, 1, 2], [1, 1, 1 << 40], mode="linear")
    (missing,) = split(model.model(), ["o0"], ["i0"]).missing
    assert missing.reason == "an axis of it is too long to list"
