"""What the rules say of the sample models is what their README promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scotoma.engine import Options, lint_model
from scotoma.registry import load_rules

FOLDER = Path(__file__).parents[2] / "sample_models"
ROW = re.compile(r"^\| `(?P<model>[\w*]+)` \|.*\|(?P<says>[^|]*)\|$", re.MULTILINE)


def promised() -> dict[str, set[str]]:
    """Return the rule names of the README's table by file stem, one star standing for anything."""
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    table = text[text.index("| model |") : text.index("\n\n", text.index("| model |"))]
    rows = {m["model"]: set(re.findall(r"`([\w-]+)`", m["says"])) for m in ROW.finditer(table)}
    return {
        path.stem: rows[next(name for name in rows if re.fullmatch(name.replace("*", ".+"), stem))]
        for path in sorted(FOLDER.glob("*.onnx"))
        for stem in [path.stem]
    }


@pytest.mark.parametrize(("stem", "names"), promised().items(), ids=promised())
def test_readme_says_what_scotoma_says(stem: str, names: set[str]) -> None:
    rules = [rule for rule in load_rules().rules if rule.meta.default]
    report = lint_model(str(FOLDER / f"{stem}.onnx"), rules, Options(debug=True))
    assert {finding.name for finding in report.findings} == names
    assert report.status == "complete"
    assert report.undecided == ()
