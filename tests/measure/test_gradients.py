"""Maps from gradients: what perturbation with a small step gives, and what they are made of."""

from __future__ import annotations

import numpy as np
import pytest
from measure.nets import NODE, SAMPLES, Build, Examine, errors, run, weights

from scotoma.errors import MeasurementError
from scotoma.facts import Facts
from scotoma.loader import load_model
from scotoma.measure import gradients
from scotoma.measure.summary import summarise


class TestEqualsCentralDifferences:
    @pytest.mark.parametrize("functional", ["l2", "sum", "max"])
    @pytest.mark.parametrize("channels", ["together", "each"])
    def test_of_a_small_target(self, smooth: Facts, functional: str, channels: str) -> None:
        options = {"functional": functional, "channels": channels, "random_inputs": 2}
        found = run(smooth, "adjoint", **options)
        reference = run(smooth, "perturb", **options, resolution="full")
        assert found.gradients is not None
        assert (found.gradients.error, found.gradients.groups.size) == (0, 0)
        assert found.gradients.cotangents == (24 if functional == "l2" else 2)
        assert found.dead.tolist() == reference.dead.tolist()
        live = reference.responses > 1e-3 * reference.responses.max()
        assert live.mean() > 0.1
        assert np.median(errors(found, reference)[live]) < 1e-3

    @pytest.mark.parametrize("name", ["digits_good_dynamo", "residual_net", "unet_misfit"])
    def test_of_the_sum_on_sample_models(self, name: str) -> None:
        facts = Facts.of(load_model(str(SAMPLES / f"{name}.onnx")))
        found = run(facts, "auto", functional="sum", passes=400, random_inputs=2)
        assert found.confirmation is not None
        assert found.confirmation.compared >= 50
        assert found.confirmation.median_relative_error is not None
        assert found.confirmation.median_relative_error < 0.05
        assert found.confirmation.scale == pytest.approx(1, abs=0.05)
        assert found.confirmation.moved == 0

    def test_of_a_logit_with_the_top_class_of_each_input(
        self, build: Build, examine: Examine
    ) -> None:
        nodes = [
            NODE("Conv", ["x", "w"], ["c"]), NODE("Tanh", ["c"], ["t"]),
            NODE("Flatten", ["t"], ["f"]), NODE("MatMul", ["f", "m"], ["y"]),
        ]  # fmt: skip
        values = {"w": weights(2, 1, 3, 3), "m": weights(32, 6, seed=2)}
        facts = examine(build(nodes, [1, 1, 6, 6], values))
        options = {"functional": "logit", "random_inputs": 3}
        found = run(facts, "adjoint", **options)
        reference = run(facts, "perturb", **options, resolution="full")
        assert np.median(errors(found, reference)) < 1e-3
        other = run(facts, "adjoint", functional="logit:0", random_inputs=3)
        assert not np.allclose(other.responses, found.responses)

    def test_of_several_heads_a_signal_and_a_volume(self, build: Build, examine: Examine) -> None:
        nodes = [NODE("Conv", ["x", "w"], ["y"]), NODE("Conv", ["x", "w"], ["z"], strides=[2, 2])]
        proto = build(nodes, [1, 1, 5, 5], {"w": weights(1, 1, 3, 3)})
        proto.graph.output.add().name = "z"
        signal = build([NODE("Conv", ["x", "w"], ["y"])], [1, 1, 9], {"w": weights(1, 1, 3)})
        nodes = [NODE("Conv", ["x", "w"], ["y"], strides=[1, 2, 1])]
        volume = build(nodes, [1, 2, 4, 5, 3], {"w": weights(1, 2, 2, 3, 2)})
        for model in (proto, signal, volume):
            facts = examine(model)
            found = run(facts, "adjoint", random_inputs=1)
            reference = run(facts, "perturb", random_inputs=1, resolution="full")
            assert found.values.shape == reference.values.shape == facts.image_size
            assert found.values == pytest.approx(reference.values, rel=2e-3, abs=1e-6)


class TestRandomCotangents:
    def test_leave_the_error_that_is_stated(self, wide: Facts) -> None:
        found = run(wide, "adjoint")
        reference = run(wide, "perturb", resolution="full")
        assert found.gradients is not None
        assert found.gradients.cotangents == 16
        assert found.gradients.responses.shape == (4, 63)
        relative = (found.values - reference.values) / reference.values
        seen = float(np.sqrt(np.mean(relative**2)))
        assert found.gradients.error == pytest.approx(seen, rel=0.3)
        assert found.gradients.error == pytest.approx(1 / np.sqrt(2 * 16 * 4), rel=0.3)
        parts = found.gradients.groups.mean(axis=0).reshape(9, 7)
        assert parts == pytest.approx(found.values, rel=0.2)

    def test_are_contained_in_the_errors_of_the_figures_also_of_one_input(
        self, build: Build, examine: Examine
    ) -> None:
        # A linear network: nothing but the cotangents can differ.
        nodes = [NODE("Conv", ["x", "w"], ["y"], pads=[1] * 4)]
        facts = examine(build(nodes, [1, 1, 24, 24], {"w": weights(8, 1, 3, 3)}))
        truth = summarise(run(facts, "perturb", random_inputs=1, resolution="full"))
        for inputs in (1, 4):
            found = run(facts, "adjoint", random_inputs=inputs)
            assert found.gradients is not None
            assert found.gradients.cotangents == (32 if inputs == 1 else 16)
            for key in ("left_right_ratio", "border_over_interior"):
                figure, true = summarise(found).figures[key], truth.figures[key].value
                assert figure.value is not None
                assert figure.error is not None
                assert true is not None
                assert 0 < abs(figure.value - true) < 4 * figure.error < 0.2

    def test_come_from_the_seed(self, wide: Facts) -> None:
        inputs = {"inputs": ("zeros",), "functional": "l2"}
        first, again = run(wide, "adjoint", **inputs), run(wide, "adjoint", **inputs)
        other = run(wide, "adjoint", **inputs, seed=1)
        assert first.values.tobytes() == again.values.tobytes()
        assert first.values.tobytes() != other.values.tobytes()

    def test_are_fewer_where_time_is_short_and_never_too_few(
        self, wide: Facts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = iter(range(10**6))
        # A pass takes one second by this clock; some are spent on the way.
        monkeypatch.setattr(gradients, "_workers", lambda: 1)
        monkeypatch.setattr(gradients, "perf_counter", lambda: next(clock))
        found = run(wide, "adjoint", budget=50.0)
        assert found.gradients is not None
        assert found.gradients.cotangents == 11
        with pytest.raises(MeasurementError, match=r"^no map from gradients: .* about 16 s, more"):
            run(wide, "adjoint", budget=20.0)
