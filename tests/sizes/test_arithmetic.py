"""What follows for other sizes from arithmetic on the windows alone."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from example_rules import operator
from hypothesis import given
from hypothesis import strategies as st
from networks import Network, RefusedError, examples
from sizes.models import by_arithmetic, conv, square, zoo
from text_models import facts_of_proto

from scotoma.evidence.strided import Strided, strided_layers
from scotoma.resolve.window import Window
from scotoma.sizes.candidates import Arithmetic
from scotoma.sizes.examine import examine
from scotoma.sizes.merit import DEAD_SHARE_LIMIT
from scotoma.sizes.survey import survey

if TYPE_CHECKING:
    from pathlib import Path


def test_dead_taps_are_those_of_the_rule(tmp_path: Path) -> None:
    from scotoma.registry import load_rules

    net = Network(1, 1, 9, 9)
    wide = conv(net, "x", 3, dilations=[8, 8], pads=[8] * 4)
    conv(net, wide, 3, pads=[1] * 4)
    facts = facts_of_proto(net.model(), tmp_path)
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
    facts = facts_of_proto(net.model(), tmp_path_factory.mktemp("chain"))
    # A window that takes in its whole map at this size counts as no strided layer at any.
    here = {layer.operator.name for layer in strided_layers(facts)}
    for guess in by_arithmetic(facts, [(n,) for n in range(12, 40)]):
        found = examine(facts, guess, {})
        if not found.accepted:
            continue
        assert (guess.phantoms, guess.dead_share) == (found.phantoms, found.dead_share)
        for arithmetic, exact in ((guess.uneven, found.uneven), (guess.leftover, found.leftover)):
            assert arithmetic == (None if exact is None else exact & here)
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


@pytest.mark.parametrize(("opset", "phantom"), [(19, [5, 7, 9]), (22, [])])
def test_phantom_windows_depend_on_the_size_and_the_opset(
    opset: int, phantom: list[int], tmp_path: Path
) -> None:
    net = Network(1, 1, 8, 8, opset=opset)
    net.add("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1)
    found = survey(facts_of_proto(net.model(), tmp_path), limits=[(5, 9)])
    assert sorted(c.size[0] for c in found.candidates if c.phantoms) == phantom
    named = {name for c in found.candidates for name in c.phantoms or ()}
    assert named == ({"maxpool_0"} if phantom else set())
    best = [c.size[0] for c in found.candidates]
    assert best[:2] == [8, 6]


@pytest.mark.parametrize(("auto_pad", "known"), [("NOTSET", True), ("SAME_UPPER", False)])
def test_offsets_do_not_follow_where_padding_depends_on_the_size(
    auto_pad: str, known: bool, tmp_path: Path
) -> None:
    net = Network(1, 1, 16, 16)
    conv(net, "x", 3, strides=[2, 2], auto_pad=auto_pad)
    (guess,) = by_arithmetic(facts_of_proto(net.model(), tmp_path), [(17, 17)])
    assert [axis.centre_offset for axis in guess.axes] == [Fraction(0) if known else None] * 2


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
    found = survey(facts_of_proto(net.model(), tmp_path), limits=[(15, 15)])
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
    facts = facts_of_proto(net.model(), tmp_path)
    found = survey(facts, limits=[(7, 10)], budget=None)
    rows = [(c.size[0], len(c.uneven or ()), len(c.leftover or ())) for c in found.candidates]
    assert rows == [(8, 0, 0), (10, 0, 0), (7, 1, 0), (9, 1, 0)]
    (guess,) = by_arithmetic(facts, [(9, 9)])
    assert (guess.uneven, guess.dead_share, guess.centre_offset) == (None, None, None)


@pytest.mark.parametrize(("taps", "seen"), [(1 << 20, True), (1 << 21, False)])
def test_taps_that_nobody_looked_at_are_unknown(taps: int, seen: bool, tmp_path: Path) -> None:
    """Beside a kernel of which the centre alone meets cells."""
    net = Network(1, 1, 8, 8)
    wide = conv(net, "x", 3, dilations=[8, 8], pads=[8] * 4)
    model = net.model()
    model.graph.initializer.add(name="w", data_type=1, dims=[1, 1, taps, 1]).raw_data = b""
    pads = [taps // 2, 0, taps // 2 - 1, 0]
    model.graph.node.append(
        onnx.helper.make_node("Conv", [wide, "w"], ["z"], kernel_shape=[taps, 1], pads=pads)
    )
    model.graph.output[0].name = "z"
    facts = facts_of_proto(model, tmp_path)
    (guess,) = by_arithmetic(facts, [(8, 8)])
    for found in (guess, examine(facts, guess, {})):
        assert (found.dead_share is not None, found.dead_taps is not None) == (seen, seen)
    if seen:
        assert guess.dead_share == examine(facts, guess, {}).dead_share
        assert guess.dead_share == Fraction(8 + taps - 15, 9 + taps)


def test_a_kernel_that_claims_to_be_huge_costs_nothing(tmp_path: Path) -> None:
    model = square().model()
    del model.graph.initializer[:]
    weight = model.graph.initializer.add(name="c0", data_type=1, dims=[1, 1, 1 << 20, 1])
    weight.raw_data = b""
    model.graph.node[0].ClearField("attribute")
    for name, values in (("pads", [1 << 20] * 4), ("kernel_shape", [1 << 20, 1])):
        model.graph.node[0].attribute.append(onnx.helper.make_attribute(name, values))
    facts = facts_of_proto(model, tmp_path)
    tracemalloc.start()
    try:
        guesses = Arithmetic(facts, [range(1, 100), range(1, 100)])
        assert guesses.candidate((16, 16)).dead_share is None
        # A flag for each tap at each of the sizes along one axis would take more.
        assert tracemalloc.get_traced_memory()[1] < 99 << 20
    finally:
        tracemalloc.stop()
