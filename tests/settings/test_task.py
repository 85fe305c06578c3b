from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., tuple[int, str, str]]
Lint = Callable[..., Any]

SMALL, POOLS = "small/model.onnx", "pools/model.onnx"
DIMMING = ["--select", "SC301"]
POOLED = "'global_pool' (GlobalAveragePool) sums the last map up, blind to places"


def taken(document: Any) -> tuple[str, bool, str]:
    """Return the task of the last model."""
    task = document["models"][-1]["task"]
    return task["value"], task["assumed"], task["because"]


def levels(document: Any) -> list[str]:
    return [f["severity"] for f in document["models"][-1]["findings"]]


@pytest.mark.usefixtures("project")
def test_the_graph_tells_the_task_unless_somebody_does(document: Lint) -> None:
    assert taken(document(POOLS)) == ("classify", True, POOLED)
    assert taken(document(SMALL)) == (
        "dense", True, "output 'feature_map' of 'conv5' (Conv) has a cell every 1 px",
    )  # fmt: skip
    for task in ("classify", "dense", "detect"):
        assert taken(document(POOLS, "--task", task)) == (task, False, "set by the command line")


@pytest.mark.usefixtures("project")
def test_severities_follow_the_task(run: Run, document: Lint) -> None:
    assert levels(document(POOLS, *DIMMING)) == ["note"]
    assert levels(document(POOLS, *DIMMING, "--task", "classify")) == ["note"]
    assert levels(document(POOLS, *DIMMING, "--task", "dense")) == ["warning"]
    assert levels(document(POOLS, *DIMMING, "--task", "detect")) == ["warning"]
    gate = [POOLS, *DIMMING, "--fail-on", "warning"]
    assert run("lint", *gate)[0] == 0
    assert run("lint", *gate, "--task", "dense")[0] == 1


@pytest.mark.usefixtures("project")
def test_a_severity_that_is_set_wins(document: Lint) -> None:
    assert levels(document(POOLS, *DIMMING, "--severity", "SC3=error")) == ["error"]
    loud = [*DIMMING, "--severity", "SC301=warning"]
    assert levels(document(POOLS, *loud)) == ["warning"]
    assert levels(document(POOLS, *loud, "--task", "classify")) == ["warning"]


def test_the_task_is_set_by_every_source(
    project: Path, document: Lint, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "scotoma.toml").write_text(
        "task = 'dense'\n[[per-file]]\nfiles = ['small/*']\ntask = 'classify'\n"
    )
    assert taken(document(POOLS)) == ("dense", False, "set by scotoma.toml")
    assert taken(document(SMALL)) == ("classify", False, "set by scotoma.toml, per-file[0]")
    monkeypatch.setenv("SCOTOMA_TASK", "detect")
    assert taken(document(SMALL)) == ("detect", False, "set by the environment")
    assert taken(document(POOLS, "--task", "auto")) == ("classify", True, POOLED)
    inline = document(POOLS, "--config", "task='classify'")
    assert taken(inline) == ("classify", False, "set by --config 'task='classify''")


@pytest.mark.usefixtures("project")
def test_the_text_says_what_the_model_was_taken_for(run: Run) -> None:
    lines = run("lint", POOLS)[1].splitlines()
    assert lines[2] == f"  task classify (assumed): {POOLED}"
    lines = run("lint", POOLS, "--task", "detect")[1].splitlines()
    assert lines[2] == "  task detect: set by the command line"


def test_rules_declare_the_tasks_that_they_depend_on(run: Run) -> None:
    assert run("explain", "SC301")[1].splitlines()[1].startswith("warning (classify: note), ")
    table = run("rules")[1].splitlines()
    (line,) = [line for line in table if line.startswith("SC201")]
    assert "warning (classify: note)" in line
    rules = json.loads(run("rules", "--format", "json")[1])["rules"]
    declared = {r["code"]: r["severity_by_task"] for r in rules if r["severity_by_task"]}
    assert set(declared) == {"SC201", "SC204", "SC206", "SC301"}
    assert {str(by_task) for by_task in declared.values()} == {"{'classify': 'note'}"}
