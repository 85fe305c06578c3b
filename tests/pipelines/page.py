"""The page about pipelines, docs/ci.md: its snippets, and the schemas of those who read them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import programs
import yaml

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "integrations" / "github_action.sh"
PAGE = (ROOT / "docs" / "ci.md").read_text("utf-8")
SAMPLES = ROOT / "sample_models"


def blocks(language: str) -> list[str]:
    """Return the code blocks of the page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def snippet(mark: str) -> Any:
    """Return the YAML block with a text in it, parsed."""
    (found,) = [block for block in blocks("yaml") if mark in block]
    return yaml.safe_load(found)


def validate(path: Path, schema: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    done = programs.run([*command, str(path)])
    assert (done.returncode, done.stdout) == (0, "ok -- validation done\n")
