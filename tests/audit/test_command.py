"""``scotoma audit``: its inputs, limits and formats, several models, and its exit status."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from audit.claims import NOISE, STRIDED, Run, Save

import scotoma
from scotoma.audit import Budget
from scotoma.audit import audit as auditing
from scotoma.errors import UsageError
from scotoma.findings import CONFIRMED, Evidence, Finding
from scotoma.measure import MeasureOptions
from scotoma.results import ModelReport

if TYPE_CHECKING:
    from collections.abc import Callable


# ---- inputs


@pytest.fixture
def arrays(tmp_path: Path) -> Callable[[int], str]:
    """Write an image of one channel."""

    def call(size: int) -> str:
        path = tmp_path / f"image{size}.npy"
        np.save(path, np.random.default_rng(size).random((1, 1, size, size)).astype(np.float32))
        return str(path)

    return call


def test_an_input_that_does_not_fit_the_only_model_is_a_wrong_call(
    save: Save, run: Run, arrays: Callable[[int], str]
) -> None:
    model, wrong = str(save(STRIDED)), arrays(7)
    assert run(model, "--select", "SC101", "--input", arrays(8))[0] == 0
    code, out, err = run(model, "--select", "SC101", "--input", wrong)
    assert (code, out) == (2, "")
    said = f"'{wrong}' has shape 1x1x7x7, the input wants 1x1x8x8"
    assert err == f"scotoma: {model}: {said}\n"
    with pytest.raises(UsageError, match="has shape 1x1x7x7"):
        scotoma.audit(model, measure=MeasureOptions(inputs=(wrong,)), isolated=True)


def test_an_input_that_does_not_fit_one_of_several_models_fails_that_one(
    save: Save, run: Run, arrays: Callable[[int], str]
) -> None:
    fits = str(save(STRIDED, name="fits.onnx"))
    other = str(save(STRIDED.replace("8, 8", "6, 6").replace("4, 4", "3, 3"), name="other.onnx"))
    code, out, err = run(fits, other, "--input", arrays(8), "--select", "SC101", "--format", "json")
    first, second = json.loads(out)["models"]
    assert code == 2
    assert first["findings"][0]["evidence"]["status"] == CONFIRMED
    assert (second["status"], second["error"]["kind"]) == ("error", "usage")
    assert err.startswith(f"scotoma: {other}: '")
    assert err.endswith("has shape 1x1x8x8, the input wants 1x1x6x6\n")


def test_a_model_that_nothing_could_be_fed_to_is_no_wrong_call(
    save: Save, run: Run, arrays: Callable[[int], str]
) -> None:
    model = str(save("model (float[8] x) => (float[8] y) { y = Relu (x) }"))
    assert run(model, "--input", arrays(8))[0] == 0


def test_a_check_that_crashes_is_told_like_a_rule_that_does(
    save: Save, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    def broken(_finding: Finding, _exam: Any) -> Evidence:
        raise ZeroDivisionError("no")

    checker = SimpleNamespace(check=broken, uses_map=False, tensors=())
    monkeypatch.setattr(auditing, "checkers", lambda: {"SC101": checker})
    code, out, err = run(str(save(STRIDED)), "--format", "json")
    (model,) = json.loads(out)["models"]
    failed = "its check by running the model failed: ZeroDivisionError: no"
    assert code == 3
    assert model["rule_errors"] == [{"code": "SC101", "error": failed}]
    assert failed in err


def test_without_time_rules_run_and_the_rest_is_named(save: Save, run: Run) -> None:
    path = str(save(STRIDED))
    code, out, err = run(
        path, "--budget", "0.000001s", "--max-dead-pixels", "0", "--format", "json"
    )
    (model,) = json.loads(out)["models"]
    assert code == 3
    assert [f["code"] for f in model["findings"] if f["severity"] == "warning"] == ["SC101"]
    assert model["measure"]["passes"] == 0
    assert model["measure"]["skipped"] == ["evidence for SC101", "the map of influence"]
    assert model["measure"]["thresholds"][0]["verdict"] == "not judged"
    assert err.splitlines() == [
        f"scotoma: {path}: max-dead-pixels was not judged: the time budget ran out",
        f"scotoma: {path}: no time was left for evidence for SC101, the map of influence",
    ]


# ---- the command


def test_text_has_evidence_under_each_finding(save: Save, run: Run) -> None:
    code, out, _ = run(str(save(STRIDED)), "--select", "SC101", "--max-dead-pixels", "48")
    lines = [line.strip() for line in out.splitlines()]
    assert code == 0
    assert (
        "confirmed: with other values in the 48 unread pixels, on 4 inputs, no output changed in"
        " any bit"
    ) in lines
    assert lines[lines.index(next(t for t in lines if t.startswith("measured:"))) + 1].startswith(
        "dead pixel fraction 0.75"
    )
    assert any(line.startswith("kept max-dead-pixels 48, measured 48 (") for line in lines)


@pytest.mark.parametrize("format_name", ["sarif", "junit", "github", "gitlab", "markdown", "html"])
def test_every_format_tells_of_a_limit_that_is_passed(
    save: Save, run: Run, format_name: str
) -> None:
    code, out, _ = run(str(save(STRIDED)), "--max-dead-pixels", "3", "--format", format_name)
    assert code == 1
    assert "SC901" in out
    assert "the number of pixels that changed nothing is 48" in out


@pytest.mark.parametrize(("limit", "status"), [(47, 1), (48, 0)])
def test_limits_come_from_a_configuration(
    limit: int, status: int, save: Save, tmp_path: Path, run: Run
) -> None:
    config = tmp_path / "scotoma.toml"
    config.write_text(f"[thresholds]\nmax-dead-pixels = {limit}\n")
    assert run(str(save(STRIDED)), "--config", str(config))[0] == status
    over = run(str(save(STRIDED)), "--config", str(config), "--max-dead-pixels", "48")
    assert over[0] == 0


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("max-dead-pixels = -1", "thresholds.max-dead-pixels: expected a whole number >= 0"),
        ("max-asymmetry = 0.5", "thresholds.max-asymmetry: expected a number >= 1"),
        ("max-dead-pixel = 1", "thresholds.max-dead-pixel: unknown key; did you mean"),
    ],
)
def test_a_wrong_limit_is_a_wrong_call(
    table: str, said: str, save: Save, tmp_path: Path, run: Run
) -> None:
    config = tmp_path / "scotoma.toml"
    config.write_text(f"[thresholds]\n{table}\n")
    code, out, err = run(str(save(STRIDED)), "--config", str(config))
    assert (code, out) == (2, "")
    assert said in err


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_limit_is_a_finite_number(value: str, save: Save, run: Run) -> None:
    assert run(str(save(STRIDED)), "--min-border-ratio", value) == (
        2,
        "",
        f"scotoma: --min-border-ratio: {value} is no limit\n",
    )


def test_a_contradicted_error_does_not_fail_a_run(save: Save, run: Run) -> None:
    code, out, _ = run(
        str(save(NOISE.replace("WEIGHT", "0"))), "--select", "SC503", "--format", "json"
    )
    (finding,) = json.loads(out)["models"][0]["findings"]
    assert code == 0
    assert (finding["severity"], finding["evidence"]["status"]) == ("warning", "contradicted")
    assert finding["evidence"]["reason"].endswith("; a warning instead of an error")
    shown = NOISE.replace("WEIGHT", "1")
    assert run(str(save(shown)), "--select", "SC503")[0] == 1


@pytest.mark.parametrize("region", ["1,2,3", "0,0,0,4", "a,b,c,d", "-1,0,4,4"])
def test_a_region_must_be_four_numbers(region: str, save: Save, run: Run) -> None:
    code, out, err = run(str(save(STRIDED)), "--region", region)
    assert (code, out) == (2, "")
    assert "--region" in err


def test_a_region_that_does_not_fit_the_only_model_is_a_wrong_call(save: Save, run: Run) -> None:
    code, out, err = run(str(save(STRIDED)), "--region", "0,0,9,9")
    assert (code, out) == (2, "")
    assert "the region 0,0,9,9 does not lie on an image of 8x8 pixels" in err


def test_several_models_share_the_budget(
    save: Save, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = importlib.import_module("scotoma.audit")
    now, parts = [0.0], []

    def spied(*arguments: Any) -> ModelReport:
        parts.append(arguments[4].left)
        found = auditing.audit_model(*arguments)
        now[0] += 10.0  # so long does a model take by this clock
        return found

    def begun(seconds: float) -> Budget:
        return Budget.of(seconds, lambda: now[0])

    monkeypatch.setattr(package, "Budget", SimpleNamespace(of=begun))
    monkeypatch.setattr(package, "audit_model", spied)
    paths = [str(save(STRIDED, name=f"{name}.onnx")) for name in "abc"]
    code, out, _ = run(*paths, "--budget", "60s", "--format", "json", "--select", "SC101")
    assert (code, len(json.loads(out)["models"])) == (0, 3)
    # Twice an equal part of what is left each, and the last all of it.
    assert parts == [60 / 2, 50 / 1.5, 40]


def test_a_folder_of_models_may_hold_a_broken_one(save: Save, tmp_path: Path, run: Run) -> None:
    save(STRIDED)
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    code, out, err = run(str(tmp_path), "--format", "json", "--max-dead-pixels", "99")
    broken, whole = json.loads(out)["models"]
    assert code == 3
    assert (broken["status"], broken["measure"]["status"]) == ("error", "unavailable")
    assert whole["measure"]["thresholds"][0]["verdict"] == "kept"
    assert "broken.onnx" in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--input", "nope"), "--input nope: no such file or folder, nor random, zeros, mean"),
        (("--budget", "0s"), "--budget: expected a time above 0"),
    ],
)
def test_a_wrong_call_runs_nothing(
    save: Save, run: Run, options: tuple[str, ...], said: str
) -> None:
    assert run(str(save(STRIDED)), *options) == (2, "", f"scotoma: {said}\n")
