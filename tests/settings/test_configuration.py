from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import programs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scotoma.errors import UsageError
from scotoma.registry import load_rules
from scotoma.settings.chooser import choose
from scotoma.settings.files import find_configurations, fits_file, read_configuration, read_inline
from scotoma.settings.layers import Layer, Settings
from scotoma.settings.plan import make_plan
from scotoma.settings.schema import FileTable, Root, SuppressTable

Run = Callable[..., tuple[int, str, str]]
Lint = Callable[..., Any]

SMALL, POOLS = "small/model.onnx", "pools/model.onnx"
UNKNOWN = "no rule has the code or name '{}'; `scotoma rules` lists them"


def settings(run: Run, *arguments: str) -> dict[str, dict[str, Any]]:
    status, out, err = run("lint", *arguments, "--show-settings", "--format", "json")
    assert (status, err) == (0, "")
    return {model["path"]: model for model in json.loads(out)["models"]}


def test_the_closest_configuration_wins(project: Path, run: Run) -> None:
    (project / "pyproject.toml").write_text("[tool.scotoma]\nfail-on = 'note'\n")
    (project / "small" / "scotoma.toml").write_text("ignore = ['SC1']\n")
    found = settings(run, SMALL, POOLS)
    assert found[SMALL]["configuration"] == "small/scotoma.toml"
    assert found[SMALL]["settings"]["ignore"] == {"value": ["SC1"], "origin": "small/scotoma.toml"}
    assert found[SMALL]["settings"]["fail-on"] == {"value": "error", "origin": "default"}
    assert "SC102" not in [rule["code"] for rule in found[SMALL]["rules"]]
    assert found[POOLS]["configuration"] == "pyproject.toml"
    assert found[POOLS]["settings"]["fail-on"] == {"value": "note", "origin": "pyproject.toml"}
    assert "SC102" in [rule["code"] for rule in found[POOLS]["rules"]]


def test_a_configuration_that_leads_nowhere_is_an_error(project: Path, run: Run) -> None:
    (project / "small" / "scotoma.toml").symlink_to("nowhere.toml")
    assert run("lint", SMALL, "-q") == (
        2,
        "",
        "scotoma: small/scotoma.toml: cannot be read: No such file or directory\n",
    )


def test_where_all_rules_are_ignored_the_report_says_so(project: Path, run: Run) -> None:
    (project / "scotoma.toml").write_text("ignore = ['SC102']\n")
    status, out, err = run("lint", SMALL, "--select", "SC102", "--statistics")
    assert (status, err) == (0, "")
    assert out.splitlines()[3:] == [
        "  no rule ran: all are ignored",
        "",
        "1 model: 0 errors, 0 warnings, 0 notes, 0 undecided",
    ]


def test_documents_name_models_from_the_folder_of_the_call(project: Path, document: Lint) -> None:
    given = [str(project / SMALL), f"./{POOLS}"]
    assert [model["path"] for model in document(*given)["models"]] == [POOLS, SMALL]
    assert document(*given) == document(SMALL, POOLS)


def test_a_project_file_counts_only_with_its_table(project: Path) -> None:
    (project / "scotoma.toml").write_text("")
    (project / "small" / "pyproject.toml").write_text("[project]\nname = 'scotoma-user'\n")
    (project / "pools" / "pyproject.toml").write_text("[tool.scotoma]\n")
    found = find_configurations([SMALL, POOLS, "-"])
    assert found == {
        SMALL: str(project / "scotoma.toml"),
        POOLS: str(project / "pools" / "pyproject.toml"),
        "-": str(project / "scotoma.toml"),
    }
    (project / "pools" / "scotoma.toml").write_text("")
    assert find_configurations([POOLS]) == {POOLS: str(project / "pools" / "scotoma.toml")}


def test_sources_are_ranked(project: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "scotoma.toml").write_text(
        "fail-on = 'note'\nsize = [32, 32]\nignore = ['SC1']\n"
        "[[per-file]]\nfiles = ['small/*']\nsize = [30, 30]\nignore = ['SC2']\n"
    )

    def value(key: str, *options: str, model: str = SMALL) -> tuple[object, str]:
        item = settings(run, model, *options)[model]["settings"][key]
        return item["value"], item["origin"]

    assert value("size", model=POOLS) == ([32, 32], "scotoma.toml")
    assert value("size") == ([30, 30], "scotoma.toml, per-file[0]")
    inline = "--config=size = [28, 28]"
    monkeypatch.setenv("SCOTOMA_SIZE", "29x29")
    assert value("size") == ([29, 29], "the environment")
    assert value("size", inline) == ([28, 28], "--config 'size = [28, 28]'")
    assert value("size", inline, "--size", "27x27") == ([27, 27], "the command line")
    monkeypatch.setenv("SCOTOMA_IGNORE", "SC3")
    assert value("ignore")[0] == ["SC1", "SC2", "SC3"]
    assert value("ignore", "--ignore", "SC4,SC5")[0] == ["SC1", "SC2", "SC4", "SC5"]
    assert value("fail-on", "--isolated") == ("error", "default")
    monkeypatch.setenv("SCOTOMA_CONFIG", "input-name = 'an input'")
    assert value("input-name")[0] == "an input"
    (project / "other.toml").write_text("fail-on = 'never'\n")
    assert value("fail-on", "--config", "other.toml") == ("never", "other.toml")


