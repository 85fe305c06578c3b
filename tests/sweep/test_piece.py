"""Arrays in a sweep that are kept as products of lines are those of whole arrays."""

from __future__ import annotations

import numpy as np
import pytest
from text_models import facts_of

from scotoma.facts import Facts
from scotoma.sweep import Semiring
from scotoma.sweep.piece import EXACT, Piece, add
from scotoma.sweep.pull import pull_steps, step
from scotoma.sweep.sweep import run, sweep
from scotoma.trace.index_map import WindowMap
from scotoma.trace.layout import cells_per_place, tracked_sizes

WINDOW = WindowMap(3, 2, 1, 1, 10, 4)
STEPS = (step(0, WINDOW), step(1, WINDOW))
CHAIN = """
g (float[1,1,40,37] x) => (float[1,1,M,N] y)
<float[1,1,5,3] a, float[1,1,3,3] b> {
  s = Conv <strides = [3, 2], pads = [1, 0, 0, 1]> (x, a)
  p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (s)
  c = Conv <dilations = [2, 1]> (p, b)
  d = Conv <pads = [1, 1, 1, 1]> (c, b)
  y = TAIL
}
"""


def arrays(facts: Facts, tensor: str, semiring: Semiring) -> np.ndarray:
    """Sweep from an array that is no product of lines and take what that adds off again."""
    geometry = facts.geometry
    assert geometry is not None
    flow = geometry.flows[tensor]
    value = float(np.prod([cells_per_place(axis) for axis in flow.layout]))
    kind = bool if semiring is Semiring.REACH else float
    start = np.full(tracked_sizes(flow.layout), value).astype(kind)
    odd = np.zeros_like(start)
    odd[0, 0] = 1
    if semiring is Semiring.REACH:
        rest = start & ~odd
        one, two = (run(geometry, {tensor: a}, semiring).values for a in (rest, odd))
        return np.asarray(one | two)
    whole = run(geometry, {tensor: start + odd}, semiring).values
    return np.asarray(whole - run(geometry, {tensor: odd}, semiring).values)


@pytest.mark.parametrize("semiring", [Semiring.COUNT, Semiring.REACH])
@pytest.mark.parametrize("tail", ["Relu (d)", "Add (c, d)"], ids=["chain", "branches"])
def test_sweeps_from_constants_are_those_of_arrays(tail: str, semiring: Semiring) -> None:
    facts = facts_of(CHAIN.replace("TAIL", tail))
    assert facts.geometry is not None
    found = sweep(facts.geometry, ("y",), semiring)
    assert np.array_equal(found.values, arrays(facts, "y", semiring))
    assert found.exponent == 0


def test_counts_are_lines_only_as_long_as_they_are_exact() -> None:
    small = Piece.constant((4, 4), value=7.0).through(STEPS, Semiring.COUNT)
    large = Piece.constant((4, 4), value=EXACT / 8).through(STEPS, Semiring.COUNT)
    assert ([line.shape for line in small.lines], large.lines) == ([(10,), (10,)], ())
    assert (small.figure, large.figure) == (7 * 9, EXACT / 8 * 9)
    for piece, value in ((small, 7.0), (large, EXACT / 8)):
        array = np.full((4, 4), value)
        assert np.array_equal(piece.array, pull_steps(STEPS, array, Semiring.COUNT))
    assert Piece.constant((4, 4), value=2 * EXACT).lines == ()


def test_branches_keep_lines_where_they_are_the_same_ones() -> None:
    full = Piece.constant((10, 10), value=True)
    part = Piece.constant((4, 4), value=True).through(STEPS, Semiring.REACH)
    pieces = {"a": full, "b": full}
    add(pieces, "a", full.through((), Semiring.REACH), Semiring.REACH)
    add(pieces, "b", part, Semiring.REACH)
    assert pieces["a"].lines == full.lines
    assert pieces["b"].lines == ()
    assert pieces["b"].array.all()
    assert part.array.sum() == 8 * 8
