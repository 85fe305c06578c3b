"""Budgets, interruption, resumption and threads: they change how much is measured, nothing else."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import helper

from scotoma.errors import MeasurementError, UsageError
from scotoma.measure import MeasureOptions, execute, measure, perturb
from scotoma.measure.prober import Prober

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import onnx

    from scotoma.facts import Facts
    from scotoma.measure import Influence

    Build = Callable[..., onnx.ModelProto]
    Examine = Callable[..., Facts]

NODE = helper.make_node
OPTIONS = MeasureOptions(method="perturb", random_inputs=2)


@pytest.fixture
def facts(build: Build, examine: Examine) -> Facts:
    """A small network with weights whose places cannot be perturbed together."""
    generator = np.random.default_rng(7)
    nodes = [
        NODE("Conv", ["x", "w"], ["a"], pads=[1] * 4, strides=[2, 2]),
        NODE("Relu", ["a"], ["b"]),
        NODE("GlobalAveragePool", ["b"], ["g"]),
        NODE("Mul", ["b", "g"], ["y"]),
    ]
    weights = {"w": generator.standard_normal((3, 1, 3, 3)).astype(np.float32)}
    return examine(build(nodes, [1, 1, 12, 11], weights))


def run(facts: Facts, **changes: Any) -> Influence:
    return measure(facts, dataclasses.replace(OPTIONS, **changes))


def require_same(one: Influence, other: Influence) -> None:
    assert one.places.tolist() == other.places.tolist()
    assert one.responses.tobytes() == other.responses.tobytes()
    assert one.values.tobytes() == other.values.tobytes()
    assert one.dead.tolist() == other.dead.tolist()
    for name in ("row_profile", "column_profile"):
        first, second = getattr(one, name), getattr(other, name)
        assert (first is None) == (second is None)
        assert first is None or first.tobytes() == second.tobytes()


class TestPasses:
    @pytest.mark.parametrize("passes", [4, 5, 7, 40, 100])
    def test_are_never_exceeded_and_used_by_whole_units(self, facts: Facts, passes: int) -> None:
        influence = run(facts, passes=passes)
        # two inputs, two directions
        assert influence.work.passes == passes // 4 * 4
        assert sum(influence.work.kinds.values()) == influence.work.passes
        assert influence.responses.shape == (2, influence.probed.sum())
        assert influence.complete

    def test_a_prefix_of_the_plan_is_taken(self, facts: Facts) -> None:
        less, more = run(facts, passes=60), run(facts, passes=200)
        inside = less.probed
        assert (more.probed & inside).tolist() == inside.tolist()
        assert less.values[inside].tolist() == more.values[inside].tolist()

    def test_enough_for_all(self, facts: Facts) -> None:
        influence = run(facts, passes=10**6)
        assert influence.full
        assert influence.work.passes == influence.work.planned == 4 * (12 * 11 + 12 + 11)
        assert influence.work.kinds == {"pixels": 528, "rows": 48, "columns": 44, "dead": 0}

    def test_too_few_for_one_pixel(self, facts: Facts) -> None:
        with pytest.raises(MeasurementError, match=r"^nothing could be measured .* takes 4 passes"):
            run(facts, passes=3)

    def test_a_resolution_that_is_not_reached_is_incomplete(self, facts: Facts) -> None:
        influence = run(facts, passes=40, resolution="full")
        assert not influence.complete
        assert influence.notes[-2] == "the limit was reached after 40 of 528 passes"
        assert run(facts, passes=528, resolution="full").complete

    def test_the_map_shows_the_nearest_probe(self, facts: Facts) -> None:
        influence = run(facts, resolution=3)
        assert influence.places.tolist() == [[y, x] for y in (1, 5, 9) for x in (1, 4, 8)]
        assert influence.values[0, 0] == influence.values[1, 1]
        assert influence.values[11, 10] == influence.values[9, 8]
        assert influence.samples == (3, 3)
        assert influence.notes[-1].startswith("9 of 132 pixels were perturbed: in the map each")


class TestBudget:
    def test_stops_before_it_is_exceeded(
        self, facts: Facts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = [0.0]
        monkeypatch.setattr(execute, "perf_counter", lambda: clock[0])
        respond = Prober.respond

        def slowly(self: Prober, plan: Any, indices: Any) -> Any:
            clock[0] += 2.0 * len(indices)
            return respond(self, plan, indices)

        monkeypatch.setattr(Prober, "respond", slowly)
        limits = execute.Limits(deadline=21.0)
        monkeypatch.setattr(execute, "Limits", lambda *_: limits)
        monkeypatch.setattr(perturb, "Limits", lambda *_: limits)
        influence = run(facts, budget=1.0)
        assert influence.work.passes == 10 * 4  # ten units of two seconds; the next ends at 22
        assert clock[0] == 20.0

    @pytest.mark.parametrize(
        ("options", "seconds"),
        [
            ({}, 60.0), ({"budget": 5.0}, 5.0), ({"passes": 7}, None),
            ({"resolution": "full"}, None), ({"resolution": 8, "budget": 2.0}, 2.0),
        ],
    )  # fmt: skip
    def test_is_a_minute_unless_something_else_is_said(
        self, options: dict[str, Any], seconds: float | None
    ) -> None:
        assert MeasureOptions(**options).seconds == seconds


class TestInterruption:
    def test_keeps_what_was_measured(self, facts: Facts) -> None:
        calls = []

        def press(done: int, total: int) -> None:
            calls.append((done, total))
            if len(calls) == 10:
                raise KeyboardInterrupt

        whole = run(facts)
        influence = measure(facts, OPTIONS, press)
        assert (influence.interrupted, influence.complete) == (True, False)
        assert influence.work.passes == 40
        inside = influence.probed
        assert inside.sum() == influence.work.kinds["pixels"] // 4
        assert influence.values[inside].tolist() == whole.values[inside].tolist()
        assert any(note.startswith("interrupted after 40 of 620") for note in influence.notes)
        assert [done for done, _ in calls] == list(range(4, 44, 4))

    def test_before_anything_was_measured(self, facts: Facts) -> None:
        def press(self: Prober, plan: Any, indices: Any) -> Any:
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Prober, "respond", press)
            influence = run(facts)
        assert influence.interrupted
        assert not influence.probed.any()
        assert influence.values.tolist() == np.zeros((12, 11)).tolist()


class TestResumption:
    @pytest.mark.parametrize("multiplexed", [False, True])
    def test_equals_a_measurement_in_one_go(
        self, facts: Facts, convolutions: Build, examine: Examine, tmp_path: Path, multiplexed: bool
    ) -> None:
        if multiplexed:
            facts = examine(convolutions(2, 0, [1, 1, 23, 19]))
        path = tmp_path / "new" / "journal"
        whole = run(facts)
        assert whole.work.multiplexed is multiplexed
        part = run(facts, passes=48, journal=path)
        assert part.work.passes == 48
        more = run(facts, passes=72, journal=path, resume=True)
        assert more.work.passes == 72
        rest = run(facts, passes=10**6, journal=path, resume=True)
        require_same(rest, whole)
        assert rest.work.passes == whole.work.passes == rest.work.planned
        # all is there already: no pass is run
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(execute.Run, "_keep", None)
            require_same(run(facts, journal=path, resume=True), whole)

    def test_a_torn_journal_is_cut_off(self, facts: Facts, tmp_path: Path) -> None:
        path = tmp_path / "journal"
        run(facts, passes=40, journal=path)
        data = path.read_bytes()
        path.write_bytes(data[:-5])
        influence = run(facts, passes=36, journal=path, resume=True)
        assert influence.work.passes == 36
        assert path.read_bytes() == data[: len(path.read_bytes())]
        broken = bytearray(data)
        broken[-20] ^= 1
        path.write_bytes(bytes(broken))
        require_same(run(facts, journal=path, resume=True), run(facts))

    @pytest.mark.parametrize(
        "changes",
        [
            {"seed": 1}, {"functional": "sum"}, {"delta": 0.5}, {"random_inputs": 1},
            {"resolution": "full"}, {"inputs": ("zeros",)}, {"channels": "each"}, {"patch": 2},
            {"tensor": "b"},
        ],
    )  # fmt: skip
    def test_of_another_plan_is_refused(
        self, facts: Facts, tmp_path: Path, changes: dict[str, Any]
    ) -> None:
        path = tmp_path / "journal"
        run(facts, passes=8, journal=path)
        with pytest.raises(UsageError, match=r"^cannot go on from '.*journal': it is of another"):
            run(facts, journal=path, resume=True, **changes)

    def test_of_another_model_is_refused(
        self, build: Build, examine: Examine, convolutions: Build, tmp_path: Path
    ) -> None:
        path = tmp_path / "journal"
        proto = convolutions(1, 0, [1, 1, 6, 6])
        run(examine(proto), passes=8, journal=path)
        proto.graph.initializer[0].raw_data = np.full(9, 2, np.float32).tobytes()
        with pytest.raises(UsageError, match="another model"):
            run(examine(proto), journal=path, resume=True)

    def test_without_a_journal_begins(self, facts: Facts, tmp_path: Path) -> None:
        path = tmp_path / "journal"
        require_same(run(facts, journal=path, resume=True), run(facts))
        assert path.exists()

    def test_what_is_no_journal(self, facts: Facts, tmp_path: Path) -> None:
        path = tmp_path / "journal"
        path.write_bytes(b"\0" * 10000)
        with pytest.raises(UsageError, match="without --resume"):
            run(facts, journal=path, resume=True)

    def test_a_folder_that_cannot_be_made(self, facts: Facts, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(UsageError, match=r"^cannot write into '.*file'"):
            run(facts, journal=tmp_path / "file" / "journal")


class TestJobs:
    @pytest.mark.parametrize("jobs", [2, 3])
    def test_give_the_same_bits(self, facts: Facts, jobs: int) -> None:
        require_same(run(facts, jobs=jobs), run(facts))

    def test_stop_at_the_same_pass(self, facts: Facts) -> None:
        one, two = run(facts, passes=100), run(facts, passes=100, jobs=2)
        require_same(one, two)
        assert one.work.passes == two.work.passes == 100

    def test_keep_what_was_measured(self, facts: Facts) -> None:
        def press(done: int, total: int) -> None:
            if done >= 40:
                raise KeyboardInterrupt

        influence = measure(facts, dataclasses.replace(OPTIONS, jobs=2), press)
        assert influence.interrupted
        assert influence.work.passes == 40

    def test_pass_failures_on(self, build: Build, examine: Examine) -> None:
        inverse = [NODE("Sub", ["one", "x"], ["d"]), NODE("Reciprocal", ["d"], ["y"])]
        bad = examine(build(inverse, [1, 1, 2, 2], {"one": np.array(1, np.float32)}))
        with pytest.raises(MeasurementError, match=r"not finite once pixel"):
            run(bad, inputs=("zeros",), delta=1.0, jobs=2)


def test_progress_ends_at_the_number_of_passes(facts: Facts) -> None:
    seen: list[tuple[int, int]] = []
    measure(
        facts,
        dataclasses.replace(OPTIONS, resolution="full"),
        lambda done, total: seen.append((done, total)),
    )
    assert seen == [(done, 528) for done in range(4, 532, 4)]
