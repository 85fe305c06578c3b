"""Ways in which exporters and optimisers spell a layer: each reads what the plain layer reads."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from networks import Network, geometry
from onnx import helper, numpy_helper

from scotoma.sweep import Semiring, sweep

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scotoma.trace import Geometry


def fields(found: Geometry, tensor: str) -> list[tuple[int | None, Fraction]]:
    """Return the receptive field of the middle cell and the effective stride along every axis."""
    grids = found.local_grids(tensor)
    assert grids is not None
    result = []
    for grid in grids:
        assert grid.field is not None
        result.append((grid.field.width(grid.size // 2), grid.field.effective_stride))
    return result


def reached(found: Geometry, tensor: str) -> np.ndarray:
    """Return which pixels have a path to the tensor."""
    assert not found.unanalysed
    return np.asarray(sweep(found, [tensor], Semiring.REACH).values)


def check_same(one: Network, two: Network) -> None:
    """Check that the last tensors of two networks see the same."""
    left, right = one.nodes[-1].output[0], two.nodes[-1].output[0]
    assert one.shape(left) == two.shape(right)
    a, b = one.geometry(), two.geometry()
    assert fields(a, left) == fields(b, right)
    np.testing.assert_array_equal(reached(a, left), reached(b, right))


def table(net: Network, value: np.ndarray) -> str:
    """Add a table of indices."""
    return net.constant(value, np.int64)


def unfolded(
    net: Network, tensor: str, kernel: int, stride: int, dilation: int, *, taps_first: bool
) -> tuple[str, list[int]]:
    """Gather the windows of both axes into axes of their own; return it and their numbers."""
    counts = []
    for axis in (2, 4):
        size = net.shape(tensor)[axis]
        count = (size - (kernel - 1) * dilation - 1) // stride + 1
        taps, places = np.arange(kernel) * dilation, np.arange(count) * stride
        index = taps[:, None] + places if taps_first else places[:, None] + taps
        tensor = net.add("Gather", tensor, table(net, index), axis=axis)
        counts.append(count)
    return tensor, counts


@pytest.mark.parametrize("taps_first", [True, False])
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [(3, 1, 1), (3, 2, 1), (2, 3, 1), (3, 1, 2), (2, 2, 1)]
)
def test_an_unfolded_convolution(kernel: int, stride: int, dilation: int, taps_first: bool) -> None:
    net, plain = Network(1, 2, 21, 24), Network(1, 2, 21, 24)
    stem = net.conv("x", [3, 3], 2, strides=[2, 2])
    windows, (h, w) = unfolded(net, stem, kernel, stride, dilation, taps_first=taps_first)
    order = [0, 1, 2, 4, 3, 5] if taps_first else [0, 1, 3, 5, 2, 4]
    turned = net.add("Transpose", windows, perm=order)
    channels = 2 * kernel * kernel
    merged = net.add("Reshape", turned, net.ints(1, channels, h * w))
    net.conv(net.add("Reshape", merged, net.ints(1, channels, h, w)), [1, 1])
    stem = plain.conv("x", [3, 3], 2, strides=[2, 2])
    plain.conv(stem, [kernel, kernel], strides=[stride, stride], dilations=[dilation, dilation])
    check_same(net, plain)


def test_windows_that_tile_keep_every_cell_apart() -> None:
    net = Network(1, 1, 12, 12)
    windows, (h, w) = unfolded(net, "x", 3, 3, 1, taps_first=True)
    one = net.add("Gather", windows, net.constant(1, np.int64), axis=2)
    corner = net.add("Gather", one, net.constant(2, np.int64), axis=3)
    assert net.shape(corner) == (1, 1, h, w)
    expected = np.zeros((12, 12), bool)
    expected[1::3, 2::3] = True
    np.testing.assert_array_equal(reached(net.geometry(), corner), expected)


def test_few_long_windows_around_blocks() -> None:
    net = Network(1, 1, 20, 20)
    index = np.arange(2)[:, None] * 8 + np.arange(12)
    halo = net.add("Gather", "x", table(net, index), axis=2)
    last = net.add("ReduceSum", halo, net.ints(3), keepdims=0)
    first = net.add("Gather", last, net.constant(0, np.int64), axis=2)
    found = net.geometry()
    expected = np.zeros((20, 20), bool)
    expected[:12] = True
    np.testing.assert_array_equal(reached(found, first), expected)


@pytest.mark.parametrize(("kernel", "stride", "pads"), [(2, 2, 0), (3, 1, 1), (3, 2, 1), (4, 2, 1)])
def test_col2im_is_a_transposed_convolution(kernel: int, stride: int, pads: int) -> None:
    net, plain = Network(1, 1, 9, 7), Network(1, 1, 9, 7)
    taps = net.conv("x", [1, 1], 2 * kernel * kernel)
    size = [(n - 1) * stride - 2 * pads + kernel for n in (9, 7)]
    columns = net.add("Reshape", taps, net.ints(1, 2 * kernel * kernel, 63))
    net.add(
        "Col2Im", columns, net.ints(*size), net.ints(kernel, kernel),
        strides=[stride] * 2, pads=[pads] * 4,
    )  # fmt: skip
    weight = plain.constant(np.ones((1, 2, kernel, kernel)))
    plain.add("ConvTranspose", "x", weight, strides=[stride] * 2, pads=[pads] * 4)
    check_same(net, plain)


def test_folding_what_was_unfolded_without_overlap_changes_nothing() -> None:
    net, plain = Network(1, 2, 12, 8), Network(1, 2, 12, 8)
    windows, _ = unfolded(net, "x", 2, 2, 1, taps_first=True)
    turned = net.add("Transpose", windows, perm=[0, 1, 2, 4, 3, 5])
    columns = net.add("Reshape", turned, net.ints(1, 8, 24))
    folded = net.add("Col2Im", columns, net.ints(12, 8), net.ints(2, 2), strides=[2, 2])
    np.testing.assert_array_equal(net.values[folded], net.values["x"])
    net.conv(folded, [3, 3], strides=[3, 3])
    plain.conv("x", [3, 3], strides=[3, 3])
    check_same(net, plain)


def test_upsampling_by_a_table_of_both_axes() -> None:
    net, plain = Network(1, 2, 12, 10), Network(1, 2, 12, 10)
    pooled = net.add("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2])
    turned = net.add("Transpose", pooled, perm=[2, 3, 0, 1])
    places = np.stack(np.meshgrid(np.arange(12) // 2, np.arange(10) // 2, indexing="ij"), axis=-1)
    picked = net.add("GatherND", turned, table(net, places))
    net.conv(net.add("Transpose", picked, perm=[2, 3, 0, 1]), [3, 3])
    pooled = plain.add("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2])
    up = plain.add(
        "Resize", pooled, "", plain.constant([1, 1, 2, 2]), mode="nearest",
        coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip
    plain.conv(up, [3, 3])
    check_same(net, plain)


def test_uneven_windows_by_a_table_of_both_axes() -> None:
    """Adaptive pooling: windows of 3 cells that start at 0, 2, 4 on one axis, 0, 2, 5 on one."""
    net = Network(1, 1, 7, 8)
    turned = net.add("Transpose", "x", perm=[2, 3, 0, 1])
    rows = np.array([0, 2, 4])[:, None] + np.arange(3)
    columns = np.array([0, 2, 5])[:, None] + np.arange(3)
    places = np.stack(np.broadcast_arrays(rows[:, :, None, None], columns[None, None]), axis=-1)
    picked = net.add("GatherND", turned, table(net, places))
    summed = net.add("ReduceSum", picked, net.ints(1, 3), keepdims=0)
    pooled = net.add("Transpose", summed, perm=[2, 3, 0, 1])
    cell = net.cell(pooled, [1, 2], [2, 3])
    found = net.geometry(pooled, cell)
    assert net.shape(pooled) == (1, 1, 3, 3)
    assert [width for width, _ in fields(found, pooled)] == [3, 3]
    expected = np.zeros((7, 8), bool)
    expected[2:5, 5:8] = True
    np.testing.assert_array_equal(reached(found, cell), expected)


@pytest.mark.parametrize("step", [2, 3])
def test_writing_a_map_between_the_cells_of_another(step: int) -> None:
    """Zeros filled at every step-th cell of both axes: a transposed convolution of kernel 1."""
    net, plain = Network(1, 2, 9, 11), Network(1, 2, 9, 11)
    stem = net.conv("x", [3, 3], 2, strides=[2, 2], pads=[1, 1, 1, 1])
    h, w = net.shape(stem)[2:]
    size = [1, 2, (h - 1) * step + 1, (w - 1) * step + 1]
    grids = np.meshgrid([0], [0, 1], np.arange(h) * step, np.arange(w) * step, indexing="ij")
    zeros = net.constant(np.zeros(size))
    holes = net.add("ScatterND", zeros, table(net, np.stack(grids, axis=-1)), stem)
    net.conv(holes, [2, 2])
    stem = plain.conv("x", [3, 3], 2, strides=[2, 2], pads=[1, 1, 1, 1])
    weight = plain.constant(np.eye(2).reshape(2, 2, 1, 1))
    plain.conv(plain.add("ConvTranspose", stem, weight, strides=[step, step]), [2, 2])
    check_same(net, plain)


def test_writing_rows_one_phase_after_the_other() -> None:
    net = Network(1, 1, 8, 6)
    even = net.conv("x", [3, 1], pads=[1, 0, 1, 0])
    odd = net.conv("x", [5, 1], pads=[2, 0, 2, 0])
    rows = net.constant(np.zeros((1, 1, 16, 6)))
    for phase, part in enumerate((even, odd)):
        grids = np.meshgrid([0], [0], np.arange(8) * 2 + phase, indexing="ij")
        rows = net.add("ScatterND", rows, table(net, np.stack(grids, axis=-1)), part)
    grids_of = net.geometry().local_grids(rows)
    assert grids_of is not None
    field = grids_of[0].field
    assert field is not None
    assert [field.width(cell) for cell in (6, 7, 8, 9)] == [3, 5, 3, 5]
    cell = net.cell(rows, [9], [2])
    expected = np.zeros((8, 6), bool)
    expected[2:7] = True
    np.testing.assert_array_equal(reached(net.geometry(), cell), expected)


def pooled_and_restored(size: int, **attributes: Any) -> tuple[Network, str]:
    net = Network(1, 1, size, size)
    pooled = net.add("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2])
    deep = net.conv(pooled, [3, 3], pads=[1, 1, 1, 1])
    up = net.add("Resize", deep, "", "", net.ints(1, 1, size, size), **attributes)
    return net, net.add("Add", up, "x")


NEAREST = {
    "mode": "nearest",
    "coordinate_transformation_mode": "asymmetric",
    "nearest_mode": "floor",
}
LINEAR = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}


@pytest.mark.parametrize(("attributes", "first"), [(NEAREST, 10), (LINEAR, 8)])
def test_restoring_an_odd_map_has_the_field_of_an_even_one(
    attributes: dict[str, str], first: int
) -> None:
    odd, last = pooled_and_restored(15, **attributes)
    even, other = pooled_and_restored(16, **attributes)
    grids, wanted = odd.geometry().local_grids(last), even.geometry().local_grids(other)
    assert grids is not None
    assert wanted is not None
    note = "resized by 15/7 at this size; receptive fields as if by 2"
    assert [(g.field, g.note) for g in grids] == [(g.field, note) for g in wanted]
    assert [g.note for g in wanted] == ["", ""]
    # What is read stays what is read at this size, where 15 cells share 7.
    cell = odd.cell(last, [13, 13], [2, 3])
    expected = np.zeros((15, 15), bool)
    expected[first:14, first:14] = True
    np.testing.assert_array_equal(reached(odd.geometry(), cell), expected)


def test_resizing_to_no_size_that_was_there_keeps_its_ratio() -> None:
    net = Network(1, 1, 14, 14)
    pooled = net.add("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2])
    up = net.add("Resize", pooled, "", "", net.ints(1, 1, 15, 15), mode="nearest")
    grids = net.geometry().local_grids(up)
    assert grids is not None
    assert [g.field.effective_stride * 15 for g in grids if g.field is not None] == [14, 14]


def contrib(
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int],
    constants: Mapping[str, np.ndarray] | None = None,
    domains: Sequence[str] = ("com.microsoft",),
) -> Geometry:
    """Trace a model of operators outside the standard."""
    graph = helper.make_graph(
        list(nodes),
        "contrib",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [onnx.ValueInfoProto(name=nodes[-1].output[0])],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in (constants or {}).items()],
    )
    imports = [helper.make_opsetid("", 17), *(helper.make_opsetid(d, 1) for d in domains)]
    return geometry(helper.make_model(graph, opset_imports=imports, ir_version=8))


@pytest.mark.parametrize(
    ("permutation", "flags"),
    [
        ([0, 2, 3, 1], {}),
        ([0, 2, 1, 3], {"transA": 1}),
        ([3, 0, 2, 1], {"transBatchA": 1}),
        ([1, 0, 2, 3], {"transA": 1, "transBatchA": 1}),
    ],
)
def test_a_product_that_transposes_on_the_way_in(
    permutation: list[int], flags: dict[str, Any]
) -> None:
    """However the image is turned before, the product is one of its channels at every place."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=permutation),
        helper.make_node("FusedMatMul", ["t", "w"], ["y"], domain="com.microsoft", **flags),
        helper.make_node("Slice", ["y", "from", "to", "axes"], ["z"]),
    ]
    constants = {
        "w": np.ones((3, 5), np.float32),
        "from": np.array([2, 4]),
        "to": np.array([3, 6]),
        "axes": np.array([1, 2]),
    }
    found = contrib(nodes, (1, 3, 7, 8), constants)
    assert found.resolution.shapes["y"] == (1, 7, 8, 5)
    assert fields(found, "y") == [(1, Fraction(1))] * 2
    expected = np.zeros((7, 8), bool)
    expected[2, 4:6] = True
    np.testing.assert_array_equal(reached(found, "z"), expected)


