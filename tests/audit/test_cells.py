"""Checks of what a map holds: a checkerboard, a dim border, its shape, cells without an image."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from audit.claims import POOLED, UNEVEN, Audit, Examine, check, claim, evidence, fixture_text

from scotoma.audit.checks import dimmed_border
from scotoma.audit.errors import NotMeasuredError
from scotoma.findings import CONFIRMED, CONTRADICTED, Measurement


@pytest.mark.parametrize(("weight", "status"), [("1", CONFIRMED), ("0", CONTRADICTED)])
def test_a_checkerboard_is_looked_for_in_the_output(
    weight: str, status: str, examine: Examine
) -> None:
    more = str(1 - int(weight))
    exam = examine(UNEVEN.replace("WEIGHT", weight).replace("MORE", more), "t")
    uneven = Measurement("phase_unevenness", 1.0, "1", limit=0.3)
    finding = claim("SC601", "up", measurements=(uneven,))
    found = check(finding, exam)
    assert (found.status, found.measurements[0].value) == (status, float(weight))


def test_an_output_of_zeros_shows_no_checkerboard(examine: Examine) -> None:
    exam = examine(UNEVEN.replace("WEIGHT", "0").replace("MORE", "0"), "t")
    with pytest.raises(NotMeasuredError, match="zero everywhere"):
        check(claim("SC601", "up"), exam)


def test_the_gain_of_a_pool_is_that_of_its_corner(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    text = fixture_text("border-dimming-pool/pad_in_front")
    found = evidence(audited(text, "SC301"), "SC301")
    assert found.status == CONFIRMED
    assert found.measurements[0].value == pytest.approx(4 / 9)


@pytest.mark.parametrize(("actual", "status"), [("1x1x8x8", CONFIRMED), ("1x1x9x9", CONTRADICTED)])
def test_a_shape_is_what_a_run_makes(actual: str, status: str, examine: Examine) -> None:
    stated = Measurement("stated_shape", "1x1x7x7", "cells", limit=actual)
    finding = claim("SC404", measurements=(stated,))
    found = check(finding, examine(POOLED))
    assert (found.status, found.measurements[0].value) == (status, "1x1x8x8")


GAPS = """model (float[1, 1, 4, 4] x) => (float[1, 1, 7, 7] y) <float[1, 1, 1, 1] w = {1}>
{ [op] y = ConvTranspose <strides = [2, 2]> (x, w) }"""


@pytest.mark.parametrize(("claimed", "status"), [(33, CONFIRMED), (34, CONTRADICTED)])
def test_cells_that_no_image_reaches_are_counted(
    claimed: int, status: str, examine: Examine
) -> None:
    for code, value in (("SC303", claimed), ("SC602", claimed / 49)):
        name = "padding_only_windows" if code == "SC303" else "unwritten_fraction"
        finding = claim(code, measurements=(Measurement(name, value, "1"),))
        found = check(finding, examine(GAPS))
        assert (found.status, found.measurements[0].value) == (status, 33)


PADDED = """model (float[1, 1, 12, 12] x) => (float[1, 1, 12, 12] y)
<float[1, 1, 3, 3] w = {1, 1, 1, 1, 1, 1, 1, 1, 1}>
{ a = Conv <pads = [1, 1, 1, 1]> (x, w)  y = Conv <pads = [1, 1, 1, 1]> (a, w) }"""
EVEN = "model (float[1, 1, 12, 12] x) => (float[1, 1, 12, 12] y) { y = Neg (x) }"


@pytest.mark.parametrize(("text", "status"), [(PADDED, CONFIRMED), (EVEN, CONTRADICTED)])
def test_place_is_what_a_stimulus_shows(text: str, status: str, examine: Examine) -> None:
    found = check(claim("SC306"), examine(text))
    assert found.status == status
    assert found.measurements[0].name == "position_sensitivity"
