"""Sizes that the graph refuses: they never stand among the best, and cost nothing to find out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from networks import Network
from onnx import TensorProto, helper
from sizes.models import by_arithmetic, classifier, joined, square, strided
from text_models import facts_of, facts_of_proto

from scotoma.sizes import explore
from scotoma.sizes.examine import examine, screen
from scotoma.sizes.survey import survey

if TYPE_CHECKING:
    from pathlib import Path


def oblong() -> Network:
    """A fully connected layer behind an image of 8x16."""
    net = Network(1, 1, 8, 16)
    net.add("MatMul", net.add("Flatten", "x"), net.constant(np.ones((128, 2))))
    return net


@pytest.mark.parametrize("net", [classifier(), joined(8, 8), joined(8, 12), square(), strided()])
def test_the_sizes_of_the_maps_tell_what_is_refused(net: Network, tmp_path: Path) -> None:
    facts = facts_of_proto(net.model(), tmp_path)
    for guess in by_arithmetic(facts, [(h, w) for h in range(4, 14) for w in (8, 9, 12)]):
        accepts, found = screen(facts, guess)
        whole = examine(facts, guess, {})
        assert accepts is whole.accepted
        assert (found.accepted, found.refused_by) == (
            False if not accepts else None,
            whole.refused_by,
        )


def test_beside_another_input_they_do_not(tmp_path: Path) -> None:
    model = classifier().model()
    model.graph.input.append(helper.make_tensor_value_info("gain", TensorProto.FLOAT, [1]))
    facts = facts_of_proto(model, tmp_path)
    (guess,) = by_arithmetic(facts, [(9, 9)])
    assert screen(facts, guess) == (None, guess)


def test_what_else_an_operator_makes_has_another_size_as_well(tmp_path: Path) -> None:
    """The mask of a Dropout is no map that is followed: what reads it is not told, not refused."""
    facts = facts_of(
        """agraph (float[1, 1, 8, 8] x) => (float[1, 1, 8, 8] y)
            <float r = {0.5}, bool t = {1}> {
            d, mask = Dropout (x, r, t)
            kept = Cast <to = 1> (mask)
            y = Mul (d, kept)
        }""",
        tmp_path,
    )
    (guess,) = by_arithmetic(facts, [(9, 9)])
    assert screen(facts, guess) == (None, guess)
    assert examine(facts, guess, {}).accepted


def test_refused_sizes_cost_nothing(tmp_path: Path) -> None:
    """None is left for the others: those that the graph accepts come first all the same."""
    facts = facts_of_proto(joined(16, 16).model(), tmp_path)
    found = survey(facts, limits=[(12, 20)], budget=0)
    assert [(c.size[0], c.accepted, c.examined) for c in found.candidates] == [
        (16, True, True),
        *((n, None, False) for n in (14, 18, 12, 20)),
        *((n, False, True) for n in (15, 17, 13, 19)),
    ]


def test_sides_are_combined_from_accepted_lengths_whatever_the_budget(tmp_path: Path) -> None:
    facts = facts_of_proto(joined(16, 24).model(), tmp_path)
    found = survey(facts, limits=[(14, 18), (22, 26)], budget=0)
    assert {c.size for c in found.candidates} == {
        (h, w) for h in (14, 16, 18) for w in (22, 24, 26)
    }


def test_of_a_graph_that_no_map_tells_of_no_length_is_made_up(tmp_path: Path) -> None:
    """Without a budget nobody knows more than that the current lengths are accepted."""
    model = joined(16, 24).model()
    model.graph.input.append(helper.make_tensor_value_info("gain", TensorProto.FLOAT, [1]))
    facts = facts_of_proto(model, tmp_path)
    found = survey(facts, limits=[(15, 17), (23, 25)], budget=0)
    assert (found.candidates[0].size, found.candidates[0].accepted) == ((16, 24), True)
    assert not any(c.accepted is False for c in found.candidates)


def test_the_only_size_stands_beside_those_that_are_refused(tmp_path: Path) -> None:
    found = survey(facts_of_proto(oblong().model(), tmp_path), limits=[(7, 9), (15, 17)])
    assert [(c.size, c.accepted) for c in found.candidates] == [
        ((8, 16), True),
        *((size, False) for size in [(7, 16), (8, 15), (8, 17), (9, 16)]),
    ]


def test_what_is_too_much_to_be_told_is_examined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explore, "SCREENED", 0)
    found = survey(facts_of_proto(classifier().model(), tmp_path), limits=[(7, 9)])
    assert [(c.size[0], c.accepted) for c in found.candidates] == [
        (8, True),
        (7, False),
        (9, False),
    ]


def test_a_refusal_costs_no_pixels(tmp_path: Path) -> None:
    """At 65,536 pixels an operator counts twice; where it is refused at once, it counts once."""
    model = joined(256, 256).model()
    model.graph.input.append(helper.make_tensor_value_info("gain", TensorProto.FLOAT, [1]))
    facts = facts_of_proto(model, tmp_path)
    found = survey(facts, limits=[(255, 258)], budget=10)
    assert {c.size[0]: c.accepted for c in found.candidates} == {
        256: True, 255: False, 257: None, 258: True,
    }  # fmt: skip
