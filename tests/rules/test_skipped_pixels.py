"""Pixels that are cut off or stepped over, counted and placed; onnxruntime reads none of them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from rule_fixtures import RULES, Runner, firing, measured, only_finding, text_of
from text_models import facts_of_proto

from scotoma.evidence.resampling import crops_of
from scotoma.testing import lint_text, read_text_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


@pytest.mark.parametrize(
    ("rule", "name"),
    [(rule, name) for rule in ("cropped-input", "resize-skips-pixels") for name in firing(rule)],
)
def test_onnxruntime_reads_neither_cropped_nor_skipped_pixels(
    rule: str, name: str, tmp_path: Path
) -> None:
    proto = read_text_model(text_of(rule, name))
    facts = facts_of_proto(proto, tmp_path)
    crops = crops_of(facts)
    dead = facts.dead(local=True)
    assert dead is not None
    cropped = np.zeros(dead.mask.shape, bool)
    for crop in crops:
        cropped |= crop.pixels
    assert (cropped <= dead.mask).all()
    if rule == "cropped-input":
        assert (cropped == dead.mask).all()
    if name == "gate_beside":
        return  # the gate reads what the map does not
    for place, changed in Runner(proto).reacting():
        assert any(c.any() for c in changed) == (not dead.mask[place])


@pytest.mark.parametrize(
    ("name", "count", "where"),
    [
        ("centre_crop", 112, "2 px at the top, 2 at the bottom, 2 at the left, 2 at the right"),
        ("crop_of_a_feature_map", 64, "2 px at the top, 2 at the bottom"),
        ("first_part_of_a_split", 128, "8 px at the right"),
        ("rows_by_index", 40, "1 px at the top, 2 at the bottom"),
        ("scales_rounded_down", 15, "1 px at the bottom, 1 at the right"),
    ],
)
def test_cropped_pixels_are_counted_and_placed(name: str, count: int, where: str) -> None:
    finding = only_finding("cropped-input", name)
    assert measured(finding)["cropped_pixels"] == count
    assert finding.message.endswith(f": {where}")


@pytest.mark.parametrize(
    ("name", "share", "said"),
    [
        ("linear_by_a_quarter", Fraction(3, 4), "8 of 16 cells along each axis of the image"),
        ("nearest_by_a_half", Fraction(3, 4), "4 of 8 cells along each axis of the image"),
        ("feature_map", Fraction(3, 4), "8 of 16 cells along each axis of the feature map 'a'"),
    ],
)
def test_skipped_cells_are_counted(name: str, share: Fraction, said: str) -> None:
    finding = only_finding("resize-skips-pixels", name)
    assert measured(finding) == {"skipped_cell_fraction": share}
    assert said in finding.message


RESIZE = """
<ir_version: 8, opset_import: ["" : 17]>
model (float[1, 1, {n}] x) => (float[1, 1, {m}] y)
<float[3] scales = {{1.0, 1.0, {scale}}}>
{{ [shrink] y = Resize <{attributes}> (x, , scales) }}
"""


@pytest.mark.parametrize(
    ("n", "scale", "attributes", "share"),
    [
        (40, 0.4, 'mode = "linear"', Fraction(1, 5)),
        (30, 0.3333333333, 'mode = "linear"', Fraction(2, 3)),
        (40, 0.25, 'mode = "linear"', Fraction(1, 2)),
        (40, 0.125, 'mode = "linear"', Fraction(3, 4)),
        (40, 0.125, 'mode = "cubic"', Fraction(1, 2)),
        (40, 0.25, 'mode = "nearest"', Fraction(3, 4)),
        (40, 0.25, 'mode = "linear", coordinate_transformation_mode = "asymmetric"',
         Fraction(3, 4)),
        (40, 0.7, 'mode = "linear"', None),
        (40, 0.5, 'mode = "linear"', None),
    ],
)  # fmt: skip
def test_unread_share_by_scale(
    n: int, scale: float, attributes: str, share: Fraction | None
) -> None:
    text = RESIZE.format(n=n, m=int(n * scale + 1e-6), scale=scale, attributes=attributes)
    findings = lint_text(text, [RULES.get("resize-skips-pixels")]).findings
    said = [measured(finding)["skipped_cell_fraction"] for finding in findings]
    assert said == ([] if share is None else [share])