def test_severities_are_set_by_rule(project: Path, run: Run, document: Lint) -> None:
    assert run("lint", SMALL)[0] == 0
    result, out, _ = run("lint", SMALL, "--severity", "SC1=note,SC102=error")
    assert result == 1
    assert "error SC102" in out
    (project / "scotoma.toml").write_text("[severity]\nvalid-padding-blind-spot = 'error'\n")
    (finding,) = [f for f in document(SMALL)["models"][0]["findings"] if f["code"] == "SC102"]
    assert finding["severity"] == "error"
    assert run("lint", SMALL, "--severity", "ALL=note")[0] == 0
    assert run("lint", SMALL, "--severity", "SC102=fatal")[:2] == (2, "")
    assert (
        run("lint", SMALL, "--severity", "SC999=note")[2]
        == (
            "scotoma: scotoma.toml and the command line: severity: no rule has the code or name "
            "'SC999'; did you mean 'SC101'?\n"
        )
        or run("lint", SMALL, "--severity", "SC999=note")[0] == 2
    )


def test_extend_select_adds(project: Path, document: Lint) -> None:
    def ran(*options: str) -> set[str]:
        return {rule["code"] for rule in document(SMALL, *options)["tool"]["rules"]}

    default = ran()
    assert "SC701" not in default
    assert ran("--extend-select", "SC701") == default | {"SC701"}
    assert ran("--select", "SC101", "--extend-select", "SC701") == {"SC101", "SC701"}
    assert ran("--select", "SC1", "--extend-select", "SC701", "--ignore", "SC7") == {
        code for code in default if code.startswith("SC1")
    }


