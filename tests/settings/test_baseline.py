from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

Run = Callable[..., tuple[int, str, str]]
Lint = Callable[..., Any]

SMALL, POOLS = "small/model.onnx", "pools/model.onnx"
BAD = {"fingerprint": "x", "code": "SC1", "severity": "note", "node": None, "message": ""}
GATE = ["--fail-on", "note"]


@pytest.fixture
def known(project: Path, run: Run) -> Path:
    (project / "ci").mkdir()
    status, _, err = run("lint", SMALL, POOLS, *GATE, "--write-baseline", "ci/known.json")
    count = len((project / "ci" / "known.json").read_text().split('"fingerprint"')) - 1
    assert count > 1
    assert (status, err) == (0, f"scotoma: ci/known.json: lists {count} findings as known\n")
    return project / "ci" / "known.json"


def findings(document: Any) -> list[tuple[str, str, str]]:
    return [
        (model["path"], item["code"], item["fingerprint"])
        for model in document["models"]
        for item in model["findings"]
    ]


def test_a_baseline_lists_what_was_found(known: Path, document: Lint) -> None:
    found = json.loads(known.read_text())
    assert list(found) == ["schema_version", "models"]
    assert list(found["models"]) == ["../pools/model.onnx", "../small/model.onnx"]
    listed = [
        (model.removeprefix("../"), item["code"], item["fingerprint"])
        for model, items in found["models"].items()
        for item in items
    ]
    assert sorted(listed) == sorted(findings(document(SMALL, POOLS)))
    assert list(found["models"]["../small/model.onnx"][0]) == [
        "fingerprint", "code", "severity", "node", "message",
    ]  # fmt: skip


def test_known_findings_do_not_fail(known: Path, run: Run, document: Lint) -> None:
    assert run("lint", SMALL, POOLS, *GATE)[0] == 1
    status, out, err = run("lint", SMALL, POOLS, *GATE, "--baseline", "ci/known.json")
    assert (status, err) == (0, "")
    count = len(findings(document(SMALL, POOLS)))
    assert f"0 errors, 0 warnings, 0 notes, 0 undecided, {count} suppressed\n" in out
    found = document(SMALL, POOLS, "--baseline", "ci/known.json")
    assert found["baselines"] == [
        {"path": "ci/known.json", "known": count, "new": 0, "vanished": []}
    ]
    assert {f["suppressed"]["by"] for m in found["models"] for f in m["findings"]} == {"baseline"}


def test_a_new_finding_fails(known: Path, project: Path, run: Run, document: Lint) -> None:
    shutil.copy(project / POOLS, project / SMALL)
    options = [SMALL, "--baseline", "ci/known.json"]
    assert run("lint", *options, *GATE)[0] == 1
    found = document(*options)
    (use,) = found["baselines"]
    assert (use["known"], use["new"]) == (0, len(found["models"][0]["findings"]))
    assert "SC102" in [item["code"] for item in use["vanished"]]
    assert {item["path"] for item in use["vanished"]} == {"../small/model.onnx"}


def test_a_vanished_finding_is_reported_and_pruned(known: Path, project: Path, run: Run) -> None:
    before = json.loads(known.read_text())["models"]
    sample = Path(__file__).parents[2] / "sample_models" / "one_layer_full.onnx"
    shutil.copy(sample, project / SMALL)
    # The rule did not run: nobody can tell.
    assert run("lint", SMALL, "--baseline", "ci/known.json", "--ignore", "SC1,SC3")[2] == ""
    status, _, err = run("lint", SMALL, "--baseline", "ci/known.json", "--select", "SC102")
    assert status == 0
    (entry,) = [k for k in before["../small/model.onnx"] if k["code"] == "SC102"]
    line = f"ci/known.json: vanished from small/model.onnx: SC102 at {entry['node']}"
    assert err == f"scotoma: {line}\n"
    assert json.loads(known.read_text())["models"] == before
    _, _, err = run(
        "lint", SMALL, "--baseline", "ci/known.json", "--select", "SC102", "--prune-baseline"
    )
    assert err == f"scotoma: {line}\nscotoma: ci/known.json: 1 finding taken out\n"
    before["../small/model.onnx"].remove(entry)
    after = json.loads(known.read_text())["models"]
    assert after == {model: items for model, items in before.items() if items}
    again = run("lint", SMALL, "--baseline", "ci/known.json", "--select", "SC102")
    assert again[2] == ""


def test_the_findings_of_a_deleted_model_vanish(
    known: Path, project: Path, run: Run, document: Lint
) -> None:
    assert document(SMALL, "--baseline", "ci/known.json")["baselines"][0]["vanished"] == []
    (project / POOLS).unlink()
    vanished = document(SMALL, "--baseline", "ci/known.json")["baselines"][0]["vanished"]
    assert {item["path"] for item in vanished} == {"../pools/model.onnx"}
    run("lint", SMALL, "--baseline", "ci/known.json", "--prune-baseline")
    assert list(json.loads(known.read_text())["models"]) == ["../small/model.onnx"]


