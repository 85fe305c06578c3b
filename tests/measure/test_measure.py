"""What is measured, on which inputs, and what is refused."""

from __future__ import annotations

import dataclasses
import itertools
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from scotoma.errors import MeasurementError, UsageError
from scotoma.measure import MeasureOptions, measure
from scotoma.measure.prober import BATCH, Prober

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scotoma.measure import Influence
    from scotoma.resolve.resolution import Resolution

    Build = Callable[..., onnx.ModelProto]
    Examine = Callable[..., Resolution]

ONES = np.ones((1, 1, 3, 3), np.float32)
COUNT = MeasureOptions(functional="sum", input="zeros", resolution="full")
NODE = helper.make_node


def strided() -> onnx.NodeProto:
    return NODE("Conv", ["x", "w"], ["y"], name="stem", kernel_shape=[3, 3], strides=[2, 2])


def counts(examined: Resolution, /, **changes: Any) -> Influence:
    return measure(examined.model, examined, dataclasses.replace(COUNT, **changes))


def test_unread_rows_and_columns_are_dead(build: Build, examine: Examine) -> None:
    resolution = examine(build([strided()], [1, 1, 8, 11], {"w": ONES}))
    influence = counts(resolution, input="random")
    assert influence.values.shape == (8, 11)
    dead = np.zeros((8, 11), bool)
    dead[7] = True  # rows 0..6 are read by 3 windows, columns 0..10 by 5
    assert influence.dead.tolist() == dead.tolist()
    assert influence.notes[0].startswith("dead pixels changed nothing on this one input")


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
    resolution = examine(build([NODE("Conv", ["x", "w"], ["y"])], [1, 1, 2, 2], {"w": weights}))
    influence = counts(resolution)
    assert influence.values.tolist() == [[0, 0], [0, 0]]
    assert influence.dead.tolist() == [[False, False], [False, False]]
    assert counts(resolution, functional="l2").values[0, 0] == np.sqrt(2)


