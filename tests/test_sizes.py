"""The comparison of input sizes: against published tables, the full analysis and by hand."""

from __future__ import annotations

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
from scotoma.sizes.candidates import AxisFacts, Candidate, by_arithmetic, examine
from scotoma.sizes.survey import MAX_SIZES, _merit, sizes_around, survey

if TYPE_CHECKING:
    from pathlib import Path

    from scotoma.sizes.survey import Survey


def facts_of(model: onnx.ModelProto, folder: Path, **options: Any) -> Facts:
    path = folder / "network.onnx"
    path.write_bytes(model.SerializeToString())
    return Facts.of(load_model(path), **options)


def by_size(found: Survey) -> dict[int, Candidate]:
    return {candidate.size[-1]: candidate for candidate in found.candidates}


# -- published and independently computed numbers --------------------------------------------------


@cache
def zoo(name: str) -> Facts:
    path = SHARED / "zoo" / f"{name}.onnx"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return Facts.of(load_model(path), size=(224, 224))


@cache
def compared(name: str) -> Survey:
    return survey(zoo(name), limits=(192, 320), budget=None)


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


@pytest.mark.parametrize("name", EVEN)
def test_even_sizes(name: str) -> None:
    guesses = by_arithmetic(zoo(name), sizes_around((224, 224), (192, 320)))
    assert len(guesses) == 129
    assert [c.size[0] for c in guesses if c.uneven == frozenset()] == EVEN[name]
    assert all(len({axis.uneven for axis in c.axes}) == 1 for c in guesses)


@pytest.mark.parametrize(
    ("name", "uneven", "dead", "lossy"),
    [
        ("timm_resnet18", (8, 0, 8, 3), (0, 0, 0, 0), 0),
        ("tv_mobilenet_v2", (5, 0, 5, 2), (0, 0, 0, 0), 0),
        ("timm_vgg16_bn", (0, 1, 0, 3), (0, 0, 0, 0), 0),
        ("tv_googlenet", (4, 2, 4, 1), (0, 0, 0, 0), 0),
        ("tv_inception_v3", (5, 5, 5, 0), (1335, 1784, 1527, 0), 97),
    ],
)
def test_uneven_layers_and_dead_pixels(
    name: str, uneven: tuple[int, ...], dead: tuple[int, ...], lossy: int
) -> None:
    found = by_size(compared(name))
    assert sorted(found) == list(range(192, 321))
    at = [found[n] for n in (224, 225, 256, 299)]
    assert tuple(c.uneven is not None and len(c.uneven) for c in at) == uneven
    assert tuple(c.dead for c in at) == dead
    assert sum(bool(c.dead) for c in found.values()) == lossy


@pytest.mark.parametrize(
    "name", ["tv_densenet121", "tv_efficientnet_b0", "tv_squeezenet1_0", "timm_convnext_tiny"]
)
@pytest.mark.parametrize("size", [223, 224, 225, 256, 299])
def test_dead_pixels_are_those_of_the_full_analysis(name: str, size: int) -> None:
    (found,) = by_arithmetic(zoo(name), [(size, size)])
    there = zoo(name).at((size, size))
    assert there is not None
    dead, local = there.dead(), there.dead(local=True)
    assert dead is not None
    assert local is not None
    answer = examine(zoo(name), found, {})
    assert (answer.dead, answer.dead_local) == (dead.mask.sum(), local.mask.sum())


@pytest.mark.parametrize("name", ["timm_resnet18", "tv_googlenet", "tv_inception_v3"])
def test_arithmetic_says_what_the_full_analysis_says(name: str) -> None:
    found = compared(name)
    guesses = by_arithmetic(zoo(name), [c.size for c in found.candidates])
    assert [c.axes for c in found.candidates] == [c.axes for c in guesses]


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
    found = survey(zoo("unet_k2s2"), limits=(216, 232))
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
    found = survey(facts_of(net.model(), tmp_path), limits=(7, 11))
    rows = [
        (c.size[0], c.dead, sorted(c.uneven or ()), c.centre_offset, c.current)
        for c in found.candidates
    ]
    assert rows == [
        (7, 0, [], 0, False),
        (11, 0, [], 0, False),
        (9, 0, ["conv_1"], -1, False),
        (8, 15, ["conv_0"], Fraction(-1, 2), True),
        (10, 19, ["conv_0", "conv_1"], Fraction(-3, 2), False),
    ]


