"""What a measurement refuses, in one line, and what it leaves alone."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import programs
import pytest
from measure.nets import NODE, ONES, Build, Examine, counts, strided
from onnx import TensorProto, helper

from scotoma.errors import MeasurementError, UsageError
from scotoma.measure import MeasureOptions, perturb

if TYPE_CHECKING:
    from pathlib import Path


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
