from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., tuple[int, str, str]]

SMALL = "small/model.onnx"

RULE = '''
"""A rule with options.

What it finds
-------------
Its own options.

Why it matters
--------------
They have to arrive.

What to do
----------
Set them.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from scotoma.findings import Location, Severity
from scotoma.rule import Rule, RuleMeta, option


@dataclass(frozen=True)
class Options:
    limit: Fraction = option(Fraction(1), "Most that is allowed, in px.")
    share: float = option(0.9, "A share.")
    how_many: int = option(3, "A number.")
    kinds: tuple[str, ...] = option(("a",), "Some words.")
    strict: bool = option(False, "Or not.")

    def __post_init__(self):
        if not 0 <= self.share <= 1:
            raise ValueError("share lies between 0 and 1")


class WithOptions(Rule):
    """Says what its options are."""

    meta = RuleMeta(code="XY1", name="with-options", severity=Severity.NOTE, since="0.1.0")
    options = Options

    def check(self, facts):
        yield self.finding(Location(None), repr(facts.options(Options)), remedy="")
'''

DEFAULTS = "limit=Fraction(1, 1), share=0.9, how_many=3, kinds=('a',), strict=False"


@pytest.fixture
def say(project: Path, run: Run) -> Callable[..., str]:
    (project / "mine").mkdir()
    (project / "mine" / "with_options.py").write_text(RULE.lstrip())

    def call(*arguments: str, model: str = SMALL) -> str:
        status, out, err = run(
            "lint", model, "--rules", "mine", "--select", "XY", "--format", "json", *arguments
        )
        if status:
            assert (status, out) == (2, "")
            return err
        (finding,) = json.loads(out)["models"][0]["findings"]
        return re.sub(r"Options\((.*)\)", r"\1", finding["message"])

    return call


def test_options_have_defaults(say: Callable[..., str]) -> None:
    assert say() == DEFAULTS


def test_options_are_set_in_a_configuration(project: Path, say: Callable[..., str]) -> None:
    (project / "scotoma.toml").write_text(
        "[rules.with-options]\nlimit = 0.1\nhow-many = 7\nkinds = ['b', 'c']\nstrict = true\n"
    )
    assert say() == "limit=Fraction(1, 10), share=0.9, how_many=7, kinds=('b', 'c'), strict=True"
    # One entry is replaced, the others stay.
    inline = ["--config", "rules.with-options.limit='1/3'"]
    assert say(*inline).startswith("limit=Fraction(1, 3), share=0.9, how_many=7,")
    assert say("--isolated") == DEFAULTS


def test_a_rule_can_be_meant_by_its_code(say: Callable[..., str]) -> None:
    assert say("--config", "rules.XY1.share=1") == DEFAULTS.replace("share=0.9", "share=1.0")


def test_options_are_those_of_each_model(project: Path, say: Callable[..., str]) -> None:
    (project / "small" / "scotoma.toml").write_text("[rules.with-options]\nhow-many = 7\n")
    assert "how_many=7" in say()
    assert say(model="pools/model.onnx") == DEFAULTS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("limits = 1", "rules.with-options.limits: unknown key; did you mean 'limit'?"),
        ("x = 1", "x: unknown key; there are how-many, kinds, limit, share, strict"),
        ("limit = 'a'", "limit: expected a number or a fraction such as '1/3'"),
        ("limit = '1/0'", "limit: expected a number or a fraction such as '1/3'"),
        ("limit = true", "limit: expected a number or a fraction such as '1/3'"),
        ("share = 'a'", "share: expected a number, got a text"),
        ("share = 2", "rules.with-options: share lies between 0 and 1"),
        ("how-many = 1.5", "how-many: expected a whole number, got a number"),
        ("kinds = ['a', 1]", "kinds[1]: expected a text, got a whole number"),
        ("strict = 1", "strict: expected true or false, got a whole number"),
    ],
)
def test_a_wrong_option_says_where(
    project: Path, say: Callable[..., str], text: str, said: str
) -> None:
    (project / "scotoma.toml").write_text(f"[rules.with-options]\n{text}\n")
    if not said.startswith("rules."):
        said = f"rules.with-options.{said}"
    assert say() == f"scotoma: scotoma.toml: {said}\n"


@pytest.mark.usefixtures("say")
def test_options_are_explained(run: Run) -> None:
    lines = run("explain", "with-options", "--rules", "mine")[1].splitlines()
    assert lines[lines.index("Options, set in the table [rules.with-options]") + 1 :][:3] == [
        "  limit = 1: Most that is allowed, in px.",
        "  share = 0.9: A share.",
        "  how-many = 3: A number.",
    ]
    rules: list[Any] = json.loads(run("rules", "--rules", "mine", "--format", "json")[1])["rules"]
    (mine,) = [rule for rule in rules if rule["code"] == "XY1"]
    assert mine["options"][0] == {
        "name": "limit", "default": "1", "what": "Most that is allowed, in px.",
    }  # fmt: skip
    assert mine["options"][3]["default"] == ["a"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("@dataclass(frozen=True)\n", "", "its options are no dataclass"),
        ('option(False, "Or not.")', "False", "make the fields of its options with"),
    ],
)
@pytest.mark.usefixtures("say")
def test_options_have_to_be_declared_well(
    project: Path, run: Run, old: str, new: str, said: str
) -> None:
    path = project / "mine" / "with_options.py"
    path.write_text(path.read_text().replace(old, new))
    status, out, err = run("rules", "--rules", "mine")
    assert (status, out) == (2, "")
    assert said in err


def test_options_reach_other_processes(project: Path, run: Run, say: Callable[..., str]) -> None:
    (project / "scotoma.toml").write_text("[rules.with-options]\nhow-many = 7\n")
    arguments = ["lint", "small", "pools", "--rules", "mine", "--select", "XY,SC1"]
    one = run(*arguments)
    assert "how_many=7" in one[1]
    assert run(*arguments, "--jobs", "2") == one
