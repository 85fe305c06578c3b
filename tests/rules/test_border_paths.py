"""What is told of the border's paths without counting those of all pixels is what these say."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from networks import examples
from random_networks import networks
from text_models import facts_of

from scotoma.evidence import border_paths, padded
from scotoma.evidence.border_paths import BorderPaths, slides_of, starved_band, stem_to
from scotoma.evidence.padded import (
    padded_paths,
    padded_twin,
    paths_to_heads,
    period,
    shared_heads,
    unpadded,
)
from scotoma.facts import Facts
from scotoma.loader import load_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from random_author import Author


@dataclass
class Expected:
    """The same figures from the counts of all pixels."""

    counts: NDArray[np.float64]
    period: list[int]

    @property
    def depth(self) -> int:
        return max(1, round(int(min(self.counts.shape)) / 32))

    @property
    def relative(self) -> NDArray[np.float64]:
        block = tuple(
            slice(max(0, n // 2 - s // 2 - 1), n // 2 + s // 2 + 1)
            for n, s in zip(self.counts.shape, self.period, strict=True)
        )
        centre = self.counts[block].mean()
        return self.counts / centre if centre > 0 else self.counts

    def mean(self, sides: int) -> float:
        return float(np.mean([self.relative[box].mean() for box in self.boxes(sides)]))

    def boxes(self, sides: int) -> Iterator[tuple[slice, ...]]:
        shape = self.counts.shape
        for chosen in combinations(range(len(shape)), min(sides, len(shape))):
            yield from product(
                *(
                    (slice(0, self.depth), slice(n - self.depth, n))
                    if axis in chosen
                    else (slice(max(0, n // 2 - self.depth), n // 2 + self.depth),)
                    for axis, n in enumerate(shape)
                )
            )

    def profile(self, axis: int) -> NDArray[np.float64]:
        line = self.relative
        for other in reversed(range(line.ndim)):
            n = line.shape[other]
            if other != axis:
                places = range(max(0, n // 2 - self.depth), min(n, n // 2 + self.depth))
                line = line.take(places, axis=other).mean(axis=other)
        before = self.depth // 2
        wide = np.pad(line, (before, self.depth - 1 - before), mode="edge")
        return np.convolve(wide, np.ones(self.depth) / self.depth, mode="valid")

    @property
    def corner_over_centre(self) -> float | None:
        ends = ([*range(self.depth), *range(n - self.depth, n)] for n in self.counts.shape)
        corners = self.counts[np.ix_(*ends)]
        centre = self.counts[tuple(n // 2 for n in self.counts.shape)]
        live = corners[corners > 0]
        return float(live.min() / centre) if centre > 0 and live.size else None


def check(found: BorderPaths, counts: NDArray[Any], steps: list[int]) -> None:
    expected = Expected(counts, steps)
    rank = counts.ndim
    assert found.empty is not bool(counts.any())
    if found.empty:
        return
    assert found.corners == pytest.approx(expected.mean(rank), rel=1e-12)
    assert found.sides == pytest.approx(expected.mean(1), rel=1e-12)
    for axis, line in enumerate(found.profiles):
        assert line == pytest.approx(expected.profile(axis), rel=1e-9, abs=1e-12)
    ratio = expected.corner_over_centre
    told = found.corner_over_centre
    assert (told is None) is (ratio is None)
    if told is not None and ratio is not None:
        assert told == pytest.approx(ratio, rel=1e-12)


def counted(facts: Facts, heads: tuple[str, ...]) -> NDArray[np.float64]:
    counts = facts.counts(heads)
    assert counts is not None
    return counts.values


def check_twins(facts: Facts) -> tuple[str, ...]:
    """Compare the figures of a graph and its padded twin with those of two whole analyses."""
    layers = unpadded(facts)
    twins = padded_paths(facts, layers)
    assert twins is not None
    twin = padded_twin(facts, layers)
    assert twins.heads == shared_heads(facts, twin)
    steps = period(facts)
    check(twins.here, counted(facts, twins.heads), steps)
    check(twins.padded, counted(twin, twins.heads), steps)
    whole = paths_to_heads(facts)
    assert whole is not None
    check(whole, counted(facts, facts.heads), steps)
    return twins.heads


BRANCHES = """
g (float[1,1,{0}] x) => (float[1,N] y)
<float[4,1,3,3] a, float[4,4,3,3] b, float[4,4,5,1] c, int64[8] p = {{0,0,1,0,0,0,0,1}}> {{
  s = Conv <strides = [2, 2]> (x, a)
  r = Relu (s)
  m = Pad (r, p)
  q = MaxPool <kernel_shape = [2,3], strides = [1,2]> (m)
  t = AveragePool <kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1> (q)
  u = Conv <pads=[1,1,1,1]> (q, b)
  v = Conv <pads = [2,0,2,0]> (t, c)
  w = Add (u, v)
  k = Concat <axis = 1> (w, t)
  l = MaxPool <kernel_shape=[3,3], strides=[2,2]> (k)
  z = {1}
  y = Flatten (z)
}}
"""
MEAN, SELF = "GlobalAveragePool (l)", "Relu (l)"


@pytest.mark.parametrize("size", ["70,70", "66,131", "40,33"])
@pytest.mark.parametrize("tail", [MEAN, SELF])
@pytest.mark.parametrize("small", [0, 64 * 64], ids=["stem", "pixels"])
def test_paths_behind_a_stem(
    size: str, tail: str, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(padded, "SMALL", small)
    facts = facts_of(BRANCHES.format(size, tail))
    assert stem_to(facts) == ("q", ("s", "r", "m", "q"))
    assert [layer.op_type for layer in unpadded(facts)] == ["Conv", "MaxPool"]
    assert check_twins(facts) == ("l" if tail == MEAN else "z",)


def test_a_stem_ends_at_a_map_that_is_looked_at() -> None:
    text = """
    g (float[1,1,90,80] x) => (float[1,4,M,N] y, float[1,4,M,N] z)
    <float[4,1,3,3] a, float[4,4,3,3] b> {
      s = Conv (x, a)
      y = Relu (s)
      z = Conv (y, b)
    }
    """
    facts = facts_of(text)
    assert facts.heads == ("y", "z")
    assert stem_to(facts)[0] == "y"
    assert check_twins(facts) == ("y", "z")


@pytest.mark.parametrize("shape", ["97", "9,40,20"])
def test_images_of_other_ranks(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(padded, "SMALL", 0)
    rank = shape.count(",") + 1
    kernel = ",".join(["3"] * rank)
    text = f"""
    g (float[1,1,{shape}] x) => (float[1,2,{",".join("MNK"[:rank])}] y)
    <float[2,1,{kernel}] a, float[2,2,{kernel}] b> {{
      s = Conv (x, a)
      y = Conv (s, b)
    }}
    """
    facts = facts_of(text)
    assert stem_to(facts)[0] == "y"
    assert check_twins(facts) == ("y",)


def test_counts_that_grow_out_of_range_keep_their_ratios() -> None:
    layers = "".join(f"h{i + 1} = Conv (h{i}, b)\n" for i in range(420))
    text = f"""
    g (float[1,1,3400,3370] x) => (float[1,1,M,N] y) <float[1,1,9,9] b> {{
      h0 = Conv (x, b)
      {layers}
      y = Relu (h420)
    }}
    """
    facts = facts_of(text)
    end, way = stem_to(facts)
    # The sides of 9 ** 421 paths are beyond what a float holds.
    found = BorderPaths(np.ones((32, 2)), slides_of(facts, way, {}), facts.image_size, [1, 1])
    assert end == "y"
    assert not found.empty
    assert np.isfinite(found.profiles[0]).all()
    line = np.array([1.0])
    for _ in range(421):
        line = np.convolve(line, np.full(9, 1 / 9))
    rows = np.convolve(line, np.ones(32))[: facts.image_size[0]]
    depth = round(min(facts.image_size) / 32)
    smooth = np.convolve(
        np.pad(rows, (depth // 2, depth - 1 - depth // 2), mode="edge"),
        np.ones(depth) / depth,
        "valid",
    )
    told = found.profiles[0]
    assert told[1000:2400] / told[1700] == pytest.approx(
        smooth[1000:2400] / smooth[1700], rel=1e-9, abs=1e-12
    )


@pytest.mark.parametrize("size", ["90,84", "120,120"])
def test_scaling_down_changes_no_figure(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = facts_of(BRANCHES.format(size, MEAN))
    plain = padded_paths(facts, unpadded(facts))
    monkeypatch.setattr(border_paths, "LARGE", 2.0)
    scaled = padded_paths(facts, unpadded(facts))
    assert plain is not None
    assert scaled is not None
    for one, two in ((plain.here, scaled.here), (plain.padded, scaled.padded)):
        assert (two.corners, two.sides) == pytest.approx((one.corners, one.sides), rel=1e-12)
        assert two.corner_over_centre == pytest.approx(one.corner_over_centre, rel=1e-12)
        for mine, theirs in zip(one.profiles, two.profiles, strict=True):
            assert theirs == pytest.approx(mine, rel=1e-12)


@examples(60)
@given(networks(), st.sampled_from([0, 64 * 64]))
def test_random_networks(author: Author, small: int) -> None:
    assume(len(author.pool) > 2)
    facts = Facts.of(load_model("-", data=author.net.model(author.pool[-2]).SerializeToString()))
    assume(facts.geometry is not None and not facts.unanalysed and unpadded(facts))
    layers = unpadded(facts)
    before, padded.SMALL = padded.SMALL, small
    try:
        twins = padded_paths(facts, layers)
    finally:
        padded.SMALL = before
    assume(twins is not None and twins.heads)
    assert twins is not None
    steps, twin = period(facts), padded_twin(facts, layers)
    check(twins.here, counted(facts, twins.heads), steps)
    check(twins.padded, counted(twin, twins.heads), steps)


def test_the_starved_band_is_the_widest() -> None:
    lines = np.array([1.0, 6, 21, 51, 96, 147, 192, 222, 237, 242, 243, 243])
    same = np.array([96.0, 171, 216, 236, 242, 243, 243, 243, 243, 243, 243, 243])
    wide, full = np.r_[lines, lines[::-1]] / 243, np.r_[same, same[::-1]] / 243
    paths = [
        BorderPaths(np.outer(*pair), [(), ()], (24, 24), [1, 1])
        for pair in ((wide, full), (full, full))
    ]
    assert starved_band(*paths) == 5
    assert starved_band(paths[1], paths[1]) == 0