def test_a_finding_that_got_worse_is_new(known: Path, run: Run, document: Lint) -> None:
    options = [SMALL, "--select", "SC102", "--baseline", "ci/known.json"]
    assert run("lint", *options)[0] == 0
    assert run("lint", *options, "--severity", "SC102=error")[0] == 1
    (use,) = document(*options, "--severity", "SC102=error")["baselines"]
    assert (use["known"], use["new"], use["vanished"]) == (0, 1, [])
    assert run("lint", *options, "--severity", "SC102=note", *GATE)[0] == 0


def test_a_baseline_knows_renamed_nodes(known: Path, project: Path, run: Run) -> None:
    model = onnx.load(project / SMALL)
    for index, node in enumerate(model.graph.node):
        node.name = f"renamed_{index}"
    onnx.save(model, project / SMALL)
    options = [SMALL, POOLS, *GATE, "--baseline", "ci/known.json"]
    assert run("lint", *options)[::2] == (0, "")


def test_a_baseline_holds_any_name(project: Path, run: Run) -> None:
    model = onnx.load(project / SMALL)
    data = model.SerializeToString()
    name = model.graph.node[0].name.encode()
    (project / SMALL).write_bytes(data.replace(name, b"\xff\x1b".ljust(len(name), b"\xfe")))
    assert run("lint", SMALL, *GATE, "--write-baseline", "known.json")[0] == 0
    assert run("lint", SMALL, *GATE)[0] == 1
    assert run("lint", SMALL, *GATE, "--baseline", "known.json")[::2] == (0, "")


def test_a_suppressed_finding_is_neither_known_nor_new(
    known: Path, project: Path, run: Run, document: Lint
) -> None:
    (project / "scotoma.toml").write_text(
        "baseline = 'ci/known.json'\n[[suppress]]\nrule = 'SC102'\nreason = 'masked'\n"
    )
    found = document(SMALL, "--select", "SC102")
    assert found["models"][0]["findings"][0]["suppressed"]["by"] == "configuration"
    assert found["baselines"] == [{"path": "ci/known.json", "known": 0, "new": 0, "vanished": []}]
    run("lint", SMALL, "--select", "SC102", "--write-baseline", "ci/known.json")
    assert json.loads(known.read_text())["models"] == {}


def test_a_baseline_is_named_from_where_the_person_stands(
    project: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "ci").mkdir()
    monkeypatch.chdir(project / "ci")
    call = ["lint", "../small/model.onnx", "--select", "SC102", "--write-baseline"]
    said = "scotoma: {}: lists 1 finding as known\n"
    assert run(*call, str(project / "known.json"))[2] == said.format("../known.json")
    assert run(*call, "here.json")[2] == said.format("here.json")


def test_no_baseline_is_written_of_a_model_that_was_not_linted(project: Path, run: Run) -> None:
    (project / SMALL).write_bytes(b"")
    path = str(project / "known.json")
    status, _, err = run("lint", SMALL, POOLS, "--write-baseline", path)
    assert status == 3
    assert f"known.json is not written, because {SMALL} was not linted whole" in err
    assert not (project / "known.json").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a baseline: it is empty"),
        ("[]", "is not a baseline: expected a table, got a list"),
        ("hello", "is not a baseline: it is not JSON (Expecting value in line 1, column 1)"),
        ("{}", "is not a baseline: schema_version: is missing"),
        ('{"schema_version": "1", "models": []}', "is a report, not a baseline; --write-baseline"),
        ("[" * 100_000, "is not a baseline: it is nested too deeply"),
        (
            '{"schema_version": "2", "models": {}}',
            "is a baseline of version 2, of which this Scotoma knows 1 only: write it anew with",
        ),
        (
            json.dumps({"schema_version": "1", "models": {"a": [BAD]}}),
            "is not a baseline: models.a[0].fingerprint: expected 64 hexadecimal digits",
        ),
    ],
)
def test_a_file_that_is_no_baseline_is_refused(
    project: Path, run: Run, text: str, said: str
) -> None:
    (project / "known.json").write_text(text)
    status, out, err = run("lint", SMALL, "--baseline", "known.json")
    assert (status, out) == (2, "")
    assert err.startswith(f"scotoma: known.json: {said}")


@pytest.mark.parametrize(
    "options",
    [
        ["--baseline", "none.json"],
        ["--prune-baseline"],
        ["--write-baseline", "a.json", "--prune-baseline"],
        ["--write-baseline", "a.json", "--baseline", "b.json"],
        ["--write-baseline", "no/such/folder/a.json"],
    ],
)
def test_a_wrong_call_is_refused(project: Path, run: Run, options: list[str]) -> None:
    status, out, err = run("lint", SMALL, *options)
    assert (status, out) == (2, "")
    assert err.startswith("scotoma: ")
    assert list(project.glob("*.json*")) == []
