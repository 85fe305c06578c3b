"""Reports of every kind that a run can yield, for tests of the formats."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction

from example_rules import (
    IMAGE,
    LostPixels,
    OtherRule,
    report_clean,
    report_undecided,
    report_with_findings,
)

from scotoma.findings import (
    CONFIRMED,
    CONTRADICTED,
    Evidence,
    Finding,
    Location,
    Measurement,
    OutputEvidence,
    Severity,
    Suppressed,
    Undecided,
)
from scotoma.results import (
    BaselineUse,
    Failure,
    Gate,
    KnownFinding,
    ModelReport,
    Report,
    RuleFailure,
    UnusedSuppression,
)
from scotoma.unanalysed import Unanalysed

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "@everyone [click](https://evil.example/?a|b) ![x](//evil.example/x.png) www.evil.example",
    "::error file=x::owned %0A::add-mask::x,y:z ##[error]owned",
    "`` ` ``` **bold** _it_ ~~gone~~ $x$ :smile: #1 !2 GH-3 &lt; a@evil.example {0} [text](1)",
    "]]>&amp;<![CDATA[\x00\x0b\x1b[31m\ufffe\ufeff\u202e\u2028\ud800\udc80\r\n::warning::x",
    "| --- | # head",
    "",
    " `",
    "größe 畳み込み 🙂",
)
"""Names that mean something to one format or the other."""


def report_with_errors() -> Report:
    """Return a report of models that could not be examined, or not wholly."""
    return Report(
        (LostPixels(), OtherRule()),
        (
            ModelReport(
                path="models/gone.onnx",
                status="error",
                failure=Failure("missing", "there is no such file"),
            ),
            ModelReport(
                path="models/small.onnx",
                status="partial",
                graph_sha256="ab" * 32,
                examined=IMAGE,
                unanalysed=(Unanalysed("conv", "Conv", "the kernel is wider than its input"),),
                refusal="'conv' (Conv) cannot run at this size: the kernel is wider than its input",
                rules=("XX101",),
            ),
            ModelReport(
                path="models/crash.onnx",
                status="complete",
                graph_sha256="cd" * 32,
                examined=IMAGE,
                rule_failures=(
                    RuleFailure("XX101", "ValueError: no"),
                    RuleFailure("XX201", "KeyError: 'x'"),
                ),
            ),
        ),
        folder="/project",
    )


def finding(node: str, severity: Severity, suppressed: Suppressed | None = None) -> Finding:
    """Return a finding at a convolution."""
    made = LostPixels().finding(
        Location(node, "Conv"), f"'{node}' loses 3 px",
        Measurement("lost", Fraction(3), "px", limit=0),
        remedy="pad it", severity=severity,
    )  # fmt: skip
    return dataclasses.replace(made, place=f"place of {node}", suppressed=suppressed)


def report_known() -> Report:
    """Return a report with a baseline, suppressions of every kind, hidden findings and gates."""
    known = Suppressed("baseline", "known: it is in the baseline", "known.json")
    model = ModelReport(
        path="/project/models/old one.onnx",
        status="complete",
        graph_sha256="ab" * 32,
        sha256="cd" * 32,
        opsets={"": 17},
        examined=IMAGE,
        findings=(
            finding("stem", Severity.ERROR, known),
            finding("a", Severity.WARNING, Suppressed("configuration", "masked", "scotoma.toml")),
            finding(
                "b", Severity.WARNING, Suppressed("model", "meant", "/project/models/old one.onnx")
            ),
            finding("c", Severity.NOTE, Suppressed("runtime", "not in 1.22", "--runtime")),
            finding("new", Severity.WARNING),
            finding("small", Severity.NOTE),
        ),
        undecided=(Undecided("XX201", None, "the size is not known"),),
        gate=Gate(Severity.WARNING, undecided=True),
    )
    other = ModelReport(
        path="/elsewhere/quiet.onnx",
        status="complete",
        graph_sha256="ef" * 32,
        opsets={"": 17},
        examined=IMAGE,
        findings=(finding("x", Severity.NOTE, known),),
        hidden=(finding("z", Severity.NOTE),),
        rules=("XX101",),
        gate=Gate(None),
    )
    vanished = KnownFinding("models/old one.onnx", "12" * 32, "XX101", "error", "gone", "lost")
    return Report(
        (LostPixels(), OtherRule()),
        (model, other),
        unused_suppressions=(UnusedSuppression("XX2", "*", "never", "scotoma.toml"),),
        baselines=(BaselineUse("known.json", known=2, new=2, vanished=(vanished,)),),
        statistics=True,
        folder="/project",
    )


def report_hostile() -> Report:
    """Return a report whose every text tries to mean something to a format."""
    rule = LostPixels()
    findings = tuple(
        dataclasses.replace(
            rule.finding(
                [Location(text, text, text, note=text), Location(None, tensor=text, note=text)],
                f"'{text}' drifts",
                Measurement("drift", text, text, limit=text),
                remedy=text,
                severity=Severity(1 + i % 3),
            ),
            evidence=Evidence(CONFIRMED, text, outputs=(OutputEvidence(text, CONTRADICTED),)),
        )
        for i, text in enumerate(HOSTILE)
    )
    first = HOSTILE[0]
    return Report(
        (rule, OtherRule()),
        (
            ModelReport(
                path=f"models/{HOSTILE[1]}/{HOSTILE[4]}.onnx",
                status="partial",
                producer=first,
                examined=dataclasses.replace(IMAGE, name=first),
                unanalysed=tuple(Unanalysed(text, text, text) for text in HOSTILE),
                findings=findings,
                undecided=tuple(Undecided("XX101", text, text) for text in HOSTILE),
                rule_failures=tuple(RuleFailure("XX201", text) for text in HOSTILE),
            ),
            ModelReport(path=HOSTILE[3], status="error", failure=Failure("unreadable", HOSTILE[2])),
        ),
    )


REPORTS: dict[str, Callable[[], Report]] = {
    "findings": report_with_findings,
    "undecided": report_undecided,
    "clean": report_clean,
    "error": report_with_errors,
    "known": report_known,
    "hostile": report_hostile,
}
