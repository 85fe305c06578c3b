"""Small models that are audited, claims about them, and what an audit says of both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from scotoma.audit.checkers import checkers
from scotoma.audit.exam import Exam
from scotoma.findings import Confidence, Evidence, Finding, Location, Measurement, Severity
from scotoma.results import ModelReport

Audit = Callable[..., ModelReport]
Examine = Callable[..., Exam]
Save = Callable[..., Path]
Run = Callable[..., tuple[int, str, str]]

RULES = Path(__file__).parents[1] / "rules"

STRIDED = """model (float[1, 1, 8, 8] x) => (float[1, 1, 4, 4] y)
{ [pool] y = MaxPool <kernel_shape = [1, 1], strides = [2, 2]> (x) }"""
NOISE = """model (float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y) <float weight = {WEIGHT}>
{ [noise] n = RandomNormalLike (x)  s = Mul (n, weight)  y = Add (s, x) }"""
POOLED = """model (float[1, 1, 8, 8] x) => (float[1, 1, 8, 8] y)
{ [op] y = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1], count_include_pad = 1> (x) }"""
UNEVEN = """model (float[1, 1, 16, 16] x) => (float[1, 1, 32, 32] y)
<float[1, 1, 2, 2] w = {1, 3, 3, 1}, float weight = {WEIGHT}, float more = {MORE}>
{ [up] t = ConvTranspose <strides = [2, 2]> (x, w)  s = Mul (t, weight)  y = Add (s, more) }"""


def claim(
    code: str, *nodes: str, measurements: tuple[Measurement, ...] = (), **numbers: Any
) -> Finding:
    """Return a finding at some nodes, 'op' alone if none is named, with numbers by their names."""
    places = tuple(Location(node, "Kind", "y") for node in nodes or ("op",))
    named = tuple(Measurement(name, value, "1") for name, value in numbers.items())
    return Finding(
        code, "a-rule", Severity.ERROR, Confidence.HIGH, "is wrong", places, measurements + named
    )


def check(finding: Finding, exam: Exam) -> Evidence:
    """Return what the check of the finding's rule says of it."""
    return checkers()[finding.code].check(finding, exam)


def checked(finding: Finding, exam: Exam) -> str:
    """Return the status of a claim once its check has run the model."""
    return check(finding, exam).status


def only(report: ModelReport, code: str) -> Finding:
    """Return the one finding of a rule."""
    (found,) = [finding for finding in report.findings if finding.code == code]
    return found


def evidence(report: ModelReport, code: str) -> Evidence:
    """Return the evidence of the one finding of a rule."""
    found = only(report, code).evidence
    assert found is not None
    return found


def fixture_text(name: str) -> str:
    """Return the model of a rule's fixture: ``rule/name``."""
    return (RULES / f"{name}.onnxtxt").read_text("utf-8")


def limits(report: ModelReport) -> list[tuple[str, float | None, str]]:
    """Return the name, the measured value and the verdict of every limit."""
    assert report.measured is not None
    return [(t.name, t.value, t.verdict) for t in report.measured.thresholds]


def figures_of(report: ModelReport) -> Any:
    """Return the figures of the measured map."""
    assert report.measured is not None
    assert report.measured.influence is not None
    return report.measured.influence["figures"]
