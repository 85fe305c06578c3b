"""What single operators read of an image, where few architectures have them."""

from __future__ import annotations

import numpy as np
import pytest
from text_models import facts_of

from scotoma.sweep import Semiring, sweep


def unread(text: str) -> list[list[bool]]:
    """Return the pixels that no path connects to the output; every operator is followed."""
    facts = facts_of(text)
    assert facts.unanalysed == ()
    dead = facts.dead()
    assert dead is not None
    found: list[list[bool]] = dead.mask.tolist()
    return found


def test_rows_that_are_chosen_by_a_table() -> None:
    text = """
    g (float[1,3,8,8] x) => (float[3,1,3,8] y) <int64[3,1] at = {0, 2, 4}> {
      rows = Transpose <perm = [2, 0, 1, 3]> (x)
      y = GatherND (rows, at)
    }"""
    assert unread(text) == [[row not in {0, 2, 4}] * 8 for row in range(8)]


@pytest.mark.parametrize("places", ["int64[4,1] at = {0, 2, 4, 6}", "int64[2,1] at = {1, 7}"])
def test_rows_that_are_written_by_a_table(places: str) -> None:
    count = places.count(",")
    text = f"""
    g (float[1,1,8,8] x) => (float[8,1,1,8] y)
    <{places}, float[8,1,1,8] none, int64[1] begin = {{0}}, int64[1] end = {{{count}}}> {{
      rows = Transpose <perm = [2, 0, 1, 3]> (x)
      part = Slice (rows, begin, end)
      y = ScatterND (none, at, part)
    }}"""
    assert unread(text) == [[row >= count] * 8 for row in range(8)]


def test_a_product_with_packed_weights_mixes_the_last_axis_alone() -> None:
    text = """
    g (float[1,3,8,16] x) => (float[1,3,5,4] y)
    <uint8[4,1,8] packed, float[4] scale, int64[1] begin = {3}, int64[1] end = {8},
     int64[1] rows = {2}> {
      m = com.microsoft.MatMulNBits <K = 16, N = 4, bits = 4, block_size = 16> (x, packed, scale)
      y = Slice (m, begin, end, rows)
    }"""
    assert unread(text) == [[row < 3] * 16 for row in range(8)]


@pytest.mark.parametrize(("counted", "share"), [(0, 1 / 4), (1, 1 / 9)])
def test_a_walk_may_step_into_padding_that_a_pool_counts(counted: int, share: float) -> None:
    facts = facts_of(f"""
    g (float[1,1,4,4] x) => (float[1,1,1,1] y)
    <int64[4] begin = {{0, 0, 0, 0}}, int64[4] end = {{1, 1, 1, 1}}> {{
      p = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1], count_include_pad = {counted}>
          (x)
      y = Slice (p, begin, end)
    }}""")
    assert facts.geometry is not None
    expected = np.zeros((4, 4))
    expected[:2, :2] = share
    walk = sweep(facts.geometry, ("y",), Semiring.WALK).values
    assert walk == pytest.approx(expected)


SLICE = "y = Slice (m, begin, end, axes)"
CUT = "int64[1] begin = {{{0}}}, int64[1] end = {{{1}}}, int64[1] axes = {{{2}}}"


def behind(operator: str, weights: str, begin: int, end: int, axis: int) -> list[list[bool]]:
    """Return the pixels of an 8x8 image that a part of an operator's output does not read."""
    cut = CUT.format(begin, end, axis)
    return unread(f"""
    g (float[1,4,8,8] x) => (float[A,B,C,D] y) <{weights}{cut}> {{
      m = {operator}
      {SLICE}
    }}""")


ROWS = [[row < 3] * 8 for row in range(8)]
COLUMNS = [[column < 3 for column in range(8)]] * 8
NONE = [[False] * 8] * 8


