from __future__ import annotations

from dataclasses import replace

from example_rules import LostPixels, operator

from scotoma.findings import Severity, Undecided
from scotoma.registry import Registry
from scotoma.results import ModelReport, RuleFailure
from scotoma.settings.judge import judge, told, unused_suppressions
from scotoma.settings.layers import Layer, Suppression, merge
from scotoma.settings.plan import make_plan

REGISTRY = Registry((LostPixels(),))
SUPPRESSION = Suppression("XX101", "why", "gone", source="a file")
PLAN = make_plan(merge([Layer("a file", {"suppress": (SUPPRESSION,)})]), REGISTRY)
CLEAN = ModelReport(path="m.onnx", status="complete")


def test_only_rules_that_could_tell_make_a_suppression_unused() -> None:
    assert told(CLEAN, PLAN) == {"XX101"}
    (unused,) = unused_suppressions([judge(CLEAN, PLAN, REGISTRY)])
    assert (unused.rule, unused.node, unused.reason) == ("XX101", "gone", "why")
    undecided = replace(CLEAN, undecided=(Undecided("XX101", None, "no size"),))
    crashed = replace(CLEAN, rule_failures=(RuleFailure("XX101", "ValueError"),))
    for report in (undecided, crashed):
        assert told(report, PLAN) == set()
        assert unused_suppressions([judge(report, PLAN, REGISTRY)]) == ()


def test_severities_of_several_sources_add_up_and_the_last_decides() -> None:
    low = Layer("a file", {"severity": {"XX101": "error", "XX2": "note"}})
    high = Layer("the command line", {"severity": {"XX1": "note"}})
    merged = merge([low, high])
    assert merged.severity == {"XX101": "error", "XX2": "note", "XX1": "note"}
    assert merged.origins["severity"] == "a file and the command line"
    again = merge([low, high, Layer("more", {"severity": {"XX101": "warning"}})])
    assert list(again.severity.items())[-1] == ("XX101", "warning")
    plan = make_plan(merge([Layer("a file", {"severity": {"XX101": "error"}}), high]), REGISTRY)
    finding = LostPixels().finding(operator("conv"), "lost", remedy="")
    (judged,) = judge(replace(CLEAN, findings=(finding,)), plan, REGISTRY).report.findings
    assert judged.severity is Severity.NOTE
