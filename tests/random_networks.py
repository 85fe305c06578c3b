"""Random networks of supported operators, drawn by hypothesis and built as they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from random_author import Author, Operator
from random_layouts import (
    attention,
    channels_last,
    depth_to_space,
    gate,
    normalise,
    reduce,
    repeat,
    shuffle,
    space_to_depth,
    tokens,
    windows,
)
from random_windows import (
    broadcast,
    concat,
    conv,
    conv_transpose,
    gather,
    join,
    pad,
    pool,
    resize,
    scale,
    slice_,
    split,
    unary,
)

if TYPE_CHECKING:
    from collections.abc import Callable


OPERATORS: dict[str, Operator] = {
    "conv": conv, "conv again": conv, "conv once more": conv, "pool": pool, "pool again": pool,
    "conv_transpose": conv_transpose, "pad": pad, "slice": slice_, "concat": concat,
    "concat again": concat, "split": split, "gather": gather, "join": join, "join again": join,
    "broadcast": broadcast, "scale": scale, "unary": unary, "resize": resize,
    "space_to_depth": space_to_depth, "depth_to_space": depth_to_space, "shuffle": shuffle,
    "tokens": tokens, "attention": attention, "channels_last": channels_last, "windows": windows,
    "reduce": reduce, "gate": gate, "normalise": normalise, "repeat": repeat,
}  # fmt: skip
SHAPES = st.sampled_from(
    [(1, 1, 9, 8), (1, 2, 8, 12), (1, 3, 6, 6), (1, 2, 17), (1, 1, 24), (1, 2, 4, 5, 6)]
)


@st.composite
def networks(draw: Callable[[st.SearchStrategy[Any]], Any], most: int = 7) -> Author:
    """Draw a network; its last tensor is one cell of the one before."""
    author = Author(draw, draw(SHAPES))
    for _ in range(draw(st.integers(1, most))):
        author.step(OPERATORS)
    last = author.pool[-1]
    axes = range(2, author.rank + 2)
    cell = [author.number(0, author.net.shape(last)[axis] - 1) for axis in axes]
    author.pool.append(author.net.cell(last, cell, axes))
    if author.exact and not author.placeless:
        author.exactly.add(author.pool[-1])
    return author
