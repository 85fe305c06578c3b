"""Adjoint rules of normalisations by what a tensor itself holds."""

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

ROLL = np.random.default_rng(11)
SHAPES = [(2, 4, 3), (1, 4, 3, 2), (2, 4, 2, 1, 3)]


def normal(*shape: int) -> Array:
    return ROLL.standard_normal(shape)


def standardized(x: Array, axes: tuple[int, ...], epsilon: float = 1e-5) -> Array:
    centred = x - x.mean(axes, keepdims=True)
    result: Array = centred / np.sqrt((centred**2).mean(axes, keepdims=True) + epsilon)
    return result


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("variable", [(0,), (0, 1, 2)])
def test_instance_normalization(shape: tuple[int, ...], variable: tuple[int, ...]) -> None:
    values = [normal(*shape), normal(4), normal(4)]
    model = Single("InstanceNormalization", values, variable, epsilon=0.01)
    column = (-1, *[1] * (len(shape) - 2))

    def function(x: Array, scale: Array = values[1], bias: Array = values[2]) -> Array:
        unit = standardized(x, tuple(range(2, len(shape))), 0.01)
        return unit * scale.reshape(column) + bias.reshape(column)

    assert_equal(model.by_adjoint(), model.by_differences(function))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("opset", [18, 21])
def test_group_normalization(shape: tuple[int, ...], groups: int, opset: int) -> None:
    count = groups if opset == 18 else 4
    values = [normal(*shape), normal(count), normal(count)]
    model = Single("GroupNormalization", values, (0, 1, 2), opset=opset, num_groups=groups)
    column = (-1, *[1] * (len(shape) - 2))

    def function(x: Array, scale: Array, bias: Array) -> Array:
        apart = x.reshape(shape[0], groups, -1)
        unit = standardized(apart, (2,)).reshape(shape)
        each = 4 // count
        return unit * scale.repeat(each).reshape(column) + bias.repeat(each).reshape(column)

    assert_equal(model.by_adjoint(), model.by_differences(function))


@pytest.mark.parametrize("axes", [None, [0, 2, 3], [2, 3], [-1], [3, 1], [0, 1, 2, 3]])
def test_mean_variance_normalization(axes: list[int] | None) -> None:
    given_axes: dict[str, Any] = {} if axes is None else {"axes": axes}
    model = Single("MeanVarianceNormalization", [normal(2, 3, 2, 4)], opset=13, **given_axes)
    over = tuple(axes or (0, 2, 3))
    expected = model.by_differences(lambda x: standardized(x, over, 0.0))
    assert_equal(model.by_adjoint(), expected)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_lp_normalization(p: int, axis: int) -> None:
    model = Single("LpNormalization", [normal(3, 2, 4)], p=p, axis=axis)

    def function(x: Array) -> Array:
        result: Array = x / (np.abs(x) ** p).sum(axis, keepdims=True) ** (1 / p)
        return result

    assert_equal(model.by_adjoint(), model.by_differences(function))


@pytest.mark.parametrize("p", [1, 2])
def test_a_norm_of_zero_has_no_gradient(p: int) -> None:
    model = Single("LpNormalization", [np.array([[0.0, 0.0], [3.0, 0.0]])], p=p)
    expected = np.zeros((4, 4))
    expected[3, 3] = 1 / 3
    np.testing.assert_allclose(model.by_adjoint()["i0"], expected, rtol=1e-6)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_global_lp_pool(p: int) -> None:
    model = Single("GlobalLpPool", [normal(2, 3, 2, 2)], p=p)

    def function(x: Array) -> Array:
        result: Array = (np.abs(x) ** p).sum((2, 3)) ** (1 / p)
        return result

    assert_equal(model.by_adjoint(), model.by_differences(function))


@pytest.mark.parametrize("p", [1, 2, 3])
def test_a_pool_of_zeros_has_no_gradient(p: int) -> None:
    found = Single("GlobalLpPool", [np.zeros((1, 1, 3))], p=p).by_adjoint()["i0"]
    np.testing.assert_array_equal(found, np.zeros((1, 3)))


@given(
    st.integers(1, 5),
    st.integers(1, 4).map(lambda half: 2 * half - 1),
    st.sampled_from([0.1, 1.5]),
    st.sampled_from([0.5, 0.75, 1.0]),
    st.sampled_from([1.0, 2.0]),
)
@examples(40)
def test_local_response_normalization(
    channels: int, size: int, alpha: float, beta: float, bias: float
) -> None:
    x = np.random.default_rng(channels).standard_normal((2, channels, 2, 1))
    model = Single("LRN", [x], size=size, alpha=alpha, beta=beta, bias=bias)

    def function(x: Array) -> Array:
        level = np.full_like(x, bias)
        for channel in range(channels):
            first = max(channel - (size - 1) // 2, 0)
            window = x[:, first : channel + size // 2 + 1]
            level[:, channel] += alpha / size * (window**2).sum(1)
        result: Array = x / level**beta
        return result

    assert_equal(model.by_adjoint(), model.by_differences(function))


def test_local_response_normalization_of_too_many_channels_is_refused() -> None:
    model = Single("LRN", [np.zeros((1, 5000, 1, 1))], size=3)
    (missing,) = split(model.model(), ["o0"], ["i0"]).missing
    assert missing.reason == "its window is empty, or its channels are too many"


def test_channels_that_do_not_fall_into_groups_are_refused() -> None:
    values = [normal(1, 4, 3), normal(4), normal(4)]
    model = Single("GroupNormalization", values, opset=21, num_groups=3)
    (missing,) = split(model.model(), ["o0"], ["i0"]).missing
    assert missing.reason == "its channels do not fall into its groups"
