"""What must not matter does not: names, order in the file, identities, layouts, split padding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from networks import Network, geometry
from onnx import ModelProto, helper, numpy_helper

from scotoma.sweep import Semiring, coverage, sweep

if TYPE_CHECKING:
    from collections.abc import Callable

    from scotoma.trace import Geometry
    from scotoma.trace.field import Field

WEIGHTS = np.random.default_rng(0)


def weight(*shape: int) -> np.ndarray:
    return WEIGHTS.uniform(0.5, 1, shape).astype(np.float32)


def network() -> Network:
    """Return a net with a residual join, a concatenation, a strided pool, a gate and a resize."""
    net = Network(1, 2, 20, 23)
    stem = net.conv("x", [4, 3], 4, strides=[2, 2], pads=[1, 0, 2, 1])
    left = net.conv(stem, [3, 3], 4, pads=[2, 2, 2, 2], dilations=[2, 2])
    joined = net.add("Add", stem, left)
    pooled = net.add("MaxPool", joined, kernel_shape=[3, 3], strides=[2, 2])
    gate = net.conv(net.add("GlobalAveragePool", pooled), [1, 1], 4)
    gated = net.add("Mul", pooled, gate)
    up = net.add("Resize", gated, "", net.constant([1, 1, 2, 2]), mode="linear")
    h, w = net.shape(up)[2:]
    crop = net.add("Slice", joined, net.ints(0, 0), net.ints(h, w), net.ints(2, 3))
    net.conv(net.add("Concat", up, crop, axis=1), [1, 1], 1, strides=[7, 9])
    return net


def facts(found: Geometry, tensor: str) -> tuple[list[Field], np.ndarray, list[np.ndarray]]:
    """Return the fields, the dead pixels and the walks of a tensor, with and without gates."""
    grids = found.local_grids(tensor)
    assert grids is not None
    fields = [grid.field for grid in grids if grid.field is not None]
    covered = [coverage(found, [tensor], local=local) for local in (False, True)]
    counts = sweep(found, [tensor], Semiring.COUNT).values
    dead = np.stack([c.dead.mask for c in covered])
    return fields, dead, [*(c.walk for c in covered), counts]


def check_same(
    one: tuple[list[Field], np.ndarray, list[np.ndarray]],
    two: tuple[list[Field], np.ndarray, list[np.ndarray]],
) -> None:
    assert one[0] == two[0]
    assert len(one[0]) == 2
    np.testing.assert_array_equal(one[1], two[1])
    for a, b in zip(one[2], two[2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=0)


def output(model: ModelProto) -> str:
    name: str = model.graph.output[0].name
    return name


def original() -> ModelProto:
    return network().model()


def renamed(model: ModelProto) -> ModelProto:
    """Give every tensor and operator another name."""
    names = {"": ""}
    for node in model.graph.node:
        for name in (*node.input, *node.output):
            names.setdefault(name, f"other/{len(names)}:{name[::-1]}")
        node.name = f"z{len(names)}"
        node.input[:] = [names[n] for n in node.input]
        node.output[:] = [names[n] for n in node.output]
    for item in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        item.name = names[item.name]
    return model


def nameless(model: ModelProto) -> ModelProto:
    for node in model.graph.node:
        node.ClearField("name")
    return model


def shuffled(model: ModelProto) -> ModelProto:
    """Put the operators into another order, which need not be topological."""
    nodes = list(model.graph.node)
    order = np.random.default_rng(3).permutation(len(nodes))
    del model.graph.node[:]
    model.graph.node.extend(nodes[i] for i in order)
    return model


def with_identities(model: ModelProto) -> ModelProto:
    """Send every tensor through an Identity before it is read."""
    nodes = []
    for node in model.graph.node:
        for slot, name in enumerate(node.input):
            if name:
                nodes.append(helper.make_node("Identity", [name], [f"{node.name}.{slot}"]))
                node.input[slot] = f"{node.name}.{slot}"
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def padded_before(model: ModelProto) -> ModelProto:
    """Move the padding of every convolution into a Pad before it."""
    nodes = []
    for node in model.graph.node:
        pads = next((a for a in node.attribute if a.name == "pads"), None)
        if node.op_type == "Conv" and pads is not None:
            begin, end = list(pads.ints[:2]), list(pads.ints[2:])
            value = np.array([0, 0, *begin, 0, 0, *end], np.int64)
            model.graph.initializer.append(numpy_helper.from_array(value, f"{node.name}.pads"))
            nodes.append(
                helper.make_node("Pad", [node.input[0], f"{node.name}.pads"], [f"{node.name}.in"])
            )
            node.input[0] = f"{node.name}.in"
            node.attribute.remove(pads)
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def channels_last(model: ModelProto) -> ModelProto:
    """Keep every tensor with the channels last; every operator stands between two transposes."""
    nodes = []
    constants = {item.name for item in model.graph.initializer}
    for node in model.graph.node:
        for slot, name in enumerate(node.input):
            if name and name not in constants:
                inner = f"{node.name}.{slot}"
                nodes.append(helper.make_node("Transpose", [name], [inner], perm=[0, 3, 1, 2]))
                node.input[slot] = inner
        nodes.append(node)
        result = node.output[0]
        node.output[0] = f"{node.name}.out"
        nodes.append(helper.make_node("Transpose", [node.output[0]], [result], perm=[0, 2, 3, 1]))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    dims = model.graph.input[0].type.tensor_type.shape.dim
    n, c, h, w = (d.dim_value for d in dims)
    for dim, value in zip(dims, (n, h, w, c), strict=True):
        dim.dim_value = value
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return model


CHANGES = [renamed, nameless, shuffled, with_identities, padded_before, channels_last]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_nothing_changes(change: Callable[[ModelProto], ModelProto]) -> None:
    before = original()
    after = change(original())
    one, two = geometry(before), geometry(after)
    assert not one.unanalysed
    assert not two.unanalysed
    assert two.input.shape == ((1, 20, 23, 2) if change is channels_last else (1, 2, 20, 23))
    check_same(facts(one, output(before)), facts(two, output(after)))


def test_the_network_is_worth_it() -> None:
    """It has dead pixels, an uneven walk, and a gate that hides the dead pixels."""
    model = original()
    fields, dead, (walk, local, _) = facts(geometry(model), output(model))
    assert len(fields) == 2
    assert not dead[0].any()
    assert dead[1].any()
    assert not dead[1].all()
    assert not np.allclose(walk, local)


def test_transposed_image_gives_transposed_maps() -> None:
    def build(shape: tuple[int, int], turn: bool) -> tuple[np.ndarray, np.ndarray]:
        flip = slice(None, None, -1) if turn else slice(None)
        net = Network(1, 1, *shape)
        tensor = net.conv("x", [5, 2][flip], 2, strides=[2, 3][flip])
        tensor = net.conv(tensor, [1, 3][flip], 1, dilations=[1, 2][flip])
        found = net.geometry(tensor)
        covered = coverage(found, [tensor])
        return covered.walk, covered.dead.mask

    walk, dead = build((17, 30), turn=False)
    turned_walk, turned_dead = build((30, 17), turn=True)
    np.testing.assert_allclose(walk.T, turned_walk, rtol=1e-12)
    np.testing.assert_array_equal(dead.T, turned_dead)
