"""All rules beside the labels of models with a known defect, or with none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from networks import SHARED

from scotoma.engine import Options, lint_model
from scotoma.findings import Severity
from scotoma.registry import load_rules

RULES = load_rules().select()


def labels() -> list[Any]:
    found = []
    for folder in ("quirks", "broken"):
        path = SHARED / folder / "labels.json"
        known = json.loads(path.read_text("utf-8")) if path.exists() else {}
        found += [
            pytest.param(f"{folder}/{name}", label, id=name)
            for name, label in sorted(known.items())
            if (SHARED / folder / f"{name}.onnx").exists()
        ]
    absent = pytest.mark.skip(reason=f"{SHARED} is not there")
    return found or [pytest.param("", {}, marks=absent, id="absent")]


@pytest.mark.parametrize(("name", "label"), labels())
def test_a_label_is_told(name: str, label: dict[str, Any]) -> None:
    report = lint_model(str(SHARED / f"{name}.onnx"), RULES, Options(debug=True))
    assert report.failure is None
    found = {(finding.severity, finding.name) for finding in report.findings}
    kind = label["class"]
    assert kind in {"defect", "ok", "info"}
    if kind == "defect":
        assert {rule for _, rule in found} & set(label["expect_any_of"])
    else:
        most = Severity.NOTE if kind == "ok" else Severity.WARNING
        assert [(str(severity), rule) for severity, rule in found if severity > most] == []
