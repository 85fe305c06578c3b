"""docs/measure.md names every key of the JSON document, and shows pictures that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scotoma import metrics
from scotoma.cli import main

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "measure.md"


def keys(document: Any) -> set[str]:
    """Return all keys of a document, however deep."""
    if isinstance(document, dict):
        return set(document).union(*map(keys, document.values()))
    return set().union(*map(keys, document)) if isinstance(document, list) else set()


def test_every_key_is_documented(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ROOT / "sample_models" / "five_layers_valid.onnx"
    options = ["--out", str(tmp_path), "--format", "json", "--passes", "200"]
    main(["measure", str(model), *options])
    document = json.loads(capsys.readouterr().out)
    # What belongs to the model and to passes is described elsewhere, and differs.
    found = keys({k: v for k, v in document.items() if k not in {"model", "passes_by_kind"}})
    found |= {*document, *metrics.figures(metrics.Sample(np.ones((20, 20, 20))), (5, 5, 5))}
    files = set(document["profiles"])
    named = set(re.findall(r"`([a-z0-9_]+)`", PAGE.read_text("utf-8")))
    assert found - files - named == set()
    assert {"rings", "ripple", "position", "agreement", "contradicting_pixels"} <= found


def test_the_pictures_exist_and_are_small() -> None:
    text = PAGE.read_text("utf-8")
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert len(shown) == 3
    for name in shown:
        picture = PAGE.parent / name
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size < 150_000
