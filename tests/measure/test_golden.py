"""Golden numbers: path counts of kernels of ones, measured in onnxruntime."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from measure.nets import COUNT, NODE, SAMPLES, Build, Examine

from scotoma.cli import main
from scotoma.measure import MeasureOptions, measure, picture

RISE = [1, 6, 21, 51, 96, 147, 192, 222, 237, 242]
VALID_5 = [*RISE, *[243] * 8, *RISE[::-1]]
SAME_5 = [96, 171, 216, 236, 242, *[243] * 18, 242, 236, 216, 171, 96]


@pytest.mark.parametrize(
    ("layers", "pad", "size", "axis"),
    [
        (1, 0, 10, [1, 2, *[3] * 6, 2, 1]),
        (1, 1, 10, [2, *[3] * 8, 2]),
        (1, 2, 10, [3] * 10),
        (1, 0, 28, [1, 2, *[3] * 24, 2, 1]),
        (1, 1, 28, [2, *[3] * 26, 2]),
        (5, 0, 28, VALID_5),
        (5, 1, 28, SAME_5),
        (5, 2, 28, [243] * 28),
    ],
    ids=["valid", "same", "full", "valid 28", "same 28", "five valid", "five same", "five full"],
)
@pytest.mark.parametrize("multiplex", [True, False])
@pytest.mark.parametrize("batch", [1, "N"])
def test_influence_on_the_sum_counts_paths(  # noqa: PLR0917  what is varied
    convolutions: Build,
    examine: Examine,
    layers: int,
    pad: int,
    size: int,
    axis: list[int],
    batch: int | str,
    multiplex: bool,
) -> None:
    facts = examine(convolutions(layers, pad, [batch, 1, size, size]))
    options = MeasureOptions(
        functional="sum", inputs=("zeros",), delta=1.0, resolution="full", multiplex=multiplex
    )
    influence = measure(facts, options)
    assert influence.values.tolist() == np.outer(axis, axis).tolist()
    assert not influence.dead.any()
    # together: as many passes as pixels share a cell of the last map
    assert influence.work.passes == ((2 * layers + 1) ** 2 if multiplex else size * size)
    assert influence.work.multiplexed is multiplex


@pytest.mark.parametrize(
    ("name", "axis"),
    [
        ("one_layer_valid", [1, 2, *[3] * 6, 2, 1]),
        ("one_layer_same", [2, *[3] * 8, 2]),
        ("one_layer_full", [3] * 10),
        ("five_layers_valid", VALID_5),
        ("five_layers_same", SAME_5),
    ],
)
def test_the_article_through_the_command_line(
    name: str,
    axis: list[int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(picture, "render", lambda *_: b"")  # it takes longer than the measurement
    call = ["measure", str(SAMPLES / f"{name}.onnx"), "--out", str(tmp_path), "--format", "json"]
    assert main([*call, "--input", "zeros", "--delta", "1", "--functional", "sum"]) == 0
    document = json.loads(capsys.readouterr().out)
    stored = np.load(tmp_path / "influence.npy")
    assert stored.tolist() == np.outer(axis, axis).tolist()
    middle = len(axis) // 2
    assert document["influence"]["corner_over_centre"] == axis[0] ** 2 / axis[middle] ** 2
    assert document["influence"]["max"] == max(axis) ** 2
    # a whole row perturbed at once adds the influence of its pixels
    assert np.load(tmp_path / "rows.npy").tolist() == [n * sum(axis) for n in axis]


@pytest.mark.parametrize(
    ("kernel", "stride", "tile"),
    [
        # what a strided convolution reads of each phase
        (1, 2, [1, 0]), (2, 3, [1, 1, 0]), (3, 4, [1, 1, 1, 0]), (3, 2, [2, 1]), (7, 2, [4, 3]),
        (11, 4, [3, 3, 3, 2]),
        # and, the other way round, the overlap of a transposed convolution: its checkerboard
        (2, 2, [1, 1]), (4, 2, [2, 2]), (5, 2, [3, 2]), (3, 3, [1, 1, 1]), (4, 3, [2, 1, 1]),
        (5, 3, [2, 2, 1]), (6, 3, [2, 2, 2]),
    ],
)  # fmt: skip
def test_a_strided_convolution_reads_in_its_phases(
    build: Build, examine: Examine, kernel: int, stride: int, tile: list[int]
) -> None:
    windows = 8
    size = (windows - 1) * stride + kernel
    node = NODE("Conv", ["x", "w"], ["y"], strides=[stride] * 2)
    weights = {"w": np.ones((1, 1, kernel, kernel), np.float32)}
    influence = measure(examine(build([node], [1, 1, size, size], weights)), COUNT)
    axis = [sum(0 <= i - o * stride < kernel for o in range(windows)) for i in range(size)]
    assert sorted(axis[4 * stride : 5 * stride], reverse=True) == tile
    assert influence.values.tolist() == np.outer(axis, axis).tolist()
    assert influence.dead.tolist() == (np.outer(axis, axis) == 0).tolist()


def test_l2_is_the_norm_of_the_change(convolutions: Build, examine: Examine) -> None:
    facts = examine(convolutions(1, 0, [1, 1, 10, 10]))
    options = MeasureOptions(functional="l2", inputs=("zeros",), delta=2.0, resolution="full")
    influence = measure(facts, options)
    # a pixel that 9 windows read changes 9 cells by 1 for each unit
    assert [influence.values[at] for at in ((0, 0), (0, 5), (5, 5))] == [1, np.sqrt(3), 3]


def test_random_inputs_give_the_same_counts_up_to_rounding(
    convolutions: Build, examine: Examine
) -> None:
    facts = examine(convolutions(5, 1, [1, 1, 28, 28]))
    influence = measure(facts, MeasureOptions(functional="sum", resolution=7))
    expected = np.outer(SAME_5, SAME_5)[influence.probed]
    np.testing.assert_allclose(influence.values[influence.probed], expected, rtol=1e-3)
    assert influence.probed.sum() == 49
