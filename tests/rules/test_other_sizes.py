"""What is told of other sizes of whole models agrees with an analysis at that size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from networks import SHARED
from text_models import facts_of

from scotoma.errors import UsageError
from scotoma.evidence.resized import Resized
from scotoma.evidence.strided import is_even, strided_layers
from scotoma.evidence.unread import every_pixel_read
from scotoma.facts import Facts
from scotoma.loader import load_model

if TYPE_CHECKING:
    from collections.abc import Sequence

STEPS = (-3, -1, 1, 32)
SAMPLES = Path(__file__).parents[2] / "sample_models"
MODELS = [
    *sorted(SAMPLES.glob("*.onnx")),
    *sorted(p for folder in ("zoo", "real", "quirks") for p in (SHARED / folder).glob("**/*.onnx")),
]


def check_tensors(facts: Facts, there: Resized, at: Facts) -> None:
    """Compare the shapes and constants that are told with those of an analysis."""
    assert facts.geometry is not None
    for name in facts.geometry.flows:
        axes = facts.geometry.spatial_axes(name)
        shape = at.shape(name)
        if axes is None or shape is None:
            continue
        told = [there.along(name, label) for label in range(len(axes))]
        assert told in ([None] * len(axes), [shape[axis] for axis in axes]), name
    for name, value in there.constants.items():
        assert np.array_equal(at.resolution.values[name], value), name


def check_size(facts: Facts, size: Sequence[int]) -> None:
    """Compare all that is told of a size with an analysis there."""
    assert facts.geometry is not None
    there, at = Resized(facts.geometry, size=size), facts.at(size)
    layers = strided_layers(facts)
    if there.told and there.refused:
        assert at is None
    elif there.runs:
        assert at is not None
        check_tensors(facts, there, at)
        for layer in layers:
            tensor = layer.operator.inputs[0]
            told = there.padding_in_front(tensor, layer.label)
            assert told in (None, at.padding_in_front(tensor, layer.label)), tensor
        assert is_even(facts, layers, size) is not any(s.uneven for s in strided_layers(at))
    dead = at.dead(local=True) if at is not None else None
    assert every_pixel_read(facts, size) is (dead is not None and not dead.mask.any())


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_other_sizes_of_whole_models(path: Path) -> None:
    try:
        facts = Facts.of(load_model(path))
    except UsageError:
        return
    if facts.geometry is None or not facts.image_size:
        return
    for number, step in enumerate(STEPS):
        # Along one axis alone too: maps must not be told apart by their shape.
        size = [
            max(1, n + step * (number % 2 or not axis)) for axis, n in enumerate(facts.image_size)
        ]
        check_size(facts, size)


SAME = """
g (float[1,3,32,32] x) => (float[1,4,M,N] y)
<float[4,3,3,3] a, float[4,4,3,3] b, int64[1] last = {-1}, int64[1] row = {2}, int64 one = {1},
 int64 two = {2}, int64 three = {3}, int64[1] rest = {0}, int64[1] first = {0}, int64 nil = {0},
 int64[4] zeros = {0,0,0,0}, int64[2] front = {0,0}, int64[1] axis = {0}> {
  s = Conv <pads = [1,1,1,1], strides = [2,2]> (x, a)
  n = Shape (s)
  h = Gather <axis = 0> (n, row)
  up = Add (h, one)
  out = Div (up, two)
  less = Sub (out, one)
  span = Mul (less, two)
  reach = Add (span, three)
  lack = Sub (reach, h)
  more = Max (lack, nil)
  before = Div (more, two)
  after = Sub (more, before)
  pads = Concat <axis = 0> (front, before, before, front, after, after)
  p = Pad (s, pads)
  y = Conv <strides = [2,2]> (p, b)
}
"""
"""A convolution that pads as TensorFlow does, from the size of the map it pads."""


@pytest.mark.parametrize(
    ("size", "pads"),
    [(32, (0, 1)), (33, (1, 1)), (34, (1, 1)), (35, (0, 1)), (64, (0, 1)), (37, (1, 1))],
)
def test_padding_is_worked_out_from_the_other_size(
    size: int, pads: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = facts_of(SAME)
    assert facts.geometry is not None
    check_size(facts, (size, size))
    monkeypatch.setattr(Facts, "at", None)
    there = Resized(facts.geometry, size=(size, size))
    assert (there.runs, there.complete) == (True, True)
    assert [there.padding_in_front("p", label) for label in (0, 1)] == [pads, pads]
    half = (size + 1) // 2
    assert [there.along(name, 0) for name in "spy"] == [half, half + sum(pads), (half + 1) // 2]


@pytest.mark.parametrize("size", [(30, 30), (31, 35), (32, 33)])
def test_padding_that_is_worked_out_anew_is_swept(size: tuple[int, int]) -> None:
    """At 33 and 34 the map is padded on both sides: the arrows are others, not the sizes alone."""
    facts = facts_of(SAME.replace("32,32] x", "33,34] x"))
    check_size(facts, size)


TAIL = """
g (float[1,4,16,16] x) => (float[1,M,N,K] y)
<float[4,4,3,3] w, float[2] c, float[4] k, int64[3] groups = {{0,2,-1}},
 float s = {{0.5}}, uint8 z = {{0}}, uint8[4,4,3,3] q, float t = {{0.25}},
 int64[1] one = {{1}}, int64[1] end = {{99}}, int64[1] top = {{2}}, int64[1] two = {{2}},
 int64[2] cut = {{1,2}}, int64[2] ends = {{99,-1}}, int64[2] axes = {{2,3}},
 int64[1] least = {{-1}}, int64[1] back = {{-99}}, int64[4] eight = {{1,-1,8,8}},
 float[1,4,8,8] z8, int64[1] nil = {{0}}, int64[1] h = {{2}}, int64[1] minus = {{-8}},
 int64[2] pair = {{0,0}}, int64[1] rest = {{-1}}, bool yes> {{
  a = Conv <pads = [1,1,1,1], strides = [2,2]> (x, w)
  {}
}}
"""
TAILS = {
    "groups": """b = Reshape (a, groups)
  d = InstanceNormalization (b, c, c)
  n = Shape (a)
  e = Reshape (d, n)
  f = Relu (e)
  y = Conv <pads = [1,1,1,1], strides = [2,2]> (f, w)""",
    "fused": """b = com.microsoft.FusedConv <activation = "Relu", pads = [1,1,1,1]> (a, w, k)
  d = com.microsoft.FusedConv <activation = "Relu", pads = [1,1,1,1]> (b, w, k, a)
  y = Conv <strides = [2,2]> (d, w)""",
    "quantised": """b = QuantizeLinear (a, s, z)
  d = QLinearConv <pads = [1,1,1,1], strides = [2,2]> (b, s, z, q, t, z, s, z)
  e = DequantizeLinear (d, s, z)
  y = Relu (e)""",
    "sliced": "b = Slice (a, cut, ends, axes)\n  y = Conv <strides = [2,2]> (b, w)",
    "every-other": "b = Slice (a, one, end, top, two)\n  y = Conv (b, w)",
}  # fmt: skip


@pytest.mark.parametrize("name", TAILS)
@pytest.mark.parametrize("size", [(17, 17), (15, 19), (24, 16)])
def test_sizes_are_followed_through(
    name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = facts_of(TAIL.format(TAILS[name]))
    assert facts.geometry is not None
    assert not facts.resolution.unresolved
    check_size(facts, size)
    monkeypatch.setattr(Facts, "at", None)
    there = Resized(facts.geometry, size=size)
    assert (there.runs, there.complete) == (True, name != "groups")
    assert there.lost == (set("bdefy") if name == "groups" else set())


@pytest.mark.parametrize(
    ("tail", "size"),
    [
        ("b = Slice (a, least, back, top, least)\n  y = Relu (b)", (17, 17)),
        ("n = Shape (a)\n  b = ConstantOfShape (n)\n  y = Add (a, b)", (17, 17)),
        ("b = Slice (a, cut, ends, axes)\n  y = Conv (b, w)", (5, 5)),
        ("b = Reshape (a, eight)\n  y = Conv (b, w)", (32, 32)),
        ("y = com.microsoft.FusedConv (a, w, k, z8)", (17, 17)),
        (
            """n = Shape (a)
  m = Gather <axis = 0> (n, h)
  c1 = Add (m, minus)
  p = Concat <axis = 0> (nil, c1, pair, nil, nil, pair)
  b = Pad (a, p)
  y = Conv (b, w)""",
            (18, 18),
        ),
        (
            """n = If (yes) <then_branch = t () => (int64[4] u) { u = Shape (a) },
 else_branch = e () => (int64[4] v) { v = Shape (x) }>
  y = Reshape (a, n)""",
            (18, 18),
        ),
    ],
    ids=["turned", "grid", "nothing-left", "channels", "summand", "channel-pads", "branches"],
)
def test_what_does_not_follow_is_not_told_wrong(tail: str, size: tuple[int, int]) -> None:
    facts = facts_of(TAIL.format(tail))
    assert facts.geometry is not None
    assert not Resized(facts.geometry, size=size).complete
    check_size(facts, size)


@pytest.mark.parametrize("pool", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    "window",
    [
        "kernel_shape = [3,3], dilations = [2,2]",
        "kernel_shape = [2,2], strides = [3,3]",
        "kernel_shape = [3,3], strides = [2,2]",
    ],
)
@pytest.mark.parametrize("size", [(17, 17), (22, 27)])
def test_pools_that_pad_automatically(pool: str, window: str, size: tuple[int, int]) -> None:
    tail = f'b = {pool} <auto_pad = "SAME_UPPER", {window}> (a)\n  y = Relu (b)'
    facts = facts_of(TAIL.format(tail), opset=19)
    check_size(facts, size)


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("window", ["strides = [2,2]", "strides = [5,4]", "dilations = [2,3]"])
def test_convolutions_that_pad_automatically(mode: str, window: str) -> None:
    facts = facts_of(
        TAIL.format(f'b = Conv <auto_pad = "{mode}", {window}> (a, w)\n  y = Relu (b)')
    )
    for size in ((17, 17), (18, 25), (31, 40)):
        check_size(facts, size)
        assert Resized(facts.geometry, size=size).complete  # type: ignore[arg-type]  # is an image


def test_a_constant_that_stays_as_it_is_changes_nothing() -> None:
    """The batch is taken from the shape of a map; its size is not."""
    tail = """n = Shape (a)
  m = Gather <axis = 0> (n, nil)
  t = Concat <axis = 0> (m, rest)
  c1 = Conv <pads = [1,1,1,1]> (a, w)
  g = GlobalAveragePool (c1)
  y = Reshape (g, t)"""
    facts = facts_of(TAIL.format(tail).replace("float[1,M,N,K] y", "float[M,N] y"))
    assert facts.geometry is not None
    there = Resized(facts.geometry, size=(17, 17))
    assert (there.runs, there.complete) == (True, True)
    assert {name: value.tolist() for name, value in there.constants.items()} == {"n": [1, 4, 9, 9]}
    check_size(facts, (17, 17))


UNUSUAL = {
    "branch-of-a-size": (
        """s = Shape (x)
  n = Gather <axis = 0> (s, h)
  c0 = Greater (n, lim)
  c = Squeeze (c0)
  q = If (c) <then_branch = t () => (int64[1] u) { u = Identity (one) },
 else_branch = e () => (int64[1] v) { v = Identity (nil) }>
  p = Concat <axis = 0> (pair, q, nil, pair, nil, q)
  d = Pad (x, p)
  y = Conv <strides = [2,2]> (d, w)""",
        [(32, 32), (21, 21), (17, 17)],
    ),
    "automatic-behind-a-pad": (
        'b = Pad (x, after)\n  y = Conv <auto_pad = "SAME_UPPER", strides = [2,2]> (b, w)',
        [(17, 17), (18, 18), (32, 32)],
    ),
    "automatic-behind-another-pad": (
        'b = Pad (x, before)\n  y = Conv <auto_pad = "SAME_LOWER", strides = [2,2]> (b, w)',
        [(17, 17), (18, 18), (32, 32)],
    ),
    "automatic-pool-behind-a-pad": (
        """b = Pad (x, after)
  y = MaxPool <auto_pad = "SAME_UPPER", kernel_shape = [3,3], strides = [2,2]> (b)""",
        [(17, 17), (18, 18)],
    ),
    "more-padding-than-map": (
        "b = Pad (a, large)\n  y = Conv <strides = [2,2]> (b, w)",
        [(30, 30), (33, 33), (18, 18), (6, 6)],
    ),
    "zeros-beside": (
        """s = Shape (x)
  n = Gather <axis = 0> (s, h)
  q = Mod (n, five)
  m = Gather <axis = 0> (s, three)
  f = Concat <axis = 0> (one, four, q, m)
  z0 = ConstantOfShape (f)
  b = Concat <axis = 2> (x, z0)
  y = Conv <strides = [2,2]> (b, w)""",
        [(15, 15), (17, 17), (24, 24), (20, 20)],
    ),
    "turned": (
        """b = Conv <pads = [1,1,1,1]> (x, w)
  d = Transpose <perm = [0,1,3,2]> (b)
  y = Conv <auto_pad = "SAME_UPPER", strides = [2,1]> (d, w)""",
        [(17, 16), (16, 17), (18, 19)],
    ),
    "turned-and-padded": (
        """b = Conv <pads = [1,1,1,1]> (x, w)
  d = Transpose <perm = [0,1,3,2]> (b)
  y = Conv <pads = [1,0,1,1], strides = [3,1]> (d, w)""",
        [(17, 16), (16, 17), (18, 19)],
    ),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_graphs(name: str) -> None:
    tail, sizes = UNUSUAL[name]
    text = TAIL.format(tail).replace(
        "bool yes>",
        "int64[1] lim = {20}, int64[8] after = {0,0,0,0,0,0,1,1}, int64[1] five = {5},"
        " int64[8] before = {0,0,1,1,0,0,0,0}, int64[8] large = {0,0,1,1,0,0,8,8},"
        " int64[1] three = {3}, int64[1] four = {4}>",
    )
    facts = facts_of(text)
    assert not facts.unanalysed
    for size in sizes:
        check_size(facts, size)


def test_padding_behind_a_map_of_interleaved_cells_is_not_told() -> None:
    text = """
    g (float[1,4,66,66] x) => (float[1,4,M,N] y) <float[4,1,1,1] v, float[4,4,3,3] w> {
      a = DepthToSpace <blocksize = 2> (x)
      b = Conv (a, v)
      y = Conv <strides = [2,2]> (b, w)
    }
    """
    facts = facts_of(text)
    assert facts.geometry is not None
    (layer,) = [op for op in facts.operators if op.outputs == ("y",)]
    padded = replace(layer, attributes={**layer.attributes, "pads": (1, 1, 1, 1)})
    there = Resized(facts.geometry, changed={layer.name: padded})
    assert there.lost == {"y"}
    assert facts.with_operators({layer.name: padded}).shape("y") == (1, 4, 66, 66)
