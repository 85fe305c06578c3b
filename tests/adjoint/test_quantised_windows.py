"""Adjoint rules of quantised convolutions, products and pools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
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
    numbers,
    reference,
    scale,
    stands_for,
    stored,
    zero,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


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
