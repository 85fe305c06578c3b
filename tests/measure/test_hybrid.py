"""Previews of a large step: exact up to the cut, linear behind it, with their error stated."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import helper

from scotoma.cli import main
from scotoma.errors import MeasurementError, UsageError
from scotoma.measure import MeasureOptions, cut, document, measure
from scotoma.measure.plan import Lattice
from scotoma.measure.tail import Cells

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scotoma.facts import Facts
    from scotoma.measure import Influence

    Build = Callable[..., onnx.ModelProto]
    Examine = Callable[..., Facts]

NODE = helper.make_node
STEP = 2.0


def weights(*shape: int, seed: int = 0) -> np.ndarray:
    scale = np.sqrt(2 / np.prod(shape[1:]))
    found = np.random.default_rng(seed).standard_normal(shape) * scale
    return np.asarray(found, np.float32)


def run(facts: Facts, method: str = "hybrid", **changes: Any) -> Influence:
    given = {"delta": STEP, "random_inputs": 2, **changes}
    return measure(facts, dataclasses.replace(MeasureOptions(**given), method=method))


def true_map(facts: Facts, **changes: Any) -> Influence:
    return run(facts, "perturb", resolution="full", **changes)


@pytest.fixture
def linear_tail(build: Build, examine: Examine) -> Facts:
    """A kink, then linear layers down to two places."""
    nodes = [
        NODE("Conv", ["x", "w"], ["c"], pads=[1] * 4), NODE("Relu", ["c"], ["r"]),
        NODE("Conv", ["r", "v"], ["d"], strides=[2, 2]), NODE("Flatten", ["d"], ["f"]),
        NODE("MatMul", ["f", "m"], ["y"]),
    ]  # fmt: skip
    values = {"w": weights(4, 3, 3, 3), "v": weights(3, 4, 3, 3, seed=1)}
    values["m"] = weights(3 * 5 * 4, 6, seed=2)
    return examine(build(nodes, [1, 3, 11, 9], values))


def deep(build: Build, examine: Examine, size: int = 24, layers: int = 5) -> Facts:
    nodes, values, last = [], {}, "x"
    for layer in range(layers):
        values[f"w{layer}"] = weights(8, 3 if layer == 0 else 8, 3, 3, seed=layer)
        values[f"b{layer}"] = weights(8, 1, seed=50 + layer).ravel() / 4
        nodes += [
            NODE("Conv", [last, f"w{layer}", f"b{layer}"], [f"c{layer}"], pads=[1] * 4),
            NODE("Relu", [f"c{layer}"], [f"r{layer}"]),
        ]
        last = f"r{layer}"
    nodes += [NODE("GlobalAveragePool", [last], ["g"]), NODE("Flatten", ["g"], ["y"])]
    return examine(build(nodes, [1, 3, size, size], values))


def gap(one: Influence, other: Influence) -> float:
    return float(np.linalg.norm(one.values - other.values) / np.linalg.norm(other.values))


class TestWhereTheTailIsLinear:
    @pytest.mark.parametrize("functional", ["l2", "sum", "logit:4"])
    @pytest.mark.parametrize(
        "more",
        [{}, {"difference": "central"}, {"channels": "each"}, {"patch": 2}],
        ids=["forward", "central", "each", "patch"],
    )
    def test_it_is_the_map_of_the_step(
        self, linear_tail: Facts, functional: str, more: dict[str, Any]
    ) -> None:
        options = {"functional": functional, "tensor": "y", **more}
        found, reference = run(linear_tail, **options), true_map(linear_tail, **options)
        assert found.preview is not None
        assert found.preview.cut == "d"
        assert found.places.tolist() == reference.places.tolist()
        live = reference.responses > 1e-3 * reference.responses.max()
        assert live.mean() > 0.5
        errors = np.abs(found.responses - reference.responses)[live] / reference.responses[live]
        assert np.median(errors) < 1e-5
        assert found.preview.relative_error == pytest.approx(0, abs=1e-4)
        assert found.preview.correlation == pytest.approx(1, abs=1e-4)


class TestWhereItIsNot:
    def test_it_is_nearer_than_the_gradient(self, build: Build, examine: Examine) -> None:
        facts = deep(build, examine)
        options = {"functional": "l2", "tensor": "y"}
        found, reference = run(facts, **options), true_map(facts, **options)
        gradient = run(facts, "adjoint", **options, delta=None)
        assert found.preview is not None
        assert gap(found, reference) < 0.8 * gap(gradient, reference)
        assert found.preview.correlation is not None
        assert found.preview.correlation > 0.5

    def test_the_stated_error_is_that_of_the_sample(self, build: Build, examine: Examine) -> None:
        facts = deep(build, examine, size=6)
        found, reference = run(facts, tensor="y"), true_map(facts, tensor="y")
        assert found.preview is not None
        assert found.preview.sampled == 36
        assert found.preview.relative_error == pytest.approx(gap(found, reference), rel=1e-6)
        expected = np.corrcoef(found.values.ravel(), reference.values.ravel())[0, 1]
        assert found.preview.correlation == pytest.approx(expected, rel=1e-6)

    def test_a_kink_before_the_cut_costs_nothing(self, linear_tail: Facts) -> None:
        found, reference = run(linear_tail, tensor="d"), true_map(linear_tail, tensor="d")
        assert found.preview is not None
        assert (found.preview.cut, found.preview.cotangents) == ("r", 60)
        assert gap(found, reference) < 1e-5

    def test_it_is_the_same_again(self, build: Build, examine: Examine) -> None:
        facts = deep(build, examine, size=12)
        one, other = run(facts, tensor="r4"), run(facts, tensor="r4")
        assert one.preview is not None
        assert one.preview.random
        assert one.preview.cotangents == 16
        assert one.values.tolist() == other.values.tolist()


class TestCut:
    def test_it_is_the_last_tensor_whose_passes_fit(
        self, build: Build, examine: Examine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        facts = deep(build, examine)
        for most, tensor, passes in (
            (256, "r4", 121),
            (81, "r3", 81),
            (80, "r2", 49),
            (9, "r0", 9),
        ):
            monkeypatch.setattr(cut, "MOST_PASSES", most)
            found = cut.choose(facts, ["y"], Lattice((24, 24)), 1)
            assert found is not None
            assert (found.tensor, found.passes) == (tensor, passes)
        monkeypatch.setattr(cut, "MOST_PASSES", 8)
        assert cut.choose(facts, ["y"], Lattice((24, 24)), 1) is None

    def test_its_memory_counts(
        self, build: Build, examine: Examine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        facts = deep(build, examine)
        monkeypatch.setattr(cut, "LARGEST_TENSOR", 8 * 24 * 24 * 3)
        assert cut.choose(facts, ["y"], Lattice((24, 24)), 3) is not None
        assert cut.choose(facts, ["y"], Lattice((24, 24)), 4) is None

    def test_what_a_branch_goes_around_is_no_cut(self, build: Build, examine: Examine) -> None:
        nodes = [
            NODE("Relu", ["x"], ["a"]), NODE("Relu", ["a"], ["b"]), NODE("Add", ["a", "b"], ["c"]),
            NODE("Split", ["c"], ["d", "e"], axis=1), NODE("Mul", ["d", "e"], ["f"]),
            NODE("Tanh", ["f"], ["y"]), NODE("Tanh", ["c"], ["aside"]),
        ]  # fmt: skip
        facts = examine(build(nodes, [1, 2, 4, 4]))
        assert list(cut.dominators(facts, ["y"])) == ["a", "c", "f"]
        assert list(cut.dominators(facts, ["y", "b"])) == ["a"]
        assert list(cut.dominators(facts, ["unknown"])) == []


class TestDeadPixels:
    def test_they_are_those_that_moved_no_bit(self, build: Build, examine: Examine) -> None:
        nodes = [
            NODE("Conv", ["x", "w"], ["c"], strides=[2, 2]), NODE("Relu", ["c"], ["r"]),
            NODE("Conv", ["r", "v"], ["y"], pads=[1] * 4),
        ]  # fmt: skip
        values = {"w": weights(4, 1, 1, 1), "v": weights(3, 4, 3, 3, seed=1)}
        facts = examine(build(nodes, [1, 1, 12, 12], values))
        found = run(facts)
        expected = np.ones((12, 12), bool)
        expected[::2, ::2] = False
        assert found.dead.tolist() == expected.tolist()
        assert (found.values[expected] == 0).all()
        pixels = document(found)["pixels"]
        assert (pixels["structurally_dead"], pixels["locally_dead"]) == (108, 0)
        assert pixels["live"] == found.preview.sampled == 36  # type: ignore[union-attr]

    def test_a_preview_of_zero_alone_is_not_dead(self, build: Build, examine: Examine) -> None:
        """Behind the cut the gradient is 0 on these inputs; the step passes the kink."""
        nodes = [
            NODE("Conv", ["x", "one"], ["c"], pads=[1] * 4), NODE("Sub", ["c", "far"], ["s"]),
            NODE("Conv", ["s", "wide"], ["k"], pads=[8] * 4), NODE("Relu", ["k"], ["y"]),
        ]  # fmt: skip
        values = {
            "one": np.ones((1, 1, 3, 3), np.float32),
            "far": np.full(1, 20, np.float32),
            "wide": np.ones((1, 1, 17, 17), np.float32),
        }
        facts = examine(build(nodes, [1, 1, 24, 24], values))
        found = run(facts, delta=1e5)
        assert found.preview is not None
        assert found.preview.cut == "s"
        assert not found.values.any()
        assert not found.dead.any()
        assert found.preview.relative_error == 1


class TestCtrlC:
    """What was measured until then stays; nothing else is said of the map."""

    @staticmethod
    def after(monkeypatch: pytest.MonkeyPatch, passes: int) -> None:
        """Press Ctrl-C after some passes of the part before the cut, one for each step."""
        influence, count = Cells.influence, iter(range(passes))

        def pressed(self: Cells, **given: Any) -> Any:
            if next(count, None) is None:
                raise KeyboardInterrupt
            return influence(self, **given)

        monkeypatch.setattr(Cells, "influence", pressed)

    def test_whole_inputs_are_kept(
        self, build: Build, examine: Examine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        facts = deep(build, examine, size=12)
        whole = run(facts, tensor="y", random_inputs=3)
        self.after(monkeypatch, 2 * 121 + 5)
        found = run(facts, tensor="y", random_inputs=3)
        assert found.preview is not None
        assert (found.interrupted, found.complete) == (True, False)
        assert found.responses.tolist() == whole.responses[:2].tolist()
        assert found.values.tolist() == whole.responses[:2].mean(axis=0).reshape(12, 12).tolist()
        assert [item.label for item in found.baselines] == ["random, seed 0", "random, seed 1"]
        assert found.full
        assert not found.dead.any()
        assert (found.preview.passes, found.preview.sampled) == (2 * 121 + 5, 0)
        assert found.preview.relative_error is None
        assert (
            "interrupted after 247 of 363 passes up to 'r4': the map is that of 2 of 3 inputs, and"
            " no sample tells its error"
        ) in found.notes

    def test_places_of_the_first_input_are_kept(
        self, build: Build, examine: Examine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        facts = deep(build, examine, size=12)
        whole = run(facts, tensor="y")
        self.after(monkeypatch, 40)
        found = run(facts, tensor="y")
        assert 40 <= int(found.probed.sum()) < 144
        assert found.responses.shape == (1, int(found.probed.sum()))
        first = whole.responses[0].reshape(12, 12)
        assert found.values[found.probed].tolist() == first[found.probed].tolist()
        assert any("places on one input, and no sample" in note for note in found.notes)
        assert document(found)["resolution"]["probed"] == int(found.probed.sum())

    def test_pixels_without_a_path_are_known_before_it(
        self, build: Build, examine: Examine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nodes = [
            NODE("Conv", ["x", "w"], ["c"], strides=[2, 2]), NODE("Relu", ["c"], ["r"]),
            NODE("Conv", ["r", "v"], ["y"], pads=[1] * 4),
        ]  # fmt: skip
        values = {"w": weights(4, 1, 1, 1), "v": weights(3, 4, 3, 3, seed=1)}
        facts = examine(build(nodes, [1, 1, 12, 12], values))
        self.after(monkeypatch, 1)
        found = run(facts)
        assert (int(found.dead.sum()), found.interrupted) == (108, True)
        assert not found.dead[::2, ::2].any()

    def test_before_the_first_pass_there_is_nothing_to_keep(
        self, build: Build, examine: Examine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.after(monkeypatch, 0)
        with pytest.raises(KeyboardInterrupt):
            run(deep(build, examine, size=12), tensor="y")

    def test_the_command_writes_it(
        self,
        build: Build,
        tmp_path: Path,
        examine: Examine,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        deep(build, examine, size=12)
        out = tmp_path / "out"
        self.after(monkeypatch, 130)
        arguments = ["measure", str(tmp_path / "tiny.onnx"), "--method", "hybrid", "--delta", "2"]
        assert main([*arguments, "--functional", "sum", "--out", str(out), "--no-progress"]) == 130
        said = capsys.readouterr()
        assert said.err == "scotoma: interrupted; the map holds what was measured until then\n"
        assert "preview against perturbation: not compared" in said.out
        assert sorted(path.name for path in out.iterdir()) == ["influence.npy", "influence.png"]
        assert np.load(out / "influence.npy").all()


class TestRefusals:
    def test_it_does_not_resume(self) -> None:
        with pytest.raises(UsageError, match="'hybrid' cannot resume: it keeps no journal"):
            MeasureOptions(method="hybrid", delta=1.0, resume=True)

    def test_no_step(self) -> None:
        with pytest.raises(UsageError, match="'hybrid' previews a large step: give its --delta"):
            MeasureOptions(method="hybrid")

    @pytest.mark.parametrize("more", [{"resolution": 8}, {"passes": 8}])
    def test_a_part_of_the_map(self, more: dict[str, Any]) -> None:
        with pytest.raises(UsageError, match=f"maps all pixels and knows no {next(iter(more))}"):
            MeasureOptions(method="hybrid", delta=1.0, **more)

    def test_no_cut(self, build: Build, examine: Examine) -> None:
        facts = examine(build([NODE("Relu", ["x"], ["y"])], [1, 1, 8, 8]))
        with pytest.raises(MeasurementError, match=r"^no hybrid map: no tensor on the way"):
            run(facts)

    def test_no_adjoint(self, build: Build, examine: Examine) -> None:
        nodes = [
            NODE("Conv", ["x", "w"], ["c"]), NODE("Relu", ["c"], ["r"]),
            NODE("Det", ["r"], ["d"], name="volume"), NODE("Exp", ["d"], ["y"]),
        ]  # fmt: skip
        facts = examine(build(nodes, [1, 1, 8, 8], {"w": weights(2, 1, 3, 3)}))
        with pytest.raises(MeasurementError, match=r"^no hybrid map: 'volume' \(Det\) stopped"):
            run(facts, tensor="y")

    def test_quantised(self, build: Build, examine: Examine) -> None:
        nodes = [
            NODE("QuantizeLinear", ["x", "s"], ["q"], name="rounds"),
            NODE("DequantizeLinear", ["q", "s"], ["d"]), NODE("Relu", ["d"], ["y"]),
        ]  # fmt: skip
        facts = examine(build(nodes, [1, 1, 8, 8], {"s": np.array(0.1, np.float32)}))
        with pytest.raises(MeasurementError, match=r"^no hybrid map: 'rounds' .* rounds"):
            run(facts)

    def test_too_little_time(self, build: Build, examine: Examine) -> None:
        with pytest.raises(MeasurementError, match="more than the budget leaves"):
            run(deep(build, examine), budget=1e-6, tensor="y")


def test_the_command_says_that_it_is_a_preview(
    build: Build, tmp_path: Path, examine: Examine, capsys: pytest.CaptureFixture[str]
) -> None:
    deep(build, examine, size=12)
    arguments = ["measure", str(tmp_path / "tiny.onnx"), "--method", "hybrid", "--delta", "2"]
    arguments += ["--functional", "sum", "--out", str(tmp_path / "out"), "--no-progress"]
    assert main(arguments) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert main([*arguments, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    preview = found["preview"]
    assert (found["method"], found["gradients"], found["confirmation"]) == ("hybrid", None, None)
    assert (preview["cut"], preview["passes"], preview["cotangents"]) == ("c4", 4 * 121, 1)
    assert (preview["random"], preview["sampled_pixels"]) == (False, 48)
    assert f"preview of all 144 pixels in 484 passes up to 'c4', {48 * 4} through the" in text
    assert f"relative error {preview['relative_error']:.2g} (norm)" in text
    assert f"correlation {preview['correlation']:.3f}, over 48 pixels" in text
    assert "this map is a preview: the network behind 'c4' is taken as linear" in text