@pytest.mark.parametrize(("opset", "phantom"), [(19, [5, 7, 9]), (22, [])])
def test_phantom_windows_depend_on_the_size_and_the_opset(
    opset: int, phantom: list[int], tmp_path: Path
) -> None:
    net = Network(1, 1, 8, 8, opset=opset)
    net.add("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1)
    found = survey(facts_of(net.model(), tmp_path), limits=(5, 9))
    assert sorted(c.size[0] for c in found.candidates if c.phantoms) == phantom
    named = {name for c in found.candidates for name in c.phantoms or ()}
    assert named == ({"maxpool_0"} if phantom else set())
    best = [c.size[0] for c in found.candidates]
    assert best[:2] == [8, 6]


def test_what_counts_most() -> None:
    """From the best to the worst, each worse in what counts more than all that comes before it."""
    axis = AxisFacts(8, frozenset(), frozenset(), Fraction(0))
    best = Candidate((8,), (axis,), examined=True, dead=0, dead_local=0)
    off = replace(best, axes=(replace(axis, centre_offset=Fraction(-1)),))
    uneven = replace(best, axes=(replace(axis, uneven=frozenset("a")),))
    disputed = replace(best, axes=(replace(axis, phantoms=frozenset("a")),))
    gated = replace(best, dead_local=1)
    dead = replace(best, dead=1, dead_local=1)
    unknown = replace(best, dead=None, dead_local=None)
    guessed = replace(best, examined=False, dead=None, dead_local=None)
    tight = replace(guessed, axes=(replace(axis, fits=False),))
    refused = replace(best, refused_by=Unanalysed("a", "Add", "no"))
    rising = [best, off, uneven, disputed, gated, dead, unknown, guessed, tight, refused]
    falling = rising[::-1]
    assert sorted(falling, key=_merit) == rising


def classifier() -> Network:
    net = Network(1, 1, 8, 8)
    flat = net.add("Flatten", conv(net, "x", 3, pads=[1] * 4))
    net.add("MatMul", flat, net.constant(np.ones((64, 2))))
    return net


def test_what_refuses_is_named_and_comes_last(tmp_path: Path) -> None:
    found = survey(facts_of(classifier().model(), tmp_path), limits=(7, 9))
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


def test_both_sides_of_an_oblong_image_grow(tmp_path: Path) -> None:
    facts = facts_of(strided().model(), tmp_path)
    found = survey(facts, limits=(15, 17))
    assert [c.size for c in found.candidates] == [(15, 23), (17, 25), (16, 24)]
    assert [a.centre_offset for a in found.candidates[2].axes] == [Fraction(-1, 2)] * 2
    mixed = survey(facts, around=(16, 23), limits=(16, 16)).candidates
    assert [(c.size, c.current) for c in mixed] == [((16, 23), False), ((16, 24), True)]
    assert [[len(a.uneven or ()) for a in c.axes] for c in mixed] == [[1, 0], [1, 1]]


def test_one_wanted_number_asks_for_a_square(tmp_path: Path) -> None:
    facts = facts_of(strided().model(), tmp_path)
    found = survey(facts, around=(32,), limits=(31, 33))
    assert [c.size for c in found.candidates] == [(31, 31), (33, 33), (32, 32), (16, 24)]
    assert found.around == (32, 32)
    nearer = survey(facts, around=(33,), limits=(31, 33))
    assert nearer.candidates[0].size == (33, 33)


def test_the_depth_of_a_volume_stays() -> None:
    assert sizes_around((16, 112, 112), (111, 112)) == [(16, 111, 111), (16, 112, 112)]
    assert sizes_around((64, 64, 64), (63, 63)) == [(63, 63, 63)]
    assert sizes_around((3,)) == [(n,) for n in range(1, 68)]
    assert sizes_around((3, 6), (1, 3))[0] == (1, 4)
    assert sizes_around((6, 3), (1, 6)) == [(4, 1), (5, 2), (6, 3)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"around": (1, 2, 3)}, "1x2x3 gives 3 numbers, the image has 2 axes"),
        ({"limits": (1, MAX_SIZES + 1)}, f"1 to {MAX_SIZES + 1} are more than {MAX_SIZES} sizes"),
        ({"around": (30, 20), "limits": (3, 10)}, "there is no size from 3 to 10 around 30x20"),
    ],
)
def test_calls_that_do_not_fit(options: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        survey(facts_of(strided().model(), tmp_path), **options)


def test_a_budget_is_spent_on_the_most_promising_sizes(tmp_path: Path) -> None:
    facts = facts_of(strided().model(), tmp_path)
    found = survey(facts, limits=(10, 20), budget=2)
    assert [(c.size[0], c.examined) for c in found.candidates][:3] == [
        (15, True),
        (16, True),
        (17, False),
    ]
    assert sum(c.examined for c in found.candidates) == 2
    assert {(c.accepted, c.dead) for c in found.candidates if not c.examined} == {(None, None)}
    everything = survey(facts, limits=(10, 20), budget=None)
    assert all(c.examined for c in everything.candidates)


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
        patch.setattr("scotoma.sizes.candidates.Facts", Spy)
        examine(facts, guess, {"x": (5, 1, 16, 24)})
    assert seen == [{"size": None, "input_shapes": {"x": [5, 1, 17, 25]}, "input_name": "x"}]


def test_a_model_without_an_image_has_no_sizes(tmp_path: Path) -> None:
    net = Network(1, 8)
    net.add("Relu", "x")
    found = survey(facts_of(net.model(), tmp_path))
    assert found.candidates == ()
