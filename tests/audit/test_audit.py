"""The audit of a whole model: thresholds, region, outputs, budget; and its command."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import scotoma
from scotoma.audit import Budget, demoted
from scotoma.audit import audit as auditing
from scotoma.audit.errors import NotMeasuredError
from scotoma.audit.figures import against, restricted
from scotoma.audit.thresholds import THRESHOLDS
from scotoma.cli import main
from scotoma.errors import ModelError, UsageError
from scotoma.findings import (
    CONFIRMED,
    CONTRADICTED,
    NOT_MEASURED,
    Confidence,
    Evidence,
    Finding,
    Location,
    Severity,
)
from scotoma.measure import MeasureOptions
from scotoma.measure.summary import summarise
from scotoma.metrics import Figure
from scotoma.results import EXCEEDED, KEPT, NOT_JUDGED, ModelReport, Report

if TYPE_CHECKING:
    from collections.abc import Callable

    from scotoma.audit.exam import Exam

    Audit = Callable[..., ModelReport]
    Examine = Callable[..., Exam]
    Save = Callable[..., Path]
    Run = Callable[..., tuple[int, str, str]]

STRIDED = """model (float[1, 1, 8, 8] x) => (float[1, 1, 4, 4] y)
{ [pool] y = MaxPool <kernel_shape = [1, 1], strides = [2, 2]> (x) }"""
NOISE = """model (float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y) <float weight = {0}>
{ [noise] n = RandomNormalLike (x)  s = Mul (n, weight)  y = Add (s, x) }"""
TWO = """model (float[1, 1, 8, 8] x) => (float[1, 1, 4, 4] a, float[1, 1, 8, 8] b)
{ a = MaxPool <kernel_shape = [1, 1], strides = [2, 2]> (x)  b = Neg (x) }"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        result = main(["audit", "--isolated", *arguments])
        captured = capsys.readouterr()
        return result, captured.out, captured.err

    return call


def limits(report: ModelReport) -> list[tuple[str, float | None, str]]:
    assert report.measured is not None
    return [(t.name, t.value, t.verdict) for t in report.measured.thresholds]


def figures_of(report: ModelReport) -> Any:
    assert report.measured is not None
    assert report.measured.influence is not None
    return report.measured.influence["figures"]


# ---- thresholds


@pytest.mark.parametrize(("limit", "verdict"), [(47, EXCEEDED), (48, KEPT)])
def test_dead_pixels_are_counted(limit: int, verdict: str, audited: Audit) -> None:
    report = audited(STRIDED, "SC101", thresholds={"max-dead-pixels": limit})
    assert limits(report) == [("max-dead-pixels", 48.0, verdict)]
    exceeded = [f for f in report.findings if f.code == "SC901"]
    assert [f.severity for f in exceeded] == [Severity.ERROR] * (verdict == EXCEEDED)
    for finding in exceeded:
        assert finding.measurements[0].value == 48
        assert finding.measurements[0].limit == 47
        assert finding.evidence is not None
        assert finding.evidence.status == CONFIRMED


def influence(**fields: Any) -> Any:
    probed = np.ones((4, 4), bool)
    given = {
        "baselines": (1, 2), "dead": ~probed, "probed": probed, "full": True, "structural": None,
        "gradients": None,
    }  # fmt: skip
    return SimpleNamespace(**{**given, **fields})


def summary(**figures: Figure) -> Any:
    place = SimpleNamespace(sensitivity=figures.pop("place", Figure(None, None, 0)), reason="why")
    return SimpleNamespace(figures=figures, position=place)


