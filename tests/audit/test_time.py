"""How an audit shares its time over maps: what is begun, with how much, and what is left out."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from audit.claims import STRIDED, Audit, Run, Save

from scotoma.audit import Budget
from scotoma.measure import MeasureOptions, measure

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.measure import Influence
    from scotoma.results import ModelReport

FOUR = """model (float[1, 1, 8, 8] x) => (float[1, 1, 8, 8] a, float[1, 1, 8, 8] b,
                                         float[1, 1, 8, 8] c, float[1, 1, 8, 8] d)
{ a = Neg (x)  b = Abs (x)  c = Relu (x)  d = Tanh (x) }"""
examining = importlib.import_module("scotoma.audit.exam")
NO_TIME = "no time was left"

Lasts = Callable[..., "Hand"]


@dataclass
class Hand:
    """A clock that only maps move."""

    now: float = 0.0
    given: list[tuple[str | None, float | None]] = field(default_factory=list)
    """The output and the seconds of each map that was begun."""

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def lasts(monkeypatch: pytest.MonkeyPatch) -> Lasts:
    """Return a clock by which the map of all outputs and those of one last so long."""

    def call(main: float, output: float) -> Hand:
        clock = Hand()

        def timed(facts: Facts, options: MeasureOptions) -> Influence:
            clock.given.append((options.tensor, options.budget))
            clock.now += main if options.tensor is None else output
            return measure(facts, replace(options, budget=None, confirmation=None))

        monkeypatch.setattr(examining, "measure", timed)
        return clock

    return call


def reasons(report: ModelReport) -> list[str | None]:
    assert report.measured is not None
    return [output["reason"] for output in report.measured.outputs]


def test_outputs_get_the_time_of_a_map_in_their_order(lasts: Lasts, audited: Audit) -> None:
    clock = lasts(main=8, output=5)
    report = audited(FOUR, "SC101", seconds=20, clock=clock)
    # Of 12 seconds a quarter would be too few for 'a'; of the 7 behind it 5 are known to suffice.
    tensors, seconds = zip(*clock.given, strict=True)
    assert tensors == (None, "a", "b")
    assert seconds == pytest.approx((20 / 1.5, 8, 5), abs=0.01)
    assert reasons(report) == [None, None, NO_TIME, NO_TIME]
    assert report.measured is not None
    assert [bool(o["figures"]) for o in report.measured.outputs] == [True, True, False, False]
    assert (report.measured.skipped, report.measured.seconds) == ((), 18)


def test_plenty_of_time_is_shared_equally(lasts: Lasts, audited: Audit) -> None:
    clock = lasts(main=1, output=1)
    report = audited(FOUR, "SC101", seconds=21, clock=clock)
    parts = [20 / 4, 19 / 3, 18 / 2, 17]
    assert [seconds for _, seconds in clock.given[1:]] == pytest.approx(parts, abs=0.01)
    assert reasons(report) == [None] * 4


def test_perturbation_makes_do_with_an_equal_part(lasts: Lasts, audited: Audit) -> None:
    clock = lasts(main=12, output=2)
    report = audited(
        FOUR, "SC101", seconds=20, clock=clock, measure=MeasureOptions(method="perturb")
    )
    parts = [8 / 4, 6 / 3, 4 / 2, 2]
    assert [seconds for _, seconds in clock.given[1:]] == pytest.approx(parts, abs=0.01)
    assert reasons(report) == [None] * 4


def test_without_the_map_of_all_no_output_is_measured(lasts: Lasts, audited: Audit) -> None:
    clock = lasts(main=1, output=1)
    report = audited(FOUR, "SC101", seconds=1e-6, clock=clock)
    assert clock.given == []
    assert reasons(report) == [NO_TIME] * 4
    assert report.measured is not None
    assert report.measured.skipped == ("the map of influence",)


@pytest.mark.parametrize("limits", [(), ("--max-dead-pixels", "0")])
def test_an_output_that_nobody_asked_for_does_not_fail_a_run(
    lasts: Lasts, save: Save, run: Run, monkeypatch: pytest.MonkeyPatch, limits: tuple[str, ...]
) -> None:
    clock = lasts(main=8, output=8)
    begun = SimpleNamespace(of=lambda seconds: Budget.of(seconds, clock))
    monkeypatch.setattr(importlib.import_module("scotoma.audit"), "Budget", begun)
    code, out, err = run(str(save(FOUR)), "--select", "SC101", "--budget", "20s", *limits)
    assert (code, err) == (0, "")
    said = [line.strip() for line in out.splitlines() if ": not measured: " in line]
    assert said == [f"output {name}: not measured: {NO_TIME}" for name in "bcd"]


@pytest.mark.parametrize(("each", "left"), [(1 / 64, 9.0), (1.0, 7.5)])
def test_time_is_kept_for_the_figures_of_a_map(
    lasts: Lasts, audited: Audit, monkeypatch: pytest.MonkeyPatch, each: float, left: float
) -> None:
    monkeypatch.setattr(examining, "FIGURES_SECONDS", each)
    clock = lasts(main=1, output=1)
    audited(STRIDED, "SC101", seconds=10, clock=clock)
    assert clock.given == [(None, left)]


def test_a_part_of_a_budget_has_at_least_what_is_asked() -> None:
    now = [10.0]
    budget = Budget.of(60.0, clock=lambda: now[0])
    parts = [budget.part(6, least).left for least in (5.0, 10.0, 25.0, 60.0, 99.0)]
    assert parts == [10.0, 10.0, 25.0, 60.0, 60.0]
    now[0] = 75.0
    assert budget.part(2, 1.0).left <= 0
