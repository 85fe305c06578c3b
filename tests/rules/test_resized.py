"""What is told of other sizes and windows in place agrees with the changed graph, traced anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from networks import examples
from random_author import Author
from random_networks import networks
from text_models import facts_of

from scotoma.evidence.padded import unpadded
from scotoma.evidence.resized import Resized
from scotoma.evidence.strided import strided_layers
from scotoma.evidence.unread import every_pixel_read, loses_cells, reads_all, stem_of
from scotoma.facts import Facts
from scotoma.loader import load_model
from scotoma.sweep import Semiring, sweep, sweep_both
from scotoma.trace.layout import tracked_sizes

BRANCHES = """
g (float[1,1,31,29] x) => (float[1,N] y)
<float[4,1,3,3] a, float[4,4,3,3] b, float[4,4,1,1] c, int64[8] p = {0,0,1,0,0,0,0,1}> {
  s = Conv <strides = [2, 2]> (x, a)
  r = Relu (s)
  m = Pad (r, p)
  t = AveragePool <kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1> (m)
  u = Conv <pads=[1,1,1,1]> (m, b)
  v = Conv (t, c)
  w = Add (u, v)
  k = Concat <axis = 1> (w, t)
  l = MaxPool <kernel_shape=[3,3], strides=[2,2]> (k)
  g = GlobalAveragePool (l)
  y = Flatten (g)
}
"""


CLASSES = """
g (float[1,3,{0},{0}] x) => (float[1,10] y)
<float[4,3,5,5] a, float[4,4,3,3] b, float[{1},10] w> {{
  c = Conv <strides = [2, 2]> (x, a)
  r = Relu (c)
  p = MaxPool <kernel_shape=[2,2], strides=[2,2]> (r)
  s = Conv <pads=[1,1,1,1]> (p, b)
  q = GlobalAveragePool (s)
  t = Sigmoid (q)
  u = Mul (s, t)
  v = Add (u, p)
  f = {2}
  y = MatMul (f, w)
}}
"""
FLAT, MEAN = "Flatten (v)", "ReduceMean <axes=[2,3], keepdims=0> (v)"
CHAIN = """
g (float[1,1,{0},{0}] x) => (float[1,1,M,N] y)
<float[1,1,{1},{1}] a, float[1,1,{2},{2}] b> {{
  s = Conv <strides = [{3}, {3}]> (x, a)
  y = Conv <strides = [{4}, {4}], pads = [1, 1, 1, 1]> (s, b)
}}
"""


def read_there(facts: Facts, size: list[int]) -> bool:
    """Tell of another size by analysing the whole graph there."""
    there = facts.at(size)
    dead = there.dead(local=True) if there is not None else None
    return dead is not None and not dead.mask.any()


def test_a_walk_with_another_pool_is_that_of_the_changed_graph() -> None:
    facts = facts_of(BRANCHES)
    (pool,) = [o for o in facts.operators if o.op_type == "AveragePool"]
    uncounted = replace(pool, attributes={**pool.attributes, "count_include_pad": 0})
    assert facts.geometry is not None
    other = Resized(facts.geometry, changed={pool.name: uncounted}).other
    assert list(other.arrows) == ["t"]
    assert not other.sizes
    here, walk = sweep_both(facts.geometry, ("y",), Semiring.WALK, other)
    twin, known = facts.with_operators({pool.name: uncounted}), facts.coverage(local=True)
    expected = twin.coverage(local=True)
    assert known is not None
    assert expected is not None
    assert np.array_equal(here.values, known.walk)
    assert here.absorbed == known.absorbed
    assert np.array_equal(walk.values, expected.walk)
    assert walk.absorbed == expected.absorbed
    assert not np.array_equal(here.values, walk.values)


@examples(60)
@given(networks(), st.lists(st.integers(-2, 2), min_size=3, max_size=3))
def test_other_sizes_are_those_of_the_whole_graph(author: Author, steps: list[int]) -> None:
    assume(len(author.pool) > 2)
    path = author.net.model(author.pool[-2]).SerializeToString()
    facts = Facts.of(load_model("-", data=path))
    size = [max(1, n + step) for n, step in zip(facts.image_size, steps, strict=False)]
    assume(facts.geometry is not None and not facts.unanalysed)
    assert facts.geometry is not None
    there, found = facts.at(size), Resized(facts.geometry, size=size)
    if found.refused:
        assert there is None
        return
    if found.lost or there is None:
        assert there is not None or found.lost
    else:
        assert there.geometry is not None
        sizes = {name: tracked_sizes(flow.layout) for name, flow in there.geometry.flows.items()}
        here = {name: tracked_sizes(f.layout) for name, f in facts.geometry.flows.items()}
        assert {**here, **found.other.sizes} == sizes
        dead = there.dead(local=True)
        assert dead is not None
        reached = sweep(
            facts.geometry, facts.functional(), Semiring.REACH, local=True, other=found.other
        ).values
        if reached.any():
            assert np.array_equal(~reached, dead.mask)
    if found.runs:
        assert there is not None
        for layer in strided_layers(there):
            cells = found.along(layer.operator.inputs[0], layer.label)
            assert cells in (None, layer.window.size_in)
    told = reads_all(facts.geometry, facts.functional(), found)
    if told is not None and there is not None and (told is False or not found.lost):
        assert told is read_there(facts, size)
    if loses_cells(stem_of(facts), size):
        assert not read_there(facts, size)
    assert every_pixel_read(facts, size) is read_there(facts, size)


@pytest.mark.parametrize(
    "text",
    [
        BRANCHES,
        CLASSES.format(30, 4, MEAN),
        CLASSES.format(30, 144, FLAT),
        CHAIN.format(20, 3, 3, 2, 2),
        CHAIN.format(20, 1, 3, 2, 1),
        CHAIN.format(20, 2, 3, 3, 1),
        CHAIN.format(20, 3, 2, 1, 3),
    ],
    ids=["branches", "classes", "flat", "strides", "skips", "gaps", "inner-gaps"],
)
def test_sizes_are_told_without_an_analysis(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = facts_of(text)
    sizes = [[n + step for n in facts.image_size] for step in range(-6, 7)]
    expected = [read_there(facts, size) for size in sizes]
    monkeypatch.setattr(Facts, "at", None)
    assert [every_pixel_read(facts, size) for size in sizes] == expected


def test_a_size_that_follows_from_no_window_is_analysed() -> None:
    text = BRANCHES.replace("  y = Flatten (g)", "  d = Shape (l)\n  y = Reshape (g, e)").replace(
        "int64[8] p", "int64[2] e = {1, -1}, int64[8] p"
    )
    facts = facts_of(text.replace("g = GlobalAveragePool (l)", "g = Softmax <axis = 3> (l)"))
    sizes = [[n + step for n in facts.image_size] for step in range(-3, 4)]
    told = [every_pixel_read(facts, size) for size in sizes]
    assert told == [read_there(facts, size) for size in sizes]
    assert True in told
    assert False in told


@pytest.mark.parametrize("more", [0, 1], ids=["first", "last"])
def test_both_sweeps_are_those_of_each_graph(more: int) -> None:
    facts = facts_of(BRANCHES)
    geometry = facts.geometry
    assert geometry is not None
    layer = unpadded(facts)[-more]
    padded = replace(layer, attributes={**layer.attributes, "pads": (1, 1, 1, 1)})
    other = Resized(geometry, changed={layer.name: padded}).other
    for semiring in (Semiring.COUNT, Semiring.REACH):
        here, there = sweep_both(geometry, ("k",), semiring, other)
        twin = facts.with_operators({layer.name: padded}).geometry
        assert twin is not None
        assert np.array_equal(here.values, sweep(geometry, ("k",), semiring, local=True).values)
        assert np.array_equal(there.values, sweep(twin, ("k",), semiring, local=True).values)
