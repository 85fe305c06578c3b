"""Where gradients cannot serve, perturbation does, and why is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from measure.nets import NODE, SAMPLES, Build, Examine, run, weights

from scotoma.adjoint import registry
from scotoma.errors import MeasurementError
from scotoma.facts import Facts
from scotoma.loader import load_model
from scotoma.measure import document, gradients


class TestFallBack:
    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({"delta": 0.5}, "gradients know no delta"),
            ({"patch": 2}, "gradients know no patch"),
            ({"resolution": 2}, "gradients know no resolution"),
            ({"difference": "forward"}, "gradients know no difference"),
        ],
    )
    def test_where_something_finite_is_asked_for(
        self, smooth: Facts, options: dict[str, Any], reason: str
    ) -> None:
        found = run(smooth, "auto", **options)
        assert (found.method, found.reason, found.gradients) == ("perturb", reason, None)
        assert document(found)["method_reason"] == reason
        alone = run(smooth, "perturb", **options)
        assert alone.reason is None
        assert found.responses.tobytes() == alone.responses.tobytes()

    @pytest.mark.parametrize(
        ("options", "named"),
        [
            ({"delta": 0.5, "passes": 64}, True),
            ({"delta": 0.5}, False),
            ({"delta": 0.5, "resolution": 2}, False),
            ({"patch": 2, "passes": 64}, False),
        ],
    )
    def test_a_step_that_reached_some_pixels_names_the_preview(
        self, smooth: Facts, options: dict[str, Any], named: bool
    ) -> None:
        found = run(smooth, "auto", **options)
        assert found.full == (options == {"delta": 0.5})
        said = "--method hybrid previews this step at every pixel, and says how far it is off"
        assert (said in found.notes) is named

    def test_names_the_operator_without_an_adjoint(
        self, smooth: Facts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        find = registry.find
        monkeypatch.setattr(
            registry, "find", lambda domain, op: None if op == "Tanh" else find(domain, op)
        )
        found = run(smooth, "auto", passes=64)
        node = next(op.name for op in smooth.operators if op.op_type == "Tanh")
        said = f"'{node}' (Tanh) stopped the gradient: there is no adjoint rule for it"
        assert (found.method, found.reason) == ("perturb", said)
        assert found.work.passes == 64
        with pytest.raises(MeasurementError) as refusal:
            run(smooth, "adjoint")
        assert str(refusal.value) == f"no map from gradients: {said}"

    def test_where_the_residuals_are_too_large(
        self, smooth: Facts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gradients, "LARGEST_RESIDUALS", 100)
        found = run(smooth, "auto", passes=16)
        assert found.reason is not None
        assert found.reason.startswith("the gradient needs 0.0 GiB of intermediate results, more")

    def test_of_a_quantised_network(self, build: Build, examine: Examine) -> None:
        nodes = [
            NODE("QuantizeLinear", ["x", "s", "z"], ["q"], name="quantise"),
            NODE("DequantizeLinear", ["q", "s", "z"], ["d"]),
            NODE("Conv", ["d", "w"], ["y"]),
        ]
        values = {"s": np.float32(0.05), "z": np.uint8(128), "w": weights(1, 1, 3, 3)}
        found = run(examine(build(nodes, [1, 1, 6, 6], values)), "auto")
        said = "'quantise' (QuantizeLinear) rounds, and the gradient does not see that"
        assert (found.method, found.reason) == ("perturb", said)

    def test_of_a_random_model_that_was_frozen(self) -> None:
        facts = Facts.of(load_model(str(SAMPLES / "digits_dropout2d_dynamo.onnx")))
        found = run(facts, "auto", passes=16)
        assert found.reason == "the model answers otherwise where its gradients are taken"
        assert found.method == "perturb"