def test_each_model_fails_by_its_own_limit(project: Path, run: Run) -> None:
    (project / "small" / "scotoma.toml").write_text("fail-on = 'never'\n")
    (project / "pools" / "scotoma.toml").write_text("fail-on = 'warning'\n")
    assert run("lint", SMALL, "-q")[0] == 0
    assert run("lint", SMALL, POOLS, "-q")[0] == 1
    (project / "pools" / "scotoma.toml").write_text("fail-on = 'never'\n")
    (project / "small" / "scotoma.toml").write_text("fail-on = 'warning'\n")
    assert run("lint", SMALL, POOLS, "-q")[0] == 1
    assert run("lint", POOLS, "-q")[0] == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slect = ['SC1']", "slect: unknown key; did you mean 'select'?"),
        ("size = [0]", "size[0]: expected a whole number >= 1"),
        ("size = '224'", "size: expected a list, got a text, such as size = [224, 224]"),
        ("weights = 1", "weights: expected true or false, got a whole number"),
        ("fail-on = 'x'", "fail-on: expected error, warning, note or never, got 'x'"),
        ("task = 'x'", "task: expected auto, classify, dense or detect, got 'x'"),
        (
            "[[per-file]]\nfiles = ['a']\ntask = 1",
            "per-file[0].task: expected a text, got a whole number",
        ),
        (
            "[severity]\nSC2 = 'note'\nSC1 = 'bad'",
            "severity.SC1: expected error, warning or note, got 'bad'",
        ),
        ("input-shapes = { x = ['a'] }", "input-shapes.x[0]: expected a whole number, got a text"),
        ("[[suppress]]\nrule = 'SC1'", "suppress[0].reason: is missing"),
        (
            "[[suppress]]\nrule = 'SC1'\nreason = ' '",
            "suppress[0].reason: expected a text that is not blank",
        ),
        (
            "[[suppress]]\nrule = 'SC1'\nreason = 'a'\nnodes = 'b'",
            "suppress[0].nodes: unknown key; did you mean 'node'?",
        ),
        (
            "[[per-file]]\nfiles = ['a']\nsizes = [1]",
            "per-file[0].sizes: unknown key; did you mean 'size'?",
        ),
        ("[[per-file]]\nsize = [1]", "per-file[0].files: is missing"),
        ("ignore = ['NOPE']", f"ignore: {UNKNOWN.format('NOPE')}"),
        (
            "[[suppress]]\nrule = 'NOPE'\nreason = 'a'",
            f"suppress: {UNKNOWN.format('NOPE')}",
        ),
        ("[rules.sc407]\nlimit = 1", "rules.sc407: the rule conflicting-auto-pad has no options"),
        (
            "[rules.sc101]\nlimit = 0.1\n[rules.unread-pixels]\nlimit = 0.2",
            "rules.sc101 and rules.unread-pixels are the same rule; keep one of them",
        ),
        ("suppress = {}", "suppress: expected a list, got a table; write [[suppress]]"),
        ("jobs = 2", "jobs: is no key of a configuration; --jobs is an option"),
        ("[rules.nope]\nlimit = 1", f"rules: {UNKNOWN.format('nope')}"),
        ("baseline = 'none.json'", None),
        ("a = x", "is not valid TOML: Invalid value (at line 1, column 5)"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_says_where(
    project: Path, run: Run, text: str, said: str | None
) -> None:
    (project / "pyproject.toml").write_text("[tool.scotoma]\n")
    (project / "scotoma.toml").write_text(text)
    expected = f"scotoma: scotoma.toml: {said}\n"
    if said is None:
        expected = "scotoma: none.json: there is no such baseline; --write-baseline makes one\n"
    assert run("lint", SMALL) == (2, "", expected)


@pytest.mark.parametrize("text", ["tool = 3 # scotoma", "[tool]\nother = 'scotoma'"])
def test_another_tools_file_is_passed_over(project: Path, run: Run, text: str) -> None:
    (project / "pyproject.toml").write_text(text)
    assert settings(run, SMALL)[SMALL]["configuration"] is None
    said = "scotoma: pyproject.toml: has no table [tool.scotoma]\n"
    assert run("lint", SMALL, "--config", "pyproject.toml") == (2, "", said)


def test_a_wrong_table_of_a_project_file_says_where(project: Path, run: Run) -> None:
    (project / "pyproject.toml").write_text("[tool.scotoma]\nsize = [1, 'a']\n")
    said = "pyproject.toml: tool.scotoma.size[1]: expected a whole number, got a text"
    assert run("lint", SMALL) == (2, "", f"scotoma: {said}\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config", "a.toml", "--config", "b.toml"], "only one file can be used"),
        (["--config", "none.toml"], "none.toml: cannot be read"),
        (["--config", "fail-on='x'"], "--config 'fail-on='x'': fail-on: expected error"),
        (["--config", "per-file=[{files=['a']}]"], "per-file belongs into a file"),
    ],
)
def test_a_wrong_config_option_says_so(
    project: Path, run: Run, arguments: list[str], said: str
) -> None:
    (project / "a.toml").write_text("")
    (project / "b.toml").write_text("")
    status, out, err = run("lint", SMALL, *arguments)
    assert (status, out) == (2, "")
    assert said in err


def test_files_that_are_no_text_are_refused(project: Path, run: Run) -> None:
    (project / "scotoma.toml").write_bytes(b"\xff")
    assert run("lint", SMALL)[2] == "scotoma: scotoma.toml: is not UTF-8\n"
    (project / "scotoma.toml").write_bytes(b"#" * (1 << 20) + b"\n")
    assert run("lint", SMALL)[2] == "scotoma: scotoma.toml: too large for a configuration\n"


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        values = read_inline(text).values
    except UsageError:
        return
    assert set(values) <= {item.name for item in fields(Settings)}


@pytest.mark.parametrize(
    ("glob", "fits"),
    [
        ("model.onnx", True),
        ("*.onnx", True),
        ("a/b/model.onnx", True),
        ("a/*", True),
        ("./a/*", True),
        ("*/b/*", True),
        ("b/*", False),
        ("a", False),
        ("MODEL.onnx", False),
    ],
)
def test_globs_fit_names_and_paths(glob: str, fits: bool) -> None:
    assert fits_file("/base/a/b/model.onnx", (glob,), "/base") is fits
    assert fits_file("/base/a/b/model.onnx", ("none", glob), "/base") is fits


def test_file_names_start_from_the_configuration(project: Path) -> None:
    (project / "scotoma.toml").write_text("baseline = 'sub/known.json'\n")
    values = read_configuration("scotoma.toml").values
    assert values == {"baseline": str(project / "sub" / "known.json")}


