"""What old versions divide by at an overhang, told from padding that counts."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from audit.claims import Examine, checked, claim

from scotoma.audit.checks import ceil_mode
from scotoma.audit.errors import NotMeasuredError
from scotoma.findings import (
    CONFIRMED,
    CONTRADICTED,
    Confidence,
    Finding,
    Location,
    Severity,
)
from scotoma.measure.alone import Alone


def ceil_pool(size: int, made: int, pad: int = 0) -> str:
    return f"""model (float[1, 1, {size}, {size}] x) => (float[1, 1, {made}, {made}] y)
    {{ [op] y = AveragePool <kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1,
                             count_include_pad = 1, pads = [{pad}, {pad}, {pad}, {pad}]> (x) }}"""


def divided_by_the_full_kernel(values: np.ndarray, made: int, pad: int) -> np.ndarray:
    for axis in (2, 3):
        wide = np.pad(values, [(pad, 3) if a == axis else (0, 0) for a in range(4)])
        taps = [wide.take(range(t, t + 2 * made, 2), axis) for t in range(3)]
        values = np.mean(taps, axis=0)
    return values


@pytest.mark.parametrize(
    ("size", "made", "pad", "gain"),
    [
        (8, 4, 0, Fraction(4, 9)),
        # Zeros of padding take from the mean as well, but they are no overhang.
        (8, 5, 1, Fraction(4, 9)),
        # Of two windows none lies in the middle.
        (4, 2, 0, Fraction(4, 9)),
    ],
)
def test_a_divisor_is_told_by_the_last_window(
    size: int,
    made: int,
    pad: int,
    gain: Fraction,
    examine: Examine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exam, finding = examine(ceil_pool(size, made, pad)), claim("SC402", "op", corner_gain=gain)
    assert checked(finding, exam) == CONTRADICTED

    def old(_: Alone, values: np.ndarray) -> np.ndarray:
        return divided_by_the_full_kernel(values, made, pad)

    monkeypatch.setattr(Alone, "run", old)
    assert checked(finding, exam) == CONFIRMED


def test_a_divisor_is_no_claim_about_other_versions(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    exam = examine(ceil_pool(8, 4))
    monkeypatch.setattr(ceil_mode, "version", lambda: "1.32.0")
    of_old = Finding(
        "SC402", "a", Severity.WARNING, Confidence.HIGH, "", (Location("op"),),
        runtimes="onnxruntime<1.29",
    )  # fmt: skip
    with pytest.raises(NotMeasuredError, match=r"the claim is about onnxruntime<1\.29"):
        checked(of_old, exam)