@pytest.mark.parametrize(
    ("name", "limit", "figures", "value", "verdict"),
    [
        ("min-border-ratio", 0.2, {"border_over_interior": Figure(0.1, 0.04, 9)}, 0.1, EXCEEDED),
        ("min-border-ratio", 0.2, {"border_over_interior": Figure(0.1, 0.06, 9)}, 0.1, NOT_JUDGED),
        ("min-border-ratio", 0.2, {"border_over_interior": Figure(0.3, 0.04, 9)}, 0.3, KEPT),
        ("min-border-ratio", 0.2, {"border_over_interior": Figure(0.2, 0.0, 9)}, 0.2, KEPT),
        ("min-border-ratio", 0.2, {}, None, NOT_JUDGED),
        ("max-asymmetry", 1.1, {"left_right_ratio": Figure(0.5, 0.0, 9)}, 2.0, EXCEEDED),
        (
            "max-asymmetry",
            2.0,
            {"left_right_ratio": Figure(1.2, 0.0, 9), "top_bottom_ratio": Figure(0.4, 0.01, 9)},
            2.5,
            EXCEEDED,
        ),
        ("max-asymmetry", 1.1, {"left_right_ratio": Figure(1.0, 0.01, 9)}, 1.0, KEPT),
        ("max-asymmetry", 1.1, {"left_right_ratio": Figure(0.0, 0.0, 9)}, None, NOT_JUDGED),
        ("max-asymmetry", 1.1, {}, None, NOT_JUDGED),
        ("max-position-sensitivity", 0.1, {"place": Figure(0.3, 0.05, 9)}, 0.3, EXCEEDED),
        ("max-position-sensitivity", 0.1, {"place": Figure(0.1, None, 9)}, 0.1, KEPT),
        ("max-position-sensitivity", 0.1, {}, None, NOT_JUDGED),
    ],
)
def test_a_figure_is_held_against_its_limit(
    name: str, limit: float, figures: dict[str, Figure], value: float | None, verdict: str
) -> None:
    found = THRESHOLDS[name].judge(limit, (influence(), summary(**figures)))
    assert found.value == pytest.approx(value)
    assert found.verdict == verdict
    answer = THRESHOLDS[name].answer(found)
    assert (answer is None) == (verdict == KEPT)
    assert isinstance(answer, Finding) == (verdict == EXCEEDED)


def test_the_error_of_a_turned_ratio_is_turned_too() -> None:
    figures = {"left_right_ratio": Figure(0.5, 0.1, 9)}
    found = THRESHOLDS["max-asymmetry"].judge(1.1, (influence(), summary(**figures)))
    assert (found.value, found.error, found.judged_on) == (
        2.0,
        0.4,
        "left/right, 9 pixels, 2 inputs",
    )


def test_dead_pixels_of_a_sampled_map_need_the_graph() -> None:
    probed = np.zeros((4, 4), bool)
    probed[0] = True
    dead = np.zeros((4, 4), bool)
    dead[0, 0] = True
    unread = np.zeros((4, 4), bool)
    unread[:2, 0] = True
    figures = {"dead_pixel_fraction": Figure(0.25, 0.0, 4)}
    sampled = influence(probed=probed, dead=dead, full=False)
    alone = THRESHOLDS["max-dead-pixels"].judge(0, (sampled, summary(**figures)))
    assert (alone.verdict, alone.judged_on) == (
        NOT_JUDGED,
        "4 of 16 pixels were perturbed, and the graph cannot be followed",
    )
    sampled.structural = SimpleNamespace(dead=unread)
    with_graph = THRESHOLDS["max-dead-pixels"].judge(0, (sampled, summary(**figures)))
    assert (with_graph.value, with_graph.verdict) == (2, EXCEEDED)
    assert with_graph.judged_on == "4 pixels perturbed and the paths of all"


def test_more_inputs_are_fed_up_to_a_limit(examine: Examine) -> None:
    exam = examine(STRIDED)
    assert not exam.more_inputs()  # there is no map that could be better
    assert len(exam.influence.baselines) == 4
    assert exam.more_inputs()
    assert len(exam.influence.baselines) == 16
    assert exam.more_inputs()
    assert len(exam.influence.baselines) == 64
    assert not exam.more_inputs()
    assert len(exam.influence.baselines) == 64
    chosen = examine(STRIDED, inputs=("zeros",))
    assert (len(chosen.influence.baselines), chosen.more_inputs()) == (1, False)


