"""Renders results as JUnit XML: a test suite for each model, a test case for each rule that ran.

A rule fails where a finding of it fails the run; it is skipped where it could not tell or where all
that it found is suppressed; what it found below that is in its output. A model that cannot be
examined is an error of the test case ``load``, which every model has. There are no times: the same
models give the same bytes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import click

from scotoma.report.escape import clip, escape
from scotoma.report.paths import path_from
from scotoma.report.text import counted, finding_lines

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from scotoma.findings import Finding
    from scotoma.results import ModelReport, Report
    from scotoma.rule import Rule

LOAD = "load"
MAX_MESSAGE = 1000
"""Characters of a message, which viewers show in one line."""


def render(report: Report) -> str:
    """Return the document."""
    root = ET.Element("testsuites", name="scotoma")
    for model in report.models:
        root.append(_suite(report, model))
    _count(root)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode", short_empty_elements=True)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _suite(report: Report, model: ModelReport) -> Element:
    path = escape(path_from(model.path, report.folder))
    suite = ET.Element("testsuite", name=path)
    ran = {rule.meta.code for rule in report.rules} if model.rules is None else set(model.rules)
    cases = [_load_case(model)]
    if model.failure is None:
        cases += [_rule_case(model, rule) for rule in report.rules if rule.meta.code in ran]
    for case in cases:
        case.set("classname", path)
        suite.append(case)
    _count(suite)
    return suite


def _count(parent: Element) -> None:
    """Note how many test cases there are below an element, and how they went."""
    for name, path in (
        ("tests", ".//testcase"),
        ("failures", ".//failure"),
        ("errors", ".//error"),
        ("skipped", ".//skipped"),
    ):
        if name != "skipped" or parent.tag == "testsuite":
            parent.set(name, str(len(parent.findall(path))))


def _load_case(model: ModelReport) -> Element:
    """Return whether the model could be examined, and what fails the run without being shown."""
    case = ET.Element("testcase", name=LOAD)
    stopping = [finding for finding in model.hidden if model.gate.stops(finding)]
    if model.failure:
        _outcome(case, "error", model.failure.kind, [model.failure.message])
    elif model.refusal:
        _outcome(case, "error", "refused", [model.refusal])
    elif stopping:
        hidden = f"{counted(len(stopping), 'finding')} of lower severity than --min-severity"
        _outcome(case, "failure", "hidden", [hidden])
    return case


def _rule_case(model: ModelReport, rule: Rule) -> Element:
    """Return how a rule went on a model: with one outcome, for viewers show only one."""
    code = rule.meta.code
    case = ET.Element("testcase", name=f"{escape(code)} {escape(rule.meta.name)}")
    findings = [finding for finding in model.findings if finding.code == code]
    stopping = [finding for finding in findings if model.gate.stops(finding)]
    silent = [finding for finding in findings if finding.suppressed is not None]
    passing = [f for f in findings if f not in stopping and f not in silent]
    undecided = [
        item.reason if item.node is None else f"{item.node}: {item.reason}"
        for item in model.undecided
        if item.code == code
    ]
    crashes = [failure.error for failure in model.rule_failures if failure.code == code]
    if crashes:
        _outcome(case, "error", "crashed", crashes)
    elif stopping:
        worst = str(max(finding.severity for finding in stopping))
        _outcome(case, "failure", worst, [f.message for f in stopping], _bodies(stopping))
    elif undecided:
        kind = "failure" if model.gate.undecided else "skipped"
        _outcome(case, kind, "undecided", undecided)
    elif silent and not passing:
        reasons = [f"suppressed: {f.suppressed.reason}" for f in silent if f.suppressed]
        _outcome(case, "skipped", "suppressed", list(dict.fromkeys(reasons)))
    if passing:
        ET.SubElement(case, "system-out").text = _bodies(passing)
    return case


def _outcome(
    case: Element, tag: str, kind: str, messages: list[str], body: str | None = None
) -> None:
    """Add how a test case went: the first message in short, below it all of them."""
    first, more = clip(escape(messages[0]), MAX_MESSAGE), len(messages) - 1
    message = f"{first} (and {more} more)" if more else first
    outcome = ET.SubElement(case, tag, type=escape(kind), message=message)
    outcome.text = body or ("\n".join(map(escape, messages)) if more else None)


def _bodies(findings: Iterable[Finding]) -> str:
    """Return all that is said of some findings, as the text format says it."""
    blocks = (click.unstyle("\n".join(finding_lines(finding))) for finding in findings)
    return "\n\n".join(textwrap.dedent(block) for block in blocks)
