from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

Run = Callable[..., tuple[int, str, str]]
Lint = Callable[..., Any]

SMALL, POOLS = "small/model.onnx", "pools/model.onnx"
ONE = ["--select", "SC102"]

SUPPRESS = "[[suppress]]\nrule = '{rule}'\nnode = '{node}'\nreason = 'the border is masked'\n"


def primary(document: Lint) -> str:
    (finding,) = document(SMALL, "--isolated", *ONE)["models"][0]["findings"]
    return str(finding["node"])


def test_a_suppressed_finding_stays_but_does_not_count(
    project: Path, run: Run, document: Lint
) -> None:
    node = primary(document)
    assert run("lint", SMALL, *ONE, "--fail-on", "warning")[0] == 1
    (project / "scotoma.toml").write_text(SUPPRESS.format(rule="SC102", node=f"{node[:-1]}?"))
    status, out, err = run("lint", SMALL, *ONE, "--fail-on", "warning")
    assert (status, err) == (0, "")
    assert "1 finding suppressed by the configuration" in out
    assert out.endswith("0 errors, 0 warnings, 0 notes, 0 undecided, 1 suppressed\n")
    found = document(SMALL, *ONE)
    (finding,) = found["models"][0]["findings"]
    assert finding["suppressed"] == {
        "reason": "the border is masked",
        "by": "configuration",
        "source": "scotoma.toml",
    }
    assert found["summary"] == {
        "error": 0, "warning": 0, "note": 0, "undecided": 0, "suppressed": 1, "hidden": 0,
        "models": 1,
    }  # fmt: skip
    assert found["unused_suppressions"] == []


@pytest.mark.parametrize(
    ("rule", "node", "fits"),
    [
        ("SC102", "*", True),
        ("SC1", "*", True),
        ("valid-padding-blind-spot", "*", True),
        ("ALL", "*", True),
        ("SC101", "*", False),
        ("SC102", "no such node", False),
    ],
)
def test_rule_and_node_have_to_fit(
    project: Path, document: Lint, rule: str, node: str, fits: bool
) -> None:
    (project / "scotoma.toml").write_text(SUPPRESS.format(rule=rule, node=node))
    (finding,) = document(SMALL, *ONE)["models"][0]["findings"]
    assert (finding["suppressed"] is not None) is fits


def test_an_unused_suppression_is_reported(project: Path, run: Run, document: Lint) -> None:
    (project / "scotoma.toml").write_text(
        SUPPRESS.format(rule="SC102", node="gone") + SUPPRESS.format(rule="SC102", node="*")
    )
    status, _, err = run("lint", SMALL, *ONE)
    assert status == 0
    line = "scotoma.toml: unused suppression of SC102 at 'gone' (the border is masked)"
    assert err == f"scotoma: {line}\n"
    assert document(SMALL, *ONE)["unused_suppressions"] == [
        {
            "rule": "SC102",
            "node": "gone",
            "reason": "the border is masked",
            "source": "scotoma.toml",
        }
    ]
    # Where the rule does not run, or the file is not meant, nobody can tell.
    assert document(SMALL, "--select", "SC101")["unused_suppressions"] == []
    text = SUPPRESS.format(rule="SC102", node="gone")
    (project / "scotoma.toml").write_text(text + "files = ['pools/*']\n")
    assert document(SMALL, *ONE)["unused_suppressions"] == []
    assert len(document(SMALL, POOLS, *ONE)["unused_suppressions"]) == 1
    (project / "small" / "model.onnx").write_bytes(b"")
    (project / "scotoma.toml").write_text(text)
    assert document(SMALL, *ONE)["unused_suppressions"] == []


def test_a_suppression_used_by_one_model_is_used(project: Path, document: Lint) -> None:
    (project / "scotoma.toml").write_text(SUPPRESS.format(rule="SC102", node="*"))
    assert document(POOLS, *ONE)["unused_suppressions"] != []
    assert document(POOLS, SMALL, *ONE)["unused_suppressions"] == []


def test_suppressions_can_be_for_some_files(project: Path, document: Lint) -> None:
    text = SUPPRESS.format(rule="ALL", node="*") + "files = ['pools/*']\n"
    (project / "scotoma.toml").write_text(text)
    pools, small = document(SMALL, POOLS)["models"]
    assert small["findings"]
    assert pools["findings"]
    assert {f["suppressed"] is None for f in small["findings"]} == {True}
    assert {f["suppressed"] is None for f in pools["findings"]} == {False}


