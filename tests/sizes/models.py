"""Models whose input sizes are compared, and shorter ways to ask."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from networks import SHARED, Network

from scotoma.facts import Facts
from scotoma.loader import load_model
from scotoma.sizes.candidates import Arithmetic, Candidate
from scotoma.sizes.survey import survey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scotoma.sizes.survey import Survey


def by_arithmetic(facts: Facts, sizes: Sequence[tuple[int, ...]]) -> list[Candidate]:
    arithmetic = Arithmetic(facts, list(zip(*sizes, strict=True)))
    return [arithmetic.candidate(size) for size in sizes]


def by_size(found: Survey) -> dict[int, Candidate]:
    return {candidate.size[-1]: candidate for candidate in found.candidates}


@cache
def zoo(name: str, size: tuple[int, ...] | None = (224, 224)) -> Facts:
    path = SHARED / "zoo" / f"{name}.onnx"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return Facts.of(load_model(path), size=size)


@cache
def compared(name: str) -> Survey:
    return survey(zoo(name), limits=[(192, 320)], budget=None)


def conv(net: Network, tensor: str, kernel: int, **attributes: Any) -> str:
    return net.conv(tensor, (kernel, kernel), **attributes)


def classifier() -> Network:
    net = Network(1, 1, 8, 8)
    flat = net.add("Flatten", conv(net, "x", 3, pads=[1] * 4))
    net.add("MatMul", flat, net.constant(np.ones((64, 2))))
    return net


def strided() -> Network:
    net = Network(1, 1, 16, 24)
    conv(net, "x", 3, strides=[2, 2], pads=[1] * 4)
    return net


def joined(*size: int) -> Network:
    """Skip connections that join even sizes only; arithmetic prefers the odd ones."""
    net = Network(1, 1, *size)
    half = conv(net, "x", 3, strides=[2, 2], pads=[1] * 4)
    whole = net.add("ConvTranspose", half, net.constant(np.ones((1, 1, 2, 2))), strides=[2, 2])
    net.add("Add", whole, "x")
    return net


def square() -> Network:
    net = Network(1, 1, 16, 16)
    conv(net, "x", 3, strides=[2, 2], pads=[1] * 4)
    return net
