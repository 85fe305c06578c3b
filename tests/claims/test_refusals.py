"""What onnxruntime refuses by the rules' word, on every fixture: it does, and runs the others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.version import Version
from runtimes import (
    DEFAULT,
    FIXTURES,
    INSTALLED,
    PLAIN,
    RULES,
    concerns,
    examined,
    expecting,
    feeds,
    findings,
    name_of,
    outcome,
    silent,
)  # fmt: skip

from scotoma.findings import Finding, Severity
from scotoma.testing import Fixture

CODES = ("SC304", "SC305", "SC401", "SC405", "SC406", "SC407")
"""Rules of which an error says that onnxruntime does not load or run a model."""
OTHER_CLAIMS = {"SC303", "SC501", "SC502", "SC503", "SC504", "SC505"}
"""Rules whose errors say something else, confirmed beside."""
READ_IN_TWO_WAYS = {"dilated-auto-pad/pool", "conflicting-auto-pad/pool",
                    "conflicting-auto-pad/valid_pool"}  # fmt: skip
"""Errors that say that onnxruntime makes another map than the specification."""


def outcomes(fixture: Fixture, folder: Path, level: object = DEFAULT) -> set[str]:
    """Return where onnxruntime refuses a model, with its switches on and off."""
    proto, facts = examined(fixture, folder)
    return {outcome(proto, feeds(facts, switch=on), level) for on in (True, False)} - {""}


def since(finding: Finding) -> Version:
    """Return the version from which on a finding's message says that onnxruntime refuses."""
    said = re.search(r"onnxruntime since (1\.\d+) (cannot|refuses)", finding.message)
    return Version(said[1]) if said is not None else Version("0")


def is_refused(text: str) -> bool:
    return re.search(r"does not load|refuses|cannot run", text) is not None


@pytest.mark.parametrize("fixture", expecting(*CODES), ids=name_of)
def test_a_refusal_is_one(fixture: Fixture, tmp_path: Path) -> None:
    found = [f for code in CODES for f in findings(fixture, code) if f.severity is Severity.ERROR]
    found = [f for f in found if concerns(f) and since(f) <= INSTALLED]
    refused = outcomes(fixture, tmp_path)
    if name_of(fixture) in READ_IN_TWO_WAYS:
        assert found
        assert not refused
    elif found:
        at = {"load" if re.search(r"not load|refuses to load", f.message) else "run" for f in found}
        assert refused == at
    elif not any(is_refused(f.message) and concerns(f) for f in findings(fixture, "SC304")):
        assert not refused


@pytest.mark.parametrize("fixture", expecting("SC304"), ids=name_of)
def test_a_pad_in_front_is_folded_by_the_versions_that_are_named(
    fixture: Fixture, tmp_path: Path
) -> None:
    for finding in findings(fixture, "SC304"):
        if finding.runtimes is not None:
            assert not outcomes(fixture, tmp_path, PLAIN)
            assert outcomes(fixture, tmp_path) == ({"load"} if concerns(finding) else set())


OTHER_REASONS = {
    "ceil-mode-phantom-window/lp_pool_before": "load",  # no ceil_mode in that opset
    "ceil-mode-phantom-window/old_opset": "load",
    "ceil-mode-phantom-window/same": "run" * (Version("1.30") <= INSTALLED),  # narrow-auto-pad's
}


@pytest.mark.parametrize(
    "fixture",
    [f for code in CODES for f in silent(RULES.get(code).meta.name, *CODES)],
    ids=name_of,
)
def test_what_is_not_called_refused_runs(fixture: Fixture, tmp_path: Path) -> None:
    other = OTHER_REASONS.get(name_of(fixture), "")
    assert outcomes(fixture, tmp_path, PLAIN) == {other} - {""}


def test_every_error_makes_a_claim_that_is_confirmed() -> None:
    codes = {e.code for f in FIXTURES for e in f.expected if e.kind == "finding"}
    errors = {
        finding.code
        for fixture in expecting(*codes)
        for finding in fixture.lint(RULES.select(["ALL"])).findings
        if finding.severity is Severity.ERROR
    }
    assert errors == {*CODES, *OTHER_CLAIMS}
