"""Axes as digits of grids: what a reshape keeps and what it tears."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import examples

from scotoma.trace.field import Field
from scotoma.trace.layout import (
    Axis,
    Digit,
    Grid,
    Layout,
    axis_of,
    axis_size,
    cells_per_place,
    collapsed,
    is_tracked,
    normalised,
    of_grid,
    refine,
    regroup,
    split,
    tracked_sizes,
    whole_grid,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

H = Grid(0, 12, Field.of_pixels())
W = Grid(1, 10, Field.of_pixels())
IMAGE: Layout = (collapsed(1), collapsed(8), of_grid(H), of_grid(W))


def test_tokens_keep_the_image() -> None:
    tokens = regroup(IMAGE, (1, 8, 120))
    assert tokens is not None
    assert tokens[2] == (Digit(12, H), Digit(10, W))
    assert regroup(tokens, (1, 8, 12, 10)) == IMAGE
    assert tracked_sizes(tokens) == (12, 10)


def test_blocks_are_digits() -> None:
    blocks = regroup(IMAGE, (1, 8, 6, 2, 5, 2))
    assert blocks is not None
    assert blocks[2:] == (
        (Digit(6, H, 2),),
        (Digit(2, H, 1),),
        (Digit(5, W, 2),),
        (Digit(2, W, 1),),
    )
    assert regroup(blocks, (1, 8, 12, 10)) == IMAGE
    assert [whole_grid(axis) for axis in blocks] == [None] * 6


def test_channels_split_and_merge() -> None:
    assert regroup(IMAGE, (1, 2, 4, 12, 10)) == (
        (), (Digit(2),), (Digit(4),), of_grid(H), of_grid(W),
    )  # fmt: skip
    assert regroup(IMAGE, (8, 12, 10)) == (collapsed(8), of_grid(H), of_grid(W))


@pytest.mark.parametrize("shape", [(1, 8, 7, 17), (5, 192), (1, 8, 12), (1, 8, 12, 10, 2)])
def test_a_torn_axis_is_noticed(shape: Sequence[int]) -> None:
    assert regroup(IMAGE, shape) is None


def test_a_followed_axis_of_one_cell_keeps_its_place() -> None:
    one = Grid(0, 1, Field.of_pixels())
    layout = (collapsed(1), collapsed(8), of_grid(one), of_grid(W))
    assert regroup(layout, (1, 8, 1, 10)) == layout
    flat = regroup(layout, (1, 80))
    assert flat is not None
    assert tracked_sizes(flat) == (1, 10)


@examples(200)
@given(st.data())
def test_reshaping_moves_no_cell(data: st.DataObject) -> None:
    """The digits of a regrouped layout give the places that numpy's reshape gives."""
    factors = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    size = prod(factors)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(factors)), max_size=3)) | {len(factors)})
    shape = [prod(factors[a:b]) for a, b in zip([0, *cuts], cuts, strict=False)]
    grid = Grid(0, size, Field.of_pixels())
    found = regroup((of_grid(grid),), shape)
    assert found is not None
    assert tuple(axis_size(axis) for axis in found) == tuple(shape)
    index = np.arange(size).reshape(shape)
    for cell in np.ndindex(*shape):
        place = 0
        for axis, i in zip(found, cell, strict=True):
            rest = axis_size(axis)
            for digit in axis:
                rest //= digit.size
                place += (i // rest % digit.size) * digit.stride
        assert place == index[cell]


def test_normalised_merges_what_belongs_together() -> None:
    assert normalised([Digit(2), Digit(1), Digit(3)]) == (Digit(6),)
    assert normalised([Digit(6, H, 2), Digit(2, H, 1)]) == (Digit(12, H),)
    assert normalised([Digit(2, H, 1), Digit(6, H, 2)]) == (Digit(2, H, 1), Digit(6, H, 2))
    assert normalised([Digit(12, H), Digit(1, W)]) == (Digit(12, H), Digit(1, W))


def test_split() -> None:
    assert split(Digit(12, H), 4) == (Digit(4, H, 3), Digit(3, H, 1))
    assert split(Digit(6, H, 2), 3) == (Digit(3, H, 4), Digit(2, H, 2))


def test_refine() -> None:
    one: Axis = (Digit(12, H),)
    two: Axis = (Digit(4), Digit(3, W))
    assert refine(one, two) == ((Digit(4, H, 3), Digit(3, H, 1)), two)
    assert refine(two, one) == (two, (Digit(4, H, 3), Digit(3, H, 1)))
    assert refine((Digit(4), Digit(3)), (Digit(3), Digit(4))) is None
    assert refine((Digit(4), Digit(1, W)), (Digit(4),)) == (
        (Digit(4), Digit(1, W)), (Digit(4), Digit(1)),
    )  # fmt: skip


def test_axis_of() -> None:
    assert axis_of(IMAGE, 0) == 2
    assert axis_of(IMAGE, 1) == 3
    assert axis_of((of_grid(H), of_grid(Grid(0, 3, None))), 0) is None
    assert axis_of((collapsed(3),), 0) is None


def test_cells_per_place() -> None:
    assert cells_per_place((Digit(12, H), Digit(2))) == 2
    assert cells_per_place((Digit(2, H, 1), Digit(3))) == 1
    assert cells_per_place(collapsed(5)) == cells_per_place(()) == 1
    assert not is_tracked(collapsed(5))
