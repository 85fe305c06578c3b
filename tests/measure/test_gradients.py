"""Maps from gradients: what perturbation with a small step gives, and what it cannot."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import assume, given
from networks import SHARED, examples
from onnx import helper
from random_author import Author
from random_networks import networks

from scotoma import adjoint
from scotoma.adjoint import registry
from scotoma.cli import main
from scotoma.errors import MeasurementError
from scotoma.facts import Facts
from scotoma.loader import load_model
from scotoma.measure import MeasureOptions, confirm, document, gradients, measure
from scotoma.measure.emit import emit
from scotoma.measure.perturb import carry_out
from scotoma.measure.prober import Prober
from scotoma.measure.summary import summarise
from scotoma.sweep import Semiring, sweep

if TYPE_CHECKING:
    from collections.abc import Callable

    from scotoma.measure import Influence

    Build = Callable[..., onnx.ModelProto]
    Examine = Callable[..., Facts]

NODE = helper.make_node
SAMPLES = Path(__file__).parents[2] / "sample_models"


MODELS = sorted(path for path in SAMPLES.glob("*.onnx") if "dropout" not in path.stem)


def weights(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def run(facts: Facts, method: str, **changes: Any) -> Influence:
    return measure(facts, dataclasses.replace(MeasureOptions(method=method), **changes))


def errors(one: Influence, other: Influence) -> np.ndarray:
    """Return the relative difference by input and pixel."""
    largest = np.maximum(one.responses, other.responses)
    return np.abs(one.responses - other.responses) / np.where(largest > 0, largest, 1)


@pytest.fixture
def smooth(build: Build, examine: Examine) -> Facts:
    """Three channels, a stride, and a target of 2x4x3 elements without a kink."""
    nodes = [
        NODE("Conv", ["x", "w"], ["c"], strides=[2, 2], pads=[1, 1, 0, 0]),
        NODE("Tanh", ["c"], ["t"]),
        NODE("Conv", ["t", "v"], ["y"]),
    ]
    values = {"w": weights(4, 3, 3, 3), "v": weights(2, 4, 2, 2, seed=1)}
    return examine(build(nodes, [1, 3, 10, 8], values))


@pytest.fixture
def wide(build: Build, examine: Examine) -> Facts:
    """A target of more elements than are taken one by one."""
    nodes = [NODE("Conv", ["x", "w"], ["c"], pads=[1] * 4), NODE("Sigmoid", ["c"], ["y"])]
    return examine(build(nodes, [1, 2, 9, 7], {"w": weights(8, 2, 3, 3)}))


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


class TestDead:
    def test_pixels_are_confirmed_bit_for_bit(self, build: Build, examine: Examine) -> None:
        mask = np.ones((1, 1, 8, 11), np.float32)
        mask[..., 2, 3] = 0
        nodes = [NODE("Mul", ["x", "m"], ["t"]), NODE("Conv", ["t", "w"], ["y"], strides=[2, 2])]
        facts = examine(build(nodes, [1, 1, 8, 11], {"w": weights(1, 1, 3, 3), "m": mask}))
        for method in ("auto", "adjoint"):
            found = run(facts, method)
            dead = np.zeros((8, 11), bool)
            dead[7], dead[2, 3] = True, True
            assert found.dead.tolist() == dead.tolist()
            assert (found.values == 0).tolist() == dead.tolist()
            counts = {"structurally_dead": 11, "locally_dead": 1, "live": 76}
            assert document(found)["pixels"] == counts
        assert found.notes[-1].startswith("dead is a pixel without a gradient on any input")

    def test_a_gradient_that_cancels_is_not_dead(self, build: Build, examine: Examine) -> None:
        values = {"w": np.array([1, -1], np.float32).reshape(2, 1, 1, 1)}
        facts = examine(build([NODE("Conv", ["x", "w"], ["y"])], [1, 1, 3, 2], values))
        for method in ("auto", "adjoint"):
            found = run(facts, method, functional="sum")
            assert not found.values.any()
            assert not found.dead.any()

    def test_steps_have_no_gradient_but_move(self, build: Build, examine: Examine) -> None:
        fine = np.full((1, 1, 4, 4), 1e6, np.float32)
        fine[..., 1:, :] = 1e-6
        nodes = [
            NODE("Mul", ["x", "g"], ["t"]), NODE("Floor", ["t"], ["f"]),
            NODE("Mul", ["f", "h"], ["s"]), NODE("Conv", ["s", "w"], ["y"]),
        ]  # fmt: skip
        values = {"g": fine, "h": np.float32(1e-6), "w": np.ones((1, 1, 1, 1), np.float32)}
        found = run(examine(build(nodes, [1, 1, 4, 4], values)), "auto")
        assert found.confirmation is not None
        assert found.confirmation.moved == 4
        assert found.confirmation.moved_pixels == ((0, 0), (0, 1), (0, 2), (0, 3))
        assert found.dead.tolist() == [[False] * 4, *[[True] * 4] * 3]
        assert document(found)["pixels"]["live"] == 4

    @pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
    def test_no_gradient_where_there_is_no_path(self, path: Path) -> None:
        found = run(Facts.of(load_model(str(path))), "adjoint", random_inputs=2)
        assert found.gradients is not None
        assert found.structural is not None
        assert not (found.gradients.linked & found.structural.dead).any()
        # Every other pixel has one, but for those that two max poolings in a row did not choose.
        missing = (found.dead & ~found.structural.dead).mean()
        assert missing < (0.25 if path.stem == "ceil_pool" else 0.02)


class TestConfirmation:
    def test_says_where_the_step_sees_something_else(self, build: Build, examine: Examine) -> None:
        nodes = [
            NODE("Mul", ["x", "fast"], ["t"]), NODE("Sin", ["t"], ["s"]),
            NODE("Conv", ["s", "w"], ["y"]),
        ]  # fmt: skip
        values = {"fast": np.float32(1e4), "w": weights(1, 1, 1, 1)}
        facts = examine(build(nodes, [1, 1, 6, 6], values))
        found = run(facts, "auto")
        assert found.confirmation is not None
        assert found.confirmation.median_relative_error is not None
        assert found.confirmation.median_relative_error > 0.5
        assert any(note.startswith("gradients and perturbation disagree") for note in found.notes)

    def test_that_is_interrupted_leaves_the_map_whole(
        self, smooth: Facts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = run(smooth, "auto")

        def stop(*_: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Prober, "respond", stop)
        found = run(smooth, "auto", multiplex=False)
        assert (found.interrupted, found.complete, found.full) == (True, False, True)
        assert found.values.tobytes() == whole.values.tobytes()
        assert document(found)["confirmation"]["perturbed_pixels"] == 0

    def test_begins_with_the_border_and_keeps_to_the_passes(
        self, build: Build, examine: Examine
    ) -> None:
        nodes = [NODE("Conv", ["x", "w"], ["c"], pads=[1] * 4), NODE("Tanh", ["c"], ["y"])]
        facts = examine(build(nodes, [1, 1, 40, 40], {"w": weights(8, 1, 3, 3)}))
        found = run(facts, "auto", passes=480, multiplex=False)
        assert found.confirmation is not None
        assert found.work.passes == 480
        assert found.work.kinds == {"pixels": 480, "rows": 0, "columns": 0, "dead": 0}
        probed = found.confirmation.probed
        assert probed.sum() == 60
        assert probed[[0, 0, -1, -1], [0, -1, 0, -1]].any()
        ring = probed.copy()
        ring[1:-1, 1:-1] = False
        assert ring.sum() >= 8
        assert probed[10:30, 10:30].sum() >= 8


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


def test_the_time_for_confirmation(smooth: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[tuple[float | None, int]] = []

    def watched(ready: Any, setup: Any, options: MeasureOptions, *rest: Any) -> Any:
        limits.append((options.budget, options.jobs))
        return carry_out(ready, setup, options, *rest)

    monkeypatch.setattr(confirm, "carry_out", watched)
    run(smooth, "auto")
    run(smooth, "auto", jobs=3)
    run(smooth, "auto", budget=500.0, confirmation=70.0)
    run(smooth, "auto", passes=10)
    assert limits == [(1.0, 2), (1.0, 3), (70.0, 2), (None, 2)]
    limits.clear()
    run(smooth, "auto", budget=500.0)
    run(smooth, "auto", budget=20.0, confirmation=70.0)
    assert [400 < limits[0][0] < 500, 1 < limits[1][0] < 20] == [True, True]  # type: ignore[operator]


def test_the_document_of_a_confirmed_map(smooth: Facts) -> None:
    found = run(smooth, "auto", functional="sum")
    said = document(found)
    assert (said["method"], said["method_reason"], said["difference"]) == (
        "adjoint", None, "central",
    )  # fmt: skip
    resolution = {"full": True, "samples": [10, 8], "probed": 80, "pixels": 80}
    assert said["resolution"] == resolution
    gradient, confirmation = said["gradients"], said["confirmation"]
    assert gradient.pop("seconds") >= 0
    assert gradient.pop("residual_bytes") > 0
    assert gradient == {"inputs": 4, "cotangents": 2, "random": False, "relative_error": 0.0}
    assert confirmation["perturbed_pixels"] == 80
    assert confirmation["median_relative_error"] < 1e-3
    assert confirmation["correlation"] > 0.999
    assert json.loads(json.dumps(said, allow_nan=False)) == said
    alone = document(run(smooth, "adjoint", functional="sum"))
    assert (alone["delta"], alone["difference"], alone["confirmation"]) == (None, None, None)
    assert (alone["passes"], alone["figures"]) == (0, said["figures"])


class TestEmit:
    def test_both_models_run_as_the_readme_says(
        self, smooth: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        paths = emit(smooth, MeasureOptions(), tmp_path / "new")
        names = ["forward.onnx", "backward.onnx", "adjoint.json", "README.txt"]
        assert sorted(path.name for path in paths) == sorted(names)
        monkeypatch.chdir(tmp_path / "new")
        code = (tmp_path / "new" / "README.txt").read_text("utf-8").split("\n\n")[-1]
        x = np.random.default_rng(3).standard_normal((1, 3, 10, 8)).astype(np.float32)
        scope: dict[str, Any] = {"feed": {"x": x}}
        index = json.loads(Path("adjoint.json").read_text("utf-8"))
        assert index["targets"] == ["y"]
        assert [entry["tensor"] for entry in index["gradients"]] == ["x"]
        text = "\n".join(line.removeprefix("    ") for line in code.splitlines())
        # the file is closed here, as no test may leave one open
        text = text.replace('json.load(open("adjoint.json"))', "index")
        scope["index"] = index
        exec(text, scope)
        (gradient,) = scope["gradients"]
        np.save(tmp_path / "x.npy", x[0])
        found = run(smooth, "adjoint", functional="sum", inputs=(str(tmp_path / "x.npy"),))
        assert np.abs(gradient.sum(axis=(0, 1))) == pytest.approx(found.values, rel=1e-5)

    def test_by_the_command(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        model, folder = str(SAMPLES / "one_layer_same.onnx"), tmp_path / "emitted"
        options = ["--out", str(tmp_path / "out"), "--emit-adjoint", str(folder)]
        assert main(["measure", model, *options]) == 0
        assert f"wrote {folder / 'backward.onnx'}" in capsys.readouterr().out.splitlines()
        session = onnxruntime.InferenceSession(folder / "backward.onnx")
        index = json.loads((folder / "adjoint.json").read_text("utf-8"))
        assert [value.name for value in session.get_outputs()] == [
            entry["output"] for entry in index["gradients"]
        ]

    def test_not_without_a_gradient(self, build: Build, examine: Examine, tmp_path: Path) -> None:
        nodes = [NODE("Floor", ["x"], ["f"]), NODE("Conv", ["f", "w"], ["y"])]
        facts = examine(build(nodes, [1, 1, 4, 4], {"w": weights(1, 1, 1, 1)}))
        with pytest.raises(MeasurementError, match=r"^no gradient passes between"):
            emit(facts, MeasureOptions(), tmp_path / "new")
        assert not (tmp_path / "new").exists()


def published() -> list[Any]:
    """Return small models that people published."""
    found = sorted((SHARED / "real").glob("*.onnx"))
    small = [path for path in found if path.stat().st_size < 1 << 19]
    skip = pytest.mark.skip(reason=f"{SHARED} is not there")
    return [pytest.param(path, id=path.stem) for path in small] or [pytest.param(None, marks=skip)]


@pytest.mark.parametrize("path", published())
def test_no_gradient_without_a_path_in_published_models(path: Path) -> None:
    facts = Facts.of(load_model(str(path)))
    try:
        found = run(facts, "adjoint", random_inputs=1, functional="sum")
    except MeasurementError as error:
        pytest.skip(str(error))
    assert found.gradients is not None
    assert found.structural is not None
    assert not (found.gradients.linked & found.structural.dead).any()
    assert found.gradients.linked.any()


@examples(60)
@given(networks())
def test_no_gradient_without_a_path_in_random_networks(author: Author) -> None:
    assume(len(author.pool) > 1)
    tensor = author.pool[-1]
    geometry = author.net.geometry(tensor)
    assume(tensor in geometry.flows)
    reached = sweep(geometry, [tensor], Semiring.REACH).values
    made = adjoint.build(geometry.resolution, [tensor], ["x"])
    assume(not made.incomplete)
    runner = adjoint.Runner(made, threads=1)
    rng = np.random.default_rng(2)
    x = rng.standard_normal(author.net.values["x"].shape).astype(np.float32)
    tape = runner.forward({"x": x})
    shape = tape.targets[tensor].shape
    gradient = runner.backward(tape, {tensor: rng.standard_normal((1, *shape))})["x"][0]
    others = tuple(a for a in range(x.ndim) if a not in geometry.input.spatial_axes)
    linked = np.nan_to_num(gradient, nan=1.0).any(axis=others)
    assert not (linked & ~reached.astype(bool)).any()
