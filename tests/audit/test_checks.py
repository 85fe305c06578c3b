"""Checks of unread pixels and blind spots; what every check has, or why there is none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from audit.claims import STRIDED, Audit, Examine, check, claim, evidence, fixture_text

from scotoma.audit import audit as auditing
from scotoma.audit.checkers import GRAPH_ONLY, WITHOUT_RUN
from scotoma.audit.checks import unread
from scotoma.audit.exam import Exam
from scotoma.findings import CONFIRMED, CONTRADICTED, NOT_MEASURED, Evidence, Measurement

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


@pytest.mark.parametrize(("code", "fixture"), CONFIRMED_BY_FIXTURE.items())
def test_a_run_confirms_what_the_rule_finds(code: str, fixture: str, audited: Audit) -> None:
    text = fixture_text(fixture)
    assert evidence(audited(text, code), code).status == CONFIRMED


def test_a_rule_without_a_check_says_why(audited: Audit, examine: Examine) -> None:
    text = """model (float[1, 1, 8, 8] x) => (float[1, 1, 4, 4] y)
    { [pool] y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x) }"""
    found = evidence(audited(text, "SC701", "SC207"), "SC701")
    assert found == Evidence(NOT_MEASURED, WITHOUT_RUN["SC701"])
    of_a_plugin, failure = auditing._evidence(claim("XX101"), examine(text), debug=True)
    assert (of_a_plugin, failure) == (Evidence(NOT_MEASURED, GRAPH_ONLY), None)


# ---- unread pixels


def test_unread_pixels_are_all_perturbed_at_once(examine: Examine, audited: Audit) -> None:
    found = evidence(audited(STRIDED, "SC101"), "SC101")
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
    text = fixture_text("unread-pixels/gate_hides_the_skipped_pixels")
    found = evidence(audited(text, "SC101"), "SC101")
    assert (found.status, found.reason.split(":")[0]) == (
        NOT_MEASURED,
        "whole-map gates read these pixels",
    )


def test_nothing_is_confirmed_where_nothing_moves_anything(audited: Audit) -> None:
    text = """model (float[1, 1, 8, 8] x) => (float[1, 1, 4, 4] y) <float zero = {0}> {
        p = MaxPool <kernel_shape = [1, 1], strides = [2, 2]> (x)
        y = Mul (p, zero)
    }"""
    found = evidence(audited(text, "SC101"), "SC101")
    reason = "the outputs stay the same whatever the image is"
    assert (found.status, found.reason) == (NOT_MEASURED, reason)


def test_unread_pixels_are_judged_at_every_output(audited: Audit) -> None:
    text = """model (float[1, 1, 8, 8] x) => (float[1, 1, 4, 4] a, float[1, 1, 4, 4] b) {
        a = MaxPool <kernel_shape = [1, 1], strides = [2, 2]> (x)
        b = Relu (a)
    }"""
    found = evidence(audited(text, "SC101"), "SC101")
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
        found = check(claim("SC102", corner_over_centre_paths=1 / 729), exam)
        assert found.status == status
        assert found.reason.endswith("where the graph counts 0.0014 of the paths")
        assert found.measurements[0].value == exam.figure("corner_over_centre").value


def test_a_blind_spot_needs_a_map(audited: Audit) -> None:
    text = fixture_text("valid-padding-blind-spot/five_valid_layers")
    report = audited(text, "SC102", seconds=1e-9)
    assert evidence(report, "SC102").reason == "the time budget ran out"
    assert report.measured is not None
    assert report.measured.skipped == ("evidence for SC102", "the map of influence")
