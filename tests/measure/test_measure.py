"""What a measurement counts: the pixels, channels, patches and inputs that move a target."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest
from measure.nets import NODE, ONES, Build, Examine, counts, notes, strided
from onnx import TensorProto, helper

from scotoma import sweep

if TYPE_CHECKING:
    from pathlib import Path


def test_unread_rows_and_columns_are_dead(build: Build, examine: Examine) -> None:
    facts = examine(build([strided()], [1, 1, 8, 11], {"w": ONES}))
    influence = counts(facts, inputs=("random",))
    assert influence.values.shape == (8, 11)
    dead = np.zeros((8, 11), bool)
    dead[7] = True  # rows 0..6 are read by 3 windows, columns 0..10 by 5
    assert influence.dead.tolist() == dead.tolist()
    assert influence.work.kinds == {"pixels": 36, "rows": 0, "columns": 0, "dead": 4}
    assert influence.structural is not None
    assert influence.structural.dead.tolist() == dead.tolist()


def test_all_channels_are_perturbed_together(build: Build, examine: Examine) -> None:
    weights = np.arange(1, 4, dtype=np.float32).reshape(1, 3, 1, 1)
    nodes = [NODE("Conv", ["x", "w"], ["y"])]
    influence = counts(examine(build(nodes, [1, 3, 2, 2], {"w": weights})))
    assert influence.values.tolist() == [[6, 6], [6, 6]]


def test_influence_is_never_negative(build: Build, examine: Examine) -> None:
    influence = counts(examine(build([NODE("Neg", ["x"], ["y"])], [1, 1, 1, 2])))
    assert influence.values.tolist() == [[1, 1]]


def test_a_change_that_cancels_in_the_sum_is_not_dead(build: Build, examine: Examine) -> None:
    weights = np.array([1, -1], np.float32).reshape(2, 1, 1, 1)
    facts = examine(build([NODE("Conv", ["x", "w"], ["y"])], [1, 1, 2, 2], {"w": weights}))
    influence = counts(facts)
    assert influence.values.tolist() == [[0, 0], [0, 0]]
    assert influence.dead.tolist() == [[False, False], [False, False]]
    assert counts(facts, functional="l2").values[0, 0] == np.sqrt(2)


def test_channels_last(build: Build, examine: Examine) -> None:
    nodes = [
        NODE("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        NODE("Conv", ["t", "w"], ["y"], strides=[2, 2]),
    ]
    weights = {"w": np.ones((1, 2, 3, 3), np.float32)}
    facts = examine(build(nodes, ["N", 7, 4, 2], weights))
    influence = counts(facts)
    assert influence.values.tolist() == (2 * np.outer([1, 1, 2, 1, 2, 1, 1], [1, 1, 1, 0])).tolist()
    assert influence.dead[:, 3].all()


def test_signals_and_volumes(build: Build, examine: Examine) -> None:
    nodes = [NODE("Conv", ["x", "w"], ["y"])]
    signal = counts(examine(build(nodes, [1, 1, 5], {"w": np.ones((1, 1, 3), np.float32)})))
    assert signal.values.tolist() == [1, 2, 3, 2, 1]
    weights = {"w": np.ones((1, 1, 3, 1, 2), np.float32)}
    volume = counts(examine(build(nodes, [1, 1, 3, 2, 3], weights)))
    assert volume.values.tolist() == np.einsum("i,j,k->ijk", [1, 1, 1], [1, 1], [1, 2, 1]).tolist()


def test_other_inputs_are_zeros(build: Build, examine: Examine) -> None:
    extra = helper.make_tensor_value_info("gain", TensorProto.FLOAT, ["N", 1])
    nodes = [NODE("Add", ["gain", "one"], ["g"]), NODE("Mul", ["x", "g"], ["y"])]
    weights = {"one": np.full((1,), 5, np.float32)}
    facts = examine(build(nodes, ["N", 1, 2, 3], weights, extra_inputs=[extra]))
    assert counts(facts).values.tolist() == [[5, 5, 5], [5, 5, 5]]


def test_dead_pixels_that_the_graph_does_not_know_are_evidence(
    build: Build, examine: Examine
) -> None:
    mask = np.ones((1, 1, 4, 4), np.float32)
    mask[..., 1, 2] = 0
    facts = examine(build([NODE("Mul", ["x", "m"], ["y"])], [1, 1, 4, 4], {"m": mask}))
    influence = counts(facts)
    assert np.argwhere(influence.dead).tolist() == [[1, 2]]
    said = "1 pixel more than the graph says changed nothing on 1 input: evidence, not proof"
    assert notes(influence) == [f"{said}, that nothing reads it"]


def test_a_graph_that_is_contradicted_is_not_relied_on(
    build: Build, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = examine(build([strided()], [1, 1, 9, 8], {"w": ONES}))
    honest = counts(facts)
    assert honest.work.multiplexed
    lie = sweep.coverage(facts.geometry, ["y"])  # type: ignore[arg-type]
    mask = lie.dead.mask.copy()
    mask[4, 4] = True
    lie = dataclasses.replace(lie, dead=sweep.Dead(mask))
    monkeypatch.setattr(sweep, "coverage", lambda *_: lie)
    influence = counts(facts)
    assert not influence.work.multiplexed
    assert influence.values.tolist() == honest.values.tolist()
    assert influence.dead.tolist() == honest.dead.tolist()
    assert influence.work.passes == 1 + 72
    assert (
        "contradiction: 10 places that the graph does not connect to the target changed it when"
        " they were perturbed together"
    ) in influence.notes


def test_channels_one_by_one_are_averaged(build: Build, examine: Examine) -> None:
    weights = np.arange(1, 4, dtype=np.float32).reshape(1, 3, 1, 1)
    facts = examine(build([NODE("Conv", ["x", "w"], ["y"])], [1, 3, 2, 2], {"w": weights}))
    influence = counts(facts, channels="each", multiplex=False)
    assert influence.values.tolist() == [[2, 2], [2, 2]]
    assert influence.work.passes == 12


def test_patches(build: Build, examine: Examine) -> None:
    facts = examine(build([NODE("Identity", ["x"], ["y"])], [1, 1, 4, 5]))
    influence = counts(facts, patch=2)
    assert influence.places.tolist() == [[0, 0], [0, 2], [0, 4], [2, 0], [2, 2], [2, 4]]
    assert influence.responses.tolist() == [[4, 4, 2, 4, 4, 2]]
    assert "6 patches of 2 pixels along each axis were perturbed" in influence.notes[-1]


def test_rows_and_columns_are_perturbed_as_one(build: Build, examine: Examine) -> None:
    gain = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)
    facts = examine(build([NODE("Mul", ["x", "g"], ["y"])], [1, 1, 2, 3], {"g": gain}))
    influence = counts(facts, resolution=None)
    assert influence.row_profile is not None
    assert influence.column_profile is not None
    assert influence.row_profile.tolist() == [3, 12]
    assert influence.column_profile.tolist() == [3, 5, 7]
    assert counts(facts).row_profile is None


def test_influence_is_the_mean_over_the_inputs(
    build: Build, examine: Examine, tmp_path: Path
) -> None:
    facts = examine(build([NODE("Mul", ["x", "x"], ["y"])], [1, 1, 1, 2]))
    np.save(tmp_path / "stack.npy", np.array([[[1.0, 2.0]], [[3.0, -5.0]]], np.float32))
    # the slope of a square is twice the value
    central = counts(facts, inputs=(str(tmp_path / "stack.npy"),), delta=0.25, difference="central")
    assert central.responses.tolist() == [[2, 4], [6, 10]]
    assert central.values.tolist() == [[4, 7]]
    forward = counts(facts, inputs=(str(tmp_path / "stack.npy"),), delta=0.5)
    assert forward.responses.tolist() == [[2.5, 4.5], [6.5, 9.5]]
    assert (central.difference, forward.difference) == ("central", "forward")
    assert central.steps == (0.25, 0.25)


def test_any_tensor_can_be_tapped(convolutions: Build, examine: Examine) -> None:
    facts = examine(convolutions(3, 0, [1, 1, 10, 10]))
    influence = counts(facts, tensor="t1")
    axis = [1, 2, *[3] * 6, 2, 1]
    assert influence.values.tolist() == np.outer(axis, axis).tolist()


def test_several_heads_count_together(build: Build, examine: Examine) -> None:
    nodes = [NODE("Conv", ["x", "w"], ["y"]), NODE("Conv", ["x", "w"], ["z"], strides=[2, 2])]
    proto = build(nodes, [1, 1, 7, 7], {"w": ONES})
    proto.graph.output.add().name = "z"
    influence = counts(examine(proto))
    assert influence.target.tensors == ("y", "z")
    dense, sparse = [1, 2, 3, 3, 3, 2, 1], [1, 1, 2, 1, 2, 1, 1]
    assert influence.values.tolist() == (np.outer(dense, dense) + np.outer(sparse, sparse)).tolist()
    assert influence.work.multiplexed
