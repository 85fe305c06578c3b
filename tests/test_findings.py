from __future__ import annotations

import dataclasses
import hashlib
import json

import example_rules
import numpy as np
import pytest

from scotoma.findings import Confidence, Finding, Location, Measurement, Severity, Undecided


def finding(*, message: str = "m", code: str = "XX101", **location: str | None) -> Finding:
    place = Location(**{"node": "conv", "op_type": "Conv", "tensor": "t", **location})  # type: ignore[arg-type]
    return Finding(code, "lost-pixels", Severity.NOTE, Confidence.HIGH, message, (place,))


def test_severities_and_confidences_are_ordered() -> None:
    assert [str(item) for item in sorted(Severity)] == ["note", "warning", "error"]
    assert [str(item) for item in sorted(Confidence)] == ["low", "medium", "high"]


def test_fingerprint_survives_what_is_measured() -> None:
    base = finding()
    same = dataclasses.replace(
        base,
        message="other numbers",
        measurements=(Measurement("drift", 3, "px"),),
        severity=Severity.ERROR,
        locations=(Location("conv", "FusedConv", "t", "note"), Location("pool")),
    )
    assert same.fingerprint == base.fingerprint
    assert base.fingerprint == hashlib.sha256(b'["XX101", "conv", "t"]').hexdigest()


@pytest.mark.parametrize(
    "other",
    [
        finding(code="XX102"),
        finding(node="conv2"),
        finding(tensor="u"),
        finding(node="con", tensor="vt"),
        finding(node=None),
        finding(tensor=None),
    ],
)
def test_fingerprint_tells_places_apart(other: Finding) -> None:
    assert other.fingerprint != finding().fingerprint


def test_fingerprint_takes_any_name() -> None:
    identity = json.dumps(["XX101", example_rules.NASTY, "t"]).encode()
    assert finding(node=example_rules.NASTY).fingerprint == hashlib.sha256(identity).hexdigest()


def test_a_finding_has_a_place() -> None:
    with pytest.raises(ValueError, match="needs a primary location"):
        Finding("XX101", "lost-pixels", Severity.NOTE, Confidence.HIGH, "m", ())


def test_a_measurement_is_a_number() -> None:
    assert Measurement("n", np.float64(0.5), "1").value == 0.5
    with pytest.raises(TypeError, match="'n' is a int64"):
        Measurement("n", np.int64(3), "1")  # type: ignore[arg-type]


def test_a_rule_fills_in_what_it_declares() -> None:
    rule = example_rules.LostPixels()
    conv = example_rules.operator("conv")
    made = rule.finding([conv, Location("pool", note="other")], "m", remedy="r")
    assert made == Finding(
        "XX101",
        "lost-pixels",
        Severity.WARNING,
        Confidence.HIGH,
        "m",
        (Location("conv", "Conv"), Location("pool", note="other")),
        (),
        "r",
    )
    single = rule.finding(conv, "m", remedy="", severity=Severity.NOTE, confidence=Confidence.LOW)
    assert (single.locations, single.severity, single.confidence) == (
        (Location("conv", "Conv"),),
        Severity.NOTE,
        Confidence.LOW,
    )
    assert rule.undecided("why") == Undecided("XX101", None, "why")
    assert (
        rule.undecided("why", conv)
        == rule.undecided("why", "conv")
        == Undecided("XX101", "conv", "why")
    )
