"""Pixels that are moved to confirm a map from gradients, and what is said of both."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from measure.nets import NODE, Build, Examine, run, weights

from scotoma.facts import Facts
from scotoma.measure import MeasureOptions, confirm, document
from scotoma.measure.perturb import carry_out
from scotoma.measure.prober import Prober


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
