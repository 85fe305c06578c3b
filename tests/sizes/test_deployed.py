"""Sizes that a model is to run at, and what is better nearby."""

from __future__ import annotations

from typing import TYPE_CHECKING

from networks import Network
from sizes.models import classifier, conv, strided
from text_models import facts_of_proto

from scotoma.sizes.survey import survey

if TYPE_CHECKING:
    from pathlib import Path


def test_sizes_to_be_deployed(tmp_path: Path) -> None:
    net = Network(1, 1, 16, 16)
    stem = conv(net, "x", 3, strides=[2, 2])
    conv(net, stem, 3, strides=[2, 2], pads=[1] * 4)
    facts = facts_of_proto(net.model(), tmp_path)
    found = survey(facts, deploy=[(16, 16), (19, 19), (16, 16), (20, 25)])
    assert [(d.candidate.size, d.better and d.better.size) for d in found.deployed] == [
        ((16, 16), (15, 15)),
        ((19, 19), None),
        ((20, 25), (19, 23)),
    ]
    assert [(p.kind, p.message, p.nodes) for p in found.deployed[0].problems] == [
        ("dead-pixels", "31 of 256 pixels (12.11%) have no path to the output", ()),
        (
            "leftover-layers",
            "1 of 2 strided layers leaves cells over at the end: 'conv_0'",
            ("conv_0",),
        ),
        ("centre-offset", "the last grid lies 0.5 px before the centre of the image", ()),
    ]
    assert found.deployed[1].problems == ()
    assert found.deployed[2].problems[-1].message == (
        "the last grid lies 0.5 px before the centre along height, 1 px before the centre along "
        "width"
    )


def test_every_kind_of_problem_has_its_words(tmp_path: Path) -> None:
    net = Network(1, 1, 9, 9)
    wide = conv(net, "x", 3, dilations=[8, 8], pads=[8] * 4)
    pads = [1, 1, 1, 1]
    net.add("MaxPool", wide, kernel_shape=[2, 2], strides=[2, 2], pads=pads, ceil_mode=1)
    facts = facts_of_proto(net.model(), tmp_path)
    said = [(p.kind, p.message) for p in survey(facts, deploy=[(7, 7)]).deployed[0].problems]
    assert said == [
        ("phantom-windows", "1 pool has a last window that only some runtimes make: 'maxpool_1'"),
        (
            "dead-taps",
            "88.9% of the convolution weights only ever meet padding: 'conv_0'",
        ),
        (
            "uneven-layers",
            "1 of 1 strided layers reads more padding on one side than on the other: 'maxpool_1'",
        ),
        ("centre-offset", "the last grid lies 0.5 px before the centre of the image"),
    ]


def test_an_axis_at_the_centre_is_not_mentioned(tmp_path: Path) -> None:
    (found,) = survey(facts_of_proto(strided().model(), tmp_path), deploy=[(16, 25)]).deployed
    assert [p.message for p in found.problems if p.kind == "centre-offset"] == [
        "the last grid lies 0.5 px before the centre along height"
    ]


def test_a_size_that_is_refused_has_a_better_one(tmp_path: Path) -> None:
    facts = facts_of_proto(classifier().model(), tmp_path)
    (found,) = survey(facts, deploy=[(9, 9)]).deployed
    assert [(p.kind, p.nodes) for p in found.problems] == [("refused", ("matmul_2",))]
    assert found.problems[0].message.startswith("'matmul_2' (MatMul) cannot run at this size: ")
    assert found.better is not None
    assert found.better.size == (8, 8)
    far = survey(facts, deploy=[(200, 200)]).deployed[0]
    assert (far.candidate.accepted, far.better) == (False, None)


def test_an_image_too_large_to_follow_is_said_to_be(tmp_path: Path) -> None:
    facts = facts_of_proto(strided().model(), tmp_path)
    (found,) = survey(facts, deploy=[(1 << 30, 1 << 30)]).deployed
    assert (found.candidate.examined, found.candidate.accepted) == (False, None)
    assert found.problems[0].kind == "not-examined"
    assert "too many to follow" in found.problems[0].message


def test_deployed_sizes_are_examined_whatever_the_budget(tmp_path: Path) -> None:
    facts = facts_of_proto(strided().model(), tmp_path)
    (found,) = survey(facts, limits=[(10, 20)], deploy=[(50, 50)], budget=0).deployed
    assert found.candidate.dead == 0
    assert found.better is None