@pytest.mark.parametrize(
    ("operator", "weights", "axis", "expected"),
    [
        ('Einsum <equation = "bchw,kc->bkhw"> (x, w)', "float[5,4] w, ", 2, ROWS),
        ('Einsum <equation = "bchw,kc->bkhw"> (x, w)', "float[5,4] w, ", 3, COLUMNS),
        ('Einsum <equation = "bchw,kc->bkwh"> (x, w)', "float[5,4] w, ", 3, ROWS),
        ('Einsum <equation = "bchw,wk->bchk"> (x, w)', "float[8,8] w, ", 3, NONE),
        # Without an arrow the letters that stand once are the output, in the order of the alphabet.
        ('Einsum <equation = "dcba,ce"> (x, w)', "float[4,5] w, ", 0, COLUMNS),
        ('Einsum <equation = "dcba,ce"> (x, w)', "float[4,5] w, ", 1, ROWS),
        ("LpNormalization <axis = 1> (x)", "", 2, ROWS),
        ("LpNormalization <axis = 2> (x)", "", 2, NONE),
        ("LpNormalization <axis = 2> (x)", "", 3, COLUMNS),
        ("LpNormalization (x)", "", 3, NONE),
        ("LpNormalization (x)", "", 2, ROWS),
    ],
)
def test_which_axes_are_mixed(
    operator: str, weights: str, axis: int, expected: list[list[bool]]
) -> None:
    assert behind(operator, weights, 3, 8, axis) == expected


@pytest.mark.parametrize(("group", "read"), [(4, "one of four"), (1, "all")])
def test_a_depthwise_convolution_keeps_channels_apart(group: int, read: str) -> None:
    """The channels are the four places of 2x2 blocks, of which the first one is kept."""
    text = f"""
    g (float[1,1,8,8] x) => (float[1,1,4,4] y)
    <float[4,{4 // group},1,1] w, {CUT.format(0, 1, 1)}> {{
      s = SpaceToDepth <blocksize = 2> (x)
      m = Conv <group = {group}> (s, w)
      {SLICE}
    }}"""
    first = [[row % 2 == column % 2 == 0 for column in range(8)] for row in range(8)]
    expected = NONE if read == "all" else [[not kept for kept in row] for row in first]
    assert unread(text) == expected


def test_a_scale_that_is_measured_reads_the_whole_image() -> None:
    facts = facts_of(f"""
    g (float[1,1,8,8] x) => (float[1,1,5,8] y, float[] scale)
    <{CUT.format(3, 8, 2)}> {{
      q, scale, zero = DynamicQuantizeLinear (x)
      m = Cast <to = 1> (q)
      {SLICE}
    }}""")
    assert facts.unanalysed == ()
    for tensor, expected in (("y", ROWS), ("scale", NONE)):
        dead = facts.dead(tensor)
        assert dead is not None
        assert dead.mask.tolist() == expected


@pytest.mark.parametrize("choice", ["c, a, s, z, b, s, z, s, z", "c, b, s, z, a, s, z, s, z"])
def test_a_quantised_choice_reads_both_sides_at_their_places(choice: str) -> None:
    text = f"""
    g (float[1,1,8,8] x) => (float[1,1,5,8] y)
    <bool[1,1,8,8] c, uint8[1,1,8,8] b, float s = {{0.5}}, uint8 z = {{3}},
     {CUT.format(3, 8, 2)}> {{
      a = QuantizeLinear (x, s, z)
      q = com.microsoft.QLinearWhere ({choice})
      m = DequantizeLinear (q, s, z)
      {SLICE}
    }}"""
    assert unread(text) == ROWS


def test_a_convolution_with_its_channels_last() -> None:
    """Of the rows 3 to 5 behind a kernel of 3 rows and 1 column, at a stride of 1 and 2."""
    text = f"""
    g (float[1,4,8,8] x) => (float[1,3,4,2] y) <float[2,4,3,1] w, {CUT.format(3, 6, 1)}> {{
      t = Transpose <perm = [0, 2, 3, 1]> (x)
      m = com.microsoft.NhwcFusedConv <kernel_shape = [3, 1], strides = [1, 2]> (t, w)
      {SLICE}
    }}"""
    assert unread(text) == [[row < 3 or column % 2 == 1 for column in range(8)] for row in range(8)]


@pytest.mark.parametrize("product", ["MatMul (flat, w)", "MatMul (v, flat)"])
def test_a_product_with_a_vector_of_all_pixels(product: str) -> None:
    text = f"""
    g (float[1,1,8,8] x) => (float[3] y)
    <int64[1] all = {{64}}, float[64,3] w, float[3,64] v> {{
      flat = Reshape (x, all)
      y = {product}
    }}"""
    assert unread(text) == NONE
