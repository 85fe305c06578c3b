"""What is measured, on which inputs, and what is refused."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import programs
import pytest
from onnx import TensorProto, helper

from scotoma import sweep
from scotoma.errors import MeasurementError, UsageError
from scotoma.facts import Facts
from scotoma.loader import load_model
from scotoma.measure import MeasureOptions, campaign, measure, perturb, trials
from scotoma.measure.trials import BATCH

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scotoma.measure import Influence

    Build = Callable[..., onnx.ModelProto]
    Examine = Callable[..., Facts]

ONES = np.ones((1, 1, 3, 3), np.float32)
COUNT = MeasureOptions(functional="sum", inputs=("zeros",), delta=1.0, resolution="full")
TRAP = "'zeros' is the same at every pixel"
NODE = helper.make_node


def strided() -> onnx.NodeProto:
    return NODE("Conv", ["x", "w"], ["y"], name="stem", kernel_shape=[3, 3], strides=[2, 2])


def counts(facts: Facts, /, **changes: Any) -> Influence:
    return measure(facts, dataclasses.replace(COUNT, **changes))


def notes(influence: Influence) -> list[str]:
    """Return what is said besides the warning of a constant input."""
    return [note for note in influence.notes if not note.startswith(TRAP)]


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


class TestRefusals:
    def test_a_model_that_drifts(
        self, convolutions: Build, examine: Examine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(perturb, "same_bits", lambda *_: False)
        with pytest.raises(MeasurementError, match=r"^the model drifts: the same input gave"):
            counts(examine(convolutions(1, 0, [1, 1, 4, 4])))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"method": "guess"}, "unknown method 'guess': use auto, adjoint, perturb, hybrid"),
            (
                {"method": "adjoint", "delta": 1.0},
                "gradients know no delta: use another method than 'adjoint'",
            ),
            (
                {"method": "adjoint", "passes": 9},
                "gradients know no passes: use another method than 'adjoint'",
            ),
            ({"difference": "both"}, "unknown difference 'both': use auto, forward, central"),
            ({"channels": "none"}, "unknown channels 'none': use together, each"),
            ({"budget": 0.0}, "budget must be a number of seconds above 0, not 0"),
            ({"budget": float("inf")}, "budget must be a number of seconds above 0, not inf"),
            ({"passes": 0}, "passes must be at least 1, not 0"),
            ({"jobs": 0}, "jobs must be at least 1, not 0"),
            ({"patch": 0}, "patch must be at least 1, not 0"),
            ({"delta": 0.0}, "delta must be a finite number other than 0, not 0.0"),
            ({"delta": float("nan")}, "delta must be a finite number other than 0, not nan"),
            ({"resolution": "half"}, "resolution must be 'full' or a number, not 'half'"),
            ({"resolution": 0}, "resolution must be at least 1, not 0"),
            ({"seed": -1}, "seed must be at least 0, not -1"),
        ],
    )
    def test_options_without_meaning(self, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(UsageError) as refusal:
            MeasureOptions(**changes)
        assert str(refusal.value) == message

    def test_no_spatial_input(self, build: Build, examine: Examine) -> None:
        facts = examine(build([NODE("Relu", ["x"], ["y"])], [1, 5]))
        with pytest.raises(MeasurementError, match="no spatial input"):
            counts(facts)

    def test_what_onnxruntime_refuses_is_one_line(self, build: Build, examine: Examine) -> None:
        facts = examine(build([NODE("Warp", ["x"], ["y"], domain="")], [1, 1, 4, 4]))
        with pytest.raises(MeasurementError) as refusal:
            counts(facts)
        text = str(refusal.value)
        assert text.startswith("onnxruntime cannot load the model: ")
        assert facts.model.path not in text
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
        facts = examine(build(inverse, [1, 1, 2, 2], {"one": np.array(1, np.float32)}))
        with pytest.raises(MeasurementError, match=r"not finite once pixel \(0, 0\) is perturbed"):
            counts(facts)

    def test_a_shape_that_depends_on_values(
        self, build: Build, examine: Examine, tmp_path: Path
    ) -> None:
        nodes = [
            NODE("NonZero", ["x"], ["n"]),
            NODE("Cast", ["n"], ["y"], to=TensorProto.FLOAT),
        ]
        facts = examine(build(nodes, [1, 1, 2, 2]))
        with pytest.raises(MeasurementError, match="is empty at this input size"):
            counts(facts)
        np.save(tmp_path / "ones.npy", np.ones((2, 2), np.float32))
        with pytest.raises(MeasurementError, match="depends on the values of the input"):
            counts(facts, inputs=(str(tmp_path / "ones.npy"),), delta=-1.0)

    def test_an_input_too_large_to_allocate(self, convolutions: Build, examine: Examine) -> None:
        facts = examine(convolutions(1, 0, [1, 1, 200_000, 200_000]))
        with pytest.raises(MeasurementError) as caught:
            counts(facts)
        assert str(caught.value) == (
            "inputs of 1x1x200000x200000 would take 298.0 GiB, more than 8: measure fewer --inputs,"
            " or at a smaller --size"
        )


def test_nothing_heavy_is_imported_before_a_measurement() -> None:
    code = (
        "import sys, scotoma.measure\n"
        "print([m for m in ('onnxruntime', 'matplotlib', 'onnx', 'networkx', 'PIL')"
        " if m in sys.modules])"
    )
    assert programs.python("-c", code, check=True).stdout == "[]\n"


def test_onnxruntime_is_silent(
    build: Build, examine: Examine, capfd: pytest.CaptureFixture[str]
) -> None:
    proto = build([strided()], [1, 1, 8, 8], {"w": ONES})
    proto.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 5, 5])
    )
    counts(examine(proto))
    assert tuple(itertools.chain(capfd.readouterr())) == ("", "")
