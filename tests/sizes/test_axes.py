"""Axes of the image that move together or on their own, and images that are no squares."""

from __future__ import annotations

import sys
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from networks import Network
from sizes.models import by_arithmetic, conv, joined, square, strided
from text_models import facts_of_proto

from scotoma.errors import UsageError
from scotoma.facts import Facts
from scotoma.sizes.examine import examine
from scotoma.sizes.ranges import MAX_SIZES, axis_limits, together
from scotoma.sizes.survey import MAX_DEPLOYED, survey

if TYPE_CHECKING:
    from pathlib import Path


def test_the_sides_of_an_oblong_image_move_on_their_own(tmp_path: Path) -> None:
    facts = facts_of_proto(strided().model(), tmp_path)
    found = survey(facts, limits=[(15, 17), (24, 27)])
    assert [c.size for c in found.candidates[:4]] == [(15, 25), (17, 25), (15, 27), (17, 27)]
    (now,) = (c for c in found.candidates if c.current)
    assert (now.size, [a.centre_offset for a in now.axes]) == ((16, 24), [Fraction(-1, 2)] * 2)
    assert [[len(a.uneven or ()) for a in axis] for axis in found.axes] == [[0, 1, 0], [1, 0, 1, 0]]
    mixed = survey(facts, around=(16, 23), limits=[(16, 16), (23, 23)]).candidates
    assert [(c.size, c.current) for c in mixed] == [((16, 23), False), ((16, 24), True)]
    assert [[len(a.uneven or ()) for a in c.axes] for c in mixed] == [[1, 0], [1, 1]]


def test_each_side_gets_the_sizes_that_fit_its_own_stride(tmp_path: Path) -> None:
    """A square image whose rows fold by 2 and whose columns fold by 3."""
    net = Network(1, 1, 18, 18)
    conv(net, "x", 3, strides=[2, 3], pads=[1] * 4)
    found = survey(facts_of_proto(net.model(), tmp_path), limits=[(16, 20)])
    assert [c.size for c in found.candidates[:2]] == [(17, 19), (19, 19)]
    assert (18, 18) in {c.size for c in found.candidates}
    assert {c.dead for c in found.candidates[:2]} == {0}


def test_axes_that_are_not_alike_are_said_to_be_combined(tmp_path: Path) -> None:
    assert survey(facts_of_proto(strided().model(), tmp_path), limits=[(15, 17), (24, 27)]).combined
    assert not survey(facts_of_proto(square().model(), tmp_path), limits=[(15, 17)]).combined


def test_sides_of_their_own_are_those_that_the_graph_accepts(tmp_path: Path) -> None:
    found = survey(facts_of_proto(joined(16, 24).model(), tmp_path), limits=[(14, 18), (22, 26)])
    assert {c.size for c in found.candidates} == {
        (h, w) for h in (14, 16, 18) for w in (22, 24, 26)
    }
    assert all(c.accepted for c in found.candidates)


def test_one_wanted_number_asks_for_a_square(tmp_path: Path) -> None:
    facts = facts_of_proto(strided().model(), tmp_path)
    found = survey(facts, around=(32,), limits=[(31, 33)])
    assert [c.size for c in found.candidates] == [(31, 31), (33, 33), (32, 32), (16, 24)]
    assert found.around == (32, 32)
    nearer = survey(facts, around=(33,), limits=[(31, 33)])
    assert nearer.candidates[0].size == (33, 33)


def test_the_depth_of_a_volume_stays() -> None:
    clip = axis_limits((16, 112, 112), [(111, 112)])
    assert clip == ((16, 16), (111, 112), (111, 112))
    assert together((16, 112, 112), clip) == [(1, 2)]
    assert together((64, 64, 64), axis_limits((64, 64, 64))) == [(0, 1, 2)]
    assert axis_limits((16, 112, 112), [(8, 9), (1, 2), (3, 4)]) == ((8, 9), (1, 2), (3, 4))
    assert axis_limits((3,)) == ((1, 67),)
    assert axis_limits((1, 640)) == ((1, 1), (576, 704))


def test_signals_and_volumes(tmp_path: Path) -> None:
    net = Network(1, 1, 24)
    net.conv("x", (3,), strides=[2], pads=[1, 1])
    found = survey(facts_of_proto(net.model(), tmp_path), limits=[(22, 25)])
    assert [c.size for c in found.candidates] == [(23,), (25,), (24,), (22,)]
    net = Network(1, 1, 4, 8, 8)
    net.conv("x", (3, 3, 3), strides=[1, 2, 2], pads=[1] * 6)
    volume = facts_of_proto(net.model(), tmp_path)
    found = survey(volume, limits=[(7, 9)])
    assert [c.size for c in found.candidates] == [(4, 7, 7), (4, 9, 9), (4, 8, 8)]
    deep = survey(volume, limits=[(3, 4), (7, 7), (9, 9)])
    assert [c.size for c in deep.candidates] == [(4, 7, 9), (3, 7, 9), (4, 8, 8)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"around": (1, 2, 3)}, "1x2x3 gives 3 numbers, the image has 2 axes"),
        ({"limits": [(1, MAX_SIZES + 1)]}, f"1 to {MAX_SIZES + 1} are more than {MAX_SIZES} sizes"),
        ({"limits": [(3, 4)] * 3}, "there are 3 ranges, the image has 2 axes"),
        ({"deploy": [(1, 2, 3)]}, "1x2x3 gives 3 numbers, the image has 2 axes"),
        (
            {"deploy": [(n, n) for n in range(1, MAX_DEPLOYED + 2)]},
            f"{MAX_DEPLOYED + 1} sizes to be deployed are more than {MAX_DEPLOYED}",
        ),
    ],
)
def test_calls_that_do_not_fit(options: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        survey(facts_of_proto(strided().model(), tmp_path), **options)


def test_given_shapes_hold_at_other_sizes(tmp_path: Path) -> None:
    """The batch size that the caller gave must not be lost."""
    model = strided().model()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n"
    facts = facts_of_proto(model, tmp_path, input_shapes={"x": (5, 1, 16, 24)})
    (guess,) = by_arithmetic(facts, [(17, 25)])
    assert examine(facts, guess, {"x": (5, 1, 16, 24)}).accepted
    seen: list[Any] = []
    original = Facts.of

    class Spy(Facts):
        @classmethod
        def of(cls, *arguments: Any, **options: Any) -> Facts:
            seen.append(options)
            return original(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[examine.__module__], "Facts", Spy)
        examine(facts, guess, {"x": (5, 1, 16, 24)})
    assert seen == [{"size": None, "input_shapes": {"x": [5, 1, 17, 25]}, "input_name": "x"}]


def test_a_model_without_an_image_has_no_sizes(tmp_path: Path) -> None:
    net = Network(1, 8)
    net.add("Relu", "x")
    found = survey(facts_of_proto(net.model(), tmp_path))
    assert found.candidates == ()
