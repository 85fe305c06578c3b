"""Limits: what is held against them, from how many inputs, and what is left open."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from audit.claims import STRIDED, Audit, Examine, limits

from scotoma.audit import Budget
from scotoma.audit.errors import NotMeasuredError
from scotoma.audit.figures import against
from scotoma.audit.thresholds import THRESHOLDS
from scotoma.findings import CONFIRMED, CONTRADICTED, Finding, Severity
from scotoma.metrics import Figure
from scotoma.results import EXCEEDED, KEPT, NOT_JUDGED


@pytest.mark.parametrize(("limit", "verdict"), [(47, EXCEEDED), (48, KEPT)])
def test_dead_pixels_are_counted(limit: int, verdict: str, audited: Audit) -> None:
    report = audited(STRIDED, "SC101", thresholds={"max-dead-pixels": limit})
    assert limits(report) == [("max-dead-pixels", 48.0, verdict)]
    exceeded = [f for f in report.findings if f.code == "SC901"]
    assert [f.severity for f in exceeded] == [Severity.ERROR] * (verdict == EXCEEDED)
    for finding in exceeded:
        assert finding.measurements[0].value == 48
        assert finding.measurements[0].limit == 47
        assert finding.evidence is not None
        assert finding.evidence.status == CONFIRMED


def influence(**fields: Any) -> Any:
    probed = np.ones((4, 4), bool)
    given = {
        "baselines": (1, 2), "dead": ~probed, "probed": probed, "full": True, "structural": None,
        "gradients": None,
    }  # fmt: skip
    return SimpleNamespace(**{**given, **fields})


def summary(**figures: Figure) -> Any:
    place = SimpleNamespace(sensitivity=figures.pop("place", Figure(None, None, 0)), reason="why")
    return SimpleNamespace(figures=figures, position=place)


@pytest.mark.parametrize(
    ("name", "limit", "figures", "value", "verdict"),
    [
        ("min-border-ratio", 0.2, {"border_over_interior": Figure(0.1, 0.04, 9)}, 0.1, EXCEEDED),
        ("min-border-ratio", 0.2, {"border_over_interior": Figure(0.1, 0.06, 9)}, 0.1, NOT_JUDGED),
        ("min-border-ratio", 0.2, {"border_over_interior": Figure(0.3, 0.04, 9)}, 0.3, KEPT),
        ("min-border-ratio", 0.2, {"border_over_interior": Figure(0.2, 0.0, 9)}, 0.2, KEPT),
        ("min-border-ratio", 0.2, {}, None, NOT_JUDGED),
        ("max-asymmetry", 1.1, {"left_right_ratio": Figure(0.5, 0.0, 9)}, 2.0, EXCEEDED),
        (
            "max-asymmetry",
            2.0,
            {"left_right_ratio": Figure(1.2, 0.0, 9), "top_bottom_ratio": Figure(0.4, 0.01, 9)},
            2.5,
            EXCEEDED,
        ),
        ("max-asymmetry", 1.1, {"left_right_ratio": Figure(1.0, 0.01, 9)}, 1.0, KEPT),
        ("max-asymmetry", 1.1, {"left_right_ratio": Figure(0.0, 0.0, 9)}, None, NOT_JUDGED),
        ("max-asymmetry", 1.1, {}, None, NOT_JUDGED),
        ("max-position-sensitivity", 0.1, {"place": Figure(0.3, 0.05, 9)}, 0.3, EXCEEDED),
        ("max-position-sensitivity", 0.1, {"place": Figure(0.1, None, 9)}, 0.1, KEPT),
        ("max-position-sensitivity", 0.1, {}, None, NOT_JUDGED),
    ],
)
def test_a_figure_is_held_against_its_limit(
    name: str, limit: float, figures: dict[str, Figure], value: float | None, verdict: str
) -> None:
    found = THRESHOLDS[name].judge(limit, (influence(), summary(**figures)))
    assert found.value == pytest.approx(value)
    assert found.verdict == verdict
    answer = THRESHOLDS[name].answer(found)
    assert (answer is None) == (verdict == KEPT)
    assert isinstance(answer, Finding) == (verdict == EXCEEDED)


def test_the_error_of_a_turned_ratio_is_turned_too() -> None:
    figures = {"left_right_ratio": Figure(0.5, 0.1, 9)}
    found = THRESHOLDS["max-asymmetry"].judge(1.1, (influence(), summary(**figures)))
    assert (found.value, found.error, found.judged_on) == (
        2.0,
        0.4,
        "left/right, 9 pixels, 2 inputs",
    )


def test_dead_pixels_of_a_sampled_map_need_the_graph() -> None:
    probed = np.zeros((4, 4), bool)
    probed[0] = True
    dead = np.zeros((4, 4), bool)
    dead[0, 0] = True
    unread = np.zeros((4, 4), bool)
    unread[:2, 0] = True
    figures = {"dead_pixel_fraction": Figure(0.25, 0.0, 4)}
    sampled = influence(probed=probed, dead=dead, full=False)
    alone = THRESHOLDS["max-dead-pixels"].judge(0, (sampled, summary(**figures)))
    assert (alone.verdict, alone.judged_on) == (
        NOT_JUDGED,
        "4 of 16 pixels were perturbed, and the graph cannot be followed",
    )
    sampled.structural = SimpleNamespace(dead=unread)
    with_graph = THRESHOLDS["max-dead-pixels"].judge(0, (sampled, summary(**figures)))
    assert (with_graph.value, with_graph.verdict) == (2, EXCEEDED)
    assert with_graph.judged_on == "4 pixels perturbed and the paths of all"


def test_more_inputs_are_fed_up_to_a_limit(examine: Examine) -> None:
    exam = examine(STRIDED)
    assert not exam.more_inputs()  # there is no map that could be better
    assert len(exam.influence.baselines) == 4
    assert exam.more_inputs()
    assert len(exam.influence.baselines) == 16
    assert exam.more_inputs()
    assert len(exam.influence.baselines) == 64
    assert not exam.more_inputs()
    assert len(exam.influence.baselines) == 64
    chosen = examine(STRIDED, inputs=("zeros",))
    assert (len(chosen.influence.baselines), chosen.more_inputs()) == (1, False)


def test_more_inputs_are_not_fed_where_time_is_short(examine: Examine) -> None:
    now = [0.0]
    exam = examine(STRIDED, budget=Budget.of(60.0, clock=lambda: now[0]))
    assert len(exam.influence.baselines) == 4
    exam._seconds = 10.0
    now[0] = 0.1  # four times as much might not fit twice
    assert not exam.more_inputs()
    now[0] = -30.0
    assert exam.more_inputs()


def test_a_limit_that_an_error_leaves_open_is_judged_on_more_inputs(
    audited: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def figure(_self: Any, found: Any, _summary: Any) -> tuple[Figure, str]:
        count = len(found.baselines)
        return Figure(0.1, 1.0 / count, count), f"{count} inputs"

    monkeypatch.setattr(type(THRESHOLDS["min-border-ratio"]), "figure", figure)
    report = audited(STRIDED, "SC101", thresholds={"min-border-ratio": 0.3})
    assert report.measured is not None
    (result,) = report.measured.thresholds
    assert (result.verdict, result.judged_on) == (EXCEEDED, "16 inputs")
    report = audited(STRIDED, "SC101", thresholds={"min-border-ratio": 0.11})
    assert report.measured is not None
    (result,) = report.measured.thresholds
    assert (result.verdict, result.judged_on) == (
        NOT_JUDGED, "0.1 ± 0.016 lies too near to it (64 inputs)",
    )  # fmt: skip
    assert report.measured.influence is not None
    assert len(report.measured.influence["inputs"]) == 64


def test_an_error_may_leave_a_claim_open() -> None:
    assert against(Figure(0.1, 0.1, 9), 0.5, below=CONFIRMED) == CONFIRMED
    assert against(Figure(0.9, 0.1, 9), 0.5, below=CONFIRMED) == CONTRADICTED
    assert against(Figure(0.9, 0.1, 9), 0.5, below=CONTRADICTED) == CONFIRMED
    with pytest.raises(NotMeasuredError, match=r"0\.4 ± 0\.1 lies too near to 0\.5"):
        against(Figure(0.4, 0.1, 9), 0.5, below=CONFIRMED)


def test_an_unknown_figure_says_why_it_is() -> None:
    figures = {"border_over_interior": Figure(None, None, 1, "the map is too small")}
    found = THRESHOLDS["min-border-ratio"].judge(0.2, (influence(), summary(**figures)))
    said = "border over interior is not known of the measured map: the map is too small"
    assert (found.verdict, found.judged_on) == (NOT_JUDGED, said)
