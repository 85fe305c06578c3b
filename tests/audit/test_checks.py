"""Every check, with a claim that a run confirms, one that it contradicts, and one that it cannot
tell of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from scotoma.audit import audit as auditing
from scotoma.audit.bench import Bench
from scotoma.audit.budget import Budget
from scotoma.audit.checkers import GRAPH_ONLY, WITHOUT_RUN, checkers
from scotoma.audit.checks import baked_size, dimmed_border, unread
from scotoma.audit.errors import NotMeasuredError
from scotoma.audit.exam import Exam
from scotoma.findings import (
    CONFIRMED,
    CONTRADICTED,
    NOT_MEASURED,
    Confidence,
    Evidence,
    Finding,
    Location,
    Measurement,
    Severity,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from scotoma.results import ModelReport

    Audit = Callable[..., ModelReport]
    Examine = Callable[..., Exam]

RULES = Path(__file__).parents[1] / "rules"

CONFIRMED_BY_FIXTURE = {
    "SC101": "unread-pixels/valid_stride_drops_last_row",
    "SC102": "valid-padding-blind-spot/five_valid_layers",
    "SC107": "cropped-input/centre_crop",
    "SC301": "border-dimming-pool/counted",
    "SC303": "padding-only-window/dilated_convolution",
    "SC304": "pads-exceed-kernel/average",
    "SC305": "reflect-pad-too-large/as_many_as_there_are",
    "SC404": "shape-disagreement/output",
    "SC405": "dilated-auto-pad/convolution",
    "SC406": "narrow-auto-pad/average",
    "SC407": "conflicting-auto-pad/convolution",
    "SC501": "dropout-at-inference/elements",
    "SC502": "batch-norm-training/training_mode",
    "SC503": "stochastic-operator/noise_added",
    "SC505": "batch-leak/moments",
    "SC601": "checkerboard-upsampling/kernel_3_stride_2",
    "SC602": "unwritten-output/kernel_below_stride",
    "SC801": "baked-spatial-size/dense_layer",
}
"""A fixture of the rule itself, by code."""


def the_finding(report: Any, code: str) -> Finding:
    (found,) = [finding for finding in report.findings if finding.code == code]
    assert isinstance(found, Finding)
    return found


def evidence_of(report: Any, code: str) -> Evidence:
    evidence = the_finding(report, code).evidence
    assert evidence is not None
    return evidence


def claim(code: str, *measurements: Measurement, node: str = "op", tensor: str = "y") -> Finding:
    return Finding(
        code, "a-rule", Severity.ERROR, Confidence.HIGH, "is wrong",
        (Location(node, "Kind", tensor),), measurements,
    )  # fmt: skip


@pytest.mark.parametrize(("code", "fixture"), CONFIRMED_BY_FIXTURE.items())
def test_a_run_confirms_what_the_rule_finds(code: str, fixture: str, audited: Audit) -> None:
    text = (RULES / f"{fixture}.onnxtxt").read_text()
    assert evidence_of(audited(text, code), code).status == CONFIRMED


def test_a_rule_without_a_check_says_why(audited: Audit, examine: Examine) -> None:
    text = """model (float[1, 1, 8, 8] x) => (float[1, 1, 4, 4] y)
    { [pool] y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x) }"""
    found = evidence_of(audited(text, "SC701", "SC207"), "SC701")
    assert found == Evidence(NOT_MEASURED, WITHOUT_RUN["SC701"])
    of_a_plugin, failure = auditing._evidence(claim("XX101"), examine(text), debug=True)
    assert (of_a_plugin, failure) == (Evidence(NOT_MEASURED, GRAPH_ONLY), None)


# ---- unread pixels

STRIDED = """model (float[1, 1, 8, 8] x) => (float[1, 1, 4, 4] y)
{ [pool] y = MaxPool <kernel_shape = [1, 1], strides = [2, 2]> (x) }"""


def test_unread_pixels_are_all_perturbed_at_once(examine: Examine, audited: Audit) -> None:
    found = evidence_of(audited(STRIDED, "SC101"), "SC101")
    assert found.status == CONFIRMED
    assert found.measurements == (
        Measurement("perturbed_pixels", 48, "px"),
        Measurement("changed_outputs", 0, "outputs", limit=0),
    )


@pytest.mark.parametrize(("pixel", "status"), [((0, 0), CONTRADICTED), ((1, 1), CONFIRMED)])
def test_one_read_pixel_among_the_unread_ones_contradicts(
    examine: Examine, pixel: tuple[int, int], status: str
) -> None:
    exam = examine(STRIDED)
    mask = np.zeros((8, 8), bool)
    mask[pixel] = True
    facts: Any = SimpleNamespace(
        dead=lambda local=False: SimpleNamespace(mask=mask), resolution=exam.facts.resolution
    )
    lying = Exam(facts, exam.bench, exam.options, exam.budget)
    assert unread.check(claim("SC101"), lying).status == status


def test_pixels_that_only_gates_read_are_not_measured(audited: Audit) -> None:
    text = (RULES / "unread-pixels/gate_hides_the_skipped_pixels.onnxtxt").read_text()
    found = evidence_of(audited(text, "SC101"), "SC101")
    assert (found.status, found.reason.split(":")[0]) == (
        NOT_MEASURED,
        "whole-map gates read these pixels",
    )


def test_nothing_is_confirmed_where_nothing_moves_anything(audited: Audit) -> None:
    text = """model (float[1, 1, 8, 8] x) => (float[1, 1, 4, 4] y) <float zero = {0}> {
        p = MaxPool <kernel_shape = [1, 1], strides = [2, 2]> (x)
        y = Mul (p, zero)
    }"""
    found = evidence_of(audited(text, "SC101"), "SC101")
    reason = "the outputs stay the same whatever the image is"
    assert (found.status, found.reason) == (NOT_MEASURED, reason)


def test_unread_pixels_are_judged_at_every_output(audited: Audit) -> None:
    text = """model (float[1, 1, 8, 8] x) => (float[1, 1, 4, 4] a, float[1, 1, 4, 4] b) {
        a = MaxPool <kernel_shape = [1, 1], strides = [2, 2]> (x)
        b = Relu (a)
    }"""
    found = evidence_of(audited(text, "SC101"), "SC101")
    assert [(o.output, o.status) for o in found.outputs] == [("a", CONFIRMED), ("b", CONFIRMED)]


# ---- blind spots

STARVED = """model (float[1, 1, 14, 14] x) => (float[1, 1, 8, 8] y)
<float[1, 1, 14, 14] m, float[1, 1, 3, 3] w = {{1,1,1,1,1,1,1,1,1}}>
{{ {first}
   a = Conv (s, w)  b = Conv (a, w)  y = Conv (b, w) }}"""


def test_a_corner_that_the_weights_lift_contradicts_a_blind_spot(examine: Examine) -> None:
    mask = np.ones((14, 14))
    mask[[0, 0, -1, -1], [0, -1, 0, -1]] = 1e4
    numbers = ",".join(f"{value:g}" for value in mask.ravel())
    text = STARVED.format(first="s = Mul (x, m)").replace("14] m,", f"14] m = {{{numbers}}},")
    for model, status in (
        (text, CONTRADICTED),
        (text.replace("Mul (x, m)", "Relu (x)"), CONFIRMED),
    ):
        exam = examine(model)
        paths = Measurement("corner_over_centre_paths", 1 / 729, "1")
        found = checkers()["SC102"].check(claim("SC102", paths), exam)
        assert found.status == status
        assert found.reason.endswith("where the graph counts 0.0014 of the paths")
        assert found.measurements[0].value == exam.figure("corner_over_centre").value


def test_a_blind_spot_needs_a_map(audited: Audit) -> None:
    text = (RULES / "valid-padding-blind-spot/five_valid_layers.onnxtxt").read_text()
    report = audited(text, "SC102", seconds=1e-9)
    assert evidence_of(report, "SC102").reason == "the time budget ran out"
    assert report.measured is not None
    assert report.measured.skipped == ("evidence for SC102", "the map of influence")


# ---- randomness

DROPPED = """model (float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y)
<float half = {0.5}, bool on = {1}, float weight = {WEIGHT}>
{ [drop] d = Dropout (x, half, on)  s = Mul (d, weight)  y = Add (s, x) }"""
NOISE = """model (float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y) <float weight = {WEIGHT}>
{ [noise] n = RandomNormalLike (x)  s = Mul (n, weight)  y = Add (s, x) }"""


@pytest.mark.parametrize(("code", "text"), [("SC501", DROPPED), ("SC503", NOISE)])
def test_random_numbers_that_a_zero_weight_stops_are_contradicted(
    code: str, text: str, audited: Audit
) -> None:
    shown = evidence_of(audited(text.replace("WEIGHT", "1"), code), code)
    assert shown.status == CONFIRMED
    assert shown.measurements[1] == Measurement("random_outputs", 1, "outputs", limit=0)
    hidden = evidence_of(audited(text.replace("WEIGHT", "0"), code), code)
    assert hidden.status == CONTRADICTED
    assert hidden.reason.endswith("made other values every time, but no output changed")
    assert hidden.measurements[0] == Measurement("runs", 64, "runs")


def test_a_dropout_that_a_caller_turns_on_is_run_with_its_flag(audited: Audit) -> None:
    text = """model (float[1, 4, 8, 8] x, bool on) => (float[1, 4, 8, 8] y)
    <float half = {0.5}> { [drop] y = Dropout (x, half, on) }"""
    report = audited(text, "SC501")
    assert evidence_of(report, "SC501").status == CONFIRMED


def test_a_dropout_in_a_branch_that_does_not_run_is_not_contradicted(examine: Examine) -> None:
    exam = examine("model (float[1, 1, 4, 4] x) => (float[1, 1, 4, 4] y) { y = Relu (x) }")
    with pytest.raises(NotMeasuredError, match="a body that may not have run"):
        checkers()["SC501"].check(claim("SC501", node="inside"), exam)


def test_whole_numbers_hide_randomness(audited: Audit) -> None:
    text = """model (float[1, 4, 8, 8] x) => (int64[1, 1, 8, 8] y) <float tiny = {1e-6}>
    { [noise] n = RandomNormalLike (x)  s = Mul (n, tiny)  a = Add (s, x)
      y = ArgMax <axis = 1> (a) }"""
    found = evidence_of(audited(text, "SC503"), "SC503")
    assert (found.status, found.reason) == (
        NOT_MEASURED,
        "all outputs are whole numbers, which hide small changes",
    )


# ---- batches

LEAK = """model (float[N, 3, 8, 8] x) => (float[N, 3, 8, 8] y) <float weight = {WEIGHT}>
{ [largest] m = ReduceMax <axes = [0, 2, 3]> (x)  s = Mul (m, weight)  y = Add (x, s) }"""
TRAINING = """model (float[N, 2, 8, 8] x) => (float[N, 2, 8, 8] y)
<float[2] s = {WEIGHT, WEIGHT}, float[2] b = {1, 1}, float[2] m = {0, 0}, float[2] v = {1, 1}>
{ [norm] y, a, c = BatchNormalization <training_mode = 1> (x, s, b, m, v) }"""


@pytest.mark.parametrize(("code", "text"), [("SC505", LEAK), ("SC502", TRAINING)])
def test_a_leak_that_a_zero_weight_stops_is_contradicted(
    code: str, text: str, audited: Audit
) -> None:
    shown = evidence_of(audited(text.replace("WEIGHT", "1"), code), code)
    assert shown.status == CONFIRMED
    assert float(shown.measurements[0].value or 0) > 0.001
    hidden = evidence_of(audited(text.replace("WEIGHT", "0"), code), code)
    assert (hidden.status, hidden.measurements[0].value) == (CONTRADICTED, 0.0)


def test_a_batch_that_the_model_refuses_is_not_measured(examine: Examine) -> None:
    exam = examine("""model (float[1, 1, 4, 4] x) => (float[1, 16] y) <int64[2] s = {1, 16}>
    { y = Reshape (x, s) }""")
    with pytest.raises(NotMeasuredError, match="does not run on two images at once"):
        checkers()["SC505"].check(claim("SC505"), exam)


# ---- maps on flat images, pools, shapes, cells

UNEVEN = """model (float[1, 1, 16, 16] x) => (float[1, 1, 32, 32] y)
<float[1, 1, 2, 2] w = {1, 3, 3, 1}, float weight = {WEIGHT}, float more = {MORE}>
{ [up] t = ConvTranspose <strides = [2, 2]> (x, w)  s = Mul (t, weight)  y = Add (s, more) }"""


@pytest.mark.parametrize(("weight", "status"), [("1", CONFIRMED), ("0", CONTRADICTED)])
def test_a_checkerboard_is_looked_for_in_the_output(
    weight: str, status: str, examine: Examine
) -> None:
    more = str(1 - int(weight))
    exam = examine(UNEVEN.replace("WEIGHT", weight).replace("MORE", more), "t")
    finding = claim("SC601", Measurement("phase_unevenness", 1.0, "1", limit=0.3), node="up")
    found = checkers()["SC601"].check(finding, exam)
    assert (found.status, found.measurements[0].value) == (status, float(weight))


def test_an_output_of_zeros_shows_no_checkerboard(examine: Examine) -> None:
    exam = examine(UNEVEN.replace("WEIGHT", "0").replace("MORE", "0"), "t")
    with pytest.raises(NotMeasuredError, match="zero everywhere"):
        checkers()["SC601"].check(claim("SC601", node="up"), exam)


POOLED = """model (float[1, 1, 8, 8] x) => (float[1, 1, 8, 8] y)
{ [op] y = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1], count_include_pad = 1> (x) }"""


def test_the_gain_of_a_pool_is_that_of_its_corner(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = checkers()["SC301"].check
    found = check(claim("SC301"), examine(POOLED))
    assert found.status == CONFIRMED
    assert found.measurements[0].value == pytest.approx(4 / 9)
    honest = examine(POOLED.replace("count_include_pad = 1", "count_include_pad = 0"))
    with pytest.raises(NotMeasuredError, match="no pool of the claim"):
        check(claim("SC301"), honest)
    pool = SimpleNamespace
    monkeypatch.setattr(
        dimmed_border,
        "dimmed_pool",
        lambda _facts, op, windows: pool(
            operator=op, windows=windows, front=None, corner_gain=4 / 9
        ),
    )
    assert check(claim("SC301"), honest).status == CONTRADICTED


def test_the_zeros_of_a_pad_in_front_are_no_cells(audited: Audit) -> None:
    text = (RULES / "border-dimming-pool/pad_in_front.onnxtxt").read_text()
    found = evidence_of(audited(text, "SC301"), "SC301")
    assert found.status == CONFIRMED
    assert found.measurements[0].value == pytest.approx(4 / 9)


@pytest.mark.parametrize(("actual", "status"), [("1x1x8x8", CONFIRMED), ("1x1x9x9", CONTRADICTED)])
def test_a_shape_is_what_a_run_makes(actual: str, status: str, examine: Examine) -> None:
    finding = claim("SC404", Measurement("stated_shape", "1x1x7x7", "cells", limit=actual))
    found = checkers()["SC404"].check(finding, examine(POOLED))
    assert (found.status, found.measurements[0].value) == (status, "1x1x8x8")


GAPS = """model (float[1, 1, 4, 4] x) => (float[1, 1, 7, 7] y) <float[1, 1, 1, 1] w = {1}>
{ [op] y = ConvTranspose <strides = [2, 2]> (x, w) }"""


@pytest.mark.parametrize(("claimed", "status"), [(33, CONFIRMED), (34, CONTRADICTED)])
def test_cells_that_no_image_reaches_are_counted(
    claimed: int, status: str, examine: Examine
) -> None:
    for code, value in (("SC303", claimed), ("SC602", claimed / 49)):
        name = "padding_only_windows" if code == "SC303" else "unwritten_fraction"
        finding = claim(code, Measurement(name, value, "1"))
        found = checkers()[code].check(finding, examine(GAPS))
        assert (found.status, found.measurements[0].value) == (status, 33)


# ---- refusals


@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("SC304", "padding"),
        ("SC305", "reflected"),
        ("SC405", "dilation"),
        ("SC406", "automatic_padding"),
        ("SC407", "ways_of_padding"),
    ],
)
def test_a_refusal_is_contradicted_by_a_run(code: str, number: str, examine: Examine) -> None:
    exam = examine(POOLED)
    found = checkers()[code].check(claim(code, Measurement(number, 1, "1")), exam)
    assert found.status == CONTRADICTED
    assert found.reason.endswith("loads it and runs it")
    with pytest.raises(NotMeasuredError, match="not that it is refused"):
        checkers()[code].check(claim(code), exam)


def test_a_refusal_for_another_reason_says_nothing(examine: Examine) -> None:
    text = (RULES / "conflicting-auto-pad/convolution.onnxtxt").read_text()
    finding = claim("SC305", Measurement("reflected", 9, "cells"), node="another")
    with pytest.raises(NotMeasuredError, match="refuses the model for another reason"):
        checkers()["SC305"].check(finding, examine(text))


def test_a_size_that_works_contradicts_a_baked_one(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    exam = examine("model (float[1, 1, h, w] x) => (float[1, 1, h, w] y) { y = Relu (x) }")
    with pytest.raises(NotMeasuredError, match="no other size"):
        checkers()["SC801"].check(claim("SC801"), exam)
    monkeypatch.setattr(baked_size, "baked_size", lambda _: SimpleNamespace(tried=[(32, 48)]))
    found = checkers()["SC801"].check(claim("SC801"), exam)
    assert (found.status, found.reason) == (CONTRADICTED, "onnxruntime runs it at 32x48")


# ---- place


PADDED = """model (float[1, 1, 12, 12] x) => (float[1, 1, 12, 12] y)
<float[1, 1, 3, 3] w = {1, 1, 1, 1, 1, 1, 1, 1, 1}>
{ a = Conv <pads = [1, 1, 1, 1]> (x, w)  y = Conv <pads = [1, 1, 1, 1]> (a, w) }"""
EVEN = "model (float[1, 1, 12, 12] x) => (float[1, 1, 12, 12] y) { y = Neg (x) }"


@pytest.mark.parametrize(("text", "status"), [(PADDED, CONFIRMED), (EVEN, CONTRADICTED)])
def test_place_is_what_a_stimulus_shows(text: str, status: str, examine: Examine) -> None:
    found = checkers()["SC306"].check(claim("SC306"), examine(text))
    assert found.status == status
    assert found.measurements[0].name == "position_sensitivity"


# ---- the bench


def test_no_pass_begins_after_the_deadline(examine: Examine) -> None:
    now = [0.0]
    budget = Budget.of(5.0, clock=lambda: now[0])
    exam = examine(POOLED, budget=budget)
    bench: Bench = exam.bench
    feed = bench.feeds[0]
    for _ in range(20):
        now[0] += 2.0
        try:
            bench.run(feed)
        except NotMeasuredError:
            break
    assert (bench.passes, now[0]) == (2, 6.0)


def test_a_pass_that_would_not_fit_is_not_begun(examine: Examine) -> None:
    now = [0.0]
    exam = examine(POOLED, budget=Budget.of(5.0, clock=lambda: now[0]))
    bench = exam.bench
    feed = bench.feeds[0]
    session = bench._session
    slow = SimpleNamespace(
        run=lambda given: (now.__setitem__(0, now[0] + 3.0), session.run(given))[1]
    )
    bench.__dict__["_session"] = slow
    bench.run(feed)
    with pytest.raises(NotMeasuredError, match="budget ran out"):
        bench.run(feed)
    assert bench.passes == 1


def test_inner_tensors_come_beside_the_outputs(examine: Examine) -> None:
    exam = examine(UNEVEN.replace("WEIGHT", "2").replace("MORE", "0"), "t", "no such tensor")
    answer = exam.bench.run(exam.bench.feeds[0])
    assert list(answer) == ["y", "t"]
    assert np.array_equal(answer["y"], answer["t"] * 2)


def test_a_contradicted_claim_keeps_its_message(audited: Audit) -> None:
    report = audited(NOISE.replace("WEIGHT", "0"), "SC503")
    finding = the_finding(report, "SC503")
    assert finding.severity == Severity.ERROR
    assert replace(finding, evidence=None).evidence is None


def test_no_map_is_begun_that_its_own_trials_would_outlast(examine: Examine) -> None:
    for seconds, begun in ((0.5, True), (2.0, False)):
        exam = examine(POOLED)
        assert exam.bench.refusal is None
        exam.bench.seconds = seconds
        if begun:
            assert exam.summary.figures["dead_pixel_fraction"].value == 0
        else:
            with pytest.raises(NotMeasuredError, match="budget ran out"):
                _ = exam.summary


def test_a_model_that_is_refused_has_no_map_for_that_reason(examine: Examine) -> None:
    exam = examine((RULES / "conflicting-auto-pad/convolution.onnxtxt").read_text())
    with pytest.raises(NotMeasuredError, match="onnxruntime cannot load the model"):
        _ = exam.influence