FOR_OTHERS = """
[[per-file]]
files = ["detectors/*", "old.onnx"]
fail-on = "note"

[[per-file]]
files = ["old.onnx", "small/*"]
fail-on = "never"

[[suppress]]
rule = "SC102"
files = ["old.onnx"]
reason = "it is gone"
"""


def test_globs_that_fit_no_model_are_reported_where_all_are_linted(project: Path, run: Run) -> None:
    (project / "scotoma.toml").write_text(FOR_OTHERS)
    lines = [
        "scotoma: scotoma.toml: per-file[0]: no model here fits 'detectors/*', 'old.onnx'",
        "scotoma: scotoma.toml: suppress[0]: no model here fits 'old.onnx'",
    ]
    for argument in (".", str(project)):
        status, _, err = run("lint", argument, "-q")
        assert (status, err.splitlines()) == (0, lines)


def test_a_folder_above_that_of_the_configuration_holds_all_of_it(project: Path, run: Run) -> None:
    text = "[[per-file]]\nfiles = ['{}']\nfail-on = 'never'\n"
    (project / "small" / "scotoma.toml").write_text(text.format("old.onnx"))
    (project / "pools" / "scotoma.toml").write_text(text.format("model.onnx"))
    line = "scotoma: small/scotoma.toml: per-file[0]: no model here fits 'old.onnx'\n"
    assert run("lint", ".", "-q") == (0, "", line)


@pytest.mark.parametrize("arguments", [[SMALL], [SMALL, POOLS], ["small"], ["*/*.onnx"]])
def test_globs_may_be_for_models_that_are_not_linted_now(
    project: Path, run: Run, arguments: list[str]
) -> None:
    (project / "scotoma.toml").write_text(FOR_OTHERS)
    assert run("lint", *arguments, "-q") == (0, "", "")


def say(path: Path, text: str) -> None:
    model = onnx.load(path)
    entry = model.metadata_props.add()
    entry.key, entry.value = "scotoma.suppress", text
    onnx.save(model, path)


def test_a_model_cannot_wave_itself_through(project: Path, run: Run, document: Lint) -> None:
    say(project / SMALL, json.dumps([{"rule": "SC102", "reason": "we know"}]))
    gate = [SMALL, *ONE, "--fail-on", "warning"]
    status, _, err = run("lint", *gate)
    assert status == 1
    assert err == (
        f"scotoma: {SMALL}: its own suppressions do not count without --trust-model-suppressions\n"
    )
    # A configuration beside a model may come with it: the key exists on the command line only.
    (project / "small" / "scotoma.toml").write_text("trust-model-suppressions = true\n")
    assert run("lint", *gate)[0] == 2
    (project / "small" / "scotoma.toml").unlink()
    assert run("lint", *gate, "--trust-model-suppressions")[::2] == (0, "")
    (finding,) = document(*gate, "--trust-model-suppressions")["models"][0]["findings"]
    assert finding["suppressed"] == {"reason": "we know", "by": "model", "source": SMALL}


def test_unused_suppressions_of_a_model_are_reported(project: Path, document: Lint) -> None:
    say(project / SMALL, json.dumps([{"rule": "SC102", "node": "gone", "reason": "we know"}]))
    assert document(SMALL, *ONE, "--trust-model-suppressions")["unused_suppressions"] == [
        {"rule": "SC102", "node": "gone", "reason": "we know", "source": SMALL}
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "{}",
        '[{"rule": "SC102"}]',
        '[{"rule": "SC102", "reason": " "}]',
        '[{"rule": "NOPE", "reason": "a"}]',
        '[{"rule": "SC102", "reason": "a", "files": ["*"]}]',
        "[" * 100_000,
        '[{"rule": "SC102", "reason": "' + "a" * 70_000 + '"}]',
    ],
)
def test_nonsense_in_a_model_suppresses_nothing(project: Path, run: Run, text: str) -> None:
    say(project / SMALL, text)
    status, _, err = run("lint", SMALL, *ONE, "--fail-on", "warning", "--trust-model-suppressions")
    assert status == 1
    assert err.startswith(f"scotoma: {SMALL}: its own suppressions do not count: ")
    assert err.count("\n") == 1
