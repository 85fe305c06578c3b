"""Adjoint rules of functions place by place, reductions, products and normalisations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from adjoint.jacobians import Single, assert_equal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Case = tuple[str, list[Array], tuple[int, ...], dict[str, Any]]

ROLL = np.random.default_rng(7)


def normal(*shape: int) -> Array:
    return ROLL.standard_normal(shape)


def above(least: float, *shape: int) -> Array:
    return np.abs(normal(*shape)) + least


def single(op_type: str, value: Array | None = None, **attributes: Any) -> Case:
    return op_type, [normal(2, 3, 2) if value is None else value], (0,), attributes


def several(op_type: str, *values: Array, **attributes: Any) -> Case:
    return op_type, list(values), tuple(range(len(values))), attributes


def first(op_type: str, *values: Array, **attributes: Any) -> Case:
    return op_type, list(values), (0,), attributes


PLAIN = [
    "Abs", "Atan", "Asinh", "Celu", "Cos", "Cosh", "Elu", "Exp", "Flatten", "HardSigmoid",
    "HardSwish", "Identity", "LeakyRelu", "LogSoftmax", "Mish", "Neg", "Reciprocal", "Relu", "Selu",
    "Shrink", "Sigmoid", "Sin", "Sinh", "Softmax", "Softplus", "Softsign", "Tan", "Tanh",
    "ThresholdedRelu", "Transpose",
]  # fmt: skip
CASES: list[Case] = [
    *map(single, PLAIN),
    single("LeakyRelu", alpha=-0.2),
    single("HardSigmoid", alpha=0.5, beta=0.4),
    single("HardSwish", 4 * normal(12)),
    single("Elu", alpha=0.7),
    single("Selu", alpha=1.1, gamma=0.8),
    single("Celu", alpha=0.6),
    single("Shrink", lambd=0.3, bias=0.2),
    single("ThresholdedRelu", alpha=0.3),
    single("Gelu", approximate="tanh"),
    single("Softmax", axis=0),
    single("LogSoftmax", axis=1),
    single("Transpose", perm=[1, 2, 0]),
    single("Log", above(0.1, 5)),
    single("Sqrt", above(0.1, 5)),
    single("Acosh", above(1.1, 5)),
    *(single(op_type, ROLL.uniform(-0.9, 0.9, 5)) for op_type in ("Asin", "Acos", "Atanh")),
    several("PRelu", normal(2, 3, 2), normal(3, 1)),
    first("Clip", normal(12), np.array(-0.4), np.array(0.5)),
    first("Clip", 5 * normal(12), np.array(0.0), np.array(6.0)),
    first("Clip", normal(12), np.array(0.0), np.array(np.finfo(np.float32).max)),
    *(
        several(op_type, normal(2, 1, 3), above(0.2, 4, 1))
        for op_type in ("Add", "Sub", "Mul", "Div", "Max", "Min")
    ),
    *(several(op_type, normal(2, 3), normal(3), normal(2, 1)) for op_type in ("Sum", "Mean")),
    *(several(op_type, normal(2, 3), normal(3), normal(2, 1)) for op_type in ("Max", "Min")),
    first("Max", normal(2, 2, 3), np.array(0.1)),
    first("Min", normal(2, 2, 3), np.array(0.1)),
    several("Pow", above(0.2, 2, 3), normal(3)),
    *(first("Pow", normal(2, 3), np.array(power)) for power in (2.0, 3.0, -1.0, 1.0)),
    first("Pow", above(0.1, 2, 3), np.array(0.5)),
    first("Mod", 3 * normal(6), np.array(0.7), fmod=1),
    ("Where", [np.array([[True, False, True]]), normal(3), normal(2, 1)], (1, 2), {}),
    first("BatchNormalization", normal(2, 3, 2), normal(3), normal(3), normal(3), above(0.1, 3)),
    first("LayerNormalization", normal(2, 3, 4), normal(4), normal(4)),
    several("LayerNormalization", normal(2, 3, 4), normal(3, 4), normal(3, 4), axis=1),
    single("GlobalAveragePool", normal(2, 2, 3, 2)),
    single("GlobalMaxPool", normal(2, 2, 3, 2)),
]
REDUCTIONS = [
    "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare",
    "ReduceL1", "ReduceL2", "ReduceLogSumExp",
]  # fmt: skip
MATRICES = [
    ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,)), ((3,), (3,)),
    ((2, 1, 2, 3), (4, 3, 2)), ((2, 3), (5, 3, 2)), ((3,), (2, 3, 4)), ((2, 4, 3), (3,)),
]  # fmt: skip


def name(case: object) -> str | None:
    return case if isinstance(case, str) else None


@pytest.mark.parametrize(("op_type", "values", "variable", "attributes"), CASES, ids=name)
def test_equals_differences(
    op_type: str, values: list[Array], variable: tuple[int, ...], attributes: dict[str, Any]
) -> None:
    model = Single(op_type, values, variable, **attributes)
    assert_equal(model.by_adjoint(), model.by_differences())


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("op_type", [*REDUCTIONS, "ReduceLogSum"])
def test_reductions(op_type: str, keepdims: int) -> None:
    values = [above(0.1, 2, 3, 2), np.array([0, -1])]
    model = Single(op_type, values, keepdims=keepdims)
    assert_equal(model.by_adjoint(), model.by_differences())
    whole = Single(op_type, values[:1], keepdims=keepdims)
    assert_equal(whole.by_adjoint(), whole.by_differences())


@pytest.mark.parametrize("op_type", REDUCTIONS)
def test_reductions_before_opset_13(op_type: str) -> None:
    model = Single(op_type, [normal(2, 3, 2)], opset=11, axes=[1])
    assert_equal(model.by_adjoint(), model.by_differences())


def test_reduction_over_no_axes_is_the_identity() -> None:
    model = Single("ReduceSum", [normal(2, 3)], noop_with_empty_axes=1, opset=13)
    np.testing.assert_array_equal(model.by_adjoint()["i0"], np.eye(6))


@pytest.mark.parametrize("zeros", [1, 2])
def test_product_with_zeros(zeros: int) -> None:
    value = above(0.5, 4)
    value[:zeros] = 0
    model = Single("ReduceProd", [value])
    expected = [[np.prod(np.delete(value, index)) for index in range(4)]]
    np.testing.assert_allclose(model.by_adjoint()["i0"], expected, rtol=1e-6)


@pytest.mark.parametrize("first_turned", [0, 1])
@pytest.mark.parametrize("second_turned", [0, 1])
def test_gemm(first_turned: int, second_turned: int) -> None:
    a = normal(3, 2) if first_turned else normal(2, 3)
    b = normal(4, 3) if second_turned else normal(3, 4)
    model = Single(
        "Gemm", [a, b, normal(4)], (0, 1, 2),
        alpha=0.5, beta=2.0, transA=first_turned, transB=second_turned,
    )  # fmt: skip
    assert_equal(model.by_adjoint(), model.by_differences())


@pytest.mark.parametrize(("first_shape", "second_shape"), MATRICES)
def test_matmul(first_shape: Sequence[int], second_shape: Sequence[int]) -> None:
    model = Single("MatMul", [normal(*first_shape), normal(*second_shape)], (0, 1))
    assert_equal(model.by_adjoint(), model.by_differences())


def normal_distribution(x: Array) -> Array:
    return np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x.ravel()]).reshape(x.shape)


@pytest.mark.parametrize("op_type", ["Gelu", "com.microsoft.Gelu"])
def test_gelu(op_type: str) -> None:
    model = Single(op_type, [2 * normal(12)])
    assert_equal(model.by_adjoint(), model.by_differences(lambda x: x * normal_distribution(x)))


def test_erf() -> None:
    model = Single("Erf", [normal(12)])
    expected = model.by_differences(lambda x: 2 * normal_distribution(x * math.sqrt(2)) - 1)
    assert_equal(model.by_adjoint(), expected)


def test_quick_gelu() -> None:
    model = Single("com.microsoft.QuickGelu", [2 * normal(12)], alpha=1.3)
    expected = model.by_differences(lambda x: x / (1 + np.exp(-1.3 * x)))
    assert_equal(model.by_adjoint(), expected)


def test_softmax_before_opset_13_is_taken_over_all_later_axes() -> None:
    model = Single("Softmax", [normal(2, 3, 2)], opset=11, axis=1)

    def softmax(x: Array) -> Array:
        powers = np.exp(x)
        shares: Array = powers / powers.sum((1, 2), keepdims=True)
        return shares

    assert_equal(model.by_adjoint(), model.by_differences(softmax))


def test_clip_with_bounds_as_attributes() -> None:
    model = Single("Clip", [normal(12)], opset=6, min=-0.4, max=0.5)
    assert_equal(model.by_adjoint(), model.by_differences(lambda x: np.clip(x, -0.4, 0.5)))


def test_gradient_at_a_kink_is_that_of_the_flat_side() -> None:
    for op_type in ("Relu", "Clip"):
        bounds = [np.array(0.0), np.array(6.0)] if op_type == "Clip" else []
        model = Single(op_type, [np.array([-1.0, 0.0, 1e-30, 6.0]), *bounds])
        expected = [0.0, 0.0, 1.0, 0.0 if op_type == "Clip" else 1.0]
        np.testing.assert_array_equal(model.by_adjoint()["i0"], np.diag(expected))


@pytest.mark.parametrize(("op_type", "power"), [("Sqrt", None), ("Pow", 0.5)])
def test_infinite_slope_counts_as_zero(op_type: str, power: float | None) -> None:
    values = [np.array([0.0, 4.0])] + ([] if power is None else [np.array(power)])
    np.testing.assert_allclose(Single(op_type, values).by_adjoint()["i0"], np.diag([0, 0.25]))


def test_equal_operands_share_the_gradient() -> None:
    model = Single("Max", [np.array([1.0, 2.0]), np.array([1.0, 1.0])], (0, 1))
    found = model.by_adjoint()
    np.testing.assert_array_equal(found["i0"], np.diag([0.5, 1.0]))
    np.testing.assert_array_equal(found["i1"], np.diag([0.5, 0.0]))


def test_a_tensor_that_is_read_twice() -> None:
    x = normal(5)
    model = Single("Mul", [x, x], (0, 1))
    model.node.input[1] = "i0"
    del model.values["i1"]
    np.testing.assert_allclose(model.by_adjoint()["i0"], np.diag(2 * x), rtol=1e-6)


DOUBLE = [
    "Relu", "Sigmoid", "Tanh", "Exp", "Abs", "Softmax", "ReduceMean", "Neg",
]  # fmt: skip


@pytest.mark.parametrize("op_type", DOUBLE)
def test_float64_stays_float64(op_type: str) -> None:
    model = Single(op_type, [normal(2, 3)])
    found = model.by_adjoint(np.float64)
    assert found["i0"].dtype == np.float64
    assert_equal(found, model.by_differences(), 1e-8)


def test_half_precision_has_gradients_in_single() -> None:
    model = Single("Mul", [np.array([1.0, 2.0]), np.array([3.0, 0.1])])
    found = model.by_adjoint(np.float16)["i0"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.diag([3.0, np.float16(0.1)]).astype(np.float32))
