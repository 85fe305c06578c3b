"""``scotoma.audit``: what it says besides the command, and what it raises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from audit.claims import STRIDED, Run, Save, figures_of

import scotoma
from scotoma.errors import ModelError, UsageError
from scotoma.findings import CONFIRMED
from scotoma.results import EXCEEDED


def test_the_function_says_what_the_command_says(save: Save, run: Run) -> None:
    path = save(STRIDED)
    result = scotoma.audit(path, isolated=True, select=["SC101"], thresholds={"max-dead-pixels": 9})
    code, out, _ = run(str(path), "--select", "SC101", "--max-dead-pixels", "9", "--format", "json")
    (shown,) = json.loads(out)["models"]
    (model,) = json.loads(json.dumps(result.document))["models"]
    for timed in (shown, model):
        timed["measure"]["seconds"] = 0
    assert model == shown
    assert (result.passed, result.complete, code) == (False, True, 1)
    assert result.measured[str(path)].thresholds[0].verdict == EXCEEDED
    assert "48 unread pixels" in result.render()


def test_the_function_is_not_complete_without_time(save: Save) -> None:
    result = scotoma.audit(save(STRIDED), isolated=True, budget=1e-9)
    assert (result.complete, result.passed, result.models[0].failed) == (False, False, False)


def test_the_function_raises_where_its_only_model_cannot_be_examined(
    save: Save, tmp_path: Path
) -> None:
    nothing = tmp_path / "nothing.onnx"
    nothing.write_text("hello world")
    said = r"nothing\.onnx: not an ONNX file: no protobuf, wire type 4 at byte 3"
    with pytest.raises(ModelError, match=said) as caught:
        scotoma.audit(nothing, isolated=True)
    assert caught.value.kind == "not-protobuf"
    with pytest.raises(UsageError, match=r"the region 0,0,9,9 does not lie on an image of 8x8"):
        scotoma.audit(save(STRIDED), isolated=True, region=(0, 0, 9, 9))
    both = scotoma.audit(save(STRIDED), nothing, isolated=True, select=["SC101"])
    assert [model.failure is None for model in both.models] == [True, False]


def test_the_function_takes_the_bytes_of_a_file(save: Save) -> None:
    data = save(STRIDED).read_bytes()
    result = scotoma.audit(data, isolated=True, select=["SC101"], region=(0, 0, 4, 4))
    (finding,) = result.findings
    assert finding.evidence is not None
    assert finding.evidence.status == CONFIRMED
    assert figures_of(result.models[0])["dead_pixel_fraction"]["value"] == 0.75
