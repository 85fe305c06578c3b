"""What is worked out once for all sweeps says the same as what it stands for."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from networks import examples
from random_author import Author
from random_networks import networks
from text_models import facts_of

from scotoma.evidence.position import blind_heads
from scotoma.facts import Facts
from scotoma.sweep.along import Semiring
from scotoma.sweep.pull import pull, pull_steps, steps_of
from scotoma.sweep.support import behind
from scotoma.sweep.sweep import run
from scotoma.trace.layout import axis_of, tracked_sizes
from scotoma.trace.reading import used_readings

GATED = """
model (float[1, 2, 8, 8] x) => (float[1, 2, 8, 8] y)
<float[2, 2, 3, 3] w>
{
    a = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w)
    g = GlobalAveragePool (a)
    s = Sigmoid (g)
    y = Mul (a, s)
}
"""
PLAIN = GATED.replace("y = Mul (a, s)", "y = Relu (a)")
CLASSES = GATED.replace("(float[1, 2, 8, 8] y)", "(float[1, 2, 1, 1] s)").replace(
    "    y = Mul (a, s)\n", ""
)


@examples(60)
@given(networks())
def test_steps_pull_what_a_reading_pulls(author: Author) -> None:
    tensors = [name for name in author.pool if name != "x"]
    assume(tensors)
    geometry = author.net.geometry(*tensors)
    random = np.random.default_rng(3)
    for flow in geometry.flows.values():
        for reading in flow.readings:
            steps = steps_of(reading, flow.layout)
            if steps is None:
                continue
            shape = tracked_sizes(flow.layout)
            for full in (False, True):
                reached = np.ones(shape, bool) if full else random.random(shape) < 0.5
                for semiring in Semiring:
                    given_array = reached if semiring is Semiring.REACH else reached * 1.5
                    wanted = pull(reading, flow.layout, given_array, semiring)
                    found = pull_steps(steps, given_array, semiring)
                    assert found.dtype == wanted.dtype
                    np.testing.assert_array_equal(found, wanted)


@examples(60)
@given(networks())
def test_axes_and_gates_are_those_of_the_flows(author: Author) -> None:
    tensors = [name for name in author.pool if name != "x"]
    assume(tensors)
    geometry = author.net.geometry(*tensors)
    flows = geometry.flows
    differs = False
    for flow in flows.values():
        labels = range(geometry.rank)
        assert geometry.axes_of(flow.layout) == tuple(axis_of(flow.layout, i) for i in labels)
        local, every = (used_readings(flow, flows, local=local) for local in (True, False))
        differs = differs or local != every
    assert geometry.gated or not differs


def test_a_gate_is_left_out_of_local_paths_only() -> None:
    for text, gated in ((GATED, True), (PLAIN, False), (CLASSES, False)):
        geometry = facts_of(text).geometry
        assert geometry is not None
        assert geometry.gated is gated


def test_dead_pixels_are_swept_once(monkeypatch: pytest.MonkeyPatch) -> None:
    swept = []

    def counted(*arguments: object, **more: object) -> object:
        swept.append(more.get("local"))
        return run(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(sys.modules["scotoma.sweep.sweep"], "run", counted)
    for text, expected in ((PLAIN, [False, False]), (GATED, [True, True, False, False])):
        facts, before = facts_of(text), len(swept)
        facts.dead(local=True)
        first = facts.coverage(local=True)
        second = facts.coverage()
        facts.dead()
        assert swept[before:] == expected
        assert first is not None
        assert (first is second) == (text == PLAIN)
        assert first.dead is facts.dead(local=True)


def test_what_rules_share_is_made_once() -> None:
    facts, made = facts_of(PLAIN), []

    def make(one: Facts) -> int:
        made.append(one)
        return 7

    assert facts.once(make) == facts.once(make) == replace(facts, given={}).once(make) == 7
    assert made == [facts]
    assert facts.once(blind_heads) is facts.once(blind_heads)


def test_the_way_back_is_kept_for_the_last_tensors_only() -> None:
    geometry = facts_of(GATED).geometry
    assert geometry is not None
    for _ in range(2):
        assert [*behind(geometry, ["y"])] == ["y", "a", "x"]
        assert [*behind(geometry, ["a"])] == ["a", "x"]
        behind(geometry, ["a"]).clear()
    assert [*behind(geometry, ["a"])] == ["a", "x"]


def test_a_changed_geometry_forgets_what_was_derived() -> None:
    geometry = facts_of(GATED).geometry
    assert geometry is not None
    geometry.spatial_axes("y")
    assert geometry.kept
    assert not replace(geometry, flows={**geometry.flows}).kept


def test_sizes_of_the_tensors_that_are_asked_for() -> None:
    facts = facts_of(GATED)
    sizes = np.arange(6, 12)
    every = facts.sizes_at(0, sizes)
    some = facts.sizes_at(0, sizes, ["a"])
    assert [*every] == ["x", "a", "y"]
    assert [*some] == ["x", "a"]
    for name, found in some.items():
        np.testing.assert_array_equal(found, every[name])
