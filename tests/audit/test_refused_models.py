"""Checks of a claim that onnxruntime refuses a model, or every size but one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from audit.claims import POOLED, Examine, check, claim, fixture_text

from scotoma.audit.checks import baked_size
from scotoma.audit.errors import NotMeasuredError
from scotoma.findings import CONTRADICTED, Measurement


@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("SC304", "padding"),
        ("SC305", "reflected"),
        ("SC405", "dilation"),
        ("SC406", "automatic_padding"),
        ("SC407", "ways_of_padding"),
    ],
)
def test_a_refusal_is_contradicted_by_a_run(code: str, number: str, examine: Examine) -> None:
    exam = examine(POOLED)
    found = check(claim(code, measurements=(Measurement(number, 1, "1"),)), exam)
    assert found.status == CONTRADICTED
    assert found.reason.endswith("loads it and runs it")
    with pytest.raises(NotMeasuredError, match="not that it is refused"):
        check(claim(code), exam)


def test_a_refusal_for_another_reason_says_nothing(examine: Examine) -> None:
    text = fixture_text("conflicting-auto-pad/convolution")
    finding = claim("SC305", "another", reflected=9)
    with pytest.raises(NotMeasuredError, match="refuses the model for another reason"):
        check(finding, examine(text))


def test_a_size_that_works_contradicts_a_baked_one(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    exam = examine("model (float[1, 1, h, w] x) => (float[1, 1, h, w] y) { y = Relu (x) }")
    with pytest.raises(NotMeasuredError, match="no other size"):
        check(claim("SC801"), exam)
    monkeypatch.setattr(baked_size, "baked_size", lambda _: SimpleNamespace(tried=[(32, 48)]))
    found = check(claim("SC801"), exam)
    assert (found.status, found.reason) == (CONTRADICTED, "onnxruntime runs it at 32x48")