def test_channels_last(build: Build, examine: Examine) -> None:
    nodes = [
        NODE("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        NODE("Conv", ["t", "w"], ["y"], strides=[2, 2]),
    ]
    weights = {"w": np.ones((1, 2, 3, 3), np.float32)}
    resolution = examine(build(nodes, ["N", 7, 4, 2], weights))
    influence = counts(resolution)
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
    resolution = examine(build(nodes, ["N", 1, 2, 3], weights, extra_inputs=[extra]))
    assert counts(resolution).values.tolist() == [[5, 5, 5], [5, 5, 5]]


class TestBatches:
    def test_used_where_rows_are_proven(self, convolutions: Build, examine: Examine) -> None:
        open_batch = counts(examine(convolutions(2, 1, ["N", 1, 9, 7])), input="random")
        fixed = counts(examine(convolutions(2, 1, [1, 1, 9, 7])), input="random")
        assert (open_batch.batch, fixed.batch) == (BATCH, 1)
        assert open_batch.values.tobytes() == fixed.values.tobytes()

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
        influence = counts(examine(build([conv, *nodes], ["N", 1, 5, 5], weights)))
        assert influence.batch == 1
        axis = [2, 3, 3, 3, 2]
        assert influence.values.tolist() == (2 * np.outer(axis, axis)).tolist()


class TestTarget:
    def saturated(
        self, build: Build, last: str, output_type: int = TensorProto.FLOAT
    ) -> onnx.ModelProto:
        """Logits of 100 and more apart, so that nothing is left of a change behind a softmax."""
        gains = np.array([[1.0, 300.0]], np.float32)
        nodes = [
            NODE("GlobalAveragePool", ["x"], ["p"]),
            NODE("Flatten", ["p"], ["f"]),
            NODE("Gemm", ["f", "gains", "bias"], ["logits"], name="head"),
            NODE(last, ["logits"], ["s"], name="last"),
            NODE("Identity", ["s"], ["y"]),
        ]
        weights = {"gains": gains, "bias": np.array([0, 9000], np.float32)}
        return build(nodes, [1, 1, 3, 3], weights, output_type=output_type)

    @pytest.mark.parametrize(
        ("last", "kind"),
        [
            ("Softmax", TensorProto.FLOAT),
            ("Sigmoid", TensorProto.FLOAT),
            ("ArgMax", TensorProto.INT64),
        ],
    )
    def test_a_trailing_saturation_is_left_out(
        self, build: Build, examine: Examine, last: str, kind: int
    ) -> None:
        resolution = examine(self.saturated(build, last, kind))
        influence = counts(resolution, delta=9.0)
        assert influence.target.tensor == "logits"
        assert influence.target.output == "y"
        assert [operator.name for operator in influence.target.stripped] == ["last"]
        assert influence.values.tolist() == [[301] * 3] * 3
        assert influence.notes == (
            f"measured before {last} 'last', at 'logits': behind it a confident model looks blind",
        )

    def test_a_named_output_is_taken_as_it_is(self, build: Build, examine: Examine) -> None:
        influence = counts(examine(self.saturated(build, "Softmax")), output="y")
        assert influence.target.tensor == "y"
        assert influence.dead.all()
        assert influence.notes[0].startswith("measured behind Softmax 'last'")

    def test_any_tensor_can_be_tapped(self, convolutions: Build, examine: Examine) -> None:
        resolution = examine(convolutions(3, 0, [1, 1, 10, 10]))
        influence = counts(resolution, output="t1")
        axis = [1, 2, *[3] * 6, 2, 1]
        assert influence.values.tolist() == np.outer(axis, axis).tolist()

    def test_the_largest_output_is_the_default(self, build: Build, examine: Examine) -> None:
        proto = build([strided(), NODE("ReduceMax", ["y"], ["top"])], [1, 1, 7, 7], {"w": ONES})
        proto.graph.output.insert(0, helper.make_tensor_value_info("top", TensorProto.FLOAT, None))
        assert counts(examine(proto)).target.tensor == "y"

    def test_an_unknown_tensor_is_a_wrong_call(self, convolutions: Build, examine: Examine) -> None:
        resolution = examine(convolutions(1, 0, [1, 1, 10, 10]))
        with pytest.raises(UsageError, match=r"^the model has no tensor 'q'; its outputs are y$"):
            counts(resolution, output="q")


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
        resolution = examine(build(nodes, [1, 1, 4, 4], weights))
        np.save(tmp_path / "minus.npy", -np.ones((4, 4), np.float32))
        influence = counts(resolution, input=str(tmp_path / "minus.npy"), delta=0.5)
        # only the four windows without padding can answer; the others hold a zero
        inner = [1, 2, 2, 1]
        assert influence.values.tolist() == (0.5 * np.outer(inner, inner)).tolist()

    def test_a_dropout_left_on_is_refused_by_name(self, build: Build, examine: Examine) -> None:
        nodes = [
            NODE("Relu", ["x"], ["r"]),
            NODE("Dropout", ["r", "ratio", "on"], ["d"], name="drop"),
            NODE("Neg", ["d"], ["y"]),
        ]
        weights = {"ratio": np.array(0.5, np.float32), "on": np.array(True)}
        with pytest.raises(
            MeasurementError,
            match=r"^the model is random, .* two different outputs: 'drop' \(Dropout\)$",
        ):
            counts(examine(build(nodes, [1, 1, 9, 9], weights)), input="random")

    def test_batch_normalisation_in_training_mode_keeps_its_scale(
        self, build: Build, examine: Examine
    ) -> None:
        node = NODE(
            "BatchNormalization", ["x", "one", "zero", "mean", "var"], ["y", "m", "v"],
            training_mode=1,
        )  # fmt: skip
        one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
        weights = {"one": one, "zero": zero, "mean": zero, "var": one}
        influence = counts(examine(build([node], [1, 1, 4, 4], weights)), input="random")
        assert (influence.values < 1e-4).all()  # the sum of normalised values is always 0
        assert not influence.dead.any()

    def test_random_operators_without_effect_are_told(self, build: Build, examine: Examine) -> None:
        nodes = [
            NODE("RandomUniformLike", ["x"], ["r"], name="noise"),
            NODE("Mul", ["r", "zero"], ["n"]),
            NODE("Add", ["x", "n"], ["y"]),
        ]
        weights = {"zero": np.array(0, np.float32)}
        influence = counts(examine(build(nodes, [1, 1, 2, 2], weights)))
        assert influence.values.tolist() == [[1, 1], [1, 1]]
        operators = "'noise' (RandomUniformLike)"
        note = f"the model holds random operators ({operators}), but 65 runs were identical"
        assert influence.notes == (note,)


class TestFiles:
    def test_another_size_than_the_file_fixes(self, convolutions: Build, examine: Examine) -> None:
        resolution = examine(convolutions(1, 0, [1, 1, 10, 10]), size=(4, 6))
        expected = np.outer([1, 2, 2, 1], [1, 2, 3, 3, 2, 1])
        assert counts(resolution).values.tolist() == expected.tolist()

    def test_external_data_beside_the_model(
        self, convolutions: Build, examine: Examine, tmp_path: Path
    ) -> None:
        resolution = examine(convolutions(2, 0, [1, 1, 10, 10]))
        proto = onnx.load(resolution.model.path)
        onnx.save_model(
            proto, resolution.model.path, save_as_external_data=True, location="weights.bin",
            size_threshold=0,
        )  # fmt: skip
        assert (tmp_path / "weights.bin").stat().st_size >= 36
        assert counts(resolution).values[5, 5] == 81
        assert counts(resolution, output="t1").values[5, 5] == 9

    def test_a_model_from_standard_input(self, convolutions: Build, examine: Examine) -> None:
        proto = convolutions(2, 0, [1, 1, 10, 10])
        on_disk = examine(proto)
        model = dataclasses.replace(on_disk.model, path="-")
        resolution = dataclasses.replace(on_disk, model=model)
        data = proto.SerializeToString()
        assert counts(resolution, data=data).values[5, 5] == 81
        assert counts(resolution, data=data, output="t1").values[5, 5] == 9
        with pytest.raises(MeasurementError, match="standard input"):
            counts(resolution)


class TestResolution:
    def test_each_cell_repeats_its_centre_pixel(self, build: Build, examine: Examine) -> None:
        resolution = examine(build([strided()], [1, 1, 10, 8], {"w": ONES}))
        full = counts(resolution)
        coarse = counts(resolution, resolution=3)
        rows, cols = coarse.grid.samples
        assert (rows, cols) == ((1, 4, 7), (0, 3, 6))
        sampled = full.values[np.ix_(rows, cols)]
        assert (
            coarse.values.tolist()
            == np.repeat(np.repeat(sampled, [3, 3, 4], axis=0), [2, 3, 3], axis=1).tolist()
        )
        assert coarse.passes == 9
        assert coarse.dead.tolist() == full.dead[np.ix_(rows, cols)].tolist()
        assert coarse.notes[0].startswith("3x3 pixels were perturbed, as asked;")

    def test_more_samples_than_pixels_are_all_pixels(
        self, convolutions: Build, examine: Examine
    ) -> None:
        resolution = examine(convolutions(1, 0, [1, 1, 10, 10]))
        assert counts(resolution, resolution=500).grid.full

    def test_the_default_fits_the_budget(
        self, convolutions: Build, examine: Examine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        resolution = examine(convolutions(1, 0, [1, 1, 10, 40]))
        assert counts(resolution, resolution=None).grid.full
        monkeypatch.setattr(Prober, "time", lambda _self, _seconds: 0.5)
        influence = counts(resolution, resolution=None, budget=60.0)
        assert influence.grid.shape == (10, 12)
        assert "all 10x40 pixels would take about 200 s" in influence.notes[0]


def test_progress_ends_at_the_number_of_samples(convolutions: Build, examine: Examine) -> None:
    seen: list[tuple[int, int]] = []
    resolution = examine(convolutions(1, 0, [1, 1, 5, 4]))
    measure(resolution.model, resolution, COUNT, lambda done, total: seen.append((done, total)))
    assert seen == [(done, 20) for done in range(1, 21)]


class TestRefusals:
    def test_a_model_that_drifts(
        self, convolutions: Build, examine: Examine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answers = iter([True, True, True, False])
        monkeypatch.setattr(Prober, "repeats", lambda _self: next(answers))
        with pytest.raises(MeasurementError, match=r"^the model drifts: the same input gave"):
            counts(examine(convolutions(1, 0, [1, 1, 4, 4])))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"method": "adjoint"}, "unknown method 'adjoint': use auto or perturb"),
            ({"functional": "max"}, "unknown functional 'max': use l2 or sum"),
            ({"delta": 0.0}, "delta must be a finite number other than 0, not 0.0"),
            ({"delta": float("nan")}, "delta must be a finite number other than 0, not nan"),
            ({"resolution": "half"}, "resolution must be 'full' or a number, not 'half'"),
            ({"resolution": 0}, "resolution must be at least 1, not 0"),
            ({"seed": -1}, "seed must not be negative, but is -1"),
        ],
    )
    def test_options_without_meaning(self, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(UsageError) as refusal:
            MeasureOptions(**changes)
        assert str(refusal.value) == message

    def test_no_spatial_input(self, build: Build, examine: Examine) -> None:
        resolution = examine(build([NODE("Relu", ["x"], ["y"])], [1, 5]))
        with pytest.raises(MeasurementError, match="no spatial input"):
            counts(resolution)

    def test_what_onnxruntime_refuses_is_one_line(self, build: Build, examine: Examine) -> None:
        resolution = examine(build([NODE("Warp", ["x"], ["y"], domain="")], [1, 1, 4, 4]))
        with pytest.raises(MeasurementError) as refusal:
            counts(resolution)
        text = str(refusal.value)
        assert text.startswith("onnxruntime cannot load the model: ")
        assert resolution.model.path not in text
        assert "Warp" in text
        assert "\n" not in text
        assert "ONNXRuntimeError" not in text

    def test_a_size_that_the_model_refuses(self, build: Build, examine: Examine) -> None:
        nodes = [NODE("Reshape", ["x", "s"], ["y"])]
        proto = build(nodes, [1, 1, 4, 4], {"s": np.array([1, 16], np.int64)})
        with pytest.raises(MeasurementError, match=r"onnxruntime cannot run the model: .*Reshape"):
            counts(examine(proto, size=(5, 5)))

    def test_outputs_that_are_not_finite(self, build: Build, examine: Examine) -> None:
        log = examine(build([NODE("Log", ["x"], ["y"])], [1, 1, 2, 2]))
        with pytest.raises(MeasurementError, match="'y' holds NaN or infinity before"):
            counts(log)
        inverse = [NODE("Sub", ["one", "x"], ["d"]), NODE("Reciprocal", ["d"], ["y"])]
        resolution = examine(build(inverse, [1, 1, 2, 2], {"one": np.array(1, np.float32)}))
        with pytest.raises(MeasurementError, match=r"not finite once pixel \(0, 0\) is perturbed"):
            counts(resolution)

    def test_a_shape_that_depends_on_values(
        self, build: Build, examine: Examine, tmp_path: Path
    ) -> None:
        nodes = [
            NODE("NonZero", ["x"], ["n"]),
            NODE("Cast", ["n"], ["y"], to=TensorProto.FLOAT),
        ]
        resolution = examine(build(nodes, [1, 1, 2, 2]))
        with pytest.raises(MeasurementError, match="is empty at this input size"):
            counts(resolution)
        np.save(tmp_path / "ones.npy", np.ones((2, 2), np.float32))
        with pytest.raises(MeasurementError, match="depends on the values of the input"):
            counts(resolution, input=str(tmp_path / "ones.npy"), delta=-1.0)

    def test_an_input_too_large_to_allocate(self, convolutions: Build, examine: Examine) -> None:
        resolution = examine(convolutions(1, 0, [1, 1, 200_000, 200_000]))
        with pytest.raises(MeasurementError, match=r"input 'x' of shape .* need 149\.0 GiB"):
            counts(resolution)


def test_nothing_heavy_is_imported_before_a_measurement() -> None:
    code = (
        "import sys, scotoma.measure\n"
        "print([m for m in ('onnxruntime', 'matplotlib', 'onnx', 'networkx', 'PIL')"
        " if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout == "[]\n"


def test_onnxruntime_is_silent(
    build: Build, examine: Examine, capfd: pytest.CaptureFixture[str]
) -> None:
    proto = build([strided()], [1, 1, 8, 8], {"w": ONES})
    proto.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 5, 5])
    )
    counts(examine(proto))
    assert tuple(itertools.chain(capfd.readouterr())) == ("", "")
