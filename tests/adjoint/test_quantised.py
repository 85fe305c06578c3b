"""Adjoint rules of quantised operators, against their twins in real numbers.

The twin has no rounding. Rows of its Jacobian whose output onnxruntime saturates are zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from adjoint.jacobians import by_adjoint, central, split
from networks import session
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

ROLL = np.random.default_rng(5)
U8, I8, F32 = np.uint8, np.int8, np.float32


def numbers(*shape: int, dtype: Any = U8) -> Array:
    """Return stored numbers of a quantised tensor."""
    least = 0 if dtype is U8 else -128
    return ROLL.integers(least, least + 256, shape).astype(dtype)


def scale(*values: float) -> Array:
    return np.array(values if len(values) > 1 else values[0], F32)


def zero(*values: int, dtype: Any = U8) -> Array:
    return np.array(values if len(values) > 1 else values[0], dtype)


def model(
    op_type: str,
    inputs: Sequence[Array | None],
    variable: Sequence[int],
    made: Sequence[Any],
    **attributes: Any,
) -> onnx.ModelProto:
    """Return a model of one operator whose tensors have types of their own."""
    domain, _, op_type = op_type.rpartition(".")
    names = ["" if value is None else f"i{slot}" for slot, value in enumerate(inputs)]
    outputs = [f"o{slot}" for slot in range(len(made))]
    declare, number = helper.make_tensor_value_info, helper.np_dtype_to_tensor_dtype
    pairs = [(slot, value) for slot, value in enumerate(inputs) if value is not None]
    graph = helper.make_graph(
        [helper.make_node(op_type, names, outputs, name="node", domain=domain, **attributes)],
        "single",
        [declare(f"i{s}", number(v.dtype), v.shape) for s, v in pairs if s in variable],
        [
            declare(name, number(np.dtype(kind)), None)
            for name, kind in zip(outputs, made, strict=True)
        ],
        [numpy_helper.from_array(v, f"i{s}") for s, v in pairs if s not in variable],
    )
    imports = [helper.make_opsetid("", 21), helper.make_opsetid(domain, 1)]
    return helper.make_model(graph, opset_imports=imports[: 2 if domain else 1], ir_version=10)


def check(
    op_type: str,
    inputs: Sequence[Array | None],
    twin: Callable[..., Array],
    variable: Sequence[int] = (0,),
    made: Any = U8,
    **attributes: Any,
) -> Array:
    """Compare the adjoint with differences of a twin of the variable inputs; return the output."""
    single = model(op_type, inputs, variable, [made], **attributes)
    feed = {f"i{slot}": inputs[slot] for slot in variable}
    found = by_adjoint(single, feed, "o0")  # type: ignore[arg-type]  # they are no None
    output: Array = session(single).run(None, feed)[0]
    expected = central(lambda fed: twin(*fed.values()), _real(feed))
    inside = np.ones(output.size, bool)
    if np.dtype(made).kind in "iu" and np.dtype(made).itemsize == 1:
        limits = np.iinfo(made)
        inside = ((output > limits.min) & (output < limits.max)).ravel()
        # The twin is the operator but for the rounding.
        real = np.clip(np.asarray(twin(*_real(feed).values())), limits.min, limits.max)
        assert np.abs(real.ravel() - output.ravel()).max() <= 1.5
    for name, jacobian in expected.items():
        wanted = jacobian * inside[:, None]
        wanted[np.abs(wanted) < 1e-7] = 0  # rounding of the differences
        np.testing.assert_array_equal(found[name] != 0, wanted != 0, err_msg=name)
        np.testing.assert_allclose(found[name], wanted, rtol=2e-4, atol=1e-6, err_msg=name)
    return output


def _real(feed: Any) -> dict[str, Array]:
    return {name: value.astype(np.float64) for name, value in feed.items()}


def reference(op_type: str, *inputs: Array, **attributes: Any) -> Array:
    """Run the operator in real numbers."""
    names = [f"i{slot}" for slot in range(len(inputs))]
    node = helper.make_node(op_type, names, ["o"], **attributes)
    declared = [
        helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, None) for name in names
    ]
    graph = helper.make_graph(
        [node], "g", declared, [helper.make_tensor_value_info("o", onnx.TensorProto.DOUBLE, None)]
    )
    run = ReferenceEvaluator(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]))
    feed = dict(zip(names, [np.asarray(value, np.float64) for value in inputs], strict=True))
    made: Any = run.run(None, feed)
    return np.asarray(made[0])


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

S, Z, T, N, Y, M = scale(0.05), zero(120), scale(0.03), zero(90), scale(0.06), zero(101)


def stands_for(q: Array, s: Array = S, z: Array = Z) -> Array:
    return (q - z.astype(np.float64)) * s


def stored(value: Array, s: Array = Y, z: Array = M) -> Array:
    found: Array = value / s.astype(np.float64) + z.astype(np.float64)
    return found


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


# Windows and products.


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("domain", ["", "com.microsoft."])
def test_conv(group: int, domain: str) -> None:
    x, w = numbers(1, 2, 5, 4), numbers(4, 2 // group, 3, 2, dtype=I8)
    each = ROLL.uniform(0.001, 0.01, 4).astype(F32)
    y, bias = scale(0.02), ROLL.integers(-99, 99, 4).astype(np.int32)
    windows: dict[str, Any] = {"strides": [2, 1], "pads": [1, 0, 1, 1], "group": group}
    last: dict[str, Any] = {"channels_last": 1} if domain else {}

    def twin(q: Array) -> Array:
        q = q.transpose(0, 3, 1, 2) if last else q
        real = reference(
            "Conv", stands_for(q), w * each.reshape(-1, 1, 1, 1), bias * S * each, **windows
        )
        real = stored(real, y)
        return real.transpose(0, 2, 3, 1) if last else real

    x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if last else x
    values = [x, S, Z, w, each, np.zeros(4, I8), y, M, bias]
    output = check(f"{domain}QLinearConv", values, twin, **windows, **last)
    assert (output == 0).any() or (output == 255).any()


def test_conv_of_integers() -> None:
    x, w = numbers(1, 2, 4, 4), numbers(3, 2, 2, 2)
    check("ConvInteger", [x, w, Z, zero(99)],
          lambda q: reference("Conv", q - 120, w - 99.0, strides=[1, 2]), made=np.int32,
          strides=[1, 2])  # fmt: skip
    check("ConvInteger", [x, w], lambda q: reference("Conv", q, w), made=np.int32)


def test_matmul_of_integers() -> None:
    a, b = numbers(2, 3, 4), numbers(4, 2)
    check("MatMulInteger", [a, b, Z, zero(9, 200)],
          lambda a, b: (a - 120) @ (b - [9.0, 200.0]), (0, 1), made=np.int32)  # fmt: skip
    check("MatMulInteger", [a, b], lambda a, b: a @ b, (0, 1), made=np.int32)


@pytest.mark.parametrize("per_column", [False, True])
def test_matmul(per_column: bool) -> None:
    a, b = numbers(3, 4), numbers(4, 2)
    t, n = (scale(0.03, 0.01), zero(90, 30)) if per_column else (T, N)
    check("QLinearMatMul", [a, S, Z, b, t, n, scale(0.2), M],
          lambda a, b: stored(stands_for(a) @ stands_for(b, t, n), scale(0.2)), (0, 3))  # fmt: skip


def test_matmul_to_real_numbers() -> None:
    a, b = numbers(2, 3, 4), numbers(4, 2)
    t, n = scale(0.03, 0.01), zero(90, 30)
    check("com.microsoft.MatMulIntegerToFloat", [a, b, S, t, Z, n, np.ones(2, F32)],
          lambda a, b: stands_for(a) @ stands_for(b, t, n), (0, 1), made=F32)  # fmt: skip
    a = ROLL.standard_normal((3, 4)).astype(F32)
    check("com.microsoft.DynamicQuantizeMatMul", [a, b, t, n],
          lambda a: a @ stands_for(b, t, n), made=F32)  # fmt: skip


@pytest.mark.parametrize("turned", [0, 1])
@pytest.mark.parametrize("quantises", [True, False])
def test_gemm(turned: int, quantises: bool) -> None:
    a, b = numbers(2, 3), numbers(4, 3) if turned else numbers(3, 4)
    t, n = scale(0.03, 0.01, 0.02, 0.04), zero(90, 30, 100, 200)
    y = scale(0.1)

    def twin(a: Array) -> Array:
        real = (
            stands_for(b, t.reshape(-1, 1), n.reshape(-1, 1)).T if turned else stands_for(b, t, n)
        )
        made = 0.5 * stands_for(a) @ real
        return stored(made, y) if quantises else made

    values = [a, S, Z, b, t, n, None, *([y, M] if quantises else [])]
    check("com.microsoft.QGemm", values, twin, made=U8 if quantises else F32, alpha=0.5,
          transA=0, transB=turned)  # fmt: skip


def averages(x: Array, padded: bool) -> Array:
    wide = np.pad(x, ((0, 0), (0, 0), (1, 0), (0, 0)))
    ones = np.pad(np.ones_like(x), ((0, 0), (0, 0), (1, 0), (0, 0)), constant_values=float(padded))
    sums, counts = (
        np.lib.stride_tricks.sliding_window_view(each, (3, 2), (2, 3))[:, :, ::2].sum((-2, -1))
        for each in (wide, ones)
    )
    found: Array = sums / counts
    return found


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("padded", [0, 1])
def test_average_pool(last: int, padded: int) -> None:
    def twin(q: Array) -> Array:
        x = stands_for(q.transpose(0, 3, 1, 2) if last else q)
        found = stored(averages(x, padded == 1))
        return found.transpose(0, 2, 3, 1) if last else found

    q = numbers(1, 4, 3, 2) if last else numbers(1, 2, 4, 3)
    check(
        "com.microsoft.QLinearAveragePool", [q, S, Z, Y, M], twin, kernel_shape=[3, 2],
        strides=[2, 1], pads=[1, 0, 0, 0], count_include_pad=padded, channels_last=last,
    )  # fmt: skip


@pytest.mark.parametrize("last", [0, 1])
def test_global_average_pool(last: int) -> None:
    over = (1, 2) if last else (2, 3)
    check(
        "com.microsoft.QLinearGlobalAveragePool", [numbers(2, 3, 4, 2), S, Z, Y, M],
        lambda q: stored(stands_for(q).mean(over, keepdims=True)), channels_last=last,
    )  # fmt: skip


def test_max_pool_with_channels_last() -> None:
    q = ROLL.permutation(2 * 5 * 4).reshape(1, 5, 4, 2).astype(U8) + U8(20)

    def twin(q: Array) -> Array:
        wide = np.pad(q, ((0, 0), (1, 0), (0, 0), (0, 0)), constant_values=-1)
        view = np.lib.stride_tricks.sliding_window_view(wide, (3, 2), (1, 2))
        found: Array = view[:, ::2].max((-2, -1))
        return found

    check("com.microsoft.NhwcMaxPool", [q], twin, kernel_shape=[3, 2], strides=[2, 1],
          pads=[1, 0, 0, 0])  # fmt: skip
