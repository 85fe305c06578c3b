"""A measurement keeps the file's meaning: in batches, as it is written, at any size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from measure.nets import NODE, ONES, Build, Examine, counts

from scotoma.errors import MeasurementError
from scotoma.facts import Facts
from scotoma.loader import load_model
from scotoma.measure import campaign, trials
from scotoma.measure.trials import BATCH

if TYPE_CHECKING:
    from pathlib import Path


class TestBatches:
    def test_used_where_rows_are_proven(
        self, convolutions: Build, examine: Examine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # by this clock a batch is quicker than its rows
        times = iter([0.0, 1.0, 1.0, 1.5])
        monkeypatch.setattr(trials, "perf_counter", lambda: next(times, 2.0))
        monkeypatch.setattr(campaign, "perf_counter", lambda: 0.0)
        options = {"inputs": ("random",), "multiplex": False, "difference": "central"}
        open_batch = counts(examine(convolutions(2, 1, ["N", 1, 9, 7])), **options)
        fixed = counts(examine(convolutions(2, 1, [1, 1, 9, 7])), **options)
        assert (open_batch.work.batch, fixed.work.batch) == (BATCH, 1)
        assert open_batch.responses.tobytes() == fixed.responses.tobytes()
        assert open_batch.work.passes == fixed.work.passes == 4 * 2 * 63

    @pytest.mark.parametrize(
        "nodes",
        [
            [NODE("ReduceMean", ["t"], ["m"], axes=[0]), NODE("Add", ["t", "m"], ["y"])],
            [NODE("Reshape", ["t", "flat"], ["m"]), NODE("Add", ["m", "m"], ["y"])],
            [NODE("Gather", ["t", "first"], ["m"]), NODE("Add", ["m", "m"], ["y"])],
        ],
        ids=["rows mix", "one row by reshape", "first row only"],
    )
    def test_not_used_where_the_model_mixes_them(
        self, build: Build, examine: Examine, nodes: list[onnx.NodeProto]
    ) -> None:
        weights = {
            "w": ONES, "flat": np.array([1, -1], np.int64), "first": np.array([0], np.int64),
        }  # fmt: skip
        conv = NODE("Conv", ["x", "w"], ["t"], pads=[1] * 4)
        facts = examine(build([conv, *nodes], ["N", 1, 5, 5], weights))
        influence = counts(facts, tensor="y")
        assert influence.work.batch == 1
        axis = [2, 3, 3, 3, 2]
        assert influence.values.tolist() == (2 * np.outer(axis, axis)).tolist()


class TestSemantics:
    """The file's own meaning, where onnxruntime's default optimisation has another."""

    def test_a_zero_pad_before_max_pooling_stays_zero(
        self, build: Build, examine: Examine, tmp_path: Path
    ) -> None:
        nodes = [
            NODE("Pad", ["x", "pads"], ["p"]),
            NODE("MaxPool", ["p"], ["y"], kernel_shape=[3, 3]),
        ]
        weights = {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64)}
        facts = examine(build(nodes, [1, 1, 4, 4], weights))
        np.save(tmp_path / "minus.npy", -np.ones((4, 4), np.float32))
        influence = counts(facts, inputs=(str(tmp_path / "minus.npy"),), delta=0.5)
        # only the four windows without padding can answer; the others hold a zero
        inner = [1, 2, 2, 1]
        assert influence.values.tolist() == np.outer(inner, inner).tolist()

    def test_batch_normalisation_in_training_mode_keeps_its_scale(
        self, build: Build, examine: Examine
    ) -> None:
        node = NODE(
            "BatchNormalization", ["x", "one", "zero", "mean", "var"], ["y", "m", "v"],
            training_mode=1,
        )  # fmt: skip
        one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
        weights = {"one": one, "zero": zero, "mean": zero, "var": one}
        influence = counts(examine(build([node], [1, 1, 4, 4], weights)), inputs=("random",))
        assert (influence.values < 1e-4).all()  # the sum of normalised values is always 0
        assert not influence.dead.any()


class TestFiles:
    def test_another_size_than_the_file_fixes(self, convolutions: Build, examine: Examine) -> None:
        facts = examine(convolutions(1, 0, [1, 1, 10, 10]), size=(4, 6))
        expected = np.outer([1, 2, 2, 1], [1, 2, 3, 3, 2, 1])
        assert counts(facts).values.tolist() == expected.tolist()

    def test_external_data_beside_the_model(
        self, convolutions: Build, examine: Examine, tmp_path: Path
    ) -> None:
        facts = examine(convolutions(2, 0, [1, 1, 10, 10]))
        proto = onnx.load(facts.model.path)
        onnx.save_model(
            proto, facts.model.path, save_as_external_data=True, location="weights.bin",
            size_threshold=0,
        )  # fmt: skip
        assert (tmp_path / "weights.bin").stat().st_size >= 36
        assert counts(facts).values[5, 5] == 81
        assert counts(facts, tensor="t1").values[5, 5] == 9

    def test_a_model_from_standard_input(self, convolutions: Build, tmp_path: Path) -> None:
        data = convolutions(2, 0, [1, 1, 10, 10]).SerializeToString()
        facts = Facts.of(load_model("-", data=data))
        assert counts(facts, data=data).values[5, 5] == 81
        assert counts(facts, data=data, tensor="t1").values[5, 5] == 9
        with pytest.raises(MeasurementError, match="standard input"):
            counts(facts)
