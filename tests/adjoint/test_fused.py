"""Adjoint rules of normalisations with varying parameters, of fused operators and of attention."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from adjoint.jacobians import Single, assert_equal, by_adjoint, split

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]

ROLL = np.random.default_rng(17)


def normal(*shape: int) -> Array:
    return ROLL.standard_normal(shape)


def check(model: Single, function: Callable[..., Array] | None = None) -> None:
    assert_equal(model.by_adjoint(), model.by_differences(function))


def along(values: Array, rank: int) -> Array:
    return values.reshape(-1, *[1] * (rank - 2))


def normalise(x: Array, scale: Array, bias: Array, mean: Array, variance: Array) -> Array:
    scale, bias, mean, variance = (along(each, x.ndim) for each in (scale, bias, mean, variance))
    result: Array = (x - mean) / np.sqrt(variance + 1e-5) * scale + bias
    return result


@pytest.mark.parametrize("shape", [(2, 3, 2), (1, 3, 2, 2), (4, 3)])
def test_batch_statistics_that_are_no_constants(shape: tuple[int, ...]) -> None:
    values = [normal(*shape), normal(3), normal(3), normal(3), np.abs(normal(3)) + 0.1]
    check(Single("BatchNormalization", values, range(5)), normalise)


@pytest.mark.parametrize(("opset", "outputs"), [(9, 5), (15, 3)])
def test_batch_normalisation_in_training(opset: int, outputs: int) -> None:
    def function(x: Array, scale: Array, bias: Array) -> Array:
        return normalise(x, scale, bias, x.mean((0, 2)), x.var((0, 2)))

    values = [normal(2, 3, 4), normal(3), normal(3), normal(3), np.abs(normal(3))]
    training = {"training_mode": 1} if opset > 13 else {}
    model = Single(
        "BatchNormalization", values, (0, 1, 2), opset=opset, outputs=outputs, **training
    )
    check(model, function)


@pytest.mark.parametrize(
    ("op_type", "opset"), [("RMSNormalization", 23), ("SimplifiedLayerNormalization", 20)]
)
@pytest.mark.parametrize("axis", [-1, 1])
def test_root_mean_square(op_type: str, opset: int, axis: int) -> None:
    def function(x: Array, scale: Array) -> Array:
        over = tuple(range(axis % 3, 3))
        result: Array = x / np.sqrt((x * x).mean(over, keepdims=True) + 1e-3) * scale
        return result

    values = [normal(2, 3, 4), normal(*(2, 3, 4)[axis:])]
    check(Single(op_type, values, (0, 1), opset=opset, axis=axis, epsilon=1e-3), function)


ACTIVATIONS: dict[str, tuple[list[float], Callable[[Array], Array]]] = {
    "": ([], lambda x: x),
    "Relu": ([], lambda x: np.maximum(x, 0)),
    "LeakyRelu": ([0.2], lambda x: np.where(x > 0, x, 0.2 * x)),
    "Sigmoid": ([], lambda x: 1 / (1 + np.exp(-x))),
    "Tanh": ([], np.tanh),
    "Clip": ([-0.7, 0.9], lambda x: np.clip(x, -0.7, 0.9)),
    "HardSigmoid": ([0.3, 0.4], lambda x: np.clip(0.3 * x + 0.4, 0, 1)),
}


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_fused_convolution(kind: str) -> None:
    numbers, activation = ACTIVATIONS[kind]
    values = [normal(1, 2, 6), normal(3, 2, 2), normal(3), normal(1, 3, 3)]

    def function(x: Array, weight: Array, bias: Array, summand: Array) -> Array:
        windows = np.lib.stride_tricks.sliding_window_view(x[0], 2, 1)[:, ::2]
        result = np.einsum("ock,cpk->op", weight, windows) + bias[:, None]
        return activation(result[None] + summand)

    chosen: dict[str, Any] = {"activation": kind} if kind else {}
    if numbers:
        chosen["activation_params"] = numbers
    check(Single("com.microsoft.FusedConv", values, range(4), strides=[2], **chosen), function)


@pytest.mark.parametrize("kind", ["Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid"])
def test_fused_gemm(kind: str) -> None:
    numbers, activation = ACTIVATIONS[kind]
    chosen: dict[str, Any] = {
        f"activation_{name}": number
        for name, number in zip(("alpha", "beta"), numbers, strict=False)
    }

    def function(a: Array, b: Array, c: Array) -> Array:
        return activation(0.5 * a.T @ b + 2 * c)

    values = [normal(3, 2), normal(3, 4), normal(4)]
    model = Single("com.microsoft.FusedGemm", values, (0, 1, 2), activation=kind, transA=1,
                   alpha=0.5, beta=2.0, **chosen)  # fmt: skip
    check(model, function)


@pytest.mark.parametrize("op_type", ["FusedConv", "FusedGemm"])
def test_an_unknown_activation_is_named(op_type: str) -> None:
    values = [normal(1, 1, 3), normal(1, 1, 1)] if op_type == "FusedConv" else [normal(2, 2)] * 3
    model = Single(f"com.microsoft.{op_type}", values, activation="Swoosh").model()
    (missing,) = split(model, ["o0"], ["i0"]).missing
    assert missing.reason == "its activation 'Swoosh' has no rule"


@pytest.mark.parametrize("turned", [0, 1])
@pytest.mark.parametrize("batch", [0, 1])
def test_fused_product(turned: int, batch: int) -> None:
    def function(a: Array, b: Array) -> Array:
        a = a.transpose(1, 0, 2) if batch else a
        result: Array = 0.5 * a @ (b.transpose(0, 2, 1) if turned else b)
        return result

    a = normal(2, 3, 4) if batch else normal(3, 2, 4)
    b = normal(3, 5, 4) if turned else normal(3, 4, 5)
    model = Single("com.microsoft.FusedMatMul", [a, b], (0, 1), alpha=0.5, transB=turned,
                   transBatchA=batch)  # fmt: skip
    check(model, function)


def gelu(x: Array) -> Array:
    result: Array = x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    return result


def fast_gelu(x: Array) -> Array:
    result: Array = x * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return result


def test_gelu_of_a_sum() -> None:
    values = [normal(2, 3), normal(3)]
    check(Single("com.microsoft.BiasGelu", values, (0, 1)), lambda x, b: gelu(x + b))
    check(Single("com.microsoft.FastGelu", values, (0, 1)), lambda x, b: fast_gelu(x + b))
    check(Single("com.microsoft.FastGelu", values[:1]), fast_gelu)


def skipped(x: Array, skip: Array, scale: Array, shift: Array, bias: Array) -> tuple[Array, Array]:
    total = x + skip + bias
    centred = total - total.mean(-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-3)
    return centred / deviation * scale + shift, total


def skipped_simply(x: Array, skip: Array, scale: Array, bias: Array) -> tuple[Array, Array]:
    total = x + skip + bias
    return total / np.sqrt((total**2).mean(-1, keepdims=True) + 1e-3) * scale, total


@pytest.mark.parametrize("output", [0, 3])
@pytest.mark.parametrize("simplified", [False, True])
def test_normalisation_of_a_sum(simplified: bool, output: int) -> None:
    op_type = "SkipSimplifiedLayerNormalization" if simplified else "SkipLayerNormalization"
    values = [normal(2, 2, 3), normal(2, 2, 3), *(normal(3) for _ in range(2 if simplified else 3))]
    model = Single(f"com.microsoft.{op_type}", values, range(len(values)), outputs=4, epsilon=1e-3)
    function = skipped_simply if simplified else skipped
    model.node.output[1:3] = ["", ""]  # two statistics that it does not work out
    feed = {name: value.astype(np.float32) for name, value in model.values.items()}
    found = by_adjoint(model.model(), feed, f"o{output}")
    assert_equal(found, model.by_differences(lambda *fed: function(*fed)[output // 3]))


# Attention.


def softmax(scores: Array) -> Array:
    power = np.exp(scores - scores.max(-1, keepdims=True))
    result: Array = power / power.sum(-1, keepdims=True)
    return result


def heads(x: Array, count: int) -> Array:
    return x.reshape(*x.shape[:2], count, -1).transpose(0, 2, 1, 3)


def attend(query: Array, key: Array, value: Array, bias: Array | float = 0.0) -> Array:
    """Attend with two heads; (samples, places, features)."""
    q, k, v = (heads(each, 2) for each in (query, key, value))
    weights = softmax(q @ k.transpose(0, 1, 3, 2) / math.sqrt(q.shape[-1]) + bias)
    return (weights @ v).transpose(0, 2, 1, 3).reshape(*query.shape[:2], -1)


STANDARD: dict[str, tuple[list[Array | None], dict[str, Any]]] = {
    "four axes": ([normal(1, 2, 3, 4), normal(1, 2, 5, 4), normal(1, 2, 5, 3)], {}),
    "three axes": (
        [normal(2, 3, 8), normal(2, 4, 8), normal(2, 4, 6)],
        {"q_num_heads": 2, "kv_num_heads": 2},
    ),
    "shared heads": (
        [normal(1, 3, 8), normal(1, 4, 4), normal(1, 4, 4)],
        {"q_num_heads": 4, "kv_num_heads": 2},
    ),
    "causal": ([normal(1, 1, 4, 2), normal(1, 1, 4, 2), normal(1, 1, 4, 2)], {"is_causal": 1}),
    "scaled": (
        [normal(1, 1, 3, 2), normal(1, 1, 3, 2), normal(1, 1, 3, 2)],
        {"scale": 0.3, "softcap": 1.5},
    ),
    "biased": ([normal(1, 2, 3, 4), normal(1, 2, 5, 4), normal(1, 2, 5, 4), normal(3, 5)], {}),
}


@pytest.mark.parametrize("case", STANDARD)
def test_standard_attention(case: str) -> None:
    values, attributes = STANDARD[case]
    model = Single("Attention", values, range(len(values)), opset=23, **attributes)
    check(model)


def test_standard_attention_with_a_mask() -> None:
    mask = np.array([[True, False, True], [True, True, False]])
    values = [normal(1, 2, 2, 4), normal(1, 2, 3, 4), normal(1, 2, 3, 4), mask]
    check(Single("Attention", values, (0, 1, 2), opset=23))


@pytest.mark.parametrize("biased", [False, True])
def test_attention_of_several_heads(biased: bool) -> None:
    values: list[Array | None] = [normal(1, 3, 4), normal(1, 5, 4), normal(1, 5, 6)]
    variable = [0, 1, 2]
    if biased:
        values += [normal(14), None, normal(1, 2, 3, 5)]
        variable += [3, 5]

    def function(query: Array, key: Array, value: Array, *rest: Array) -> Array:
        if not rest:
            return attend(query, key, value)
        q, k, v = np.split(rest[0], [4, 8])
        return attend(query + q, key + k, value + v, rest[1])

    model = Single("com.microsoft.MultiHeadAttention", values, variable, num_heads=2)
    found, expected = model.by_adjoint(), model.by_differences(function)
    if biased:
        # What is added to all keys does not change their order: zero, but for the rounding.
        np.testing.assert_allclose(found.pop("i3"), expected.pop("i3"), atol=1e-6)
    assert_equal(found, expected)


@pytest.mark.parametrize("sizes", [None, [4, 4, 6]])
def test_fused_attention(sizes: list[int] | None) -> None:
    weight = normal(3, sum(sizes) if sizes else 12)
    bias, ends = normal(weight.shape[1]), [4, 8]

    def function(x: Array) -> Array:
        return attend(*np.split(x @ weight + bias, ends, -1))

    chosen: dict[str, Any] = {"qkv_hidden_sizes": sizes} if sizes else {}
    model = Single(
        "com.microsoft.Attention", [normal(1, 5, 3), weight, bias], num_heads=2, **chosen
    )
    check(model, function)


REFUSED: dict[str, tuple[dict[int, Array], dict[str, Any]]] = {
    "it has an input mask_index": ({3: np.array([3], np.int32)}, {}),
    "it looks back only, or turns its features": ({}, {"unidirectional": 1}),
    "the number of its heads is not known": ({}, {"num_heads": 0}),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_fused_attention_does_not_know_is_named(reason: str) -> None:
    given, attributes = REFUSED[reason]
    values = [normal(1, 3, 3), normal(3, 6), normal(6), *given.values()]
    model = Single("com.microsoft.Attention", values, **{"num_heads": 1, **attributes})
    (missing,) = split(model.model(), ["o0"], ["i0"]).missing
    assert missing.reason == reason
