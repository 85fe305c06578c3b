"""Which weights only ever meet padding, and how many of a model's they are."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import SHARED
from onnx import numpy_helper
from rule_fixtures import Runner, firing, ground_truth, measured, only_finding, text_of
from text_models import facts_of_proto

from scotoma.evidence.taps import dead_share, kernels, live_taps
from scotoma.facts import Facts
from scotoma.findings import Severity
from scotoma.loader import load_model
from scotoma.resolve.window import Window
from scotoma.testing import read_text_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


sizes = st.integers(1, 7)


@settings(max_examples=300, deadline=None)
@given(sizes, sizes, sizes, st.integers(-2, 9), sizes, sizes, st.booleans())
def test_live_taps_are_those_that_meet_a_cell(
    kernel: int, stride: int, dilation: int, pad: int, n: int, m: int, transposed: bool
) -> None:
    window = Window(kernel, stride, dilation, pad, 0, n, m, transposed)
    live = []
    for tap in range(kernel):
        at = tap * dilation - pad
        if transposed:
            live.append(any(0 <= i * stride + at < m for i in range(n)))
        else:
            live.append(any(0 <= o * stride + at < n for o in range(m)))
    assert live_taps(window).tolist() == live


@pytest.mark.parametrize("name", firing("dead-kernel-taps"))
def test_dead_weights_can_be_anything(name: str, tmp_path: Path) -> None:
    proto = read_text_model(text_of("dead-kernel-taps", name))
    facts = facts_of_proto(proto, tmp_path)
    before = Runner(proto)
    image = before.noise()
    for kernel in kernels(facts):
        stored = next(
            t
            for t in proto.graph.initializer
            if t.name in {kernel.operators[0].inputs[1], "packed"}
        )
        old = numpy_helper.to_array(stored).copy()
        for tap in np.ndindex(kernel.alive.shape):
            new = old.copy()
            new[(..., *tap)] = 100
            stored.CopyFrom(numpy_helper.from_array(new, stored.name))
            same = all(
                (a == b).all() for a, b in zip(Runner(proto)(image), before(image), strict=True)
            )
            assert same == (not kernel.alive[tap])
        stored.CopyFrom(numpy_helper.from_array(old, stored.name))


@pytest.mark.parametrize(
    ("name", "share", "weights", "severity"),
    [
        ("dilation_beyond_the_map", Fraction(8, 18), 8, Severity.WARNING),
        ("one_cell", Fraction(8, 9), 32, Severity.WARNING),
        ("transposed", Fraction(24, 25), 24, Severity.WARNING),
        ("a_small_share", Fraction(8, 297), 8, Severity.NOTE),
    ],
)
def test_share_of_dead_weights(
    name: str, share: Fraction, weights: int, severity: Severity
) -> None:
    finding = only_finding("dead-kernel-taps", name)
    assert measured(finding) == {"dead_weight_share": share, "dead_weights": weights}
    assert finding.severity is severity


def test_what_is_left_of_a_kernel_is_said() -> None:
    finding = only_finding("dead-kernel-taps", "dilation_beyond_the_map")
    assert finding.primary.note == "3x3 with dilation 8 on 8x8 cells: only 1x1 of it meets any"


@pytest.mark.parametrize(
    ("file", "size", "share", "first", "left"),
    [
        ("tv_deeplabv3_resnet50", 224, 0.106, "/m/classifier/classifier.0/convs.3/convs.3.0/Conv",
         (1, 1)),
        ("imagenet_resnet18_on_cifar32", 32, 0.622, "/layer4/layer4.0/conv2/Conv", (1, 1)),
    ],
)  # fmt: skip
def test_published_shares(
    file: str, size: int, share: float, first: str, left: tuple[int, ...]
) -> None:
    ground_truth()
    facts = Facts.of(load_model(SHARED / "zoo" / f"{file}.onnx"), size=(size, size))
    every = kernels(facts)
    assert float(dead_share(every)) == pytest.approx(share, abs=5e-4)
    dead = next(kernel for kernel in every if kernel.operators[0].name == first)
    assert dead.left == left
    assert dead.dead_taps == 8


def test_atrous_branch_is_a_pointwise_convolution_at_224() -> None:
    """The whole share of DeepLabV3 is its branch with rate 36, of which one tap is left."""
    ground_truth()
    facts = Facts.of(load_model(SHARED / "zoo/tv_deeplabv3_resnet50.onnx"), size=(224, 224))
    dead = [kernel for kernel in kernels(facts) if kernel.dead_taps]
    assert [kernel.windows[0].dilation for kernel in dead] == [36]
