"""A window that loses pixels, for tests of what surrounds the rules.

What it finds
-------------
Nothing: it yields what it is told to.

Why it matters
--------------
The engine and the reporters are tested without any real rule.

What to do
----------
Read the tests
that use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, ClassVar

from scotoma.findings import Confidence, Finding, Location, Measurement, Severity, Undecided
from scotoma.loader.model import Graph, Model, Operator
from scotoma.resolve.resolution import InputShape, Resolution
from scotoma.results import Failure, ModelReport, Report, RuleFailure
from scotoma.rule import Rule, RuleMeta
from scotoma.task import Task, TaskTaken
from scotoma.unanalysed import Unanalysed

Answers = Callable[[Any], Iterator[Finding | Undecided]]


class LostPixels(Rule):
    """Yields what it is told to."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="XX101",
        name="lost-pixels",
        severity=Severity.WARNING,
        since="0.1.0",
        references=("https://example.org/lost",),
    )

    def __init__(self, answers: Answers | None = None) -> None:
        self.answers = answers

    def check(self, facts: Any) -> Iterator[Finding | Undecided]:
        if self.answers:
            yield from self.answers(facts)


class OtherRule(LostPixels):
    """Another one, off by default."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="XX201",
        name="other-rule",
        severity=Severity.ERROR,
        confidence=Confidence.LOW,
        since="0.1.0",
        default=False,
    )


def operator(name: str, op_type: str = "Conv", bodies: dict[str, Graph] | None = None) -> Operator:
    return Operator(name, op_type, "", 17, ("x",), (f"{name}_out",), {}, bodies or {})


def graph(*operators: Operator) -> Graph:
    return Graph("g", (), (), {}, {}, operators)


IMAGE = InputShape("x", (1, 3, 32, 32), (2, 3), assumed=True)


class FakeFacts:
    """What the engine asks of the facts of a model."""

    def __init__(self, *operators: Operator, path: str = "m.onnx") -> None:
        main = graph(*operators)
        self.model = Model(path, main, {"": 17}, 8, "maker 1.0", "ab" * 32)
        self.resolution = Resolution(
            self.model, (IMAGE,), IMAGE, operators, {}, {}, {}, frozenset(), {}, ()
        )
        self.geometry = None
        self.status = "partial"
        self.unanalysed = (Unanalysed("weird", "Weird", "unknown operator"),)


NASTY = "evil\x1b[31m[bold]\n\u202eRTL</script>\udc80"


def report_with_findings() -> Report:
    """Return a report of everything that a report can hold, with names that try to do harm."""
    rule = LostPixels()
    findings = (
        rule.finding(
            Location(None, tensor="x"),
            "63 of 1024 pixels have no path to the output: row 31, column 31",
            Measurement("dead_pixel_fraction", Fraction(63, 1024), "1", limit=0),
            Measurement("dead_rows", "31", "px"),
            remedy="use 33x33",
        ),
        rule.finding(
            [
                Location(NASTY, "Conv", f"{NASTY}_out", note="reads 30 of 31 rows"),
                Location("pool", "MaxPool", note="the other branch"),
            ],
            f"the centre of '{NASTY}' drifts by 0.5 px",
            Measurement("drift", 0.5, "px", limit=0),
            Measurement("paths", 3**2000, "1"),
            remedy="use an odd kernel",
            severity=Severity.ERROR,
            confidence=Confidence.MEDIUM,
        ),
    )
    return Report(
        (rule, OtherRule()),
        (
            ModelReport(
                path="models/bad.onnx",
                status="partial",
                graph_sha256="ab" * 32,
                producer="pytorch 2.13.0",
                opsets={"": 17, "com.microsoft": 1},
                examined=IMAGE,
                inputs=(IMAGE, InputShape("mask", None, (), assumed=False)),
                unanalysed=(
                    Unanalysed("w1", "Weird", "unknown operator"),
                    Unanalysed("w2", "Weird", "unknown operator"),
                    Unanalysed(NASTY, "Loop", "bodies are not followed"),
                ),
                task=TaskTaken(Task.DENSE, assumed=True, because=f"output 'y' of '{NASTY}' (Conv)"),
                findings=findings,
                undecided=(
                    Undecided("XX101", None, "the input has no known size"),
                    Undecided("XX201", "pool", "external data is missing"),
                ),
                rule_failures=(RuleFailure("XX201", "ValueError: no"),),
            ),
            ModelReport(
                path="models/cut.onnx",
                status="error",
                failure=Failure("truncated", "the file ends after 12 of 99 bytes"),
            ),
        ),
    )


def report_undecided() -> Report:
    """Return a report in which nothing could be told."""
    model = ModelReport(
        path="text.onnx",
        status="unavailable",
        graph_sha256="cd" * 32,
        producer="",
        opsets={},
        undecided=(Undecided("XX101", None, "there is no spatial input"),),
    )
    return Report((LostPixels(),), (model,))


def report_clean() -> Report:
    """Return a report without anything to say."""
    model = ModelReport(
        path="good.onnx",
        status="complete",
        graph_sha256="ef" * 32,
        sha256="01" * 32,
        producer="pytorch 2.13.0",
        opsets={"": 20},
        examined=InputShape("image", (1, 3, 225, 225), (2, 3), assumed=False),
        inputs=(InputShape("image", (1, 3, 225, 225), (2, 3), assumed=False),),
        task=TaskTaken(Task.CLASSIFY, assumed=False, because="set by scotoma.toml"),
    )
    return Report((LostPixels(),), (model,))
