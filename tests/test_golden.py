"""Numbers that are known from theory, from publications and from the design, met exactly."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from networks import LIGHT, SHARED, Network, geometry

from scotoma.sweep import Semiring, coverage, dead_pixels, path_counts, sweep

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scotoma.sweep import Coverage
    from scotoma.trace import Geometry
    from scotoma.trace.field import Field

RISE = [1, 6, 21, 51, 96, 147, 192, 222, 237, 242]
VALID_5 = [*RISE, *[243] * 8, *reversed(RISE)]
SAME_5 = [96, 171, 216, 236, 242, *[243] * 18, 242, 236, 216, 171, 96]


def ones(net: Network, tensor: str, *kernel: int, **attributes: Any) -> str:
    """Append a convolution of ones."""
    return net.add("Conv", tensor, net.constant(np.ones((1, 1, *kernel))), **attributes)


def field(found: Geometry, tensor: str, axis: int = 0) -> Field:
    grids = found.local_grids(tensor)
    assert grids is not None
    result = grids[axis].field
    assert result is not None
    return result


def figures(f: Field) -> tuple[object, ...]:
    """Return receptive field, effective stride and effective padding.

    The padding is how far the first receptive field starts before the image.
    """
    assert f.size is not None
    assert f.centre is not None
    return f.size, f.effective_stride, Fraction(f.size - 1, 2) - f.centre


# -- the single white pixel ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "pad", "size", "axis", "total"),
    [
        (1, 0, 10, [1, 2, *[3] * 6, 2, 1], 576),
        (1, 1, 10, [2, *[3] * 8, 2], 784),
        (1, 2, 10, [3] * 10, 900),
        (1, 0, 28, [1, 2, *[3] * 24, 2, 1], 6_084),
        (1, 1, 28, [2, *[3] * 26, 2], 6_724),
        (5, 0, 28, VALID_5, 19_131_876),
        (5, 1, 28, SAME_5, 39_639_616),
        (5, 2, 28, [243] * 28, 46_294_416),
    ],
)
def test_path_counts_of_convolutions_of_ones(
    layers: int, pad: int, size: int, axis: list[int], total: int
) -> None:
    net = Network(1, 1, size, size)
    tensor = "x"
    for _ in range(layers):
        tensor = ones(net, tensor, 3, 3, pads=[pad] * 4)
    counts = path_counts(net.geometry(tensor), [tensor])
    assert counts.tolist() == np.outer(axis, axis).tolist()
    assert counts.sum() == total


def test_corner_edge_and_centre_of_the_design() -> None:
    same, valid = np.outer(SAME_5, SAME_5), np.outer(VALID_5, VALID_5)
    assert (same[0, 0], same[0, 14], same[14, 14]) == (9_216, 23_328, 59_049)
    assert (valid[0, 0], valid[0, 14], valid[14, 14]) == (1, 243, 59_049)
    assert round(float((valid == 59_049).mean()), 3) == 0.082


def vgg19(size: int, pool: int = 2, mode: str = "", pad: int = 1) -> tuple[Network, str]:
    """Return VGG-19 with average pools and without its last pool, as in Mind the Pad."""
    net = Network(1, 1, size, size)
    tensor = "x"
    for stage, layers in enumerate((2, 2, 4, 4, 4)):
        if stage:
            tensor = net.add(
                "AveragePool", tensor, kernel_shape=[pool, pool], strides=[2, 2],
                pads=[(pool - 1) // 2] * 4,
            )  # fmt: skip
        for _ in range(layers):
            if mode:
                pads = net.ints(0, 0, 1, 1, 0, 0, 1, 1)
                tensor = net.add("Pad", tensor, pads, mode=mode)
            tensor = ones(net, tensor, 3, 3, pads=[0 if mode else pad] * 4)
    return net, tensor


def foveation(size: int, pool: int = 2, mode: str = "", pad: int = 1) -> np.ndarray:
    """Return the path counts of VGG-19, three input channels, mean pools."""
    net, tensor = vgg19(size, pool, mode, pad)
    return path_counts(net.geometry(tensor), [tensor]) * (3 / pool**8)


def test_foveation_of_vgg19() -> None:
    """The colour bars of the figure in Mind the Pad (Alsallakh et al., 2021)."""
    uneven = foveation(127)
    assert uneven.max() == pytest.approx(1.8609e13, rel=1e-4)
    assert divmod(int(uneven.argmax()), 127) == (55, 55)
    circular = foveation(64, mode="wrap")
    assert circular.min() == circular.max() == pytest.approx(2.1715e13, rel=1e-4)
    assert foveation(128, mode="reflect").max() == pytest.approx(2.6443e13, rel=1e-4)


def test_foveation_of_vgg19_at_512() -> None:
    same = foveation(512)
    assert same.max() == pytest.approx(2.1715e13, rel=1e-4)
    assert same[0, 0] == pytest.approx(8.2009e10, rel=1e-4)
    assert foveation(512, 3).max() == pytest.approx(2.3359e13, rel=1e-4)
    valid = foveation(512, pad=0)
    assert (valid.max(), valid.min()) == (pytest.approx(2.1715e13, rel=1e-4), 0)


# -- small theory constants ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kernel", "stride", "overlap"),
    [
        (2, 2, [1, 1]), (3, 2, [1, 2]), (4, 2, [2, 2]), (5, 2, [2, 3]), (3, 3, [1, 1, 1]),
        (4, 3, [1, 1, 2]), (5, 3, [1, 2, 2]), (6, 3, [2, 2, 2]), (2, 3, [0, 1, 1]),
    ],
)  # fmt: skip
def test_overlap_of_transposed_convolutions(kernel: int, stride: int, overlap: list[int]) -> None:
    """Uniform where the kernel is a multiple of the stride (Odena et al., 2016)."""
    net = Network(1, 1, 8)
    weight = net.constant(np.ones((1, 1, kernel)))
    tensor = net.add("ConvTranspose", "x", weight, strides=[stride])
    first = 4 * stride
    cells = [net.cell(tensor, [o], [2]) for o in range(first, first + stride)]
    found = net.geometry(*cells)
    assert sorted(path_counts(found, [cell]).sum() for cell in cells) == overlap
    assert sorted(net.values[tensor][0, 0, first : first + stride] > 0) == [n > 0 for n in overlap]


@pytest.mark.parametrize(
    ("kernel", "stride", "reads"),
    [(1, 2, [1, 0]), (2, 3, [1, 1, 0]), (3, 4, [1, 1, 1, 0]), (3, 2, [2, 1]), (7, 2, [4, 3]),
     (11, 4, [3, 3, 3, 2])],
)  # fmt: skip
def test_reads_of_strided_convolutions(kernel: int, stride: int, reads: list[int]) -> None:
    net = Network(1, 1, 48, 48)
    tensor = ones(net, "x", kernel, kernel, strides=[stride] * 2)
    found = net.geometry(tensor)
    counts = path_counts(found, [tensor])
    interior = slice(12, 12 + stride)
    assert counts[interior, interior].tolist() == np.outer(reads, reads).tolist()
    if kernel < stride:
        share = 1 - Fraction(kernel, stride) ** 2
        assert dead_pixels(found, [tensor]).fraction == share
        assert round(float(share), 3) in {0.75, 0.556, 0.438}


@pytest.mark.parametrize(
    ("dilations", "size", "touched"),
    [
        ((2, 2, 2), 13, 0.290), ((1, 2, 3), 13, 1), ((1, 2, 4), 15, 1), ((1, 2, 5), 17, 1),
        ((1, 2, 7), 21, 1), ((1, 2, 9), 25, 0.706), ((2, 4, 8), 29, 0.268),
    ],
)  # fmt: skip
def test_gridding_of_dilated_convolutions(
    dilations: tuple[int, ...], size: int, touched: float
) -> None:
    """Share of its receptive field that a unit reads (Yu et al., 2017; Wang et al., 2018)."""
    net = Network(1, 1, 41, 41)
    tensor = "x"
    for d in dilations:
        tensor = ones(net, tensor, 3, 3, dilations=[d, d], pads=[d] * 4)
    unit = net.cell(tensor, [20, 20], [2, 3])
    found = net.geometry(unit)
    assert field(found, unit).size == size
    read = sweep(found, [unit], Semiring.REACH).values
    assert round(float(read.sum()) / size**2, 3) == touched
    assert read[20, 20 - size // 2]
    assert not read[:, : 20 - size // 2].any()


@pytest.mark.parametrize(("kernel", "layers"), [(5, 3), (3, 5), (3, 10), (3, 40)])
def test_spread_of_uniform_convolutions(kernel: int, layers: int) -> None:
    """The effective receptive field of a unit has variance layers * (kernel**2 - 1) / 12."""
    size = layers * (kernel - 1) + 1
    net = Network(1, 1, size)
    tensor = "x"
    for _ in range(layers):
        tensor = ones(net, tensor, kernel)
    walk = sweep(net.geometry(tensor), [tensor], Semiring.WALK).values
    place = np.arange(size) - size // 2
    assert walk.sum() == pytest.approx(1, abs=1e-12)
    assert (walk * place**2).sum() == pytest.approx(layers * (kernel**2 - 1) / 12)


@pytest.mark.parametrize(("auto_pad", "sign"), [("SAME_UPPER", 1), ("SAME_LOWER", -1)])
def test_even_kernels_drift_by_half_a_pixel_a_layer(auto_pad: str, sign: int) -> None:
    net = Network(1, 1, 8)
    tensor = "x"
    for _ in range(54):
        tensor = ones(net, tensor, 2, auto_pad=auto_pad)
    assert field(net.geometry(tensor), tensor).centre == 27 * sign


# -- receptive fields ------------------------------------------------------------------------------

Layer = tuple[int, int, int]
CONV_3, POOL_2 = (3, 1, 1), (2, 2, 0)
ALEXNET = [
    (11, 4, 0, "conv1"), (3, 2, 0, "pool1"), (5, 1, 2, "conv2"), (3, 2, 0, "pool2"),
    (3, 1, 1, "conv3"), (3, 1, 1, "conv4"), (3, 1, 1, "conv5"), (3, 2, 0, "pool5"),
]  # fmt: skip
VGG_16 = [
    (*layer, f"{kind}{stage}" + (f"_{i + 1}" if kind == "conv" else ""))
    for stage, count in enumerate((2, 2, 3, 3, 3), 1)
    for layer, kind, i in [*((CONV_3, "conv", i) for i in range(count)), (POOL_2, "pool", 0)]
]
MOBILENET_V1 = [
    (3, 2, 1, "0"),
    *((3, s, 1, str(i)) for i, s in enumerate((1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1), 1)),
]


@pytest.mark.parametrize(
    ("layers", "published"),
    [
        (ALEXNET, {"conv1": (11, 4, 0), "pool1": (19, 8, 0), "conv2": (51, 8, 16),
                   "conv3": (99, 16, 32), "conv4": (131, 16, 48), "conv5": (163, 16, 64),
                   "pool5": (195, 32, 64)}),
        (VGG_16, {"conv1_1": (3, 1, 1), "pool1": (6, 2, 2), "conv2_1": (10, 2, 4),
                  "pool2": (16, 4, 6), "conv3_1": (24, 4, 10), "pool3": (44, 8, 18),
                  "conv4_2": (76, 8, 34), "pool4": (100, 16, 42), "pool5": (212, 32, 90)}),
        (MOBILENET_V1, {"13": (315, 32, 157)}),
    ],
    ids=["alexnet", "vgg 16", "mobilenet v1"],
)  # fmt: skip
def test_receptive_fields_of_chains(
    layers: list[tuple[int, int, int, str]], published: dict[str, tuple[int, int, int]]
) -> None:
    """End points of the table of Araujo et al. (2019), with the padding of the layers."""
    net = Network(1, 1, 450)
    tensor, ends = "x", {}
    for kernel, stride, pad, name in layers:
        tensor = ones(net, tensor, kernel, strides=[stride], pads=[pad] * 2)
        ends[name] = tensor
    found = net.geometry(tensor)
    for name, (size, stride, padding) in published.items():
        f = field(found, ends[name])
        assert figures(f) == (size, stride, padding)


def resnet(blocks: Sequence[int], *, bottleneck: bool, stride_at: str) -> tuple[Geometry, str]:
    """Return a residual network of one channel; `stride_at`: first or last block of a stage."""
    net = Network(1, 1, 512)
    tensor = ones(net, "x", 7, strides=[2], pads=[3, 3])
    tensor = net.add("MaxPool", tensor, kernel_shape=[3], strides=[2], pads=[1, 1])
    for stage, count in enumerate(blocks):
        for block in range(count):
            strided = stage > 0 and block == 0
            if stride_at == "last":
                strided = stage < len(blocks) - 1 and block == count - 1
            s = 2 if strided else 1
            if bottleneck:
                inner = ones(net, tensor, 1)
                inner = ones(net, inner, 3, strides=[s], pads=[1, 1])
                inner = ones(net, inner, 1)
            else:
                inner = ones(net, tensor, 3, strides=[s], pads=[1, 1])
                inner = ones(net, inner, 3, pads=[1, 1])
            shortcut = ones(net, tensor, 1, strides=[s]) if block == 0 or strided else tensor
            tensor = net.add("Add", inner, shortcut)
    return net.geometry(tensor), tensor


@pytest.mark.parametrize(
    ("blocks", "bottleneck", "stride_at", "size"),
    [
        ((2, 2, 2, 2), False, "first", 435),
        ((3, 4, 6, 3), False, "first", 899),
        ((3, 4, 6, 3), True, "first", 427),
        ((3, 4, 23, 3), True, "first", 971),
        ((3, 4, 6, 3), True, "last", 483),
        ((3, 4, 23, 3), True, "last", 1027),
        ((3, 8, 36, 3), True, "last", 1507),
        ((3, 24, 36, 3), True, "last", 1763),
    ],
)
def test_receptive_fields_of_residual_networks(
    blocks: Sequence[int], bottleneck: bool, stride_at: str, size: int
) -> None:
    """torchvision strides in the first block of a stage, TF-slim in the last."""
    found, tensor = resnet(blocks, bottleneck=bottleneck, stride_at=stride_at)
    f = field(found, tensor)
    assert figures(f) == (size, 32, (size - 1) // 2)
    assert f.centre == 0


@pytest.mark.skipif(not LIGHT.exists(), reason="this onnx package ships no light models")
@pytest.mark.parametrize(
    ("name", "tensor", "published"),
    [
        ("bvlc_alexnet", "r15", (195, 32, 64)),
        ("densenet121", "r907", (2071, 32, 1021)),
        ("resnet50", "r171", (427, 32, 213)),
        ("squeezenet", "r64", (207, 16, 88)),
        ("vgg19", "r37", (268, 32, 118)),
    ],
)
def test_receptive_fields_of_famous_architectures(
    name: str, tensor: str, published: tuple[int, int, int]
) -> None:
    found = geometry(LIGHT / f"light_{name}.onnx")
    assert not found.unanalysed
    for axis in (0, 1):
        f = field(found, tensor, axis)
        assert figures(f) == published


# -- coverage of published architectures -----------------------------------------------------------


def covered(path: Path, size: int) -> Coverage:
    if not path.exists():
        pytest.skip(f"{path} is not there")
    found = geometry(path, (size, size))
    return coverage(found, found.outputs())


@pytest.mark.parametrize(
    ("name", "size", "published"),
    [
        ("timm_resnet18", 224, {"left_right_ratio": 1.2295, "top_bottom_ratio": 1.2295,
                                "corner_over_centre": 0.0888, "edge_over_centre": 0.2460,
                                "absorbed_by_padding": 0.3499, "dead_pixel_fraction": 0}),
        ("timm_resnet18", 225, {"left_right_ratio": 1, "top_bottom_ratio": 1,
                                "corner_over_centre": 0.2708, "edge_over_centre": 0.4065,
                                "absorbed_by_padding": 0.3872, "dead_pixel_fraction": 0}),
        ("tv_inception_v3", 299, {"left_right_ratio": 1, "corner_over_centre": 0.000915,
                                  "absorbed_by_padding": 0.4928, "dead_pixel_fraction": 0}),
        ("tv_mobilenet_v2", 224, {"left_right_ratio": 1.2691, "corner_over_centre": 0.0363,
                                  "absorbed_by_padding": 0.4491, "dead_pixel_fraction": 0}),
    ],
)  # fmt: skip
def test_coverage(name: str, size: int, published: dict[str, float]) -> None:
    found = covered(SHARED / "zoo" / f"{name}.onnx", size).document()
    assert {key: found[key] for key in published} == pytest.approx(published, rel=1e-3)


def test_last_grid_of_resnet_18() -> None:
    path = SHARED / "zoo" / "timm_resnet18.onnx"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    for size, shift in ((224, Fraction(31, 2)), (225, 0)):
        found = geometry(path, (size, size))
        tensor = "/layer4/layer4.1/act2/Relu_output_0"
        f = field(found, tensor)
        cells = found.resolution.shapes[tensor]
        assert cells is not None
        assert f.centre is not None
        middle = f.centre + f.effective_stride * Fraction(cells[-1] - 1, 2)
        assert figures(f) == (435, 32, 217)
        assert Fraction(size - 1, 2) - middle == shift


@pytest.mark.parametrize(
    ("name", "size", "dead"),
    [
        ("tv_inception_v3", 224, 1335),
        ("tv_inception_v3", 225, 1784),
        ("tv_inception_v3", 256, 1527),
        ("tv_inception_v3", 299, 0),
        ("timm_convnext_tiny", 224, 0),
        ("timm_convnext_tiny", 225, 449),
        ("timm_convnext_tiny", 299, 1785),
        ("tv_squeezenet1_0", 224, 447),
        ("tv_squeezenet1_0", 225, 0),
    ],
)
def test_dead_pixels_of_stock_models(name: str, size: int, dead: int) -> None:
    assert covered(SHARED / "zoo" / f"{name}.onnx", size).dead.mask.sum() == dead


@pytest.mark.skipif(not LIGHT.exists(), reason="this onnx package ships no light models")
@pytest.mark.parametrize(("size", "dead"), [(224, 447), (256, 511), (299, 0)])
def test_squeezenet_1_1_does_not_read_its_last_row_and_column(size: int, dead: int) -> None:
    found = covered(LIGHT / "light_squeezenet.onnx", size).dead
    assert found.mask.sum() == dead
    last = ((size - 1, size - 1),) if dead else ()
    assert (found.rows, found.columns) == (last, last)
