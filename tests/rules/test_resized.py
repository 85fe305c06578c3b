"""Flows that are resized in place agree with those of the changed graph, traced anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from text_models import facts_of

from scotoma.evidence.padded import padded_counts, padded_twin, shared_heads, unpadded
from scotoma.evidence.resized import resized
from scotoma.evidence.unread import leave_border_unread
from scotoma.sweep import Semiring, sweep

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


def test_padded_counts_are_those_of_the_padded_twin() -> None:
    facts = facts_of(BRANCHES)
    layers = unpadded(facts)
    assert [layer.op_type for layer in layers] == ["Conv", "MaxPool"]
    heads, counts = padded_counts(facts, layers)
    twin = padded_twin(facts, layers)
    expected = twin.counts(shared_heads(facts, twin))
    assert heads == shared_heads(facts, twin) == ("l",)
    assert counts is not None
    assert expected is not None
    assert np.array_equal(counts.values, expected.values)


def test_a_walk_with_another_pool_is_that_of_the_changed_graph() -> None:
    facts = facts_of(BRANCHES)
    (pool,) = [o for o in facts.operators if o.op_type == "AveragePool"]
    uncounted = replace(pool, attributes={**pool.attributes, "count_include_pad": 0})
    assert facts.geometry is not None
    flows = resized(facts.geometry, changed={pool.name: uncounted})
    walk = sweep(flows, ("y",), Semiring.WALK, local=True).values
    twin, here = facts.with_operators({pool.name: uncounted}), facts.coverage(local=True)
    expected = twin.coverage(local=True)
    assert here is not None
    assert expected is not None
    assert np.array_equal(walk, expected.walk)
    assert not np.array_equal(walk, here.walk)


@pytest.mark.parametrize("label", [0, 1])
def test_sizes_whose_border_is_unread_are_those_with_dead_pixels(label: int) -> None:
    facts = facts_of(BRANCHES)
    here = facts.image_size[label]
    told = leave_border_unread(facts, label, range(here - 6, here + 7))
    found = []
    for size in range(here - 6, here + 7):
        there = facts.at([size if axis == label else n for axis, n in enumerate(facts.image_size)])
        dead = there.dead(local=True) if there is not None else None
        assert dead is not None
        lines = dead.rows if label == 0 else dead.columns
        found.append(bool(lines))
    assert told == found
    assert True in told
    assert False in told
