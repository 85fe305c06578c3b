"""The golden numbers: path counts of 3x3 convolutions of ones, measured in onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from scotoma.measure import MeasureOptions, measure

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx

    from scotoma.resolve.resolution import Resolution

    Build = Callable[..., onnx.ModelProto]
    Examine = Callable[..., Resolution]

COUNT = MeasureOptions(functional="sum", input="zeros", delta=1.0, resolution="full")

RISE = [1, 6, 21, 51, 96, 147, 192, 222, 237, 242]
VALID_5 = [*RISE, *[243] * 8, *RISE[::-1]]
SAME_5 = [96, 171, 216, 236, 242, *[243] * 18, 242, 236, 216, 171, 96]


@pytest.mark.parametrize(
    ("layers", "pad", "size", "axis"),
    [
        (1, 0, 10, [1, 2, *[3] * 6, 2, 1]),
        (1, 1, 10, [2, *[3] * 8, 2]),
        (1, 2, 10, [3] * 10),
        (5, 0, 28, VALID_5),
        (5, 1, 28, SAME_5),
        (5, 2, 28, [243] * 28),
    ],
    ids=["valid", "same", "full", "five valid", "five same", "five full"],
)
@pytest.mark.parametrize("batch", [1, "N"])
def test_influence_on_the_sum_counts_paths(
    convolutions: Build,
    examine: Examine,
    layers: int,
    pad: int,
    size: int,
    axis: list[int],
    batch: int | str,
) -> None:
    resolution = examine(convolutions(layers, pad, [batch, 1, size, size]))
    influence = measure(resolution.model, resolution, COUNT)
    assert influence.values.tolist() == np.outer(axis, axis).tolist()
    assert not influence.dead.any()
    assert influence.passes == size * size


def test_l2_is_the_norm_of_the_change(convolutions: Build, examine: Examine) -> None:
    resolution = examine(convolutions(1, 0, [1, 1, 10, 10]))
    options = MeasureOptions(functional="l2", input="zeros", delta=2.0, resolution="full")
    influence = measure(resolution.model, resolution, options)
    # a pixel that 9 windows read changes 9 cells by 2 each
    assert [influence.values[at] for at in ((0, 0), (0, 5), (5, 5))] == [2, 2 * np.sqrt(3), 6]


def test_random_input_gives_the_same_counts_up_to_rounding(
    convolutions: Build, examine: Examine
) -> None:
    resolution = examine(convolutions(5, 1, [1, 1, 28, 28]))
    influence = measure(
        resolution.model, resolution, MeasureOptions(functional="sum", resolution=7)
    )
    rows = influence.grid.samples[0]
    expected = np.outer(SAME_5, SAME_5)[np.ix_(rows, rows)]
    measured = influence.values[np.ix_(rows, rows)]
    np.testing.assert_allclose(measured, expected, rtol=1e-3)
