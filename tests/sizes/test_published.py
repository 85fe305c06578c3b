"""Input sizes of published networks: beside published tables and the full analysis."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from networks import Network
from sizes.models import by_arithmetic, by_size, compared, zoo
from text_models import facts_of_proto

from scotoma.facts import Facts
from scotoma.sizes import explore
from scotoma.sizes.candidates import Candidate
from scotoma.sizes.examine import examine
from scotoma.sizes.survey import survey

if TYPE_CHECKING:
    from pathlib import Path


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
    return facts_of_proto(net.model(), folder)


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


def test_129_sizes_of_a_resnet_are_examined_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[tuple[int, ...]] = []

    def spied(facts: Facts, guess: Candidate, shapes: Any) -> Candidate:
        looked.append(guess.size)
        return examine(facts, guess, shapes)

    monkeypatch.setattr(explore, "examine", spied)
    found = survey(zoo("tv_resnet50"))
    assert all(c.examined for c in found.candidates)
    assert sorted(c.size for c in found.candidates) == [(n, n) for n in range(160, 289)]
    # Nothing is left to examine at the size that the model has.
    assert sorted(looked) == [(n, n) for n in range(160, 289) if n != 224]
