"""A gradient that is taken link by link: the same bits from less memory."""

from __future__ import annotations

import pytest
from measure.nets import NODE, SAMPLES, Build, Examine, run, weights

from scotoma.errors import MeasurementError
from scotoma.facts import Facts
from scotoma.loader import load_model
from scotoma.measure import gradients


class TestLinks:
    @pytest.mark.parametrize("name", ["residual_net", "digits_good_dynamo", "unet_misfit"])
    def test_they_give_the_same_bits_from_fewer_residuals(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        facts = Facts.of(load_model(str(SAMPLES / f"{name}.onnx")))
        whole = run(facts, "adjoint")
        assert whole.gradients is not None
        limit = int(0.8 * whole.gradients.residual_bytes)
        monkeypatch.setattr(gradients, "LARGEST_RESIDUALS", limit)
        linked = run(facts, "adjoint")
        assert linked.gradients is not None
        assert linked.responses.tobytes() == whole.responses.tobytes()
        assert linked.dead.tolist() == whole.dead.tolist()
        assert linked.gradients.residual_bytes <= limit
        links = gradients.build_links(facts, whole.target.tensors, "image")
        assert len(links) > 1
        ends = [link.targets for link in links]
        assert [tuple(link.gradients) for link in links[1:]] == ends[:-1]
        assert ends[-1] == whole.target.tensors
        assert linked.gradients.residual_bytes == links[-1].residual_bytes + max(
            link.residual_bytes for link in links[:-1]
        )

    def test_skip_connections_are_carried_across_the_cuts(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        facts = Facts.of(load_model(str(SAMPLES / "unet_misfit.onnx")))
        whole = run(facts, "adjoint")
        assert whole.gradients is not None
        limit = int(0.25 * whole.gradients.residual_bytes)
        monkeypatch.setattr(gradients, "LARGEST_RESIDUALS", limit)
        links = gradients.build_links(facts, whole.target.tensors, "image")
        assert max(len(link.targets) for link in links) > 1
        linked = run(facts, "adjoint")
        assert linked.gradients is not None
        assert linked.gradients.residual_bytes <= limit
        assert linked.responses.tobytes() == whole.responses.tobytes()
        assert linked.dead.tolist() == whole.dead.tolist()

    def test_what_one_carried_tensor_does_by_way_of_another_counts_once(
        self, build: Build, examine: Examine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nodes = [NODE("Conv", ["x", "w"], ["a"], pads=[1] * 4), NODE("Tanh", ["a"], ["t"])]
        last = "t"
        for layer in "abcdef":
            nodes += [
                NODE("Conv", [last, "w"], [f"conv_{layer}"], pads=[1] * 4),
                NODE("Tanh", [f"conv_{layer}"], [f"tanh_{layer}"]),
                NODE("Mul", [f"tanh_{layer}", "t"], [f"mul_{layer}"]),
            ]
            last = f"mul_{layer}"
        nodes.append(NODE("Conv", [last, "w"], ["y"]))
        facts = examine(build(nodes, [1, 1, 10, 10], {"w": weights(1, 1, 3, 3)}))
        whole = run(facts, "adjoint")
        assert whole.gradients is not None
        limit = int(0.8 * whole.gradients.residual_bytes)
        monkeypatch.setattr(gradients, "LARGEST_RESIDUALS", limit)
        ends = [
            tuple(link.gradients)
            for link in gradients.build_links(facts, whole.target.tensors, "x")[1:]
        ]
        assert len(ends) > 3
        assert all(len(end) == 2 and "t" in end for end in ends[1:])
        linked = run(facts, "adjoint")
        assert linked.responses.tobytes() == whole.responses.tobytes()

    def test_a_model_without_a_cut_is_refused(
        self, build: Build, examine: Examine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nodes = [
            NODE("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
            NODE("Tanh", ["a"], ["b"]),
            NODE("Mul", ["b", "x"], ["y"]),
        ]
        facts = examine(build(nodes, [1, 1, 40, 40], {"w": weights(1, 1, 3, 3)}))
        monkeypatch.setattr(gradients, "LARGEST_RESIDUALS", 1000)
        with pytest.raises(MeasurementError, match=r"needs 0.0 GiB of intermediate results"):
            run(facts, "adjoint")
