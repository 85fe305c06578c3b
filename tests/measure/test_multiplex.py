"""Pixels that are perturbed together answer as they do alone, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import helper

from scotoma.facts import Facts
from scotoma.loader import load_model
from scotoma.measure import MeasureOptions, campaign, measure
from scotoma.measure.boxes import Boxes
from scotoma.measure.campaign import campaign as make_campaign
from scotoma.measure.plan import PIXELS, Probe, Unit
from scotoma.measure.prober import Prober
from scotoma.measure.reach import reaches
from scotoma.measure.setup import prepare
from scotoma.sweep.support import support

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx

    Build = Callable[..., onnx.ModelProto]
    Examine = Callable[..., Facts]
    Nodes = list[onnx.NodeProto]

NODE = helper.make_node
SAMPLES = Path(__file__).parents[2] / "sample_models"


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def plain(rank: int = 2, **attributes: Any) -> Nodes:
    attributes.setdefault("pads", [1] * 2 * rank)
    return [
        NODE("Conv", ["x", "w"], ["a"], **attributes),
        NODE("Relu", ["a"], ["b"]),
        NODE("Conv", ["b", "v"], ["y"], pads=[1] * 2 * rank),
    ]


W3 = {"w": weights(4, 2, 3, 3), "v": weights(3, 4, 3, 3)}
SHAPE = [1, 2, 21, 18]
MODELS: dict[str, tuple[Nodes, list[int], dict[str, np.ndarray]]] = {
    "same": (plain(), SHAPE, W3),
    "valid": (plain(pads=[0] * 4), SHAPE, W3),
    "strided": (plain(strides=[2, 2]), SHAPE, W3),
    "dilated": (plain(dilations=[2, 2], pads=[2] * 4), SHAPE, W3),
    "one side": (plain(pads=[0, 0, 2, 2], strides=[2, 1]), SHAPE, W3),
    "even kernel": (
        plain(pads=[0, 1, 1, 0]), SHAPE, {"w": weights(4, 2, 2, 2), "v": weights(3, 4, 4, 4)},
    ),
    "reflected": (
        [NODE("Pad", ["x", "p"], ["q"], mode="reflect"), NODE("Conv", ["q", "w"], ["y"])],
        SHAPE, {"w": W3["w"], "p": np.array([0, 0, 4, 4, 0, 0, 4, 4], np.int64)},
    ),
    "transposed": (
        [
            NODE("Conv", ["x", "w"], ["a"], strides=[2, 2]),
            NODE("ConvTranspose", ["a", "t"], ["b"], strides=[2, 2], pads=[1] * 4),
            NODE("Relu", ["b"], ["y"]),
        ],
        SHAPE, {"w": W3["w"], "t": weights(4, 2, 4, 4)},
    ),
    "resized": (
        [
            NODE("MaxPool", ["x"], ["a"], kernel_shape=[3, 3], strides=[2, 2]),
            NODE("Resize", ["a", "", "s"], ["b"], mode="linear"),
            NODE("Conv", ["b", "w"], ["y"]),
        ],
        SHAPE, {"w": W3["w"], "s": np.array([1, 1, 1.5, 2], np.float32)},
    ),
    "branches": (
        [
            NODE("Conv", ["x", "w"], ["a"], pads=[1] * 4),
            NODE("Conv", ["x", "u"], ["c"], pads=[2] * 4, dilations=[2, 2]),
            NODE("Add", ["a", "c"], ["s"]),
            NODE("Concat", ["s", "a"], ["y"], axis=1),
        ],
        SHAPE, {"w": W3["w"], "u": weights(4, 2, 3, 3)},
    ),
    "shuffled": (
        [
            NODE("Conv", ["x", "w"], ["a"], pads=[1] * 4),
            NODE("DepthToSpace", ["a"], ["y"], blocksize=2),
        ],
        SHAPE, {"w": W3["w"]},
    ),
    "signal": (plain(1), [1, 2, 60], {"w": weights(4, 2, 3), "v": weights(3, 4, 3)}),
    "volume": (
        plain(3), [1, 2, 9, 8, 7],
        {"w": weights(4, 2, 3, 3, 3), "v": weights(3, 4, 3, 3, 3)},
    ),
    "channels last": (
        [
            NODE("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
            NODE("Conv", ["t", "w"], ["a"], strides=[2, 1]),
            NODE("Transpose", ["a"], ["y"], perm=[0, 2, 3, 1]),
        ],
        [1, 21, 18, 2], {"w": W3["w"]},
    ),
}  # fmt: skip


def load(name: str) -> Facts:
    return Facts.of(load_model(SAMPLES / f"{name}.onnx"))


def require_same(facts: Facts, **options: Any) -> None:
    together = measure(facts, MeasureOptions(resolution="full", **options))
    alone = measure(facts, MeasureOptions(resolution="full", multiplex=False, **options))
    assert (together.work.multiplexed, alone.work.multiplexed) == (True, False)
    assert together.work.passes < alone.work.passes
    assert together.dead.tolist() == alone.dead.tolist()
    # the cells are the same bit for bit (see below); only their float64 sums go by another route
    np.testing.assert_allclose(together.responses, alone.responses, rtol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_together_as_alone(build: Build, examine: Examine, name: str) -> None:
    nodes, shape, constants = MODELS[name]
    require_same(examine(build(nodes, shape, constants, opset=19)), random_inputs=2)


@pytest.mark.parametrize("name", ["five_layers_same", "position_detector", "ceil_pool"])
def test_sample_models_together_as_alone(name: str) -> None:
    require_same(load(name), random_inputs=2)


def test_the_sum_channel_by_channel_and_patches(build: Build, examine: Examine) -> None:
    nodes, shape, constants = MODELS["strided"]
    facts = examine(build(nodes, shape, constants))
    require_same(facts, functional="sum", channels="each", random_inputs=2)
    require_same(facts, patch=3, random_inputs=1)


@pytest.mark.parametrize("name", MODELS)
def test_every_cell_of_a_box_is_the_same_bit_for_bit(
    build: Build, examine: Examine, name: str
) -> None:
    nodes, shape, constants = MODELS[name]
    facts = examine(build(nodes, shape, constants, opset=19))
    options = MeasureOptions(resolution="full", random_inputs=1)
    setup = prepare(facts, options)
    ready = make_campaign(facts, setup, options)
    boxes = ready.boxes
    assert boxes is not None
    prober = Prober(setup.subject, boxes)
    (before,) = setup.subject.answer(0)
    for index in range(0, len(ready.plan), 7):
        unit, probe = ready.plan.unit(index), Probe(index, 0, None, 1)
        (many,) = prober.run_alone(0, unit, probe)
        seen = np.zeros(before.shape, int)
        for place in unit.places:
            one = Unit(PIXELS, tuple(np.array([position]) for position in place))
            (alone,) = prober.run_alone(0, one, probe)
            inside = boxes.mask(0, before.shape, place.tolist())
            assert many[inside].tobytes() == alone[inside].tobytes()
            assert alone[~inside].tobytes() == before[~inside].tobytes()
            seen += inside
        assert seen.max(initial=0) <= 1


@pytest.mark.parametrize("name", ["digits_good_dynamo", "unet_misfit", "residual_net"])
def test_the_reach_is_the_transpose_of_the_support(name: str) -> None:
    facts = load(name)
    assert facts.geometry is not None
    (tensor,) = facts.heads
    found = reaches(facts.geometry, tensor)
    assert found is not None
    axes = facts.geometry.spatial_axes(tensor)
    assert tuple(reach.axis for reach in found) == axes
    shape = facts.shape(tensor)
    assert shape is not None
    assert axes is not None
    for cell in [(0, 0), (shape[axes[0]] // 2, 1), (shape[axes[0]] - 1, shape[axes[1]] - 1)]:
        read = support(facts.geometry, tensor, cell)
        assert read is not None
        for label, reach in enumerate(found):
            reached = (reach.low <= cell[label]) & (cell[label] <= reach.high)
            box = np.zeros(len(reached), bool)
            box[read.box[label]] = True
            assert reached.tolist() == box.tolist()


class TestNotUsed:
    @pytest.mark.parametrize(
        "nodes",
        [
            [NODE("InstanceNormalization", ["a", "one", "zero"], ["b"])],
            [NODE("GlobalAveragePool", ["a"], ["g"]), NODE("Mul", ["a", "g"], ["b"])],
        ],
        ids=["statistics of the map", "whole-map gate"],
    )
    def test_where_every_pixel_reaches_every_cell(
        self, build: Build, examine: Examine, nodes: Nodes
    ) -> None:
        constants = {"w": W3["w"], "one": np.ones(4, np.float32), "zero": np.zeros(4, np.float32)}
        nodes = [NODE("Conv", ["x", "w"], ["a"]), *nodes, NODE("Relu", ["b"], ["y"])]
        facts = examine(build(nodes, SHAPE, constants))
        influence = measure(facts, MeasureOptions(resolution="full", random_inputs=1))
        assert not influence.work.multiplexed
        assert influence.work.passes == 2 * 21 * 18

    def test_where_hulls_are_whole_rows(self, build: Build, examine: Examine) -> None:
        pads = np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64)
        nodes = [NODE("Pad", ["x", "p"], ["q"], mode="wrap"), NODE("Conv", ["q", "w"], ["y"])]
        facts = examine(build(nodes, SHAPE, {"w": W3["w"], "p": pads}, opset=19))
        influence = measure(facts, MeasureOptions(resolution="full", random_inputs=1))
        assert not influence.work.multiplexed
        assert influence.probed.all()

    def test_for_functionals_that_are_no_sum_over_cells(
        self, build: Build, examine: Examine
    ) -> None:
        nodes, shape, constants = MODELS["same"]
        facts = examine(build(nodes, shape, constants))
        options = MeasureOptions(functional="max", resolution="full", random_inputs=1)
        assert not measure(facts, options).work.multiplexed

    def test_where_the_graph_is_wrong(
        self, build: Build, examine: Examine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nodes, shape, constants = MODELS["same"]
        facts = examine(build(nodes, shape, constants))

        def short(*given: Any) -> Any:
            found = reaches(*given)
            assert found is not None
            return tuple(type(r)(r.axis, r.low, np.maximum(r.high - 1, 0)) for r in found)

        monkeypatch.setattr(campaign, "reaches", short)
        options = MeasureOptions(resolution="full", random_inputs=1)
        influence = measure(facts, options)
        assert not influence.work.multiplexed
        note = "pixels were perturbed one at a time: a pixel changes cells that the graph does not"
        assert any(text.startswith(note) for text in influence.notes)
        monkeypatch.undo()
        honest = measure(facts, options)
        assert honest.work.multiplexed
        np.testing.assert_allclose(influence.values, honest.values, rtol=1e-12)


def test_boxes_sum_what_lies_in_them() -> None:
    from scotoma.measure.functional import Functional
    from scotoma.measure.reach import Reach

    rows = Reach(2, np.array([0, 1, 9]), np.array([1, 2, -1]))
    columns = Reach(3, np.array([2, 0]), np.array([3, 0]))
    after = np.arange(24.0).reshape(1, 2, 3, 4)
    found = Boxes(((rows, columns),)).responses(
        Functional("sum", "sum"), [np.zeros_like(after)], [after],
        (np.array([0, 1, 2]), np.array([0, 1])),
    )  # fmt: skip
    one = [after[..., 0:2, 2:4].sum(), after[..., 0:2, 0:1].sum()]
    two = [after[..., 1:3, 2:4].sum(), after[..., 1:3, 0:1].sum()]
    assert found.tolist() == [*one, *two, 0, 0]
