"""Checks that run one operator by itself: a claim that it confirms, and one that it contradicts."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from audit.claims import Audit, Examine, check, checked, claim, evidence, fixture_text

from scotoma.audit.checkers import WITHOUT_RUN, checkers
from scotoma.audit.checks import dead_taps, resizes
from scotoma.audit.errors import NotMeasuredError
from scotoma.audit.layer import layer, moved, padding_read, stride_shift
from scotoma.evidence.resampling import Resized
from scotoma.evidence.taps import kernels
from scotoma.findings import (
    CONFIRMED,
    CONTRADICTED,
    NOT_MEASURED,
    Confidence,
    Finding,
    Measurement,
    Severity,
)
from scotoma.registry import load_rules


def test_every_rule_has_a_check_or_a_reason_of_its_own() -> None:
    codes = {rule.meta.code for rule in load_rules(()).rules}
    assert checkers().keys() | WITHOUT_RUN.keys() == codes
    assert not checkers().keys() & WITHOUT_RUN.keys()


def conv(attributes: str, *, size: int = 12, kernel: int = 3, made: int | None = None) -> str:
    made = size if made is None else made
    return f"""model (float[1, 1, {size}, {size}] x) => (float[1, 1, {made}, {made}] y)
    <float[1, 1, {kernel}, {kernel}] w>
    {{ [op] y = Conv <{attributes}> (x, w) }}"""


# ---- what a layer reads


@pytest.mark.parametrize(
    ("attributes", "kernel", "made", "cells"),
    [
        ("pads = [1, 1, 1, 1]", 3, 12, 0),
        ("pads = [2, 2, 0, 0]", 3, 12, -1),
        ("pads = [0, 0, 1, 1]", 2, 12, Fraction(1, 2)),
        ('auto_pad = "SAME_LOWER"', 2, 12, Fraction(-1, 2)),
        ("pads = [1, 1, 2, 2]", 3, 13, Fraction(1, 2)),
        ("pads = [4, 4, 0, 0], dilations = [2, 2]", 3, 12, -2),
    ],
)
def test_a_line_comes_out_where_the_layer_puts_it(
    attributes: str, kernel: int, made: int, cells: Fraction, examine: Examine
) -> None:
    item = layer(examine(conv(attributes, kernel=kernel, made=made)), "op")
    assert [moved(item, 0), moved(item, 1)] == [cells, cells]


@pytest.mark.parametrize(
    ("attributes", "size", "read", "shift"),
    [
        ("strides = [2, 2], pads = [1, 1, 1, 1]", 12, (1, 0), Fraction(-1, 2)),
        ("strides = [2, 2], pads = [1, 1, 1, 1]", 13, (1, 1), Fraction(-1, 2)),
        ('strides = [2, 2], auto_pad = "SAME_UPPER"', 12, (0, 1), Fraction(1, 2)),
        ("strides = [3, 3]", 14, (0, -2), Fraction(0)),
    ],
)
def test_the_ends_of_a_strided_layer_are_found(
    attributes: str, size: int, read: tuple[int, int], shift: Fraction, examine: Examine
) -> None:
    made = (size - 3) // 3 + 1 if "3, 3" in attributes else (size + 1) // 2
    item = layer(examine(conv(attributes, size=size, made=made)), "op")
    assert padding_read(item, 1) == read
    assert stride_shift(item, 0) == shift


def test_a_pad_in_front_belongs_to_the_layer(examine: Examine) -> None:
    text = """model (float[1, 1, 8, 8] x) => (float[1, 1, 8, 8] y)
    <float[1, 1, 3, 3] w, int64[8] pads = {0, 0, 2, 0, 0, 0, 0, 2}>
    { p = Pad (x, pads)  [op] y = Conv (p, w) }"""
    item = layer(examine(text), "op")
    assert [moved(item, 0), moved(item, 1)] == [-1, 1]
    stacked = """model (float[1, 1, 8, 8] x) => (float[1, 1, 8, 6] y)
    <float[1, 1, 3, 3] w, float[1, 1, 2, 8] zeros>
    { p = Concat <axis = 2> (zeros, x)  [op] y = Conv (p, w) }"""
    with pytest.raises(NotMeasuredError, match="not right in front"):
        layer(examine(stacked), "op")


def test_a_window_as_wide_as_its_map_is_not_judged(examine: Examine) -> None:
    wide = layer(examine(conv("pads = [3, 3, 3, 3]", size=4, kernel=7)), "op")
    with pytest.raises(NotMeasuredError, match="away from the borders"):
        moved(wide, 0)
    strided = conv("strides = [2, 2], pads = [3, 3, 3, 3]", size=4, kernel=7, made=2)
    with pytest.raises(NotMeasuredError, match="the whole map"):
        padding_read(layer(examine(strided), "op"), 0)


def test_a_model_that_does_not_run_has_no_layer_to_run(examine: Examine) -> None:
    text = conv('auto_pad = "SAME_UPPER", pads = [1, 1, 1, 1]')
    with pytest.raises(NotMeasuredError, match="onnxruntime"):
        layer(examine(text), "op")


# ---- claims

CONFIRMED_BY_FIXTURE = {
    "SC104": "dead-kernel-taps/one_cell",
    "SC108": "resize-skips-pixels/nearest_by_a_half",
    "SC201": "even-kernel/pad_in_front",
    "SC202": "uneven-padding/tensorflow_same",
    "SC203": "one-sided-padding/before_only",
    "SC205": "mixed-padding-convention/one_layer_converted",
    "SC206": "shifted-resize/asymmetric_linear",
    "SC302": "zero-pad-before-max-pool/signed_input",
    "SC401": "ceil-mode-phantom-window/map",
    "SC403": "ceil-mode-partial-window/two_pools",
    "SC504": "frozen-dropout-mask/places",
}


@pytest.mark.parametrize(("code", "fixture"), CONFIRMED_BY_FIXTURE.items())
def test_a_run_confirms_what_the_rule_finds(code: str, fixture: str, audited: Audit) -> None:
    text = fixture_text(fixture)
    found = evidence(audited(text, code), code)
    assert (found.status, bool(found.measurements)) == (CONFIRMED, True)


@pytest.mark.parametrize("code", ["SC201", "SC203"])
def test_a_layer_that_moves_nothing_contradicts_a_drift(code: str, examine: Examine) -> None:
    exam = examine(conv("pads = [1, 1, 1, 1]"))
    assert checked(claim(code, "op", drift=Fraction(1, 2)), exam) == CONTRADICTED
    moving = examine(conv("pads = [2, 2, 0, 0]"))
    assert checked(claim(code, "op", drift=Fraction(1)), moving) == CONFIRMED
    assert checked(claim(code, "op", drift=Fraction(2)), moving) == CONTRADICTED


def test_the_axis_of_a_claim_is_the_one_that_counts(examine: Examine) -> None:
    text = """model (float[1, 1, 12, 12] x) => (float[1, 1, 12, 12] y) <float[1, 1, 2, 3] w>
    { [op] y = Conv <pads = [0, 2, 1, 0]> (x, w) }"""
    exam = examine(text)
    assert checked(claim("SC201", "op", drift=Fraction(1, 2)), exam) == CONFIRMED
    assert checked(claim("SC203", "op", drift=Fraction(1)), exam) == CONFIRMED
    assert checked(claim("SC203", "op", drift=Fraction(3, 2)), exam) == CONTRADICTED


def test_one_layer_of_several_that_moves_nothing_contradicts(examine: Examine) -> None:
    text = """model (float[1, 1, 8, 8] x) => (float[1, 1, 8, 8] y) <float[1, 1, 3, 3] w>
    { [moves] a = Conv <pads = [2, 2, 0, 0]> (x, w)  [stays] y = Conv <pads = [1, 1, 1, 1]> (a, w)
    }"""
    exam = examine(text)
    assert checked(claim("SC203", "moves"), exam) == CONFIRMED
    found = check(claim("SC203", "moves", "stays"), exam)
    assert (found.status, found.reason) == (CONTRADICTED, "run by itself, 'stays' moves nothing")
    with pytest.raises(NotMeasuredError, match="'absent': it stands in a body"):
        checked(claim("SC203", "absent"), exam)


def test_padding_that_is_read_alike_contradicts(examine: Examine) -> None:
    even = conv("strides = [2, 2], pads = [1, 1, 1, 1]", size=13, made=7)
    assert checked(claim("SC202", "op"), examine(even)) == CONTRADICTED


def test_layers_that_read_off_to_one_side_contradict(examine: Examine) -> None:
    text = """model (float[1, 1, 32, 32] x) => (float[1, 1, 8, 8] y) <float[1, 1, 3, 3] w>
    {
        [a] m = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w)
        [b] y = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (m, w)
    }"""
    assert checked(claim("SC205", "a", "b"), examine(text)) == CONTRADICTED
    other = text.replace("[1, 1, 1, 1], strides = [2, 2]> (m", "[0, 0, 1, 1], strides = [2, 2]> (m")
    assert checked(claim("SC205", "a", "b"), examine(other)) == CONFIRMED
    # A layer that cannot be run by itself does not hide the others.
    assert checked(claim("SC205", "absent", "a", "b"), examine(other)) == CONFIRMED


RESIZE = """model (float[1, 1, 16, 16] x) => (float[1, 1, N, N] y) <float[4] s = {1, 1, S, S}>
{
    [op] y = Resize <
        mode = "M", coordinate_transformation_mode = "T", nearest_mode = "floor"
    > (x, , s)
}"""


def resize(mode: str, transformation: str, scale: float) -> str:
    made = str(int(16 * scale))
    text = RESIZE.replace("N", made).replace("S", str(scale))
    return text.replace('"M"', f'"{mode}"').replace('"T"', f'"{transformation}"')


@pytest.mark.parametrize("scale", [0.5, 0.75, 1.5, 2.0, 2.5])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("transformation", ["half_pixel", "asymmetric", "align_corners"])
def test_a_ramp_shows_the_shift_that_the_rule_works_out(
    mode: str, transformation: str, scale: float, examine: Examine
) -> None:
    from scotoma.evidence.resizes import resized_axes

    exam = examine(resize(mode, transformation, scale))
    for axis in resized_axes(exam.facts):
        assert checked(claim("SC206", "op", shift=axis.shift), exam) == CONFIRMED
        assert checked(claim("SC206", "op", shift=axis.shift + 1), exam) == CONTRADICTED
        assert checked(claim("SC206", "op", shift=axis.shift - 1), exam) == CONTRADICTED


def test_a_line_that_is_read_contradicts_a_resize_that_skips(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    exam = examine(resize("nearest", "asymmetric", 0.5))
    assert checked(claim("SC108", "op"), exam) == CONFIRMED
    read = np.arange(16) % 2 == 0
    read[6] = False
    lying = [Resized(label, 16, 8, read, Fraction(16)) for label in (0, 1)]
    monkeypatch.setattr(resizes, "resized_axes", lambda *_: lying)
    assert checked(claim("SC108", "op"), exam) == CONTRADICTED


def test_a_tap_that_meets_cells_contradicts_dead_ones(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    exam = examine(conv("pads = [2, 2, 2, 2], dilations = [2, 2]", size=2, made=2))
    (kernel,) = kernels(exam.facts)
    assert checked(claim("SC104", "op"), exam) == CONFIRMED
    alive = kernel.alive.copy()
    alive[1, 1] = False
    alive[0, 0] = True
    lying = SimpleNamespace(operators=kernel.operators, alive=alive, dead_taps=8)
    monkeypatch.setattr(dead_taps, "kernels", lambda _: [lying])
    assert checked(claim("SC104", "op"), exam) == CONTRADICTED


POOLED = """model (float[1, 1, 8, 8] x) => (float[1, 1, 4, 4] y)
<int64[8] pads = {0, 0, 1, 1, 0, 0, 1, 1}, float shift = {SHIFT}>
{ m = Mul (x, x)  a = Sub (m, shift)  p = Pad (a, pads)
  [op] y = MaxPool <kernel_shape = [3, 3], strides = [2, 2]> (p) }"""


@pytest.mark.parametrize(("shift", "status"), [("0", CONTRADICTED), ("99", CONFIRMED)])
def test_zeros_win_over_negative_numbers_only(shift: str, status: str, examine: Examine) -> None:
    exam = examine(POOLED.replace("SHIFT", shift), "a", "y")
    found = check(claim("SC302", "op"), exam)
    assert found.status == status
    # A pool of 4x4 reads the zeros of the first row and the first column.
    won = len(exam.bench.feeds) * 7 if status == CONFIRMED else 0
    assert found.measurements[0].value == won


def test_negative_numbers_that_no_zero_won_over_leave_it_open(examine: Examine) -> None:
    exam = examine(POOLED.replace("SHIFT", "0.001"), "a", "y")
    with pytest.raises(NotMeasuredError, match="negative numbers reach the pool"):
        checked(claim("SC302", "op"), exam)


CEIL = """model (float[1, 1, N, N] x) => (float[1, 1, M, M] y)
{ [op] y = AveragePool <kernel_shape = [3, 3], strides = [2, 2], ATTRIBUTES> (x) }"""


def ceil_pool(size: int, made: int, attributes: str) -> str:
    return CEIL.replace("N", str(size)).replace("M", str(made)).replace("ATTRIBUTES", attributes)


@pytest.mark.parametrize(
    ("size", "made", "status"), [(8, 4, CONFIRMED), (9, 4, CONTRADICTED), (8, 3, CONTRADICTED)]
)
def test_a_partial_window_is_one_more_than_fit(
    size: int, made: int, status: str, examine: Examine
) -> None:
    exam = examine(ceil_pool(size, made, f"ceil_mode = {int(made == 4)}"), "y")
    assert checked(claim("SC403", "op"), exam) == status


def test_a_phantom_window_that_is_there_contradicts(examine: Examine) -> None:
    exam = examine(ceil_pool(8, 4, "ceil_mode = 1"), "y")

    def size(letter: str, actual: str) -> Finding:
        by_letter = Measurement("output_size_by_specification", letter, "cells", limit=actual)
        finding = claim("SC401", "op")
        return Finding(
            "SC401", "a", Severity.WARNING, Confidence.HIGH, "", finding.locations, (by_letter,)
        )

    assert checked(size("5x5", "4x4"), exam) == CONFIRMED
    assert checked(size("4x4", "3x3"), exam) == CONTRADICTED
    with pytest.raises(NotMeasuredError, match="neither size"):
        checked(size("7x7", "6x6"), exam)


def test_a_model_that_runs_contradicts_a_refusal_for_its_features(examine: Examine) -> None:
    exam = examine(ceil_pool(8, 4, "ceil_mode = 1"), "y")
    by_letter = Measurement("output_size_by_specification", "5x5", "cells", limit="4x4")
    refused = claim("SC401", "op", features_by_specification=25)
    finding = Finding(
        "SC401", "a", Severity.ERROR, Confidence.HIGH, "", refused.locations,
        (by_letter, *refused.measurements),
    )  # fmt: skip
    assert checked(finding, exam) == CONTRADICTED


def test_a_refusal_that_names_an_operator_of_the_claim_confirms_it(audited: Audit) -> None:
    text = fixture_text("ceil-mode-phantom-window/linear_of_the_letter")
    found = evidence(audited(text, "SC401"), "SC401")
    assert (found.status, "refuses it" in found.reason) == (CONFIRMED, True)


MASKED = """model (float[1, 1, 8, 8] x) => (float[1, 1, 8, 8] y) <float[1, 1, 1, 8] mask = {MASK}>
{ [op] y = Mul (x, mask) }"""


@pytest.mark.parametrize(
    ("mask", "status"),
    [("1, 0, 1, 1, 0, 1, 1, 1", CONFIRMED), ("1, 1, 1, 1, 1, 1, 1, 1", CONTRADICTED)],
)
def test_a_mask_is_what_is_zero_on_every_image(mask: str, status: str, examine: Examine) -> None:
    exam = examine(MASKED.replace("MASK", mask))
    finding = claim("SC504", "op", zeroed_fraction=Fraction(1, 4))
    found = check(finding, exam)
    assert found.status == status
    assert found.measurements[0].value == (0.25 if status == CONFIRMED else 0)


def test_weights_of_whole_numbers_are_not_fed(audited: Audit) -> None:
    text = """model (uint8[1, 1, 12, 12] x) => (int32[1, 1, 6, 6] y) <uint8[1, 1, 3, 3] w>
    { [op] y = ConvInteger <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w) }"""
    found = evidence(audited(text, "SC202"), "SC202")
    assert (found.status, found.reason) == (
        NOT_MEASURED,
        "only operators on floats are run by themselves",
    )