def test_a_sum_with_a_normalisation_of_channels_stays_in_its_place() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], strides=[2, 2]),
        helper.make_node("Reshape", ["a", "flat"], ["f"]),
        helper.make_node("Transpose", ["f"], ["t"], perm=[0, 2, 1]),
        helper.make_node(
            "SkipLayerNormalization", ["t", "t", "g", "g"], ["n"], domain="com.microsoft"
        ),
        helper.make_node("Transpose", ["n"], ["u"], perm=[0, 2, 1]),
        helper.make_node("Reshape", ["u", "back"], ["y"]),
    ]
    constants = {
        "w": np.ones((4, 3, 1, 1), np.float32),
        "flat": np.array([1, 4, 20]),
        "g": np.ones(4, np.float32),
        "back": np.array([1, 4, 4, 5]),
    }
    found = contrib(nodes, (1, 3, 8, 10), constants)
    assert fields(found, "y") == [(1, Fraction(2))] * 2
    expected = np.zeros((8, 10), bool)
    expected[::2, ::2] = True
    np.testing.assert_array_equal(reached(found, "y"), expected)


BLOCKED = "com.microsoft.nchwc"


def blocked(*nodes: onnx.NodeProto, **constants: np.ndarray) -> Geometry:
    """Trace a blocked convolution of kernel 3 and stride 2 over (1, 16, 17, 21), and `nodes`."""
    conv = helper.make_node(
        "Conv", ["x", "w"], ["c"], domain=BLOCKED, kernel_shape=[3, 3], strides=[2, 2]
    )
    weight = np.ones((16, 16, 3, 3), np.float32)
    return contrib([conv, *nodes], (1, 16, 17, 21), {"w": weight, **constants}, [BLOCKED])


def test_a_reshape_may_spell_out_the_blocks_of_channels() -> None:
    found = blocked(
        helper.make_node("Reshape", ["c", "spelt"], ["s"]),
        helper.make_node("Add", ["s", "s"], ["d"]),
        helper.make_node("Reshape", ["d", "plain"], ["y"]),
        spelt=np.array([1, 1, 8, 10, 16]),
        plain=np.array([1, 16, 8, 10]),
    )
    assert fields(found, "y") == fields(found, "c") == [(3, Fraction(2))] * 2
    np.testing.assert_array_equal(reached(found, "y"), np.ones((17, 21), bool))


def test_a_blocked_upsampling_interpolates_as_its_attributes_say() -> None:
    def upsampled(**attributes: str) -> list[tuple[int | None, Fraction]]:
        node = helper.make_node(
            "Upsample", ["c"], ["y"], domain=BLOCKED, scales=[1, 1, 2, 2], **attributes
        )
        return fields(blocked(node), "y")

    half = [(5, Fraction(1))] * 2
    assert upsampled(mode="linear", coordinate_transformation_mode="half_pixel") == half
    assert upsampled() == [(3, Fraction(1))] * 2
