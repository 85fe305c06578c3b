"""Models that onnxruntime refuses or fails on: what an audit says of them, and its exit status."""

from __future__ import annotations

import json
from typing import Any

import pytest
from audit.claims import Audit, Run, Save, fixture_text

import scotoma

HEADER = '<ir_version: 8, opset_import: ["" : 17, "nobody.knows" : 1]>\n'
UNKNOWN = f"""{HEADER}model (float[1, 1, 8, 8] x) => (float[1, 1, 8, 8] y)
{{ [odd] y = nobody.knows.Odd (x) }}"""
NO_IMAGE = UNKNOWN.replace("1, 1, 8, 8", "8")
FAILS = """model (float[1, 1, 8, 8] x) => (float[1, 1, 8, 8] y) <int64[1] index = {5}>
{ r = Relu (x)  [gather] y = Gather <axis = 1> (r, index) }"""
CANNOT_LOAD = "onnxruntime cannot load the model: "
CANNOT_RUN = "onnxruntime cannot run the model: "
CONFLICT = "conflicting-auto-pad/convolution"


@pytest.mark.parametrize(
    ("text", "reason", "named"),
    [(UNKNOWN, CANNOT_LOAD, "nobody.knows"), (FAILS, CANNOT_RUN, "gather")],
)
@pytest.mark.parametrize("more", [(), ("--exit-zero",)])
def test_a_model_that_does_not_run_fails_the_audit(
    text: str, reason: str, named: str, more: tuple[str, ...], save: Save, run: Run
) -> None:
    path = str(save(text))
    code, out, err = run(path, "--select", "SC101", "--format", "json", *more)
    (model,) = json.loads(out)["models"]
    assert code == 3
    assert model["measure"]["status"] == "unavailable"
    assert model["measure"]["reason"].startswith(reason)
    assert named in err
    assert err == f"scotoma: {path}: {model['measure']['reason']}\n"


def test_a_model_that_runs_is_not_failed_by_another(save: Save, run: Run) -> None:
    fine = str(save(UNKNOWN.replace("nobody.knows.Odd", "Relu"), name="a.onnx"))
    refused = str(save(UNKNOWN, name="b.onnx"))
    code, _, err = run(fine, refused, "--select", "SC101")
    assert code == 3
    (line,) = err.splitlines()
    assert line.startswith(f"scotoma: {refused}: {CANNOT_LOAD}")


@pytest.mark.parametrize(("select", "status"), [("SC407", 1), ("SC101", 3)])
def test_a_confirmed_claim_explains_a_refusal(
    select: str, status: int, save: Save, run: Run
) -> None:
    path = str(save(fixture_text(CONFLICT)))
    code, _, err = run(path, "--select", select)
    assert code == status
    assert err.startswith(f"scotoma: {path}: {CANNOT_LOAD}") == (status == 3)
    assert (err == "") == (status == 1)


def test_a_model_without_an_image_is_not_held_to_run(save: Save, run: Run) -> None:
    code, out, err = run(str(save(NO_IMAGE)))
    assert (code, err) == (0, "")
    assert f"measured: no map ({CANNOT_LOAD}" in out


def test_a_limit_that_a_refusal_leaves_open_is_named_beside_it(save: Save, run: Run) -> None:
    path = str(save(FAILS))
    code, _, err = run(path, "--select", "SC101", "--max-dead-pixels", "0")
    first, second = err.splitlines()
    assert code == 3
    assert first.startswith(f"scotoma: {path}: {CANNOT_RUN}")
    assert second.startswith(f"scotoma: {path}: max-dead-pixels was not judged: {CANNOT_RUN}")


def test_time_that_ran_out_is_no_refusal(audited: Audit) -> None:
    measured: Any = audited(UNKNOWN, "SC101", seconds=1e-9).measured
    assert (measured.refused, measured.reason) == (False, "the time budget ran out")
    assert audited(UNKNOWN, "SC101").measured.refused  # type: ignore[union-attr]


def test_a_refused_model_does_not_pass_in_python(save: Save) -> None:
    result = scotoma.audit(str(save(UNKNOWN)), isolated=True, select=["SC101"])
    assert (result.complete, result.passed) == (False, False)
    assert result.findings == ()
    explained = str(save(fixture_text(CONFLICT)))
    assert scotoma.audit(explained, isolated=True, select=["SC407"]).complete


def test_a_page_does_not_say_that_a_refused_model_passes(save: Save, run: Run) -> None:
    _, out, _ = run(str(save(UNKNOWN)), "--select", "SC101", "--format", "html")
    assert "not run" in out
    assert CANNOT_LOAD in out
