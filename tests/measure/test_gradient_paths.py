"""Where gradients are zero: dead pixels, and no gradient where the graph has no path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from measure.nets import NODE, SAMPLES, Build, Examine, run, weights
from networks import SHARED, examples
from random_author import Author
from random_networks import networks

from scotoma import adjoint
from scotoma.errors import MeasurementError
from scotoma.facts import Facts
from scotoma.loader import load_model
from scotoma.measure import document
from scotoma.sweep import Semiring, sweep

MODELS = sorted(path for path in SAMPLES.glob("*.onnx") if "dropout" not in path.stem)


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
