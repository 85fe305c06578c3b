"""Sweeps over whole networks: local paths, several outputs, enormous counts, unknown operators."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from networks import Network, geometry
from onnx import TensorProto, helper

from scotoma.errors import UsageError
from scotoma.sweep import Semiring, coverage, dead_pixels, sweep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnx import ModelProto, NodeProto


def ones(net: Network, tensor: str, *kernel: int, **attributes: Any) -> str:
    return net.add("Conv", tensor, net.constant(np.ones((1, 1, *kernel))), **attributes)


def bare(nodes: Sequence[NodeProto], shape: Sequence[int | str], output: str = "y") -> ModelProto:
    """Return a model that need not run."""
    graph = helper.make_graph(
        nodes,
        "bare",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("acme", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def test_enormous_counts_keep_their_exponent() -> None:
    net = Network(1, 1, 9, 9)
    tensor = "x"
    for _ in range(200):
        net.nodes.append(
            helper.make_node("Conv", [tensor, "w"], [f"y{len(net.nodes)}"], pads=[3] * 4)
        )
        tensor = net.nodes[-1].output[0]
        net.values[tensor] = net.values["x"]
    net.weights["w"] = np.ones((1, 1, 7, 7), np.float32)
    found = sweep(net.geometry(tensor), [tensor], Semiring.COUNT)
    # The same in exact integers, one axis; the map is the product of two.
    row = [1] * 9
    for _ in range(200):
        row = [sum(row[max(i - 3, 0) : i + 4]) for i in range(9)]
    assert found.exponent > 0
    for y, x in ((0, 0), (4, 4), (0, 8), (2, 5)):
        exact = row[y] * row[x]
        logarithm = math.log2(float(found.values[y, x])) + found.exponent
        assert logarithm == pytest.approx(math.log2(exact), abs=1e-9)
        assert found.values[y, x] / found.values[4, 4] == pytest.approx(
            float(Fraction(exact, row[4] ** 2)), rel=1e-9
        )


def test_exponents_of_branches_are_aligned() -> None:
    """One branch has an enormous count, the other a small one."""
    net = Network(1, 1, 5)
    net.weights["w"] = np.ones((1, 1, 5), np.float32)
    tensor = "x"
    for layer in range(300):
        net.nodes.append(helper.make_node("Conv", [tensor, "w"], [f"y{layer}"], pads=[2, 2]))
        tensor = f"y{layer}"
        net.values[tensor] = net.values["x"]
    net.nodes.append(helper.make_node("Add", [tensor, "x"], ["sum"]))
    net.values["sum"] = net.values["x"]
    found = net.geometry("sum")
    alone, both = (sweep(found, [name], Semiring.COUNT) for name in (tensor, "sum"))
    assert alone.exponent == both.exponent > 0
    np.testing.assert_allclose(alone.values, both.values, rtol=1e-12)
    twice = sweep(found, [tensor, "x"], Semiring.COUNT)
    np.testing.assert_allclose(twice.values, both.values, rtol=1e-12)
    assert twice.exponent == both.exponent


def test_padding_absorbs_what_is_missing() -> None:
    net = Network(1, 1, 4)
    first = ones(net, "x", 3, pads=[1, 1])
    second = net.add("Pad", first, net.ints(0, 0, 2, 0, 0, 2))
    found = coverage(net.geometry(second), [second])
    # four of eight cells are padding; of the others' taps, two of twelve
    assert found.absorbed == pytest.approx({second: 0.5, first: 0.5 * 2 / 12})
    assert found.absorbed_by_padding == pytest.approx(0.5 + 1 / 12)
    np.testing.assert_allclose(found.walk, np.array([2, 3, 3, 2]) / 24)


def test_walk_starts_on_every_element_alike() -> None:
    net = Network(1, 1, 8)
    low = net.add("Slice", "x", net.ints(0), net.ints(2), net.ints(2))
    high = net.add("Slice", "x", net.ints(2), net.ints(8), net.ints(2))
    found = net.geometry(low, high)
    walk = sweep(found, [low, high], Semiring.WALK).values
    np.testing.assert_allclose(walk, np.full(8, 1 / 8))
    assert dead_pixels(found, [low]).columns == ((2, 7),)


def test_concatenation_chooses_by_channels_and_addition_by_operands() -> None:
    net = Network(1, 1, 6)
    one = ones(net, "x", 1)
    left = net.add("Slice", one, net.ints(0), net.ints(3), net.ints(2))
    right = net.add("Slice", one, net.ints(3), net.ints(6), net.ints(2))
    twice = net.add("Concat", left, left, axis=1)
    joined = net.add("Concat", twice, right, axis=1)
    walk = sweep(net.geometry(joined), [joined], Semiring.WALK).values
    np.testing.assert_allclose(walk, np.array([2, 2, 2, 1, 1, 1]) / 9)
    summed = net.add("Sum", left, left, right)
    walk = sweep(net.geometry(summed), [summed], Semiring.WALK).values
    np.testing.assert_allclose(walk, np.array([2, 2, 2, 1, 1, 1]) / 9)


def squeeze_and_excite() -> tuple[Network, str]:
    net = Network(1, 2, 8, 9)
    reduced = net.conv("x", [1, 1], 2, strides=[2, 2])
    gate = net.conv(net.add("GlobalAveragePool", net.conv("x", [3, 3], 2)), [1, 1], 2)
    return net, net.add("Mul", reduced, gate)


def test_gates_hide_dead_pixels_unless_they_are_left_out() -> None:
    net, tensor = squeeze_and_excite()
    found = net.geometry(tensor)
    assert not dead_pixels(found, [tensor]).mask.any()
    expected = np.ones((8, 9), bool)
    expected[::2, ::2] = False
    local = dead_pixels(found, [tensor], local=True)
    assert local.mask.tolist() == expected.tolist()
    assert local.rows == ((1, 1), (3, 3), (5, 5), (7, 7))
    assert local.columns == ((1, 1), (3, 3), (5, 5), (7, 7))
    assert local.fraction == Fraction(72 - 20, 72)
    grids = found.local_grids(tensor)
    assert grids is not None
    assert [g.field.size for g in grids if g.field is not None] == [1, 1]


def test_what_is_whole_throughout_counts_locally_too() -> None:
    net = Network(1, 2, 6, 6)
    tensor = net.add("GlobalAveragePool", net.conv("x", [1, 1], 2, strides=[3, 3]))
    found = net.geometry(tensor)
    assert found.local_grids(tensor) is None
    for local in (False, True):
        assert dead_pixels(found, [tensor], local=local).mask.sum() == 32


def test_softmax_over_places_is_local_at_its_own_place() -> None:
    net = Network(1, 2, 6, 8)
    softmax = net.add("Softmax", net.conv("x", [1, 1], 2, strides=[1, 2]), axis=3)
    cell = net.cell(softmax, [1, 2], [2, 3])
    found = net.geometry(cell)
    everything = np.zeros((6, 8), bool)
    everything[1, ::2] = True
    alone = np.zeros((6, 8), bool)
    alone[1, 4] = True
    assert sweep(found, [cell], Semiring.REACH).values.tolist() == everything.tolist()
    assert sweep(found, [cell], Semiring.REACH, local=True).values.tolist() == alone.tolist()
    walk = sweep(found, [cell], Semiring.WALK).values
    np.testing.assert_allclose(walk, everything / 4)
    assert sweep(found, [cell], Semiring.COUNT).values.tolist() == everything.tolist()
    assert sweep(found, [cell], Semiring.WALK, local=True).values.tolist() == alone.tolist()


def test_nothing_reaches_a_constant() -> None:
    net = Network(1, 1, 4, 4)
    tensor = net.add("Pad", "x", net.ints(0, 0, 0, 0, 0, 0, 8, 0))
    cell = net.add("Slice", tensor, net.ints(6), net.ints(8), net.ints(2))
    found = coverage(net.geometry(cell), [cell])
    assert found.dead.mask.all()
    assert found.absorbed_by_padding == 1


@pytest.mark.parametrize("domain", ["", "acme"])
def test_an_unknown_operator_reads_everything_and_is_listed(domain: str) -> None:
    nodes = [
        helper.make_node("Slice", ["x"], ["s"], name="crop", starts=[0], ends=[4], axes=[2]),
        helper.make_node("Warp", ["x"], ["u"], name="warp", domain=domain),
        helper.make_node("Relu", ["u"], ["y"], name="relu"),
    ]
    model = bare(nodes, [1, 3, 8, 8])
    model.opset_import[0].version = 9
    found = geometry(model)
    assert [(u.operator.name, bool(u.reason)) for u in found.unanalysed] == [("warp", True)]
    assert not dead_pixels(found, ["y"]).mask.any()
    assert dead_pixels(found, ["s"]).rows == ((4, 7),)


def test_operators_that_look_up_places_could_not_be_told() -> None:
    net = Network(1, 1, 6, 6)
    grid = net.constant(np.zeros((1, 3, 3, 2)))
    tensor = net.add("GridSample", net.conv("x", [1, 1], strides=[2, 2]), grid)
    found = net.geometry(tensor)
    assert [u.operator.op_type for u in found.unanalysed] == ["GridSample"]
    expected = np.ones((6, 6), bool)
    expected[::2, ::2] = False
    assert dead_pixels(found, [tensor]).mask.tolist() == expected.tolist()


def test_a_reshape_through_the_image_reads_everything_and_is_listed() -> None:
    net = Network(1, 1, 6, 10)
    tensor = net.add("Reshape", "x", net.ints(1, 1, 4, 15))
    cell = net.cell(tensor, [0, 0], [2, 3])
    found = net.geometry(cell)
    assert [u.operator.op_type for u in found.unanalysed] == ["Reshape"]
    assert not dead_pixels(found, [cell]).mask.any()


def test_attention_reads_whole_maps() -> None:
    net = Network(1, 4, 3, 5)
    flat = net.add("Reshape", "x", net.ints(1, 4, 15))
    tokens = net.add("Transpose", flat, perm=[0, 2, 1])
    scores = net.add("Softmax", net.add("MatMul", tokens, flat), axis=-1)
    tensor = net.add("MatMul", scores, tokens)
    row = net.cell(tensor, [7], [1])
    found = net.geometry(row)
    assert not found.unanalysed
    assert not dead_pixels(found, [row]).mask.any()
    assert found.flows[tensor].whole


@pytest.mark.parametrize("shape", [[0, 3, 8, 8], [1, 3, 0, 8], [1, 3, 0, 0]])
def test_nothing_is_said_to_be_dead_in_an_empty_image(shape: list[int]) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"], name="relu")]
    found = geometry(bare(nodes, shape))
    covered = coverage(found, ["y"])
    assert covered.dead.mask.shape == covered.walk.shape == tuple(shape[2:])
    assert covered.dead.fraction == 0


def test_an_empty_feature_map_is_listed_and_reads_everything() -> None:
    nodes = [
        helper.make_node("Slice", ["x"], ["s"], name="crop", starts=[8], ends=[8], axes=[2]),
        helper.make_node("Relu", ["s"], ["r"], name="relu"),
        helper.make_node("Concat", ["r", "x"], ["y"], name="join", axis=2),
    ]
    model = bare(nodes, [1, 3, 8, 8])
    model.opset_import[0].version = 9
    found = geometry(model)
    assert "crop" in {u.operator.name for u in found.unanalysed}
    assert not dead_pixels(found, ["y"]).mask.any()


def test_a_tensor_of_unknown_shape_still_passes_everything_on() -> None:
    nodes = [
        helper.make_node("Warp", ["x"], ["u"], name="warp", domain="acme"),
        helper.make_node("Conv", ["u", "w"], ["y"], name="conv", kernel_shape=[3, 3]),
    ]
    found = geometry(bare(nodes, [1, 3, 8, 8]))
    assert "warp" in {u.operator.name for u in found.unanalysed}
    assert not dead_pixels(found, ["y"]).mask.any()


def test_no_image_is_a_wrong_call() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"], name="relu")]
    with pytest.raises(UsageError, match="no spatial input"):
        geometry(bare(nodes, [1, 10]))


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_a_pixel_shuffle_undoes_its_unshuffle(mode: str) -> None:
    net = Network(1, 2, 6, 8)
    if mode == "DCR":
        deep = net.add("SpaceToDepth", "x", blocksize=2)
    else:
        blocks = net.add("Reshape", "x", net.ints(1, 2, 3, 2, 4, 2))
        turned = net.add("Transpose", blocks, perm=[0, 1, 3, 5, 2, 4])
        deep = net.add("Reshape", turned, net.ints(1, 8, 3, 4))
    flat = net.add("DepthToSpace", deep, blocksize=2, mode=mode)
    np.testing.assert_array_equal(net.values[flat], net.values["x"])
    cells = [(0, 1), (3, 2), (5, 7)]
    names = [net.cell(flat, cell, [2, 3]) for cell in cells]
    found = net.geometry(*names)
    assert not found.unanalysed
    for cell, name in zip(cells, names, strict=True):
        read = sweep(found, [name], Semiring.REACH).values
        assert np.argwhere(read).tolist() == [list(cell)]
