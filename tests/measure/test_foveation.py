"""The foveation of VGG-19: path counts of its convolutions and pools, counted and measured.

The published figure (Alsallakh et al., Mind the Pad, 2021) sums three input channels; the nets here
have one, so that its numbers are three times theirs. The last pool is left out, as there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import helper

from scotoma.measure import MeasureOptions, measure
from scotoma.sweep import path_counts

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx

    from scotoma.facts import Facts

    Build = Callable[..., onnx.ModelProto]
    Examine = Callable[..., Facts]

NODE = helper.make_node
BLOCKS = (2, 2, 4, 4, 4)
"""Convolutions of 3x3 before each pool."""
CONV_PADS = {"valid": 0, "same": 1, "full": 2}
CHANNELS = 3
PEAK = 9**16 / 4**4
"""Paths from a pixel that every tap reads, each pool a mean of four."""


def vgg(build: Build, padding: str, size: int, pool: int = 2) -> onnx.ModelProto:
    """Build the net with all weights one; `padding`: of its convolutions."""
    nodes: list[onnx.NodeProto] = []

    def append(op_type: str, *more: str, **attributes: Any) -> None:
        last = nodes[-1].output[0] if nodes else "x"
        nodes.append(NODE(op_type, [last, *more], [f"t{len(nodes)}"], **attributes))

    for index, layers in enumerate(BLOCKS):
        for _ in range(layers):
            if padding not in CONV_PADS:
                append("Pad", "around", mode=padding)
            append("Conv", "ones", pads=[CONV_PADS.get(padding, 0)] * 4)
        if index < 4:
            ends = {"pads": [1] * 4, "count_include_pad": 1} if pool == 3 else {}
            append("AveragePool", kernel_shape=[pool] * 2, strides=[2, 2], **ends)
    nodes[-1].output[0] = "y"
    weights = {
        "ones": np.ones((1, 1, 3, 3), np.float32),
        "around": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    }
    if padding in CONV_PADS:
        del weights["around"]
    return build(nodes, [1, 1, size, size], weights, opset=19)


def counted(facts: Facts, pool: int = 2) -> np.ndarray:
    """Return the path counts with every pool as a mean."""
    assert facts.geometry is not None
    return path_counts(facts.geometry, ["y"]) / float(pool) ** 8


@pytest.mark.parametrize("size", [512, 128])
@pytest.mark.parametrize("padding", ["edge", "wrap"])
def test_symmetric_and_circular_padding_are_even(
    build: Build, examine: Examine, padding: str, size: int
) -> None:
    """Padding by the edge is symmetric padding where it is one cell wide."""
    assert (counted(examine(vgg(build, padding, size))) == PEAK).all()


@pytest.mark.parametrize(
    ("padding", "size", "pool", "peak", "place"),
    [
        ("same", 512, 2, 2.1715e13, (118, 118)),
        ("same", 127, 2, 1.8609e13, (55, 55)),
        ("same", 512, 3, 2.3359e13, (123, 123)),
        ("reflect", 512, 2, 2.6187e13, (38, 38)),
        ("reflect", 128, 2, 2.6443e13, (40, 40)),
        ("valid", 512, 2, 2.1715e13, (236, 236)),
        ("full", 512, 2, 2.1715e13, (0, 0)),
    ],
)
def test_the_published_peaks(
    build: Build,
    examine: Examine,
    padding: str,
    size: int,
    pool: int,
    peak: float,
    place: tuple[int, int],
) -> None:
    counts = counted(examine(vgg(build, padding, size, pool)), pool)
    assert f"{CHANNELS * counts.max():.4e}" == f"{peak:.4e}"
    assert tuple(map(int, np.unravel_index(counts.argmax(), counts.shape))) == place


def test_what_the_paddings_leave_of_the_border(build: Build, examine: Examine) -> None:
    same = counted(examine(vgg(build, "same", 512)))
    assert same.max() == same[256, 256] == PEAK
    assert f"{CHANNELS * same[0, 0]:.4e}" == "8.2009e+10"
    assert f"{same[0, 0] / same[256, 256]:.5f}" == "0.00378"
    assert (same == same[::-1, ::-1]).all()
    uneven = counted(examine(vgg(build, "same", 127)))
    assert (uneven != uneven[::-1, ::-1]).any()
    valid = counted(examine(vgg(build, "valid", 512)))
    assert (valid.max(), valid.min()) == (PEAK, 0)
    assert valid[0, 0] == 1 / 4**4
    full = counted(examine(vgg(build, "full", 512)))
    assert full.max() == PEAK
    assert full.min() > 0.99 * PEAK
    rippled = counted(examine(vgg(build, "same", 512, pool=3)), 3)
    middle = rippled[256, 192:320]
    assert middle[1::2].min() > 1.05 * middle[::2].max()  # the grid of the figure


@pytest.mark.parametrize(
    ("padding", "size", "pool"),
    [
        ("same", 512, 2), ("same", 127, 2), ("same", 128, 3), ("reflect", 128, 2),
        ("edge", 128, 2), ("wrap", 128, 2), ("valid", 280, 2), ("full", 128, 2),
    ],
)  # fmt: skip
def test_measured_at_a_few_probes(
    build: Build, examine: Examine, padding: str, size: int, pool: int
) -> None:
    """Pixels, whole rows and whole columns move the sum of the last map by their paths."""
    facts = examine(vgg(build, padding, size, pool))
    counts = counted(facts, pool)
    options = MeasureOptions(functional="sum", inputs=("zeros",), delta=1.0, passes=24)
    influence = measure(facts, options)
    probed = influence.probed & ~influence.dead
    np.testing.assert_allclose(influence.values[probed], counts[probed], rtol=1e-5)
    assert probed.sum() >= 12
    assert (counts[influence.dead] == 0).all()
    for axis, line in ((1, influence.row_profile), (0, influence.column_profile)):
        assert line is not None
        known = np.isfinite(line)
        assert known.sum() >= 2
        np.testing.assert_allclose(line[known], counts.sum(axis=axis)[known], rtol=1e-5)
