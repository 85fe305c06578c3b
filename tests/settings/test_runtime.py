from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from scotoma.registry import load_rules
from scotoma.settings.runtime import concerns, read_runtime
from scotoma.testing import find_fixtures, lint_text

Run = Callable[..., tuple[int, str, str]]

SMALL = "small/model.onnx"

RULE = '''
"""A rule about old runtimes.

What it finds
-------------
Nothing.

Why it matters
--------------
Versions differ.

What to do
----------
Nothing.
"""

from scotoma.findings import Location, Severity
from scotoma.rule import Rule, RuleMeta


class OldRuntime(Rule):
    """Says that two versions do something."""

    meta = RuleMeta(
        code="XV1", name="old-runtime", severity=Severity.ERROR, since="0.1.0",
        runtimes=("onnxruntime", "openvino"),
    )

    def check(self, facts):
        yield self.finding(Location(None), "old", remedy="", runtimes="onnxruntime<1.21")
        yield self.finding(Location(None), "quantised", remedy="", runtimes="onnxruntime<=1.28")
'''


@pytest.mark.parametrize(
    ("runtime", "affected", "expected"),
    [
        ("onnxruntime>=1.21", "onnxruntime<1.21", False),
        ("onnxruntime>=1.20", "onnxruntime<1.21", True),
        ("onnxruntime==1.20.1", "onnxruntime<1.21", True),
        ("ONNXRuntime==1.22", "onnxruntime<1.21", False),
        ("onnxruntime", "onnxruntime<1.21", True),
        ("onnxruntime>=1.20,<1.22", "onnxruntime>=1.22", False),
        ("openvino>=2030", "onnxruntime<1.21", True),
    ],
)
def test_versions_that_overlap_concern(runtime: str, affected: str, expected: bool) -> None:
    known = ["onnxruntime", "openvino"]
    assert concerns(read_runtime(runtime, known), affected) is expected


def test_what_other_versions_do_does_not_count(project: Path, run: Run) -> None:
    (project / "mine").mkdir()
    (project / "mine" / "old_runtime.py").write_text(RULE.lstrip())
    call = ["lint", SMALL, "--rules", "mine", "--select", "XV"]

    def suppressed(*options: str) -> list[object]:
        document = json.loads(run(*call, "--format", "json", *options)[1])
        assert [f["runtimes"] for f in document["models"][0]["findings"]] == [
            "onnxruntime<1.21", "onnxruntime<=1.28",
        ]  # fmt: skip
        return [f["suppressed"] for f in document["models"][0]["findings"]]

    assert suppressed() == [None, None]
    reason = {
        "reason": "happens in onnxruntime<1.21, not in onnxruntime>=1.22",
        "by": "runtime",
        "source": "the command line",
    }
    assert suppressed("--runtime", "onnxruntime>=1.22") == [reason, None]
    (project / "scotoma.toml").write_text("runtime = 'onnxruntime>=1.29'\n")
    assert run(*call)[::2] == (0, "")
    assert run(*call, "--runtime", "onnxruntime>=1.22")[0] == 1
    (project / "scotoma.toml").write_text("fail-on = 'note'\nruntime = 'onnxruntime>=2,<1'\n")
    assert run(*call) == (
        2,
        "",
        "scotoma: scotoma.toml: runtime: no version fits 'onnxruntime>=2,<1'\n",
    )
    status, out, err = run(*call, "--runtime", "1.22")
    assert (status, out) == (2, "")
    assert "the command line: runtime: '1.22' does not name a runtime with versions" in err
    said = "scotoma: {}: runtime: no rule knows the runtime 'onnxrutime'; known: {}\n"
    line = said.format("the command line", "onnxruntime, openvino")
    assert run(*call, "--runtime", "onnxrutime>=1.22") == (2, "", line)
    (project / "scotoma.toml").write_text("runtime = 'onnxrutime'\n")
    assert run("lint", SMALL)[2] == said.format("scotoma.toml", "onnxruntime")


def test_a_rule_declares_the_runtimes_that_it_tells_apart(project: Path, run: Run) -> None:
    (project / "mine").mkdir()
    text = RULE.lstrip().replace('("onnxruntime", "openvino")', '("openvino",)')
    (project / "mine" / "old_runtime.py").write_text(text)
    status, _, err = run("lint", SMALL, "--rules", "mine", "--select", "XV", "--format", "json")
    assert status == 3
    assert "XV1 does not declare the runtime of 'onnxruntime<1.21'" in err


@pytest.mark.parametrize(
    ("fixture", "code", "runtime", "concerned"),
    [
        ("ceil-mode-phantom-window", "SC401", "onnxruntime>=1.20,<1.21", {"onnxruntime<1.21"}),
        ("ceil-mode-phantom-window", "SC401", "onnxruntime>=1.21", set()),
        (
            "ceil-mode-divisor", "SC402", "onnxruntime>=1.20,<1.21",
            {"onnxruntime<1.21", "onnxruntime<1.29"},
        ),
        ("ceil-mode-divisor", "SC402", "onnxruntime>=1.28", {"onnxruntime<1.29"}),
        ("ceil-mode-divisor", "SC402", "onnxruntime>=1.29", set()),
        ("pads-exceed-kernel", "SC304", "onnxruntime<1.20", set()),
        ("pads-exceed-kernel", "SC304", "onnxruntime==1.31.1", {"onnxruntime>=1.20,<1.32"}),
        ("pads-exceed-kernel", "SC304", "onnxruntime>=1.32", set()),
    ],
)  # fmt: skip
def test_the_versions_that_rules_name(
    fixture: str, code: str, runtime: str, concerned: set[str]
) -> None:
    folder = Path(__file__).parents[1] / "rules" / fixture
    rules = load_rules().select([code])
    found = [f for path in find_fixtures(folder) for f in lint_text(path.text, rules).findings]
    wanted = read_runtime(runtime, ["onnxruntime"])
    named = {f.runtimes for f in found if f.runtimes is not None}
    assert {versions for versions in named if concerns(wanted, versions)} == concerned
