"""What rules on receptive fields say in numbers, against enumeration, known truth and runs."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from networks import SHARED
from rule_fixtures import RULES, Runner, ground_truth, measured, only_finding, text_of
from text_models import facts_of_proto

from scotoma.evidence.gridding import sparse_layers
from scotoma.facts import Facts
from scotoma.loader import load_model
from scotoma.testing import read_text_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


def lattice(dilations: Sequence[int]) -> Fraction:
    """Return the share of the field that three taps per layer read along both axes."""
    line = {0}
    for dilation in dilations:
        line = {at + step * dilation for at in line for step in (-1, 0, 1)}
    return Fraction(len(line), max(line) - min(line) + 1) ** 2


@pytest.mark.parametrize(
    ("name", "dilations", "share"),
    [
        ("dilations_2_2_2", (2, 2, 2), Fraction(49, 169)),
        ("dilations_1_2_9", (1, 2, 9), Fraction(21, 25) ** 2),
        ("dilations_2_4_8", (2, 4, 8), Fraction(15, 29) ** 2),
    ],
)
def test_share_of_the_field_is_that_of_the_lattice(
    name: str, dilations: tuple[int, ...], share: Fraction
) -> None:
    assert lattice(dilations) == share
    assert measured(only_finding("dilation-gridding", name)) == {"read_share": share}


def test_published_dilations_read_all_or_what_is_published() -> None:
    full = [(1, 2, 3), (1, 2, 4), (1, 2, 5), (1, 2, 7)]
    assert [lattice(dilations) for dilations in full] == [1, 1, 1, 1]


def test_all_layers_that_leave_gaps_are_named() -> None:
    finding = only_finding("dilation-gridding", "dilations_2_2_2")
    assert [place.node for place in finding.locations] == ["conv1", "conv2", "conv3"]
    assert [place.note for place in finding.locations] == ["dilation 2"] * 3
    wide = only_finding("dilation-gridding", "wide_stride")
    assert [(place.node, place.note) for place in wide.locations] == [
        ("projection", "stride 2 over a window of 1")
    ]


@pytest.mark.parametrize(
    "name", ["dilations_2_2_2", "dilations_1_2_9", "wide_stride", "dilations_1_2_5"]
)
def test_a_unit_reacts_to_its_support_and_nothing_else(name: str, tmp_path: Path) -> None:
    proto = read_text_model(text_of("dilation-gridding", name))
    facts = facts_of_proto(proto, tmp_path)
    support = facts.support("y")
    assert support is not None
    assert support.cell == tuple(n // 2 for n in (facts.shape("y") or ())[2:])
    reacts = np.zeros(support.mask.shape, bool)
    for place, changed in Runner(proto).reacting():
        reacts[place] = changed[0][0, 0][support.cell]
    assert (reacts == support.mask).all()


def test_a_named_unit_has_its_own_support(tmp_path: Path) -> None:
    facts = facts_of_proto(
        read_text_model(text_of("dilation-gridding", "dilations_2_2_2")), tmp_path
    )
    corner = facts.support("y", (0, 0))
    assert corner is not None
    assert corner.box == (slice(0, 7), slice(0, 7))
    assert corner.density() == Fraction(16, 49)
    assert corner.density(np.ones((28, 28), bool)) == 1
    assert facts.support("w") is None


@pytest.mark.parametrize(
    ("key", "file", "rows"),
    [
        ("dilated_stride4_d8", "zoo/dilated_stride4_d8.onnx", (131, 15)),
        ("broken/gridding_d4_d4", "broken/gridding_d4_d4.onnx", (51, 21)),
        ("k1s2_skip_pixels", "zoo/k1s2_skip_pixels.onnx", (9, 3)),
        ("k2s3_gap", "zoo/k2s3_gap.onnx", (8, 6)),
    ],
)
def test_support_along_an_axis_is_the_known_one(key: str, file: str, rows: tuple[int, int]) -> None:
    entry = ground_truth()[key]
    detail = entry["rf_h_detail"]
    assert (detail["rf"], detail["support"]) == rows
    facts = Facts.of(load_model(SHARED / file), size=(detail["input"],) * 2)
    files = entry.get("onnx_files", {}).get(Path(file).name, {})
    tensor = files.get("feature_tensor") or entry["feature_tensor_hint"]
    support = facts.support(tensor, (detail["unit"],) * 2)
    assert support is not None
    assert support.extent == (rows[0], rows[0])
    assert int(support.along(0).sum()) == rows[1]
    assert support.box[0] == slice(detail["box"][0], detail["box"][1] + 1)


@pytest.mark.parametrize(
    "file",
    [
        "zoo/tv_deeplabv3_resnet50.onnx", "zoo/resnet50_output_stride8.onnx", "zoo/hdc_125.onnx",
        "zoo/aspp_dead_taps_128.onnx",
    ],
)  # fmt: skip
def test_healthy_dilated_networks_read_their_whole_field(file: str) -> None:
    ground_truth()
    facts = Facts.of(load_model(SHARED / file))
    assert facts.geometry is not None
    densities = []
    for head in facts.heads:
        support = facts.support(head)
        assert support is not None
        assert sparse_layers(facts.geometry, head)
        densities.append(support.density())
    assert densities == [1] * len(facts.heads)
    assert not list(RULES.get("dilation-gridding").check(facts))


def test_field_and_image_are_given_per_axis() -> None:
    finding = only_finding("short-receptive-field", "one_layer_before_the_mean")
    assert [(m.name, m.value, m.limit) for m in finding.measurements] == [
        ("receptive_field_h", 3, 16),
        ("receptive_field_w", 3, 16),
    ]
    assert finding.primary.tensor == "a"


def test_border_layers_and_their_shares() -> None:
    finding = only_finding("border-layer", "third_layer")
    assert [place.node for place in finding.locations] == ["third", "fourth"]
    assert measured(finding) == {
        "border_layers": 2,
        "parameter_share": Fraction(1, 2),
        "multiply_add_share": Fraction(1, 2),
    }