def test_more_inputs_are_not_fed_where_time_is_short(examine: Examine) -> None:
    now = [0.0]
    exam = examine(STRIDED, budget=Budget.of(60.0, clock=lambda: now[0]))
    assert len(exam.influence.baselines) == 4
    exam._seconds = 10.0
    now[0] = 0.1  # four times as much might not fit twice
    assert not exam.more_inputs()
    now[0] = -30.0
    assert exam.more_inputs()


def test_a_limit_that_an_error_leaves_open_is_judged_on_more_inputs(
    audited: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def figure(_self: Any, found: Any, _summary: Any) -> tuple[Figure, str]:
        count = len(found.baselines)
        return Figure(0.1, 1.0 / count, count), f"{count} inputs"

    monkeypatch.setattr(type(THRESHOLDS["min-border-ratio"]), "figure", figure)
    report = audited(STRIDED, "SC101", thresholds={"min-border-ratio": 0.3})
    assert report.measured is not None
    (result,) = report.measured.thresholds
    assert (result.verdict, result.judged_on) == (EXCEEDED, "16 inputs")
    report = audited(STRIDED, "SC101", thresholds={"min-border-ratio": 0.11})
    assert report.measured is not None
    (result,) = report.measured.thresholds
    assert (result.verdict, result.judged_on) == (
        NOT_JUDGED, "0.1 ± 0.016 lies too near to it (64 inputs)",
    )  # fmt: skip
    assert report.measured.influence is not None
    assert len(report.measured.influence["inputs"]) == 64


def test_an_error_may_leave_a_claim_open() -> None:
    assert against(Figure(0.1, 0.1, 9), 0.5, below=CONFIRMED) == CONFIRMED
    assert against(Figure(0.9, 0.1, 9), 0.5, below=CONFIRMED) == CONTRADICTED
    assert against(Figure(0.9, 0.1, 9), 0.5, below=CONTRADICTED) == CONFIRMED
    with pytest.raises(NotMeasuredError, match=r"0\.4 ± 0\.1 lies too near to 0\.5"):
        against(Figure(0.4, 0.1, 9), 0.5, below=CONFIRMED)


def test_an_unknown_figure_says_why_it_is() -> None:
    figures = {"border_over_interior": Figure(None, None, 1, "the map is too small")}
    found = THRESHOLDS["min-border-ratio"].judge(0.2, (influence(), summary(**figures)))
    said = "border over interior is not known of the measured map: the map is too small"
    assert (found.verdict, found.judged_on) == (NOT_JUDGED, said)


# ---- severity


@pytest.mark.parametrize(
    ("status", "severity", "left"),
    [
        (CONTRADICTED, Severity.ERROR, Severity.WARNING),
        (CONTRADICTED, Severity.NOTE, Severity.NOTE),
        (CONFIRMED, Severity.ERROR, Severity.ERROR),
        (NOT_MEASURED, Severity.ERROR, Severity.ERROR),
    ],
)
def test_only_a_contradicted_error_becomes_a_warning(
    status: str, severity: Severity, left: Severity
) -> None:
    finding = Finding(
        "SC1", "a", severity, Confidence.HIGH, "is", (Location(None),),
        evidence=Evidence(status, "seen"),
    )  # fmt: skip
    report = Report((), (ModelReport(path="m", status="complete", findings=(finding,)),))
    (found,) = demoted(report).models[0].findings
    assert found.severity == left
    assert found.evidence is not None
    lowered = severity != left
    assert found.evidence.reason == "seen" + "; a warning instead of an error" * lowered


# ---- region and outputs


def test_figures_of_a_region_are_those_of_its_pixels(audited: Audit) -> None:
    whole = audited(STRIDED, "SC101", thresholds={"max-dead-pixels": 100})
    assert figures_of(whole)["dead_pixel_fraction"]["value"] == 0.75
    part = audited(STRIDED, "SC101", region=(1, 2, 1, 3), thresholds={"max-dead-pixels": 100})
    dead = figures_of(part)["dead_pixel_fraction"]
    assert (dead["value"], dead["probes"]) == (1.0, 3)
    assert limits(part) == [("max-dead-pixels", 3.0, KEPT)]
    assert part.measured is not None
    assert part.measured.influence is not None
    assert part.measured.influence["region"] == [1, 2, 1, 3]


def test_the_region_of_a_map_is_cut_out_of_it(examine: Examine) -> None:
    exam = examine(STRIDED)
    part = restricted(exam.influence, (2, 4, 3, 2))
    assert np.array_equal(part.values, exam.influence.values[4:6, 2:5])
    assert np.array_equal(part.places, np.argwhere(part.probed))
    assert np.allclose(part.responses.mean(axis=0), part.values[part.probed])
    assert summarise(part).figures["dead_pixel_fraction"].value == pytest.approx(4 / 6)


def test_a_region_beside_the_image_is_a_wrong_call(audited: Audit) -> None:
    report = audited(STRIDED, "SC101", region=(6, 0, 3, 8))
    assert report.failure is not None
    assert (report.failure.kind, report.failure.message) == (
        "usage",
        "the region 6,0,3,8 does not lie on an image of 8x8 pixels",
    )


def test_every_output_has_coverage_and_figures(audited: Audit) -> None:
    report = audited(TWO, "SC101")
    assert report.measured is not None
    found = [
        (o["output"], o["coverage"]["dead_pixel_fraction"], o["figures"]["dead_pixel_fraction"])
        for o in report.measured.outputs
    ]
    assert [(name, static, figure["value"]) for name, static, figure in found] == [
        ("a", 0.75, 0.75),
        ("b", 0.0, 0.0),
    ]


def test_a_single_output_is_not_told_twice(audited: Audit) -> None:
    report = audited(STRIDED, "SC101")
    assert report.measured is not None
    assert report.measured.outputs == ()


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


# ---- failures


def test_a_model_that_cannot_run_is_still_linted(audited: Audit) -> None:
    text = """model (float[1, 1, 8, 8] x) => (float[1, 1, 4, 4] y)
    <float[1, 1, 3, 3] w = {1, 1, 1, 1, 1, 1, 1, 1, 1}>
    { [conv] y = Conv <auto_pad = "SAME_UPPER", pads = [1, 1, 1, 1], strides = [2, 2]> (x, w) }"""
    report = audited(text, "SC407", thresholds={"max-dead-pixels": 0})
    (finding,) = report.findings
    assert finding.evidence is not None
    assert finding.evidence.status == CONFIRMED
    assert finding.evidence.reason.startswith("onnxruntime")
    assert report.measured is not None
    assert report.measured.status == "unavailable"
    assert report.measured.skipped == ()
    assert limits(report) == [("max-dead-pixels", None, NOT_JUDGED)]


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


# ---- the budget


def test_a_part_of_a_budget_ends_where_it_should() -> None:
    now = [10.0]
    budget = Budget.of(60.0, clock=lambda: now[0])
    first = budget.part(3)
    assert (first.left, budget.left) == (20.0, 60.0)
    now[0] = 25.0
    assert (first.left, budget.part(2).left) == (5.0, 22.5)
    first.require(4.0)
    with pytest.raises(NotMeasuredError, match="ran out"):
        first.require(5.0)


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
    code, out, _ = run(str(save(NOISE)), "--select", "SC503", "--format", "json")
    (finding,) = json.loads(out)["models"][0]["findings"]
    assert code == 0
    assert (finding["severity"], finding["evidence"]["status"]) == ("warning", "contradicted")
    assert finding["evidence"]["reason"].endswith("; a warning instead of an error")
    shown = NOISE.replace("weight = {0}", "weight = {1}")
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


def test_a_report_without_evidence_has_no_keys_of_it() -> None:
    from scotoma.report.document import finding_document

    finding = Finding("SC1", "a", Severity.NOTE, Confidence.LOW, "is", (Location(None),))
    assert "evidence" not in finding_document(finding)
    shown = finding_document(replace(finding, evidence=Evidence(NOT_MEASURED, "no")))
    evidence: Any = shown["evidence"]
    assert evidence == {
        "status": "not measured", "reason": "no", "measurements": [], "outputs": [],
    }  # fmt: skip


# ---- the function


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
