"""Adjoint rules of convolutions and pools, with windows of every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from adjoint.jacobians import Single, assert_equal, by_adjoint, split
from hypothesis import assume, given
from hypothesis import strategies as st
from networks import RefusedError, examples
from onnx import parser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

AUTO_PADS = ["SAME_UPPER", "SAME_LOWER", "VALID"]


def whole(seed: int, *shape: int) -> Array:
    """Return whole numbers, so that sums of products are exact in float32; none is zero."""
    roll = np.random.default_rng(seed)
    found: Array = roll.integers(1, 5, shape) * roll.choice([-1.0, 1.0], shape)
    return found


def distinct(seed: int, *shape: int) -> Array:
    """Return numbers of which no two are close, in any order."""
    count = int(np.prod(shape))
    order: Array = np.random.default_rng(seed).permutation(count)
    return order.reshape(shape) / 4 - count / 8


@st.composite
def slides(draw: st.DrawFn, *, pools: bool = False) -> tuple[list[int], dict[str, Any]]:
    """Draw the size of an input and the attributes of a window over it, on 1 to 3 axes."""
    rank = draw(st.sampled_from([1, 2, 2, 2, 3]))
    largest = {1: 9, 2: 6, 3: 4}[rank]

    def each(low: int, high: int) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank))

    size, kernel = each(2, largest), each(1, 3)
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": each(1, 3)}
    if draw(st.integers(0, 3)) == 0:
        attributes["auto_pad"] = draw(st.sampled_from(AUTO_PADS))
    else:
        attributes["dilations"] = each(1, 2)
        limit = [k - 1 for k in kernel] if pools else [4] * rank
        attributes["pads"] = [draw(st.integers(0, top)) for top in limit * 2]
    return size, attributes


def check(model: Single) -> None:
    try:
        expected = model.by_linearity()
    except RefusedError:
        assume(False)
    assert_equal(model.by_adjoint(), expected)


@given(slides(), st.sampled_from([(1, 2, 3), (2, 2, 1), (3, 1, 1), (2, 1, 2)]), st.integers(1, 2))
@examples(60)
def test_conv(
    drawn: tuple[list[int], dict[str, Any]], channels: tuple[int, int, int], batch: int
) -> None:
    size, attributes = drawn
    group, inputs, outputs = channels
    x = whole(1, batch, group * inputs, *size)
    weight = whole(2, group * outputs, inputs, *attributes["kernel_shape"])
    check(Single("Conv", [x, weight, whole(3, group * outputs)], group=group, **attributes))


@given(
    slides(),
    st.sampled_from([(1, 2, 3), (2, 2, 1), (3, 1, 1)]),
    st.lists(st.integers(0, 2), min_size=3, max_size=3),
)
@examples(60)
def test_conv_transpose(
    drawn: tuple[list[int], dict[str, Any]], channels: tuple[int, int, int], extra: list[int]
) -> None:
    size, attributes = drawn
    group, inputs, outputs = channels
    x = whole(1, 1, group * inputs, *size)
    weight = whole(2, group * inputs, outputs, *attributes["kernel_shape"])
    if "pads" in attributes:
        attributes["pads"] = [min(pad, 1) for pad in attributes["pads"]]
    padding = extra[: len(size)]
    check(Single("ConvTranspose", [x, weight], group=group, output_padding=padding, **attributes))


def test_conv_transpose_to_a_given_size() -> None:
    check(Single("ConvTranspose", [whole(1, 1, 1, 4), whole(2, 1, 2, 3)], strides=[2],
                 output_shape=[8]))  # fmt: skip


@given(slides(pools=True), st.booleans(), st.booleans(), st.integers(1, 2))
@examples(60)
def test_average_pool(
    drawn: tuple[list[int], dict[str, Any]], ceil: bool, padded: bool, batch: int
) -> None:
    size, attributes = drawn
    x = whole(1, batch, 2, *size)
    model = Single("AveragePool", [x], ceil_mode=ceil, count_include_pad=padded, **attributes)
    check_pool(model, "linearity")


@given(slides(pools=True), st.booleans(), st.sampled_from([12, 20]))
@examples(60)
def test_max_pool(drawn: tuple[list[int], dict[str, Any]], ceil: bool, opset: int) -> None:
    size, attributes = drawn
    x = distinct(1, 1, 2, *size)
    check_pool(Single("MaxPool", [x], ceil_mode=ceil, opset=opset, **attributes), "double")


def check_pool(model: Single, method: str) -> None:
    try:
        expected = model.by_double() if method == "double" else model.by_linearity()
    except RefusedError:
        assume(False)
    # onnxruntime makes one output of a stride that reaches over a window too large for its input.
    assume(all(window_fits(model)))
    assert_equal(model.by_adjoint(), expected)


def window_fits(model: Single) -> Iterator[bool]:
    """Yield for every axis whether the padded input is as long as the window."""
    attributes = {item.name: list(item.ints) for item in model.node.attribute}
    kernel = attributes["kernel_shape"]
    if "pads" not in attributes:
        return
    pads, dilations = attributes["pads"], attributes["dilations"]
    for axis, size in enumerate(model.values["i0"].shape[2:]):
        padded = size + pads[axis] + pads[axis + len(kernel)]
        yield padded > (kernel[axis] - 1) * dilations[axis]


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("opset", [11, 18])
def test_lp_pool(p: int, opset: int) -> None:
    x = np.random.default_rng(3).standard_normal((1, 2, 5, 4))
    attributes: dict[str, Any] = {
        "kernel_shape": [3, 2],
        "strides": [2, 1],
        "pads": [1, 0, 0, 1],
        "p": p,
    }

    def pool(x: Array) -> Array:
        padded = np.pad(np.abs(x) ** p, ((0, 0), (0, 0), (1, 0), (0, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 2), (2, 3))[:, :, ::2]
        result: Array = windows.sum((-2, -1)) ** (1 / p)
        return result

    model = Single("LpPool", [x], opset=opset, **attributes)
    assert_equal(model.by_adjoint(), model.by_differences(pool))


@pytest.mark.parametrize("opset", [7, 8, 11])
def test_max_pool_in_old_operator_sets(opset: int) -> None:
    x = distinct(4, 2, 2, 5, 5)
    attributes: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    expected = Single("MaxPool", [x], opset=12, **attributes).by_double()
    assert_equal(Single("MaxPool", [x], opset=opset, **attributes).by_adjoint(), expected)


def test_max_pool_whose_indices_count_columns_first() -> None:
    attributes: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [1, 2]}
    x = distinct(5, 1, 2, 4, 5)
    expected = Single("MaxPool", [x], **attributes).by_double()
    model = Single("MaxPool", [x], outputs=2, storage_order=1, **attributes)
    model.node.output[1] = "indices"
    assert_equal(model.by_adjoint(), expected)


def test_a_window_in_padding_alone_has_no_gradient() -> None:
    """onnxruntime gives such a window an index outside of the input."""
    model = Single("MaxPool", [distinct(6, 1, 2, 2)], kernel_shape=[2], dilations=[3], pads=[1, 1])
    np.testing.assert_array_equal(model.by_adjoint()["i0"], np.zeros((2, 4)))


def test_a_dilated_average_with_negative_automatic_padding_is_refused() -> None:
    """onnxruntime cuts its windows off where the padding would begin."""
    model = Single(
        "AveragePool", [whole(7, 1, 1, 3)],
        kernel_shape=[2], strides=[3], dilations=[2], auto_pad="SAME_UPPER", ceil_mode=1,
    )  # fmt: skip
    (missing,) = split(model.model(), ["o0"], ["i0"]).missing
    assert missing.reason == "its automatic padding is negative, and it is dilated"


@given(slides(), st.sampled_from([(1, 2, 3), (2, 2, 1), (3, 1, 1), (2, 1, 2)]), st.integers(1, 2))
@examples(40)
def test_weights_that_are_no_constants(
    drawn: tuple[list[int], dict[str, Any]], channels: tuple[int, int, int], batch: int
) -> None:
    size, attributes = drawn
    group, inputs, outputs = channels
    x = whole(1, batch, group * inputs, *size)
    weight = whole(2, group * outputs, inputs, *attributes["kernel_shape"])
    values = [x, weight, whole(3, group * outputs)]
    check(Single("Conv", values, (0, 1, 2), group=group, **attributes))


@given(slides(), st.sampled_from([(1, 2, 3), (2, 2, 1), (3, 1, 1)]), st.integers(1, 2))
@examples(40)
def test_transposed_weights_that_are_no_constants(
    drawn: tuple[list[int], dict[str, Any]], channels: tuple[int, int, int], batch: int
) -> None:
    size, attributes = drawn
    group, inputs, outputs = channels
    x = whole(1, batch, group * inputs, *size)
    weight = whole(2, group * inputs, outputs, *attributes["kernel_shape"])
    if "pads" in attributes:
        attributes["pads"] = [min(pad, 1) for pad in attributes["pads"]]
    values = [x, weight, whole(3, group * outputs)]
    check(Single("ConvTranspose", values, (0, 1, 2), group=group, **attributes))


def test_a_weight_is_a_residual_where_it_is_no_constant() -> None:
    model = Single("Conv", [whole(1, 1, 1, 4), whole(2, 1, 1, 2)], (0, 1)).model()
    assert split(model, ["o0"], ["i0"]).residuals == ("i1",)
    assert split(model, ["o0"], ["i1"]).residuals == ("i0",)


def test_an_index_of_a_maximum_has_no_gradient() -> None:
    model = parser.parse_model("""
        <ir_version: 8, opset_import: ["": 17]>
        g (float[1, 1, 4] x) => (float[1, 1, 2] y) {
            m, i = MaxPool <kernel_shape = [2], strides = [2]> (x)
            f = Cast <to = 1> (i)
            y = Add (m, f)
        }""")
    x = np.array([[[1, 3, 4, 2]]], np.float32)
    expected = [[0, 1, 0, 0], [0, 0, 1, 0]]
    np.testing.assert_array_equal(by_adjoint(model, {"x": x}, "y")["x"], expected)
    adjoint = split(model, ["f"], ["x"])
    assert (adjoint.missing, dict(adjoint.zero)) == ((), {"x": (1, 1, 4)})
