"""Windows that lie wholly in padding: how many, and what comes out of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from rule_fixtures import measured, only_finding, run, text_of

from scotoma.evidence.borders import padding_only, taps_within
from scotoma.findings import Severity
from scotoma.resolve.window import Window
from scotoma.resolve.windows import Slide, conv_window

if TYPE_CHECKING:
    pass


def test_padding_only_outputs_do_not_depend_on_the_image() -> None:
    random = np.random.default_rng(2)
    for name, shape in (("pointwise", (1, 2, 8, 8)), ("dilated_convolution", (1, 1, 3, 8))):
        text = text_of("padding-only-window", name)
        first, second = (
            run(text, {"x": random.standard_normal(shape).astype(np.float32)}) for _ in range(2)
        )
        finding = only_finding("padding-only-window", name)
        same = int((first == second).all(axis=(0, 1)).sum())
        assert measured(finding)["padding_only_windows"] == same
        assert finding.severity is Severity.WARNING
        assert finding.message.endswith("they come out as the bias for every image")


@pytest.mark.parametrize(
    ("name", "kind", "out", "severity"),
    [
        ("dilated_max", np.float32, np.finfo(np.float32).min, Severity.ERROR),
        ("dilated_max_of_integers", np.int8, -128, Severity.WARNING),
        ("dilated_average", np.float32, 0, Severity.WARNING),
    ],
)
def test_a_pool_of_nothing(name: str, kind: Any, out: float, severity: Severity) -> None:
    made = run(text_of("padding-only-window", name), {"x": np.ones((1, 1, 2, 2), kind)})
    assert made.ravel().tolist() == [out]
    assert only_finding("padding-only-window", name).severity is severity


def test_padding_only_message() -> None:
    assert only_finding("padding-only-window", "dilated_max").message == (
        "1 of its 1 windows hold padding only; onnxruntime makes -3.4e38 of nothing and PyTorch "
        "-inf"
    )


def test_windows_are_counted_tap_by_tap() -> None:
    """Every window of every small layer, against its definition."""
    seen = 0
    for size in range(1, 6):
        for kernel in range(1, 4):
            for stride in range(1, 3):
                for dilation in range(1, 5):
                    for pad in range(5):
                        slide = Slide(kernel, stride, dilation, (pad, pad + 1))
                        if size + 2 * pad + 1 < slide.extent:
                            continue
                        window = conv_window(size, slide)
                        taps = [
                            sum(0 <= o * stride - pad + t * dilation < size for t in range(kernel))
                            for o in range(window.size_out)
                        ]
                        counted = taps_within(window, 0, size)
                        assert counted is not None
                        assert counted.tolist() == taps
                        assert padding_only((window,)) == (taps.count(0), len(taps))
                        seen += 0 in taps
    assert seen > 50


def test_endless_windows_are_left_alone() -> None:
    endless = Window(1, 1, 1, 0, 0, 2**40, 2**40)
    assert taps_within(endless, 0, 2**40) is None
    assert padding_only((endless,)) is None
