"""What makes one size better than another, and which are looked at first."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import inf
from typing import TYPE_CHECKING, Any

from networks import Network
from onnx import TensorProto, helper
from sizes.models import by_arithmetic, classifier, conv, joined, square, strided
from text_models import facts_of_proto

from scotoma.sizes.candidates import AxisFacts, Candidate
from scotoma.sizes.merit import DEAD_SHARE_LIMIT, merit, merit_along
from scotoma.sizes.ranges import LeftOut
from scotoma.sizes.survey import survey
from scotoma.unanalysed import Unanalysed

if TYPE_CHECKING:
    from pathlib import Path


def test_lost_pixels_count_more_than_uneven_padding(tmp_path: Path) -> None:
    """A stem that leaves the last row over at even sizes, beside a layer that is then even."""
    net = Network(1, 1, 8, 8)
    stem = conv(net, "x", 3, strides=[2, 2], pads=[0, 0, 0, 0])
    conv(net, stem, 3, strides=[2, 2], pads=[1, 1, 1, 1])
    found = survey(facts_of_proto(net.model(), tmp_path), limits=[(7, 11)])
    rows = [
        (c.size[0], c.dead, sorted(c.uneven or ()), sorted(c.leftover or ()), c.centre_offset)
        for c in found.candidates
    ]
    assert rows == [
        (7, 0, [], [], 0),
        (11, 0, [], [], 0),
        (9, 0, ["conv_1"], [], -1),
        (8, 15, [], ["conv_0"], Fraction(-1, 2)),
        (10, 19, ["conv_1"], ["conv_0"], Fraction(-3, 2)),
    ]
    assert [c.size for c in found.candidates if c.current] == [(8, 8)]


def test_a_lost_row_weighs_the_same_in_images_of_nearly_one_size(tmp_path: Path) -> None:
    """Half of all rows is lost at every size: then the nearest size is the best, not the least."""
    net = Network(1, 1, 40, 40)
    conv(net, "x", 1, strides=[2, 2])
    found = survey(facts_of_proto(net.model(), tmp_path), limits=[(20, 60)])
    assert [c.size[0] for c in found.candidates[:3]] == [39, 41, 37]
    assert [c.dead for c in found.candidates[:2]] == [1121, 1240]


def test_what_counts_most() -> None:
    """From the best to the worst, each worse in what counts more than all that comes before it."""
    nobody: frozenset[str] = frozenset()
    axis = AxisFacts(8, nobody, nobody, nobody, nobody, Fraction(0))
    best = Candidate((8,), (axis,), examined=True, dead=0, dead_local=0, dead_share=Fraction(0))

    def along(**changes: Any) -> Candidate:
        return replace(best, axes=(replace(axis, **changes),))

    off = along(centre_offset=Fraction(-1))
    idle = replace(best, dead_share=DEAD_SHARE_LIMIT)
    crooked = [along(uneven=frozenset("a")), along(leftover=frozenset("ab"))]
    useless = replace(best, dead_share=DEAD_SHARE_LIMIT + Fraction(1, 1000))
    disputed = along(phantoms=frozenset("a"))
    gated = replace(best, dead_local=1)
    dead = replace(best, dead=1, dead_local=1)
    unknown = replace(best, dead=None, dead_local=None)
    guessed = replace(best, examined=False, dead=None, dead_local=None)
    tight = replace(guessed, axes=(replace(axis, fits=False),))
    small = along(too_small="it is")
    refused = replace(best, refused_by=Unanalysed("a", "Add", "no"))
    rising = [
        best, off, idle, *crooked, useless, disputed, gated, dead, unknown, guessed, tight, small,
        refused,
    ]  # fmt: skip
    falling = rising[::-1]
    assert sorted(falling, key=merit) == rising


def test_what_refuses_is_named_and_comes_last(tmp_path: Path) -> None:
    found = survey(facts_of_proto(classifier().model(), tmp_path), limits=[(7, 9)])
    assert [(c.size[0], c.accepted) for c in found.candidates] == [
        (8, True),
        (7, False),
        (9, False),
    ]
    refusal = found.candidates[1].refused_by
    assert isinstance(refusal, Unanalysed)
    assert (refusal.node, refusal.op_type) == ("matmul_2", "MatMul")
    assert found.candidates[1].dead is None


def test_what_counts_most_along_one_axis(tmp_path: Path) -> None:
    """At 16 rows the windows begin one cell beyond the border and end on the last row."""
    facts = facts_of_proto(strided().model(), tmp_path)
    uneven, even = by_arithmetic(facts, [(16, 25), (17, 24)])
    assert merit_along(uneven, 0) == merit_along(even, 1) == (False, 0, 0, 1, 0, 0.5)
    assert merit_along(uneven, 1) == merit_along(even, 0) == (False, 0, 0, 0, 0, 0)
    few, many = DEAD_SHARE_LIMIT, DEAD_SHARE_LIMIT * 2
    assert [merit_along(replace(even, dead_share=share), 0)[2] for share in (few, many)] == [
        0,
        float(many),
    ]
    unknown = replace(even, axes=(AxisFacts(17), AxisFacts(24)), dead_share=None)
    assert merit_along(unknown, 0) == (False, inf, inf, inf, inf, inf)


def test_what_resembles_a_refused_size_is_looked_at_last(tmp_path: Path) -> None:
    """Beside another input the sizes of the maps do not tell what is refused."""
    model = joined(16, 16).model()
    model.graph.input.append(helper.make_tensor_value_info("gain", TensorProto.FLOAT, [1]))
    facts = facts_of_proto(model, tmp_path)
    found = survey(facts, limits=[(10, 22)], budget=20)
    examined = {c.size[0] for c in found.candidates if c.examined}
    assert (examined, {c.size[0] for c in found.candidates if c.accepted is False}) == (
        {10, 12, 14, 15, 16, 18, 20},
        {15},
    )
    assert [c.size[0] for c in found.candidates if not c.examined] == [22, 17, 13, 19, 11, 21]
    (odd,) = survey(facts, limits=[(16, 16)], deploy=[(41, 41)], budget=7).deployed
    assert odd.better is not None
    assert odd.better.size == (40, 40)


def test_sizes_that_nobody_should_choose_are_left_out(tmp_path: Path) -> None:
    net = Network(1, 1, 16, 16)
    first = conv(net, "x", 3, strides=[2, 2], pads=[1] * 4)
    conv(net, first, 3, strides=[2, 2], pads=[1] * 4)
    facts = facts_of_proto(net.model(), tmp_path)
    found = survey(facts, limits=[(1, 9)], deploy=[(3, 3)])
    assert [c.size[0] for c in found.candidates] == [9, 5, 6, 7, 16, 8, 4]
    assert found.left_out == (
        LeftOut((0, 1), 1, 1, "a single pixel"),
        LeftOut((0, 1), 2, 3, "smaller than the total stride of 4 px"),
    )
    (small,) = found.deployed
    assert (small.problems[0].kind, small.problems[0].message) == (
        "too-small", "smaller than the total stride of 4 px",
    )  # fmt: skip
    assert small.better is not None
    assert small.better.size == (5, 5)


def test_a_budget_is_spent_on_the_most_promising_sizes(tmp_path: Path) -> None:
    facts = facts_of_proto(square().model(), tmp_path)
    found = survey(facts, limits=[(10, 20)], budget=2)
    assert [(c.size[0], c.examined) for c in found.candidates][:3] == [
        (15, True),
        (16, True),
        (17, False),
    ]
    assert sum(c.examined for c in found.candidates) == 2
    assert {(c.accepted, c.dead) for c in found.candidates if not c.examined} == {(None, None)}
    everything = survey(facts, limits=[(10, 20)], budget=None)
    assert all(c.examined for c in everything.candidates)