def test_nothing_is_loaded_without_a_configuration(project: Path) -> None:
    program = (
        "import sys; from scotoma.cli import main; status = main(sys.argv[1:]);"
        "print(*sorted({'msgspec', 'tomllib'} & set(sys.modules)), file=sys.stderr)"
    )
    (project / "pyproject.toml").write_text("[project]\nname = 'x'\n")

    def loaded(*arguments: str) -> str:
        done = programs.python("-c", program, "lint", SMALL, "-q", *arguments, check=True)
        return str(done.stderr).strip()

    assert loaded() == ""
    assert loaded("--config", "fail-on='never'") == "msgspec tomllib"


def test_the_settings_are_shown_for_a_person(project: Path, run: Run) -> None:
    (project / "scotoma.toml").write_text("select = ['SC102']\nsize = [9, 9]\n")
    lines = run("lint", SMALL, "--show-settings")[1].splitlines()
    assert lines[0] == SMALL
    assert "  size = [9, 9]  (scotoma.toml)" in lines
    assert '  fail-on = "error"  (default)' in lines
    assert lines[-2:] == [
        "  rules that run: 1 rule",
        "    SC102 valid-padding-blind-spot: warning",
    ]


def test_what_models_share_is_shown_once(project: Path, run: Run) -> None:
    (project / "scotoma.toml").write_text(
        "select = ['SC101', 'SC201']\n"
        "[[per-file]]\nfiles = ['small/*']\ntask = 'classify'\nextend-select = ['SC301']\n"
    )
    (project / "same.onnx").write_bytes((project / POOLS).read_bytes())
    lines = run("lint", SMALL, POOLS, "same.onnx", "--show-settings")[1].splitlines()
    assert lines[0] == "all 3 models"
    assert lines.count('  fail-on = "error"  (default)') == 1
    start = lines.index("  rules that run on all: 1 rule")
    assert lines[start:] == [
        "  rules that run on all: 1 rule",
        "    SC101 unread-pixels: warning",
        "",
        POOLS,
        "  extend-select = []  (default)",
        '  task = "auto"  (default)',
        "  more rules that run: 1 rule",
        "    SC201 even-kernel: warning, classify: note",
        "",
        "same.onnx",
        "  extend-select = []  (default)",
        '  task = "auto"  (default)',
        "  more rules that run: 1 rule",
        "    SC201 even-kernel: warning, classify: note",
        "",
        SMALL,
        '  extend-select = ["SC301"]  (scotoma.toml, per-file[0])',
        '  task = "classify"  (scotoma.toml, per-file[0])',
        "  more rules that run: 2 rules",
        "    SC201 even-kernel: note",
        "    SC301 border-dimming-pool: note",
    ]
    lines = run("lint", POOLS, "same.onnx", "--show-settings")[1].splitlines()
    assert lines[-5:] == [POOLS, "  nothing else", "", "same.onnx", "  nothing else"]


def test_findings_are_counted_by_rule(project: Path, run: Run, document: Lint) -> None:
    found = document(SMALL, POOLS, "--statistics", "--select", "SC102,SC301")
    assert found["statistics"] == [
        {"code": "SC102", "name": "valid-padding-blind-spot", "findings": 1, "models": 1},
        {"code": "SC301", "name": "border-dimming-pool", "findings": 1, "models": 1},
    ]
    assert "statistics" not in document(SMALL)
    out = run("lint", SMALL, POOLS, "--statistics", "--select", "SC102,SC301")[1]
    assert "SC102  valid-padding-blind-spot         1       1\n" in out


def test_the_readme_names_every_key() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    section = text.split("\n## Settings\n")[1].split("\n## ")[0]
    named = set(re.findall(r"[\w-]+", section))
    for table in (Root, FileTable, SuppressTable):
        assert set(table.__struct_encode_fields__) - named == set()


def test_the_configuration_of_the_readme_is_right(project: Path) -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    shown = text.split("<!-- configuration -->\n```toml\n")[1].split("```")[0]
    (project / "scotoma.toml").write_text(shown, encoding="utf-8")
    model = "detectors/yolo.onnx"
    empty = Layer("nothing", {})
    settings = choose([model], environment=empty, command_line=empty)[model]
    plan = make_plan(settings, load_rules())
    assert (settings.fail_on, plan.options.size, settings.ignore) == (
        "warning", (640, 640), ("uneven-padding",),
    )  # fmt: skip
    assert settings.baseline == str(project / "scotoma-baseline.json")
    assert [(s.rule, s.node, s.files) for s, _ in plan.suppressions] == [
        ("SC101", "/stem/*", ("patches.onnx",))
    ]
    assert str(plan.severities["SC201"]) == "note"
