from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from example_reports import REPORTS
from json_documents import MARKS, check_document, validator

from scotoma.cli import main
from scotoma.report import render
from scotoma.report.schema import DOCUMENTS, schema_of

FOLDER = Path(__file__).parents[2] / "docs" / "schema"
MODEL = str(Path(__file__).parents[2] / "sample_models" / "five_layers_valid.onnx")


@pytest.mark.parametrize("command", DOCUMENTS)
def test_published_schemas_are_what_the_types_say(command: str) -> None:
    path, schema = FOLDER / f"{command}.json", schema_of(command)
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8")) == schema
    assert schema["$id"] == f"urn:scotoma:schema:{command}:1"
    assert schema["properties"]["schema_version"]["enum"] == ["1"]


def test_every_schema_is_published_and_no_other() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(DOCUMENTS)
    assert set(MARKS) == set(DOCUMENTS)


@pytest.mark.parametrize("kind", REPORTS)
def test_every_report_fits_the_schema(kind: str) -> None:
    validator("lint").validate(json.loads(render(REPORTS[kind](), "json")))


@pytest.mark.parametrize("command", ["trace", "sizes"])
def test_every_table_fits_the_schema(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, MODEL, "--format", "json"]) == 0
    validator(command).validate(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize("arguments", [(), ("--resolution", "8", "--method", "perturb")])
def test_measurements_fit_the_schema(
    arguments: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", MODEL, "--out", str(tmp_path), "--format", "json", *arguments]) == 0
    validator("measure").validate(json.loads(capsys.readouterr().out))


def test_lint_fits_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", MODEL, "--format", "json", "--exit-zero", "--statistics", "--hash"]) == 0
    validator("lint").validate(json.loads(capsys.readouterr().out))


EDITS: dict[str, Callable[[Any], object]] = {
    "'fingerprint' is a required property":
        lambda d: d["models"][0]["findings"][0].pop("fingerprint"),
    "('surprise' was unexpected)": lambda d: d["models"][0].update(surprise=1),
    "'1' is not of type 'integer'": lambda d: d["summary"].update(error="1"),
    "'fatal' is not one of": lambda d: d["models"][0]["findings"][0].update(severity="fatal"),
    "'2'": lambda d: d.update(schema_version="2"),
}  # fmt: skip


@pytest.mark.parametrize("reason", EDITS)
def test_what_a_test_writes_is_checked(reason: str) -> None:
    document = json.loads(render(REPORTS["findings"](), "json"))
    EDITS[reason](document)
    with pytest.raises(jsonschema.ValidationError, match=re.escape(reason)):
        check_document(document, json.dumps(document))


def test_schemas_say_what_keys_mean() -> None:
    schema = schema_of("sizes")
    deployed = schema["$defs"]["DeployedDocument"]
    assert deployed["description"] == "A size that the model is to run at."
    own, inherited = deployed["properties"]["better"], deployed["properties"]["current"]
    assert own["description"] == "A better size nearby; null: there is none."
    assert inherited["description"] == "The model's own size, or the one that was given."
    assert list(schema["properties"])[:4] == ["schema_version", "tool", "model", "input"]
    text = json.dumps([schema_of(command) for command in DOCUMENTS])
    assert "``" not in text


def test_schemas_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema_of("lint")
    assert main(["schema", "trace"]) == 0
    assert json.loads(capsys.readouterr().out) == schema_of("trace")
    assert main(["schema", "nothing"]) == 2
    assert capsys.readouterr().out == ""
