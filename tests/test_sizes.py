"""The comparison of input sizes: against published tables, the full analysis and by hand."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from example_rules import operator
from hypothesis import given
from hypothesis import strategies as st
from networks import SHARED, Network, RefusedError, examples

from scotoma.errors import UsageError
from scotoma.evidence.strided import Strided
from scotoma.facts import Facts, Unanalysed
from scotoma.loader import load_model
from scotoma.resolve.window import Window
from scotoma.sizes.candidates import Arithmetic, AxisFacts, Candidate
from scotoma.sizes.examine import examine
from scotoma.sizes.merit import DEAD_SHARE_LIMIT, merit
from scotoma.sizes.ranges import MAX_SIZES, LeftOut, axis_limits, together
from scotoma.sizes.survey import MAX_DEPLOYED, survey

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scotoma.sizes.survey import Survey


def facts_of(model: onnx.ModelProto, folder: Path, **options: Any) -> Facts:
    path = folder / "network.onnx"
    path.write_bytes(model.SerializeToString())
    return Facts.of(load_model(path), **options)


def by_arithmetic(facts: Facts, sizes: Sequence[tuple[int, ...]]) -> list[Candidate]:
    arithmetic = Arithmetic(facts, list(zip(*sizes, strict=True)))
    return [arithmetic.candidate(size) for size in sizes]


def by_size(found: Survey) -> dict[int, Candidate]:
    return {candidate.size[-1]: candidate for candidate in found.candidates}


# -- published and independently computed numbers --------------------------------------------------


@cache
def zoo(name: str, size: tuple[int, ...] | None = (224, 224)) -> Facts:
    path = SHARED / "zoo" / f"{name}.onnx"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return Facts.of(load_model(path), size=size)


@cache
def compared(name: str) -> Survey:
    return survey(zoo(name), limits=[(192, 320)], budget=None)


LAST_ONE = [193, 225, 257, 289]

EVEN = {
    "timm_resnet18": LAST_ONE,
    "tv_resnet50": LAST_ONE,
    "tv_mobilenet_v2": LAST_ONE,
    "tv_efficientnet_b0": LAST_ONE,
    "timm_vgg16_bn": [192, 224, 256, 288, 320],
    "timm_convnext_tiny": [192, 224, 256, 288, 320],
    "tv_densenet121": [221, 253, 285, 317],
    "tv_googlenet": [205, 237, 269, 301],
    "tv_inception_v3": [203, 235, 267, 299],
}
"""Sizes from 192 to 320 at which no strided layer is uneven, by another program."""


def squares(low: int, high: int) -> list[tuple[int, int]]:
    return [(n, n) for n in range(low, high + 1)]


@pytest.mark.parametrize("name", EVEN)
def test_even_sizes(name: str) -> None:
    guesses = by_arithmetic(zoo(name), squares(192, 320))
    assert len(guesses) == 129
    assert [c.size[0] for c in guesses if c.crooked == frozenset()] == EVEN[name]
    assert all(len({(axis.uneven, axis.leftover) for axis in c.axes}) == 1 for c in guesses)


LOOKED_AT = (224, 225, 256, 299)


@pytest.mark.parametrize(
    ("name", "crooked", "dead"),
    [
        ("timm_resnet18", (8, 0, 8, 3), (0, 0, 0, 0)),
        ("tv_mobilenet_v2", (5, 0, 5, 2), (0, 0, 0, 0)),
        ("timm_vgg16_bn", (0, 1, 0, 3), (0, 0, 0, 0)),
        ("tv_googlenet", (4, 2, 4, 1), (0, 0, 0, 0)),
        ("tv_densenet121", (2, 1, 2, 3), (0, 0, 0, 0)),
        ("timm_convnext_tiny", (0, 1, 0, 2), (0, 449, 0, 1785)),
        ("tv_inception_v3", (5, 5, 5, 0), (1335, 1784, 1527, 0)),
    ],
)
def test_crooked_layers_and_dead_pixels(
    name: str, crooked: tuple[int, ...], dead: tuple[int, ...]
) -> None:
    guesses = by_arithmetic(zoo(name), [(n, n) for n in LOOKED_AT])
    found = [examine(zoo(name), guess, {}) for guess in guesses]
    assert tuple(c.crooked is not None and len(c.crooked) for c in found) == crooked
    assert tuple(c.dead for c in found) == dead


@pytest.mark.parametrize(("name", "lossy"), [("timm_resnet18", 0), ("tv_inception_v3", 97)])
def test_how_many_sizes_lose_pixels(name: str, lossy: int) -> None:
    found = by_size(compared(name))
    assert sorted(found) == list(range(192, 321))
    assert sum(bool(c.dead) for c in found.values()) == lossy


Steps = list[tuple[str, int, int, int]]
POOL = ("pool", 3, 2, 0)
ALEXNET: Steps = [("conv", 11, 4, 2), POOL, ("conv", 5, 1, 2), POOL, ("conv", 3, 1, 1), POOL]
CEIL_POOL = ("ceil", 3, 2, 0)
SQUEEZENET: Steps = [("conv", 3, 2, 0)] + 3 * [CEIL_POOL, ("conv", 3, 1, 1)]
CONVNEXT: Steps = [("conv", 4, 4, 0), ("conv", 7, 1, 3)] + 3 * [
    ("conv", 2, 2, 0),
    ("conv", 7, 1, 3),
]


def trunk(steps: Steps, folder: Path) -> Facts:
    """Return a chain with the windows of a network, one channel wide."""
    net = Network(1, 1, 224, 224)
    tensor = "x"
    for kind, kernel, stride, pad in steps:
        strides, pads = [stride] * 2, [pad] * 4
        if kind == "conv":
            tensor = net.conv(tensor, (kernel, kernel), strides=strides, pads=pads)
        else:
            tensor = net.add(
                "MaxPool",
                tensor,
                kernel_shape=[kernel] * 2,
                strides=strides,
                pads=pads,
                ceil_mode=int(kind == "ceil"),
            )
    return facts_of(net.model(), folder)


@pytest.mark.parametrize(
    ("steps", "even", "crooked", "dead", "lossy"),
    [
        (ALEXNET, [223, 255, 287, 319], (1, 1, 1, 2), (0, 0, 0, 1192), 80),
        (SQUEEZENET, [*range(207, 321, 16)], (1, 3, 1, 1), (447, 0, 511, 0), 65),
        (CONVNEXT, [192, 224, 256, 288, 320], (0, 1, 0, 2), (0, 449, 0, 1785), 96),
    ],
    ids=["alexnet", "squeezenet", "convnext"],
)
def test_published_windows(
    steps: Steps,
    even: list[int],
    crooked: tuple[int, ...],
    dead: tuple[int, ...],
    lossy: int,
    tmp_path: Path,
) -> None:
    """The numbers are those of the whole networks, computed by another program."""
    found = by_size(survey(trunk(steps, tmp_path), limits=[(192, 320)], budget=None))
    assert [n for n in sorted(found) if not found[n].crooked] == even
    assert tuple(len(found[n].crooked or ()) for n in LOOKED_AT) == crooked
    assert tuple(found[n].dead for n in LOOKED_AT) == dead
    assert sum(bool(c.dead) for c in found.values()) == lossy


@pytest.mark.parametrize("name", ["timm_resnet18", "tv_googlenet", "tv_densenet121"])
def test_uneven_layers_are_those_of_the_rule(name: str) -> None:
    from scotoma.registry import load_rules

    rule = load_rules().get("SC202")
    for size in ((224, 224), (225, 225)):
        there = zoo(name).at(size)
        assert there is not None
        (guess,) = by_arithmetic(zoo(name), [size])
        nodes = {at.node for f in rule.check(there) for at in getattr(f, "locations", ())}
        assert guess.uneven == frozenset(nodes)


def test_dead_taps_are_those_of_the_rule(tmp_path: Path) -> None:
    from scotoma.registry import load_rules

    net = Network(1, 1, 9, 9)
    wide = conv(net, "x", 3, dilations=[8, 8], pads=[8] * 4)
    conv(net, wide, 3, pads=[1] * 4)
    facts = facts_of(net.model(), tmp_path)
    rule = load_rules().get("SC104")
    (finding,) = rule.check(facts.at((8, 8)))  # type: ignore[arg-type]
    shares = {m.name: m.value for m in finding.measurements}  # type: ignore[union-attr]
    found = by_arithmetic(facts, [(8, 8), (8, 9), (9, 9)])
    assert shares["dead_weight_share"] == found[0].dead_share == Fraction(8, 18)
    assert [c.dead_share for c in found[1:]] == [Fraction(6, 18), 0]
    assert [sorted(c.dead_taps or ()) for c in found] == [["conv_0"], ["conv_0"], []]
    assert [[len(a.dead_taps or ()) for a in c.axes] for c in found] == [[1, 1], [1, 0], [0, 0]]


def test_the_limit_of_dead_taps_is_that_of_the_rule() -> None:
    from scotoma.registry import load_rules

    rule = load_rules().get("SC104")
    defaults = {item.name: item.default for item in rule.declared_options}
    assert defaults["limit"] == DEAD_SHARE_LIMIT


def test_dead_taps_of_deeplab() -> None:
    """The branch with a dilation of 36 is a 1x1 convolution up to 36 cells, that is 288 px."""
    facts = zoo("tv_deeplabv3_resnet50", None)
    found = by_arithmetic(facts, [(224, 224), (288, 288), (289, 289), (300, 300)])
    shares = [round(float(c.dead_share or 0), 3) for c in found]
    assert shares == [0.106, 0.106, 0, 0]
    assert len(found[0].dead_taps or ()) == 1


def test_dead_taps_of_resnet_18_at_32() -> None:
    facts = zoo("imagenet_resnet18_on_cifar32", None)
    here, there = by_arithmetic(facts, [(32, 32), (224, 224)])
    assert round(float(here.dead_share or 0), 2) == 0.62
    assert there.dead_share == 0
    assert examine(facts, here, {}).dead_share == here.dead_share


@pytest.mark.parametrize(
    "name", ["tv_densenet121", "tv_efficientnet_b0", "tv_squeezenet1_0", "timm_convnext_tiny"]
)
@pytest.mark.parametrize("size", [223, 299])
def test_dead_pixels_are_those_of_the_full_analysis(name: str, size: int) -> None:
    (found,) = by_arithmetic(zoo(name), [(size, size)])
    there = zoo(name).at((size, size))
    assert there is not None
    dead, local = there.dead(), there.dead(local=True)
    assert dead is not None
    assert local is not None
    answer = examine(zoo(name), found, {})
    assert (answer.dead, answer.dead_local) == (dead.mask.sum(), local.mask.sum())


@pytest.mark.parametrize("name", ["timm_resnet18", "tv_inception_v3"])
def test_arithmetic_says_what_the_full_analysis_says(name: str) -> None:
    found = compared(name)
    guesses = by_arithmetic(zoo(name), [c.size for c in found.candidates])
    assert [c.axes for c in found.candidates] == [c.axes for c in guesses]
    assert [c.dead_share for c in found.candidates] == [c.dead_share for c in guesses]


def test_the_best_sizes_of_resnet_18() -> None:
    found = compared("timm_resnet18")
    best = found.candidates[:4]
    assert [c.size for c in best] == [(n, n) for n in (225, 193, 257, 289)]
    assert {c.centre_offset for c in best} == {Fraction(0)}
    (now,) = (c for c in found.candidates if c.current)
    assert (now.size, now.centre_offset) == ((224, 224), Fraction(-31, 2))
    assert len(found.strided) == 8


def test_a_fully_connected_layer_refuses_smaller_images() -> None:
    found = by_size(compared("timm_vgg16_bn"))
    assert {n for n, c in found.items() if not c.accepted} == set(range(192, 224))
    refusal = found[223].refused_by
    assert refusal is not None
    assert refusal.op_type == "Conv"
    assert found[223].dead is None


def test_skip_connections_refuse_what_they_cannot_join() -> None:
    found = survey(zoo("unet_k2s2"), limits=[(216, 232)])
    assert [c.size[0] for c in found.candidates if c.accepted] == [224, 216, 232]
    refusal = by_size(found)[225].refused_by
    assert refusal is not None
    assert (refusal.op_type, "do not join" in refusal.reason) == ("Concat", True)


def test_129_sizes_of_a_resnet_take_less_than_5_seconds() -> None:
    facts = zoo("tv_resnet50")
    start = time.process_time()
    found = survey(facts)
    assert time.process_time() - start < 5
    assert sum(c.examined for c in found.candidates) == len(found.candidates) == 129


# -- small networks --------------------------------------------------------------------------------


@st.composite
def chains(draw: st.DrawFn) -> Network:
    """Return a few windows in a row, with all kinds of padding."""
    net = Network(1, 1, 24, opset=draw(st.sampled_from([19, 22])))
    tensor = "x"
    for _ in range(draw(st.integers(1, 3))):
        kernel = draw(st.integers(1, 4))
        attributes: dict[str, Any] = {"strides": [draw(st.integers(1, 4))]}
        if draw(st.integers(0, 3)) == 0:
            attributes["auto_pad"] = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER"]))
        else:
            attributes["pads"] = [draw(st.integers(0, kernel - 1)) for _ in range(2)]
        try:
            if draw(st.booleans()):
                tensor = net.conv(tensor, (kernel,), **attributes)
            else:
                attributes["ceil_mode"] = draw(st.integers(0, 1))
                tensor = net.add("MaxPool", tensor, kernel_shape=[kernel], **attributes)
        except RefusedError:
            break
    if not net.nodes:
        net.add("Relu", "x")
    return net


@examples(60)
@given(net=chains())
def test_arithmetic_on_random_chains(net: Network, tmp_path_factory: Any) -> None:
    facts = facts_of(net.model(), tmp_path_factory.mktemp("chain"))
    for guess in by_arithmetic(facts, [(n,) for n in range(12, 40)]):
        found = examine(facts, guess, {})
        if not found.accepted:
            continue
        assert (guess.uneven, guess.phantoms) == (found.uneven, found.phantoms)
        assert (guess.leftover, guess.dead_share) == (found.leftover, found.dead_share)
        assert guess.dead_taps == found.dead_taps
        if guess.centre_offset is not None:
            assert guess.centre_offset == found.centre_offset
        assert guess.axes[0].fits


@pytest.mark.parametrize(
    ("ceil_mode", "auto_pad", "fits"),
    [
        (False, "NOTSET", [False, False, False, False, True]),
        (True, "NOTSET", [False, False, True, True, True]),
        (False, "SAME_UPPER", [False, True, True, True, True]),
    ],
)
def test_windows_that_fit(ceil_mode: bool, auto_pad: str, fits: list[bool]) -> None:
    """In ceil mode the only window may hang over by less than the stride of 3."""
    window = Window(4, 3, 1, 0, 0, 10, 3, ceil_mode=ceil_mode, auto_pad=auto_pad)
    layer = Strided(operator("pool"), 0, window, 10, 0, 0)
    assert layer.fits_at(np.arange(5)).tolist() == fits


def conv(net: Network, tensor: str, kernel: int, **attributes: Any) -> str:
    return net.conv(tensor, (kernel, kernel), **attributes)


def test_lost_pixels_count_more_than_uneven_padding(tmp_path: Path) -> None:
    """A stem that leaves the last row over at even sizes, beside a layer that is then even."""
    net = Network(1, 1, 8, 8)
    stem = conv(net, "x", 3, strides=[2, 2], pads=[0, 0, 0, 0])
    conv(net, stem, 3, strides=[2, 2], pads=[1, 1, 1, 1])
    found = survey(facts_of(net.model(), tmp_path), limits=[(7, 11)])
    rows = [
        (c.size[0], c.dead, sorted(c.uneven or ()), sorted(c.leftover or ()), c.centre_offset)
        for c in found.candidates
    ]
    assert rows == [
        (7, 0, [], [], 0),
        (11, 0, [], [], 0),
        (9, 0, ["conv_1"], [], -1),
        (8, 15, [], ["conv_0"], Fraction(-1, 2)),
        (10, 19, ["conv_1"], ["conv_0"], Fraction(-3, 2)),
    ]
    assert [c.size for c in found.candidates if c.current] == [(8, 8)]


def test_a_lost_row_weighs_the_same_in_images_of_nearly_one_size(tmp_path: Path) -> None:
    """Half of all rows is lost at every size: then the nearest size is the best, not the least."""
    net = Network(1, 1, 40, 40)
    conv(net, "x", 1, strides=[2, 2])
    found = survey(facts_of(net.model(), tmp_path), limits=[(20, 60)])
    assert [c.size[0] for c in found.candidates[:3]] == [39, 41, 37]
    assert [c.dead for c in found.candidates[:2]] == [1121, 1240]


@pytest.mark.parametrize(("opset", "phantom"), [(19, [5, 7, 9]), (22, [])])
def test_phantom_windows_depend_on_the_size_and_the_opset(
    opset: int, phantom: list[int], tmp_path: Path
) -> None:
    net = Network(1, 1, 8, 8, opset=opset)
    net.add("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1)
    found = survey(facts_of(net.model(), tmp_path), limits=[(5, 9)])
    assert sorted(c.size[0] for c in found.candidates if c.phantoms) == phantom
    named = {name for c in found.candidates for name in c.phantoms or ()}
    assert named == ({"maxpool_0"} if phantom else set())
    best = [c.size[0] for c in found.candidates]
    assert best[:2] == [8, 6]


def test_what_counts_most() -> None:
    """From the best to the worst, each worse in what counts more than all that comes before it."""
    nobody: frozenset[str] = frozenset()
    axis = AxisFacts(8, nobody, nobody, nobody, nobody, Fraction(0))
    best = Candidate((8,), (axis,), examined=True, dead=0, dead_local=0, dead_share=Fraction(0))

    def along(**changes: Any) -> Candidate:
        return replace(best, axes=(replace(axis, **changes),))

    off = along(centre_offset=Fraction(-1))
    idle = replace(best, dead_share=DEAD_SHARE_LIMIT)
    crooked = [along(uneven=frozenset("a")), along(leftover=frozenset("ab"))]
    useless = replace(best, dead_share=DEAD_SHARE_LIMIT + Fraction(1, 1000))
    disputed = along(phantoms=frozenset("a"))
    gated = replace(best, dead_local=1)
    dead = replace(best, dead=1, dead_local=1)
    unknown = replace(best, dead=None, dead_local=None)
    guessed = replace(best, examined=False, dead=None, dead_local=None)
    tight = replace(guessed, axes=(replace(axis, fits=False),))
    small = along(too_small="it is")
    refused = replace(best, refused_by=Unanalysed("a", "Add", "no"))
    rising = [
        best, off, idle, *crooked, useless, disputed, gated, dead, unknown, guessed, tight, small,
        refused,
    ]  # fmt: skip
    falling = rising[::-1]
    assert sorted(falling, key=merit) == rising


def classifier() -> Network:
    net = Network(1, 1, 8, 8)
    flat = net.add("Flatten", conv(net, "x", 3, pads=[1] * 4))
    net.add("MatMul", flat, net.constant(np.ones((64, 2))))
    return net


def test_what_refuses_is_named_and_comes_last(tmp_path: Path) -> None:
    found = survey(facts_of(classifier().model(), tmp_path), limits=[(7, 9)])
    assert [(c.size[0], c.accepted) for c in found.candidates] == [
        (8, True),
        (7, False),
        (9, False),
    ]
    refusal = found.candidates[1].refused_by
    assert isinstance(refusal, Unanalysed)
    assert (refusal.node, refusal.op_type) == ("matmul_2", "MatMul")
    assert found.candidates[1].dead is None


def strided() -> Network:
    net = Network(1, 1, 16, 24)
    conv(net, "x", 3, strides=[2, 2], pads=[1] * 4)
    return net


def test_the_sides_of_an_oblong_image_move_on_their_own(tmp_path: Path) -> None:
    facts = facts_of(strided().model(), tmp_path)
    found = survey(facts, limits=[(15, 17), (24, 27)])
    assert [c.size for c in found.candidates[:4]] == [(15, 25), (17, 25), (15, 27), (17, 27)]
    (now,) = (c for c in found.candidates if c.current)
    assert (now.size, [a.centre_offset for a in now.axes]) == ((16, 24), [Fraction(-1, 2)] * 2)
    assert [[len(a.uneven or ()) for a in axis] for axis in found.axes] == [[0, 1, 0], [1, 0, 1, 0]]
    mixed = survey(facts, around=(16, 23), limits=[(16, 16), (23, 23)]).candidates
    assert [(c.size, c.current) for c in mixed] == [((16, 23), False), ((16, 24), True)]
    assert [[len(a.uneven or ()) for a in c.axes] for c in mixed] == [[1, 0], [1, 1]]


def test_each_side_gets_the_sizes_that_fit_its_own_stride(tmp_path: Path) -> None:
    """A square image whose rows fold by 2 and whose columns fold by 3."""
    net = Network(1, 1, 18, 18)
    conv(net, "x", 3, strides=[2, 3], pads=[1] * 4)
    found = survey(facts_of(net.model(), tmp_path), limits=[(16, 20)])
    assert [c.size for c in found.candidates[:2]] == [(17, 19), (19, 19)]
    assert (18, 18) in {c.size for c in found.candidates}
    assert {c.dead for c in found.candidates[:2]} == {0}


def test_sides_of_their_own_are_those_that_the_graph_accepts(tmp_path: Path) -> None:
    """Skip connections: only even sizes, though arithmetic prefers the odd ones."""
    net = Network(1, 1, 16, 24)
    half = conv(net, "x", 3, strides=[2, 2], pads=[1] * 4)
    whole = net.add("ConvTranspose", half, net.constant(np.ones((1, 1, 2, 2))), strides=[2, 2])
    net.add("Add", whole, "x")
    found = survey(facts_of(net.model(), tmp_path), limits=[(14, 18), (22, 26)])
    assert {c.size for c in found.candidates} == {
        (h, w) for h in (14, 16, 18) for w in (22, 24, 26)
    }
    assert all(c.accepted for c in found.candidates)


def test_what_resembles_a_refused_size_is_looked_at_last(tmp_path: Path) -> None:
    """Skip connections that join even sizes only; arithmetic prefers the odd ones."""
    net = Network(1, 1, 16, 16)
    half = conv(net, "x", 3, strides=[2, 2], pads=[1] * 4)
    whole = net.add("ConvTranspose", half, net.constant(np.ones((1, 1, 2, 2))), strides=[2, 2])
    net.add("Add", whole, "x")
    facts = facts_of(net.model(), tmp_path)
    found = survey(facts, limits=[(10, 22)], budget=20)
    examined = {c.size[0] for c in found.candidates if c.examined}
    assert (examined, {c.size[0] for c in found.candidates if c.accepted is False}) == (
        {10, 12, 14, 15, 16, 18, 20},
        {15},
    )
    (odd,) = survey(facts, limits=[(16, 16)], deploy=[(41, 41)], budget=7).deployed
    assert odd.better is not None
    assert odd.better.size == (40, 40)


def test_one_wanted_number_asks_for_a_square(tmp_path: Path) -> None:
    facts = facts_of(strided().model(), tmp_path)
    found = survey(facts, around=(32,), limits=[(31, 33)])
    assert [c.size for c in found.candidates] == [(31, 31), (33, 33), (32, 32), (16, 24)]
    assert found.around == (32, 32)
    nearer = survey(facts, around=(33,), limits=[(31, 33)])
    assert nearer.candidates[0].size == (33, 33)


def test_the_depth_of_a_volume_stays() -> None:
    clip = axis_limits((16, 112, 112), [(111, 112)])
    assert clip == ((16, 16), (111, 112), (111, 112))
    assert together((16, 112, 112), clip) == [(1, 2)]
    assert together((64, 64, 64), axis_limits((64, 64, 64))) == [(0, 1, 2)]
    assert axis_limits((16, 112, 112), [(8, 9), (1, 2), (3, 4)]) == ((8, 9), (1, 2), (3, 4))
    assert axis_limits((3,)) == ((1, 67),)
    assert axis_limits((1, 640)) == ((1, 1), (576, 704))


def test_signals_and_volumes(tmp_path: Path) -> None:
    net = Network(1, 1, 24)
    net.conv("x", (3,), strides=[2], pads=[1, 1])
    found = survey(facts_of(net.model(), tmp_path), limits=[(22, 25)])
    assert [c.size for c in found.candidates] == [(23,), (25,), (24,), (22,)]
    net = Network(1, 1, 4, 8, 8)
    net.conv("x", (3, 3, 3), strides=[1, 2, 2], pads=[1] * 6)
    volume = facts_of(net.model(), tmp_path)
    found = survey(volume, limits=[(7, 9)])
    assert [c.size for c in found.candidates] == [(4, 7, 7), (4, 9, 9), (4, 8, 8)]
    deep = survey(volume, limits=[(3, 4), (7, 7), (9, 9)])
    assert [c.size for c in deep.candidates] == [(4, 7, 9), (3, 7, 9), (4, 8, 8)]


def test_sizes_that_nobody_should_choose_are_left_out(tmp_path: Path) -> None:
    net = Network(1, 1, 16, 16)
    first = conv(net, "x", 3, strides=[2, 2], pads=[1] * 4)
    conv(net, first, 3, strides=[2, 2], pads=[1] * 4)
    facts = facts_of(net.model(), tmp_path)
    found = survey(facts, limits=[(1, 9)], deploy=[(3, 3)])
    assert [c.size[0] for c in found.candidates] == [9, 5, 6, 7, 16, 8, 4]
    assert found.left_out == (
        LeftOut((0, 1), 1, 1, "a single pixel"),
        LeftOut((0, 1), 2, 3, "smaller than the total stride of 4 px"),
    )
    (small,) = found.deployed
    assert (small.problems[0].kind, small.problems[0].message) == (
        "too-small", "smaller than the total stride of 4 px",
    )  # fmt: skip
    assert small.better is not None
    assert small.better.size == (5, 5)


def test_the_total_stride_counts_the_map_that_is_one_cell_here() -> None:
    """ResNet-18 for CIFAR: 32 px are folded to a single cell, which is no reason to go below."""
    facts = zoo("imagenet_resnet18_on_cifar32", None)
    found = survey(facts, limits=[(30, 33)])
    assert [c.size[0] for c in found.candidates] == [33, 32]
    assert [(item.low, item.high) for item in found.left_out] == [(30, 31)]


def test_what_pools_the_whole_map_is_no_stride(tmp_path: Path) -> None:
    net = Network(1, 1, 16, 16)
    half = conv(net, "x", 3, strides=[2, 2], pads=[1] * 4)
    net.add("AveragePool", half, kernel_shape=[8, 8], strides=[8, 8])
    found = survey(facts_of(net.model(), tmp_path), limits=[(15, 15)])
    assert [c.size[0] for c in found.candidates] == [15, 16]
    assert found.left_out == ()


def test_padding_computed_from_the_size_is_not_guessed_at(tmp_path: Path) -> None:
    """SAME padding as an exporter writes it: a Pad of what the size leaves at a stride of 2."""
    net = Network(1, 1, 8, 8)
    size = net.add("Gather", net.add("Shape", "x"), net.ints(2), axis=0)
    odd = net.add("Mod", size, net.ints(2))
    none = net.ints(0)
    pads = net.add("Concat", none, none, none, none, none, none, odd, odd, axis=0)
    conv(net, net.add("Pad", "x", pads), 2, strides=[2, 2])
    facts = facts_of(net.model(), tmp_path)
    found = survey(facts, limits=[(7, 10)], budget=None)
    rows = [(c.size[0], len(c.uneven or ()), len(c.leftover or ())) for c in found.candidates]
    assert rows == [(8, 0, 0), (10, 0, 0), (7, 1, 0), (9, 1, 0)]
    (guess,) = by_arithmetic(facts, [(9, 9)])
    assert (guess.uneven, guess.dead_share, guess.centre_offset) == (None, None, None)


# -- sizes to be deployed --------------------------------------------------------------------------


def test_sizes_to_be_deployed(tmp_path: Path) -> None:
    net = Network(1, 1, 16, 16)
    stem = conv(net, "x", 3, strides=[2, 2])
    conv(net, stem, 3, strides=[2, 2], pads=[1] * 4)
    facts = facts_of(net.model(), tmp_path)
    found = survey(facts, deploy=[(16, 16), (19, 19), (16, 16), (20, 25)])
    assert [(d.candidate.size, d.better and d.better.size) for d in found.deployed] == [
        ((16, 16), (15, 15)),
        ((19, 19), None),
        ((20, 25), (19, 23)),
    ]
    assert [(p.kind, p.message, p.nodes) for p in found.deployed[0].problems] == [
        ("dead-pixels", "31 of 256 pixels (12.11%) have no path to the output", ()),
        (
            "leftover-layers",
            "1 of 2 strided layers leaves cells over at the end: 'conv_0'",
            ("conv_0",),
        ),
        ("centre-offset", "the last grid lies 0.5 px before the centre of the image", ()),
    ]
    assert found.deployed[1].problems == ()
    assert found.deployed[2].problems[-1].message == (
        "the last grid lies 0.5 px before the centre along height, 1 px before the centre along "
        "width"
    )


def test_every_kind_of_problem_has_its_words(tmp_path: Path) -> None:
    net = Network(1, 1, 9, 9)
    wide = conv(net, "x", 3, dilations=[8, 8], pads=[8] * 4)
    pads = [1, 1, 1, 1]
    net.add("MaxPool", wide, kernel_shape=[2, 2], strides=[2, 2], pads=pads, ceil_mode=1)
    facts = facts_of(net.model(), tmp_path)
    said = [(p.kind, p.message) for p in survey(facts, deploy=[(7, 7)]).deployed[0].problems]
    assert said == [
        ("phantom-windows", "1 pool has a last window that only some runtimes make: 'maxpool_1'"),
        (
            "dead-taps",
            "88.9% of the convolution weights only ever meet padding: 'conv_0'",
        ),
        (
            "uneven-layers",
            "1 of 1 strided layers reads more padding on one side than on the other: 'maxpool_1'",
        ),
        ("centre-offset", "the last grid lies 0.5 px before the centre of the image"),
    ]


def test_an_axis_at_the_centre_is_not_mentioned(tmp_path: Path) -> None:
    (found,) = survey(facts_of(strided().model(), tmp_path), deploy=[(16, 25)]).deployed
    assert [p.message for p in found.problems if p.kind == "centre-offset"] == [
        "the last grid lies 0.5 px before the centre along height"
    ]


def test_a_size_that_is_refused_has_a_better_one(tmp_path: Path) -> None:
    facts = facts_of(classifier().model(), tmp_path)
    (found,) = survey(facts, deploy=[(9, 9)]).deployed
    assert [(p.kind, p.nodes) for p in found.problems] == [("refused", ("matmul_2",))]
    assert found.problems[0].message.startswith("'matmul_2' (MatMul) cannot run at this size: ")
    assert found.better is not None
    assert found.better.size == (8, 8)
    far = survey(facts, deploy=[(200, 200)]).deployed[0]
    assert (far.candidate.accepted, far.better) == (False, None)


def test_an_image_too_large_to_follow_is_said_to_be(tmp_path: Path) -> None:
    facts = facts_of(strided().model(), tmp_path)
    (found,) = survey(facts, deploy=[(1 << 30, 1 << 30)]).deployed
    assert (found.candidate.examined, found.candidate.accepted) == (False, None)
    assert found.problems[0].kind == "not-examined"
    assert "too many to follow" in found.problems[0].message


def test_deployed_sizes_are_examined_whatever_the_budget(tmp_path: Path) -> None:
    facts = facts_of(strided().model(), tmp_path)
    (found,) = survey(facts, limits=[(10, 20)], deploy=[(50, 50)], budget=0).deployed
    assert found.candidate.dead == 0
    assert found.better is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"around": (1, 2, 3)}, "1x2x3 gives 3 numbers, the image has 2 axes"),
        ({"limits": [(1, MAX_SIZES + 1)]}, f"1 to {MAX_SIZES + 1} are more than {MAX_SIZES} sizes"),
        ({"limits": [(3, 4)] * 3}, "there are 3 ranges, the image has 2 axes"),
        ({"deploy": [(1, 2, 3)]}, "1x2x3 gives 3 numbers, the image has 2 axes"),
        (
            {"deploy": [(n, n) for n in range(1, MAX_DEPLOYED + 2)]},
            f"{MAX_DEPLOYED + 1} sizes to be deployed are more than {MAX_DEPLOYED}",
        ),
    ],
)
def test_calls_that_do_not_fit(options: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        survey(facts_of(strided().model(), tmp_path), **options)


def square() -> Network:
    net = Network(1, 1, 16, 16)
    conv(net, "x", 3, strides=[2, 2], pads=[1] * 4)
    return net


def test_a_budget_is_spent_on_the_most_promising_sizes(tmp_path: Path) -> None:
    facts = facts_of(square().model(), tmp_path)
    found = survey(facts, limits=[(10, 20)], budget=2)
    assert [(c.size[0], c.examined) for c in found.candidates][:3] == [
        (15, True),
        (16, True),
        (17, False),
    ]
    assert sum(c.examined for c in found.candidates) == 2
    assert {(c.accepted, c.dead) for c in found.candidates if not c.examined} == {(None, None)}
    everything = survey(facts, limits=[(10, 20)], budget=None)
    assert all(c.examined for c in everything.candidates)


def test_a_kernel_that_claims_to_be_huge_costs_nothing(tmp_path: Path) -> None:
    model = square().model()
    del model.graph.initializer[:]
    weight = model.graph.initializer.add(name="c0", data_type=1, dims=[1, 1, 1 << 20, 1])
    weight.raw_data = b""
    model.graph.node[0].ClearField("attribute")
    for name, values in (("pads", [1 << 20] * 4), ("kernel_shape", [1 << 20, 1])):
        model.graph.node[0].attribute.append(onnx.helper.make_attribute(name, values))
    facts = facts_of(model, tmp_path)
    start = time.process_time()
    guesses = Arithmetic(facts, [range(1, 1000), range(1, 1000)])
    assert guesses.candidate((16, 16)).dead_share is None
    assert time.process_time() - start < 2


def test_given_shapes_hold_at_other_sizes(tmp_path: Path) -> None:
    """The batch size that the caller gave must not be lost."""
    model = strided().model()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n"
    facts = facts_of(model, tmp_path, input_shapes={"x": (5, 1, 16, 24)})
    (guess,) = by_arithmetic(facts, [(17, 25)])
    assert examine(facts, guess, {"x": (5, 1, 16, 24)}).accepted
    seen: list[Any] = []
    original = Facts.of

    class Spy(Facts):
        @classmethod
        def of(cls, *arguments: Any, **options: Any) -> Facts:
            seen.append(options)
            return original(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[examine.__module__], "Facts", Spy)
        examine(facts, guess, {"x": (5, 1, 16, 24)})
    assert seen == [{"size": None, "input_shapes": {"x": [5, 1, 17, 25]}, "input_name": "x"}]


def test_a_model_without_an_image_has_no_sizes(tmp_path: Path) -> None:
    net = Network(1, 8)
    net.add("Relu", "x")
    found = survey(facts_of(net.model(), tmp_path))
    assert found.candidates == ()
