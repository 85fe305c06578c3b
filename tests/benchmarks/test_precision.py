"""What the rules say of models that work, and how the reasons for it are held against it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from networks import SHARED

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
FOLDERS = [SHARED / "zoo", SHARED / "real"]


@pytest.fixture(scope="module")
def precision() -> Any:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("precision")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def everywhere(precision: Any) -> Any:
    """Lint what every installation has: the light models of onnx and the sample models."""
    return precision.lint(precision.model_files([precision.light_models(), precision.SAMPLES]))


def test_errors_and_warnings_on_the_light_models(everywhere: Any) -> None:
    _, models = everywhere
    light = [model for model in models if model.folder == "light"]
    assert len(light) == 9
    judged = [(m.name, f) for m in light for found in m.judged().values() for f in found]
    assert {(name, f.code, f.severity) for name, f in judged} == {
        ("light_bvlc_alexnet", "SC101", "warning"),
        ("light_bvlc_alexnet", "SC102", "warning"),
        ("light_squeezenet", "SC101", "warning"),
        ("light_zfnet512", "SC101", "warning"),
        ("light_zfnet512", "SC102", "warning"),
    }
    assert {m.name: m.undecided for m in light if m.undecided} == {}


def test_every_one_has_a_reason_and_the_checked_numbers(precision: Any, everywhere: Any) -> None:
    _, reasons = precision.read_reasons(precision.REASONS)
    assert precision.problems(everywhere[1], reasons) == []


def test_the_kept_page_shows_what_the_rules_say_now(precision: Any, everywhere: Any) -> None:
    kept = precision.PAGE.read_text("utf-8")
    groups, _ = precision.read_reasons(precision.REASONS)
    tables = [
        f"### {group.title}\n\n"
        + "".join(f"{line}\n" for line in ([group.about, ""] if group.about else []))
        + "\n".join(importlib.import_module("precision_page").model_table(members))
        for group, members in precision.grouped(everywhere[1], groups)
    ]
    assert len(tables) == 2
    assert [table for table in tables if table not in kept] == []


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not there")
def test_the_whole_page_is_what_the_command_writes(precision: Any) -> None:
    places = [precision.light_models(), precision.SAMPLES, *FOLDERS]
    names, models = precision.lint(precision.model_files(places))
    groups, reasons = precision.read_reasons(precision.REASONS)
    assert precision.problems(models, reasons) == []
    text = importlib.import_module("precision_page").page(
        names, precision.grouped(models, groups), reasons
    )
    assert text == precision.PAGE.read_text("utf-8")


def made(precision: Any, name: str, *said: tuple[str, str, dict[str, float]], **more: Any) -> Any:
    findings = tuple(precision.Finding(*item) for item in said)
    state = more.get("state", "complete")
    return precision.Model(name, "zoo", state, findings, more.get("undecided", ()))


def reason(precision: Any, models: str, rule: str, **checked: Any) -> Any:
    return precision.Reason(tuple(models.split()), rule, "Because.", checked, "by hand")


def test_what_does_not_fit_is_said(precision: Any) -> None:
    models = [
        made(precision, "a", ("SC1", "warning", {"px": 3.0}), ("SC2", "note", {})),
        made(precision, "b", ("SC1", "warning", {"px": 3.0}), ("SC1", "error", {"px": 4.0})),
        made(precision, "c", ("SC3", "warning", {})),
        made(precision, "d", state="error"),
    ]
    reasons = [
        reason(precision, "a", "SC1", px=3.002),
        reason(precision, "a", "SC2"),
        reason(precision, "c", "SC3", px=1),
        reason(precision, "absent", "SC1", px=7),
    ]
    assert precision.problems(models, reasons) == [
        "a: a reason for SC2, but no error or warning",
        "b: error SC1 has no reason",
        "c: SC3 px is not measured; 1 was checked",
        "d: not examined",
    ]


@pytest.mark.parametrize(
    ("checked", "fits"),
    [(3, True), (4, True), (3.5, False), (3.004, False), ([3.9, 4.1], True), ([3.1, 3.9], False)],
)
def test_a_number_fits_one_of_the_findings(precision: Any, checked: Any, fits: bool) -> None:
    model = made(precision, "a", ("SC1", "warning", {"px": 3.0}), ("SC1", "warning", {"px": 4.0}))
    said = precision.problems([model], [reason(precision, "a", "SC1", px=checked)])
    assert said == ([] if fits else [f"a: SC1 px is 3 and 4; {checked} was checked"])


def test_two_reasons_for_the_same_are_refused(precision: Any, tmp_path: Path) -> None:
    path = tmp_path / "reasons.toml"
    one = '[[reason]]\nmodels = ["a"]\nrule = "SC1"\nbecause = ""\nchecked = {}\nhow = ""\n'
    path.write_text(f"group = []\n{one}{one}")
    with pytest.raises(SystemExit, match=r"^reasons.toml: two reasons for SC1 on a$"):
        precision.read_reasons(path)


def test_files_of_one_name_are_refused(precision: Any, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.onnx").touch()
    with pytest.raises(SystemExit, match=r"^net.onnx is there twice"):
        precision.model_files([tmp_path])
    with pytest.raises(SystemExit, match=r"^no model in "):
        precision.model_files([tmp_path / "none"])


def test_page(precision: Any) -> None:
    models = [
        made(precision, "net", ("SC1", "warning", {"px": 3.0}), ("SC1", "note", {})),
        made(precision, "other", ("SC2", "note", {}), state="partial", undecided=("SC1", "SC2")),
        made(precision, "silent"),
    ]
    group = precision.Group("Nets", ("zoo/[no]*",), "Two of them.")
    reasons = [reason(precision, "net", "SC1", px=3, share=0.5)]
    text = importlib.import_module("precision_page").page(
        {"SC1": "one", "SC2": "two"}, precision.grouped(models, [group]), reasons
    )
    assert text[text.index("|") :] == (
        "|         | models | without E or W | with W | with E |\n"
        "| ------- | :----: | :------------: | :----: | :----: |\n"
        "| Nets    |   2    |       1        |   1    |   0    |\n"
        "| Others  |   1    |       1        |   0    |   0    |\n"
        "| **all** |   3    |       2        |   1    |   0    |\n"
        "\n## Rules\n\nModels, of 3, of which a rule says this at most:\n\n"
        "| code | rule |  E  |  W  |  n  |  ?  |\n"
        "| ---- | ---- | :-: | :-: | :-: | :-: |\n"
        "| SC1  | one  |     |  1  |     |  1  |\n"
        "| SC2  | two  |     |     |  1  |  1  |\n"
        "\n## Models\n\n### Nets\n\nTwo of them.\n\n"
        "| SC…             |  1  |  2  |\n"
        "| --------------- | :-: | :-: |\n"
        "| net             |  W  |     |\n"
        "| other (in part) |  ?  |  n? |\n"
        "\n### Others\n\n"
        "| SC…    |\n"
        "| ------ |\n"
        "| silent |\n"
        "\n## Why they are true\n\n### SC1 one\n\n"
        "- **net** (W): Because. Checked: px = 3, share = 0.5; by hand.\n"
    )
