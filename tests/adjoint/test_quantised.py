"""Adjoint rules of quantisation itself, and of quantised operators that work place by place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from adjoint.jacobians import by_adjoint, split
from adjoint.quantised import (
    F32,
    I8,
    ROLL,
    U8,
    M,
    N,
    S,
    T,
    Y,
    Z,
    check,
    model,
    numbers,
    scale,
    stands_for,
    stored,
    zero,
)
from networks import session
from onnx import helper

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


# Quantisation itself.


def test_quantize_one_scale() -> None:
    """What rounds to either end of the range is not saturated, what lies beyond is."""
    x = np.array([-21.0, -20.4, -20.0, 0.3, 97.0, 107.2, 107.3, 108.0], F32)
    single = model("QuantizeLinear", [x, scale(0.5), zero(40)], (0,), [U8])
    slopes = [0, 0, 2, 2, 2, 2, 2, 0]
    output = session(single).run(None, {"i0": x})[0]
    np.testing.assert_array_equal(output, [0, 0, 0, 41, 234, 254, 255, 255])
    np.testing.assert_array_equal(by_adjoint(single, {"i0": x}, "o0")["i0"], np.diag(slopes))


@pytest.mark.parametrize("domain", ["", "com.microsoft."])
@pytest.mark.parametrize("dtype", [U8, I8])
def test_quantize_along_an_axis(domain: str, dtype: Any) -> None:
    x = np.array([[[1.3, -0.4]], [[2.2, 0.0]], [[-1.0, 9.9]]], F32)
    values = [x, scale(0.5, 0.25, 2.0), zero(3, 100, 7, dtype=dtype)]
    single = model(f"{domain}QuantizeLinear", values, (0,), [dtype], axis=0)
    expected = np.diag([2, 2, 4, 4, 0.5, 0.5])
    np.testing.assert_array_equal(by_adjoint(single, {"i0": x}, "o0")["i0"], expected)


@pytest.mark.parametrize("op_type", ["QuantizeLinear", "DequantizeLinear"])
def test_blocks(op_type: str) -> None:
    """Three cells of a column share a scale, the last block is cut off."""
    scales = np.array([[1, 2], [4, 8]], F32)
    steps = np.repeat(scales, 3, 0)[:5]
    quantizes = op_type == "QuantizeLinear"
    data = ROLL.uniform(-3, 3, (5, 2)).astype(F32) if quantizes else numbers(5, 2, dtype=I8)
    values = [data, scales, np.zeros((2, 2), I8)]
    made = I8 if quantizes else F32
    single = model(op_type, values, (0,), [made], axis=0, block_size=3)
    expected = np.diag((1 / steps if quantizes else steps).ravel())
    np.testing.assert_array_equal(by_adjoint(single, {"i0": data}, "o0")["i0"], expected)


@pytest.mark.parametrize("domain", ["", "com.microsoft."])
def test_dequantize(domain: str) -> None:
    data = numbers(2, 3)
    one = model(f"{domain}DequantizeLinear", [data, scale(0.5), zero(7)], (0,), [F32])
    np.testing.assert_array_equal(by_adjoint(one, {"i0": data}, "o0")["i0"], np.eye(6) / 2)
    values = [data, scale(0.5, 2, 4), zero(7, 0, 9)]
    three = model(f"{domain}DequantizeLinear", values, (0,), [F32], axis=1)
    expected = np.diag([0.5, 2, 4, 0.5, 2, 4])
    np.testing.assert_array_equal(by_adjoint(three, {"i0": data}, "o0")["i0"], expected)


def test_dynamic_quantisation_is_the_identity_but_for_rounding() -> None:
    text = """
        <ir_version: 8, opset_import: ["": 17]>
        g (float[2, 5] x) => (float[2, 5] y) {
            q, s, z = DynamicQuantizeLinear (x)
            y = DequantizeLinear (q, s, z)
        }"""
    x = ROLL.uniform(-3, 3, (2, 5)).astype(F32)
    found = by_adjoint(onnx.parser.parse_model(text), {"x": x}, "y")["x"]
    np.testing.assert_allclose(found, np.eye(10), rtol=1e-6)
    np.testing.assert_array_equal(found != 0, np.eye(10) != 0)


def test_plain_operators_on_stored_numbers() -> None:
    """They are read as they are stored: a zero point of 0 is where the positive part begins."""
    text = """
        <ir_version: 8, opset_import: ["": 17]>
        g (float[4] x) => (float[4] y) <float s = {0.5}, int8 z = {0}> {
            q = QuantizeLinear (x, s, z)
            r = Relu (q)
            y = DequantizeLinear (r, s, z)
        }"""
    x = np.array([-3, -0.1, 0.4, 7], F32)
    found = by_adjoint(onnx.parser.parse_model(text), {"x": x}, "y")["x"]
    np.testing.assert_array_equal(found, np.diag([0, 0, 1, 1]))


def test_a_scale_has_no_gradient() -> None:
    single = model("DynamicQuantizeLinear", [np.ones(3, F32)], (0,), [U8, F32, U8])
    adjoint = split(single, ["o1"], ["i0"])
    assert (adjoint.missing, dict(adjoint.zero)) == ((), {"i0": (3,)})


def test_numbers_whose_range_is_not_known_are_refused() -> None:
    x = np.ones(3, F32)
    single = model("QuantizeLinear", [x, scale(0.5)], (0,), [U8], output_dtype=17)
    single.graph.output[0].type.tensor_type.elem_type = 17  # a float of 8 bits
    (missing,) = split(single, ["o0"], ["i0"]).missing
    assert missing.reason == "the range of the numbers that it makes is not known"


def test_numbers_of_four_bits() -> None:
    x = np.array([-5.0, -2.0, 0.2, 3.2, 9.0], F32)
    single = model("QuantizeLinear", [x, scale(0.5)], (0,), [U8], output_dtype=22)
    single.graph.output[0].type.tensor_type.elem_type = 22
    single.graph.node.append(helper.make_node("DequantizeLinear", ["o0", "i1"], ["y"]))
    single.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", 1, [5]))
    found = by_adjoint(single, {"i0": x}, "y")["i0"]
    np.testing.assert_array_equal(found, np.diag([0, 1, 1, 1, 0]))


# Place by place.


def test_add() -> None:
    a, b = numbers(2, 3), numbers(3)
    values = [a, S, Z, b, T, N, Y, M]
    check("com.microsoft.QLinearAdd", values,
          lambda a, b: stored(stands_for(a) + stands_for(b, T, N)), (0, 3))  # fmt: skip


def test_multiply() -> None:
    a, b = numbers(2, 3), numbers(2, 1)
    output = check(
        "com.microsoft.QLinearMul", [a, S, Z, b, T, N, Y, M],
        lambda a, b: stored(stands_for(a) * stands_for(b, T, N)), (0, 3),
    )  # fmt: skip
    assert output.min() == 0 or output.max() == 255  # saturated ones among them


def test_sigmoid() -> None:
    check("com.microsoft.QLinearSigmoid", [numbers(3, 4), S, Z, scale(1 / 300), zero(3)],
          lambda q: stored(1 / (1 + np.exp(-stands_for(q))), scale(1 / 300), zero(3)))  # fmt: skip


def test_leaky_relu() -> None:
    def twin(q: Array) -> Array:
        x = stands_for(q)
        return stored(np.where(x > 0, x, 0.1 * x))

    q = numbers(3, 4)
    q[q == Z] += 1  # at the kink the two sides differ
    check("com.microsoft.QLinearLeakyRelu", [q, S, Z, Y, M], twin, alpha=0.1)


@pytest.mark.parametrize("opset", [11, 13])
def test_softmax(opset: int) -> None:
    q, s, y, m = numbers(2, 2, 3), scale(0.01), scale(1 / 256), zero(0)

    def twin(q: Array) -> Array:
        power = np.exp(stands_for(q, s))
        over = (1, 2) if opset < 13 else (1,)  # before opset 13 all axes from that one on
        return stored(power / power.sum(over, keepdims=True), y, m)

    check("com.microsoft.QLinearSoftmax", [q, s, Z, y, m], twin, axis=-2, opset=opset)


def test_concat() -> None:
    a, b = numbers(2, 3), numbers(2, 1)
    values = [Y, M, a, S, Z, b, T, N]
    check("com.microsoft.QLinearConcat", values,
          lambda a, b: np.concatenate([stored(stands_for(a)), stored(stands_for(b, T, N))], -1),
          (2, 5), axis=-1)  # fmt: skip


def test_where() -> None:
    chosen = np.array([[True, False, False], [True, True, False]])
    values = [chosen, numbers(2, 3), S, Z, numbers(3), T, N, Y, M]
    check("com.microsoft.QLinearWhere", values,
          lambda a, b: np.where(chosen, stored(stands_for(a)), stored(stands_for(b, T, N))),
          (1, 4))  # fmt: skip
