"""The bench that runs a model within its budget, and the map that an exam takes of it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from audit.claims import POOLED, UNEVEN, Examine, fixture_text

from scotoma.audit.bench import Bench
from scotoma.audit.budget import Budget
from scotoma.audit.errors import NotMeasuredError


def test_no_pass_begins_after_the_deadline(examine: Examine) -> None:
    now = [0.0]
    budget = Budget.of(5.0, clock=lambda: now[0])
    exam = examine(POOLED, budget=budget)
    bench: Bench = exam.bench
    feed = bench.feeds[0]
    for _ in range(20):
        now[0] += 2.0
        try:
            bench.run(feed)
        except NotMeasuredError:
            break
    assert (bench.passes, now[0]) == (2, 6.0)


def test_a_pass_that_would_not_fit_is_not_begun(examine: Examine) -> None:
    now = [0.0]
    exam = examine(POOLED, budget=Budget.of(5.0, clock=lambda: now[0]))
    bench = exam.bench
    feed = bench.feeds[0]
    session = bench._session
    slow = SimpleNamespace(
        run=lambda given: (now.__setitem__(0, now[0] + 3.0), session.run(given))[1]
    )
    bench.__dict__["_session"] = slow
    bench.run(feed)
    with pytest.raises(NotMeasuredError, match="budget ran out"):
        bench.run(feed)
    assert bench.passes == 1


def test_inner_tensors_come_beside_the_outputs(examine: Examine) -> None:
    exam = examine(UNEVEN.replace("WEIGHT", "2").replace("MORE", "0"), "t", "no such tensor")
    answer = exam.bench.run(exam.bench.feeds[0])
    assert list(answer) == ["y", "t"]
    assert np.array_equal(answer["y"], answer["t"] * 2)


def test_no_map_is_begun_that_its_own_trials_would_outlast(examine: Examine) -> None:
    for seconds, begun in ((0.5, True), (2.0, False)):
        exam = examine(POOLED)
        assert exam.bench.refusal is None
        exam.bench.seconds = seconds
        if begun:
            assert exam.summary.figures["dead_pixel_fraction"].value == 0
        else:
            with pytest.raises(NotMeasuredError, match="budget ran out"):
                _ = exam.summary


def test_a_model_that_is_refused_has_no_map_for_that_reason(examine: Examine) -> None:
    exam = examine(fixture_text("conflicting-auto-pad/convolution"))
    with pytest.raises(NotMeasuredError, match="onnxruntime cannot load the model"):
        _ = exam.influence
