"""Checks that run a model again, or on several images at once: random numbers, mixed batches."""

from __future__ import annotations

from dataclasses import replace

import pytest
from audit.claims import NOISE, Audit, Examine, check, claim, evidence, only

from scotoma.audit.errors import NotMeasuredError
from scotoma.findings import CONFIRMED, CONTRADICTED, NOT_MEASURED, Measurement, Severity

# ---- randomness

DROPPED = """model (float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y)
<float half = {0.5}, bool on = {1}, float weight = {WEIGHT}>
{ [drop] d = Dropout (x, half, on)  s = Mul (d, weight)  y = Add (s, x) }"""


@pytest.mark.parametrize(("code", "text"), [("SC501", DROPPED), ("SC503", NOISE)])
def test_random_numbers_that_a_zero_weight_stops_are_contradicted(
    code: str, text: str, audited: Audit
) -> None:
    shown = evidence(audited(text.replace("WEIGHT", "1"), code), code)
    assert shown.status == CONFIRMED
    assert shown.measurements[1] == Measurement("random_outputs", 1, "outputs", limit=0)
    hidden = evidence(audited(text.replace("WEIGHT", "0"), code), code)
    assert hidden.status == CONTRADICTED
    assert hidden.reason.endswith("made other values every time, but no output changed")
    assert hidden.measurements[0] == Measurement("runs", 64, "runs")


def test_a_dropout_that_a_caller_turns_on_is_run_with_its_flag(audited: Audit) -> None:
    text = """model (float[1, 4, 8, 8] x, bool on) => (float[1, 4, 8, 8] y)
    <float half = {0.5}> { [drop] y = Dropout (x, half, on) }"""
    report = audited(text, "SC501")
    assert evidence(report, "SC501").status == CONFIRMED


def test_a_dropout_in_a_branch_that_does_not_run_is_not_contradicted(examine: Examine) -> None:
    exam = examine("model (float[1, 1, 4, 4] x) => (float[1, 1, 4, 4] y) { y = Relu (x) }")
    with pytest.raises(NotMeasuredError, match="a body that may not have run"):
        check(claim("SC501", "inside"), exam)


def test_whole_numbers_hide_randomness(audited: Audit) -> None:
    text = """model (float[1, 4, 8, 8] x) => (int64[1, 1, 8, 8] y) <float tiny = {1e-6}>
    { [noise] n = RandomNormalLike (x)  s = Mul (n, tiny)  a = Add (s, x)
      y = ArgMax <axis = 1> (a) }"""
    found = evidence(audited(text, "SC503"), "SC503")
    assert (found.status, found.reason) == (
        NOT_MEASURED,
        "all outputs are whole numbers, which hide small changes",
    )


# ---- batches

LEAK = """model (float[N, 3, 8, 8] x) => (float[N, 3, 8, 8] y) <float weight = {WEIGHT}>
{ [largest] m = ReduceMax <axes = [0, 2, 3]> (x)  s = Mul (m, weight)  y = Add (x, s) }"""
TRAINING = """model (float[N, 2, 8, 8] x) => (float[N, 2, 8, 8] y)
<float[2] s = {WEIGHT, WEIGHT}, float[2] b = {1, 1}, float[2] m = {0, 0}, float[2] v = {1, 1}>
{ [norm] y, a, c = BatchNormalization <training_mode = 1> (x, s, b, m, v) }"""


@pytest.mark.parametrize(("code", "text"), [("SC505", LEAK), ("SC502", TRAINING)])
def test_a_leak_that_a_zero_weight_stops_is_contradicted(
    code: str, text: str, audited: Audit
) -> None:
    shown = evidence(audited(text.replace("WEIGHT", "1"), code), code)
    assert shown.status == CONFIRMED
    assert float(shown.measurements[0].value or 0) > 0.001
    hidden = evidence(audited(text.replace("WEIGHT", "0"), code), code)
    assert (hidden.status, hidden.measurements[0].value) == (CONTRADICTED, 0.0)


def test_a_batch_that_the_model_refuses_is_not_measured(examine: Examine) -> None:
    exam = examine("""model (float[1, 1, 4, 4] x) => (float[1, 16] y) <int64[2] s = {1, 16}>
    { y = Reshape (x, s) }""")
    with pytest.raises(NotMeasuredError, match="does not run on two images at once"):
        check(claim("SC505"), exam)


def test_a_contradicted_claim_keeps_its_message(audited: Audit) -> None:
    report = audited(NOISE.replace("WEIGHT", "0"), "SC503")
    finding = only(report, "SC503")
    assert finding.severity == Severity.ERROR
    assert replace(finding, evidence=None).evidence is None
