"""What `scotoma lint` makes of calls, models and rules: exit status, streams and messages."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import example_rules
import pytest
from example_rules import FakeFacts, LostPixels, operator

from scotoma import engine, registry
from scotoma.engine import Options
from scotoma.errors import ModelError, UsageError
from scotoma.findings import Finding, Severity, Undecided
from scotoma.registry import Registry

Run = Callable[..., tuple[int, str, str]]


def finding(severity: Severity) -> Callable[[Any], Iterator[Finding | Undecided]]:
    def answers(_facts: Any) -> Iterator[Finding | Undecided]:
        yield LostPixels().finding(operator("conv"), "lost", remedy="", severity=severity)

    return answers


class Stage:
    """What the engine finds, whatever the files hold."""

    def __init__(self, folder: Path) -> None:
        self.models = [str(folder / name) for name in ("a.onnx", "b.onnx")]
        for model in self.models:
            Path(model).write_bytes(b"")
        self.answers: Callable[[Any], Iterator[Finding | Undecided]] | None = None
        self.failures: dict[str, Exception] = {}
        self.options: list[Options] = []

    def examine(self, path: str, options: Options) -> Any:
        self.options.append(options)
        if path in self.failures:
            raise self.failures[path]
        return FakeFacts(operator("conv"), path=path)

    def load_rules(self, _directories: object) -> Registry:
        return Registry((LostPixels(self.answers), example_rules.OtherRule()))


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage(tmp_path)
    monkeypatch.setattr(engine, "examine", made.examine)
    monkeypatch.setattr(registry, "load_rules", made.load_rules)
    return made


@pytest.mark.parametrize(
    ("worst", "options", "expected"),
    [
        (None, [], 0),
        (Severity.NOTE, [], 0),
        (Severity.WARNING, [], 0),
        (Severity.ERROR, [], 1),
        (Severity.WARNING, ["--fail-on", "warning"], 1),
        (Severity.NOTE, ["--fail-on", "warning"], 0),
        (Severity.NOTE, ["--fail-on", "note"], 1),
        (None, ["--fail-on", "note"], 0),
        (Severity.ERROR, ["--fail-on", "never"], 0),
        (Severity.ERROR, ["--exit-zero"], 0),
    ],
)
def test_findings_decide_the_exit_status(
    run: Run, stage: Stage, worst: Severity | None, options: list[str], expected: int
) -> None:
    stage.answers = None if worst is None else finding(worst)
    result, out, err = run("lint", stage.models[0], *options)
    assert (result, err) == (expected, "")
    assert ("lost-pixels" in out) is (worst is not None)


def test_hidden_findings_fail_all_the_same(run: Run, stage: Stage) -> None:
    stage.answers = finding(Severity.WARNING)
    call = ["lint", stage.models[0], "--fail-on", "warning", "--min-severity"]
    result, out, _ = run(*call, "error")
    assert result == 1
    assert "lost-pixels" not in out
    assert out.endswith("0 errors, 1 warning, 0 notes, 0 undecided, 1 hidden\n")
    for shown in ("warning", "note"):
        result, out, _ = run(*call, shown)
        assert result == 1
        assert "lost-pixels" in out
        assert out.endswith("1 warning, 0 notes, 0 undecided\n")
    document = json.loads(run(*call, "error", "--format", "json")[1])
    assert document["models"][0]["findings"] == []
    assert document["summary"]["hidden"] == 1


def test_undecided_rules_fail_where_asked_to(run: Run, stage: Stage) -> None:
    stage.answers = lambda _facts: iter([LostPixels().undecided("why")])
    assert run("lint", stage.models[0])[0] == 0
    assert run("lint", stage.models[0], "--fail-on-undecided")[0] == 1
    assert run("lint", stage.models[0], "--fail-on-undecided", "--exit-zero")[0] == 0
    stage.answers = None
    assert run("lint", stage.models[0], "--fail-on-undecided")[0] == 0


def test_an_unreadable_model_is_reported_and_the_others_are_linted(
    run: Run, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.answers = finding(Severity.ERROR)
    stage.failures[stage.models[0]] = ModelError("empty", "the file is empty")
    result, out, err = run("lint", *stage.models, "--format", "json", "--exit-zero")
    assert result == 3
    assert err == f"scotoma: {stage.models[0]}: the file is empty\n"
    bad, good = json.loads(out)["models"]
    assert bad["error"] == {"kind": "empty", "message": "the file is empty"}
    assert [item["message"] for item in good["findings"]] == ["lost"]
    result, out, err = run("lint", *stage.models)
    assert (result, err) == (3, "")
    assert "  not examined (empty): the file is empty\n" in out
    assert run("lint", *stage.models, "-q")[1:] == (
        "", f"scotoma: {stage.models[0]}: the file is empty\n",
    )  # fmt: skip
    # On a terminal the document and standard error are read together.
    monkeypatch.setattr(sys.stdout.__class__, "isatty", lambda _self: True)
    assert run("lint", *stage.models, "--format", "json")[2] == ""
    assert run("lint", *stage.models, "-q")[2] != ""


def test_a_crashed_rule_gives_status_3(run: Run, stage: Stage) -> None:
    def crash(_facts: Any) -> Iterator[Finding | Undecided]:
        yield from finding(Severity.ERROR)(_facts)
        raise ValueError("bad")

    stage.answers = crash
    result, out, err = run("lint", stage.models[0], "--format", "json")
    assert result == 3
    assert err == f"scotoma: {stage.models[0]}: the rule XX101 crashed: ValueError: bad\n"
    assert json.loads(out)["models"][0]["rule_errors"] == [
        {"code": "XX101", "error": "ValueError: bad"}
    ]
    result, out, err = run("lint", stage.models[0], "--debug")
    assert (result, out) == (3, "")
    assert err.startswith("Traceback")


def test_options_that_fit_no_model_are_a_wrong_call(run: Run, stage: Stage) -> None:
    wrong = UsageError("the model has no input 'y'")
    stage.failures = dict.fromkeys(stage.models, wrong)
    result, out, err = run("lint", *stage.models)
    assert (result, out) == (2, "")
    assert err == f"scotoma: {stage.models[0]}: the model has no input 'y'\n"
    del stage.failures[stage.models[1]]
    stage.failures["other"] = ModelError("missing", "no such file")
    result, out, _ = run("lint", *stage.models, "--format", "json")
    assert result == 2
    assert [model["status"] for model in json.loads(out)["models"]] == ["error", "partial"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["lint"],
        ["lint", "MODEL", "--no-such-option"],
        ["lint", "MODEL", "--format", "yaml"],
        ["lint", "MODEL", "--select", "NOPE"],
        ["lint", "MODEL", "--select", ""],
        ["lint", "MODEL", "--ignore", "XX9"],
        ["lint", "MODEL", "--size", "224,224"],
        ["lint", "MODEL", "--size", "0x5"],
        ["lint", "MODEL", "--size", "99999999999999999999"],
        ["lint", "MODEL", "--size", "²"],
        ["lint", "MODEL", "--input-shape", "1x3x5x5"],
        ["lint", "MODEL", "--input-shape", "=1x3x5x5"],
        ["lint", "MODEL", "--input-shape", "x=1x3", "--input-shape", "x=1x4"],
        ["lint", "MODEL", "-o", "yaml=out"],
        ["lint", "MODEL", "-o", "no/such/folder/out"],
        ["lint", "MODEL", "-o", "sarif="],
        ["lint", "MODEL", "-o", "json=-", "-o", "text=-"],
        ["lint", "no-such-folder/*.onnx"],
        ["lint", "MODEL", "--task", "segment"],
        ["lint", "MODEL", "--min-severity", "never"],
        ["explain", "NOPE"],
        ["nope"],
    ],
)
def test_a_wrong_call_gives_status_2(run: Run, stage: Stage, arguments: list[str]) -> None:
    arguments = [stage.models[0] if item == "MODEL" else item for item in arguments]
    result, out, err = run(*arguments)
    assert (result, out) == (2, "")
    assert "Traceback" not in err
    assert err


def test_the_engine_is_told_what_was_asked(run: Run, stage: Stage) -> None:
    run("lint", stage.models[0])
    run(
        "lint", stage.models[0], "--size", "32x48", "--input-shape", "a=b=1x3x8x8", "--input-shape",
        "c=5", "--input-name", "c", "--no-weights", "--hash", "--debug",
    )  # fmt: skip
    assert stage.options == [
        Options(),
        Options(
            size=(32, 48),
            input_shapes={"a=b": (1, 3, 8, 8), "c": (5,)},
            input_name="c",
            weights=False,
            hash_files=True,
            debug=True,
        ),
    ]


def test_selection_takes_lists(run: Run, stage: Stage) -> None:
    def selected(*options: str) -> list[str]:
        _, out, _ = run("lint", stage.models[0], "--format", "json", *options)
        return [rule["code"] for rule in json.loads(out)["tool"]["rules"]]

    assert selected() == ["XX101"]
    assert selected("--select", "XX201, lost-pixels") == ["XX101", "XX201"]
    assert selected("--select", "XX201", "--select", "XX101", "--ignore", "XX1") == ["XX201"]


def test_documents_go_where_they_are_sent(run: Run, stage: Stage, tmp_path: Path) -> None:
    stage.answers = finding(Severity.ERROR)
    _, text, _ = run("lint", stage.models[0])
    _, document, _ = run("lint", stage.models[0], "--format", "json")
    one, two = tmp_path / "one", tmp_path / "two"
    result, out, err = run("lint", stage.models[0], "-o", str(one), "-o", f"json={two}")
    assert (result, out, err) == (1, "", "")
    assert one.read_text(encoding="utf-8") == text
    assert two.read_text(encoding="utf-8") == document
    result, out, err = run("lint", stage.models[0], "-o", "text=-", "-o", f"json={two}", "-q")
    assert (result, out, err) == (1, "", "")
    assert run("lint", stage.models[0], "-q") == (1, "", "")


def test_a_file_that_cannot_be_written_is_a_wrong_call(
    run: Run, stage: Stage, tmp_path: Path
) -> None:
    result, out, err = run("lint", stage.models[0], "-o", str(tmp_path))
    assert (result, out) == (2, "")
    assert err == f"scotoma: -o: '{tmp_path}' is a folder\n"


def test_colour_is_asked_for_or_left_out(
    run: Run, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.answers = finding(Severity.ERROR)
    assert "\x1b[" not in run("lint", stage.models[0])[1]
    assert "\x1b[31m" in run("lint", stage.models[0], "--color", "always")[1]
    monkeypatch.setattr(sys.stdout.__class__, "isatty", lambda _self: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[31m" in run("lint", stage.models[0])[1]
    assert "\x1b[" not in run("lint", stage.models[0], "--color", "never")[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in run("lint", stage.models[0])[1]


def test_an_interrupt_gives_status_130(run: Run, stage: Stage) -> None:
    stage.failures[stage.models[0]] = KeyboardInterrupt()  # type: ignore[assignment]
    result, out, err = run("lint", stage.models[0])
    assert (result, out) == (130, "")
    assert "Traceback" not in err


def test_an_unexpected_error_is_one_line(
    run: Run, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_directories: object) -> Registry:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr(registry, "load_rules", broken)
    assert run("rules") == (
        3,
        "",
        "scotoma: internal error: ZeroDivisionError: by\\nzero (--debug shows where)\n",
    )
    assert "Traceback" in run("rules", "--debug")[2]


@pytest.mark.usefixtures("stage")
def test_rules_are_shown(run: Run) -> None:
    assert [line.split()[0] for line in run("rules")[1].splitlines()] == ["code", "XX101", "XX201"]
    assert json.loads(run("rules", "--format", "json")[1])["rules"][0]["name"] == "lost-pixels"
    assert run("explain", "lost-pixels") == run("explain", "xx101")
    assert run("explain", "XX101")[1].startswith("XX101 lost-pixels\n")
    result, out, _ = run("explain", "xx")
    assert result == 0
    head, _, *table = out.splitlines()
    assert head == "XX is a family of 2 rules; `scotoma explain XX101` explains one."
    assert table == run("rules")[1].splitlines()
