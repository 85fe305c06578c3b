"""Compares what the README shows with the program; UPDATE_GOLDEN=1 writes the README anew."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

import programs
import pytest

from scotoma.registry import load_rules
from scotoma.report import REPORTERS
from scotoma.report.rules import render_markdown

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
OUTPUT = r"<!-- output: {command} -->\n```text\n(.*?)```\n"
RULES = r"<!-- rules -->\n(.*?)<!-- end of rules -->\n"


def check(pattern: str, expected: str) -> None:
    """Assert that the README holds this text at the place that the pattern's group names."""
    text = README.read_text(encoding="utf-8")
    match = re.search(pattern, text, re.DOTALL)
    assert match
    if os.environ.get("UPDATE_GOLDEN"):
        README.write_text(text[: match.start(1)] + expected + text[match.end(1) :], "utf-8")
        return
    assert match[1] == expected


def commands() -> list[str]:
    """Return the commands whose output the README shows."""
    return re.findall(r"^<!-- output: (.+) -->$", README.read_text("utf-8"), re.MULTILINE)


def run(command: str) -> str:
    """Return what a command of the README prints, run with the Python that runs the tests."""
    python = shlex.quote(sys.executable)
    names = {"python": python, "scotoma": f"{python} -m scotoma"}
    shell = re.sub(r"\.venv/bin/(\w+)", lambda name: names[name[1]], command)
    environment = programs.environment(NO_COLOR="1")
    return str(programs.run(["/bin/sh", "-c", shell], cwd=ROOT, env=environment).stdout)


@pytest.mark.parametrize("command", commands())
def test_outputs_are_what_the_program_prints(command: str) -> None:
    check(OUTPUT.format(command=re.escape(command)), run(command))


def test_some_output_is_shown() -> None:
    assert [command.rpartition("/")[2] for command in commands()] == ['light_squeezenet.onnx"']


def test_the_table_of_formats_is_complete() -> None:
    text = README.read_text("utf-8").partition("<!-- formats -->")[2]
    rows = re.findall(r"^\| `(\w+)` \|", text.partition("<!-- end of formats -->")[0], re.MULTILINE)
    assert rows == list(REPORTERS)


def test_the_table_of_rules_is_complete() -> None:
    check(RULES, render_markdown(load_rules().rules))
