from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import example_rules
import pytest
from example_rules import FakeFacts, LostPixels, OtherRule, graph, operator

from scotoma import engine
from scotoma.engine import Options, lint
from scotoma.errors import ModelError, UsageError
from scotoma.findings import Finding, Location, Undecided
from scotoma.results import Failure, RuleFailure

Examine = Callable[[str, Options], Any]


@pytest.fixture
def examine(monkeypatch: pytest.MonkeyPatch) -> Callable[[Examine], None]:
    return lambda function: monkeypatch.setattr(engine, "examine", function)


def test_a_model_is_reported_with_what_identifies_it(
    examine: Callable[[Examine], None], tmp_path: Path
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"bytes")
    examine(lambda _path, _options: FakeFacts(operator("a")))
    rule = LostPixels()
    report = lint([str(path)], [rule], Options(hash_files=True))
    (model,) = report.models
    assert report.rules == (rule,)
    assert (model.path, model.status, model.failure) == (str(path), "partial", None)
    assert model.sha256 == hashlib.sha256(b"bytes").hexdigest()
    assert (model.graph_sha256, model.producer, model.opsets) == ("ab" * 32, "maker 1.0", {"": 17})
    assert (model.examined, model.inputs) == (example_rules.IMAGE, (example_rules.IMAGE,))
    assert [item.node for item in model.unanalysed] == ["weird"]
    assert lint([str(path)], [rule], Options()).models[0].sha256 is None
    assert lint(["-"], [rule], Options(hash_files=True)).models[0].sha256 is None


def test_findings_follow_the_graph_and_then_the_code(examine: Callable[[Examine], None]) -> None:
    body = graph(operator("inner"))
    facts = FakeFacts(operator("z"), operator("loop", "Loop", {"body": body}), operator("a"))
    examine(lambda _path, _options: facts)

    def nodes(*names: str | None) -> Callable[[Any], Iterator[Finding | Undecided]]:
        rule = LostPixels()

        def answers(_facts: Any) -> Iterator[Finding | Undecided]:
            for name in names:
                yield rule.finding(Location(name), "m", remedy="")
                yield rule.undecided("why", name)

        return answers

    report = lint(["m"], [LostPixels(nodes("nowhere", "a", "inner", None, "z", "loop"))], Options())
    expected = [None, "z", "loop", "a", "inner", "nowhere"]
    assert [finding.primary.node for finding in report.models[0].findings] == expected
    assert [item.node for item in report.models[0].undecided] == expected

    def other(_facts: Any) -> Iterator[Finding | Undecided]:
        yield OtherRule().finding(Location("z"), "m", remedy="")

    report = lint(["m"], [OtherRule(other), LostPixels(nodes("a", "z"))], Options())
    assert [(f.primary.node, f.code) for f in report.models[0].findings] == [
        ("z", "XX101"),
        ("z", "XX201"),
        ("a", "XX101"),
    ]


def test_a_crashing_rule_stops_no_other(examine: Callable[[Examine], None]) -> None:
    examine(lambda _path, _options: FakeFacts(operator("a")))

    def crash(_facts: Any) -> Iterator[Finding | Undecided]:
        yield LostPixels().finding(Location("a"), "before", remedy="")
        raise KeyError("gone")

    def fine(_facts: Any) -> Iterator[Finding | Undecided]:
        yield OtherRule().undecided("why")

    rules = [LostPixels(crash), OtherRule(fine)]
    (model,) = lint(["m"], rules, Options()).models
    assert model.status == "partial"
    assert model.rule_failures == (RuleFailure("XX101", "KeyError: 'gone'"),)
    assert [finding.message for finding in model.findings] == ["before"]
    assert [item.code for item in model.undecided] == ["XX201"]
    with pytest.raises(KeyError):
        lint(["m"], rules, Options(debug=True))


@pytest.mark.parametrize("debug", [False, True])
def test_a_rule_that_exits_has_crashed(examine: Callable[[Examine], None], debug: bool) -> None:
    examine(lambda _path, _options: FakeFacts(operator("a")))

    def leave(_facts: Any) -> Iterator[Finding | Undecided]:
        sys.exit(0)

    (model,) = lint(["m"], [LostPixels(leave)], Options(debug=debug)).models
    assert model.rule_failures == (RuleFailure("XX101", "SystemExit: 0"),)


def test_a_rule_that_yields_something_else_has_crashed(examine: Callable[[Examine], None]) -> None:
    examine(lambda _path, _options: FakeFacts(operator("a")))
    (model,) = lint(["m"], [LostPixels(lambda _facts: iter(["no"]))], Options()).models  # type: ignore[list-item]
    assert model.rule_failures == (
        RuleFailure("XX101", "TypeError: a rule yields findings and undecided ones, not 'no'"),
    )


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (ModelError("truncated", "ends early"), Failure("truncated", "ends early")),
        (UsageError("no such input"), Failure("usage", "no such input")),
        (ValueError("a\nb"), Failure("internal", "ValueError: a b")),
        (RecursionError(), Failure("internal", "RecursionError")),
    ],
)
def test_a_failing_model_stops_no_other(
    examine: Callable[[Examine], None], error: Exception, failure: Failure
) -> None:
    def fail_on_bad(path: str, _options: Options) -> FakeFacts:
        if path == "bad":
            raise error
        return FakeFacts(operator("a"))

    examine(fail_on_bad)
    bad, good = lint(["bad", "good"], [LostPixels()], Options()).models
    assert (bad.status, bad.failure, good.status) == ("error", failure, "partial")
    if failure.kind == "internal":
        with pytest.raises(type(error)):
            lint(["bad"], [], Options(debug=True))
