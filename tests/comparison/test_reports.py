"""``scotoma diff`` of reports, and what it refuses."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from comparison.models import Call, codes, kinds, sample

from scotoma.cli import main


class TestReports:
    def test_reports_are_compared_model_by_model(self, tmp_path: Path, call: Call) -> None:
        for folder, second in (("a", "five_layers_same"), ("b", "five_layers_valid")):
            (tmp_path / folder).mkdir()
            for name, source in (("same", "one_layer_same"), ("other", second)):
                data = Path(sample(source)).read_bytes()
                (tmp_path / folder / f"{name}.onnx").write_bytes(data)
        (tmp_path / "b" / "third.onnx").write_bytes(Path(sample("five_layers_valid")).read_bytes())
        for folder in "ab":
            report = f"json={tmp_path / folder}.json"
            main(["lint", str(tmp_path / folder), "-q", "--exit-zero", "-o", report])
        status, document, _ = call(tmp_path / "a.json", tmp_path / "b.json")
        assert status == 1
        pairs = [
            tuple(Path(side["path"]).parent.name if side else None for side in (f["old"], f["new"]))
            for f in document["comparisons"]
        ]
        assert pairs == [("a", "b"), ("a", "b"), (None, "b")]
        other, same, third = document["comparisons"]
        assert codes(other["findings"]["gained"]) == [("SC102", "conv1")]
        assert codes(third["findings"]["gained"]) == [("SC102", "conv1")]
        assert (same["worse"], same["geometry"]) == ([], None)
        assert same["notes"] == ["the geometry is not compared: a report holds none"]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ('{"a": 1}', "schema_version: is missing"),
            (
                '{"schema_version": "2", "models": []}',
                "version 2, and this Scotoma compares version 1",
            ),
            ('{"schema_version": "1", "models": [{"path": "x"}]}', "models[0] has no 'error'"),
            (
                '{"schema_version": "1", "models": [3]}',
                "models[0]: expected a table",
            ),
            ('{"schema_version": "1", "models": [], "x": ' + "[" * 100_000, "recursion"),
            ("{", "truncated"),
        ],
    )
    def test_what_is_no_report_is_refused(
        self, text: str, said: str, tmp_path: Path, call: Call
    ) -> None:
        (tmp_path / "report.json").write_text(text, encoding="utf-8")
        status, document, err = call(tmp_path / "report.json", sample("one_layer_same"))
        assert (status, document) == (2, None)
        assert err.startswith(f"scotoma: {tmp_path / 'report.json'}: is no JSON report of")
        assert said in err
        assert err.count("\n") == 1

    def test_numbers_beyond_all_bounds_are_unknown(self, tmp_path: Path, call: Call) -> None:
        main(["lint", sample("digits_patches_dynamo"), "-q", "-o", f"json={tmp_path / 'a.json'}"])
        document = json.loads((tmp_path / "a.json").read_text("utf-8"))
        document["models"][0]["findings"][0]["measurements"][0]["value"] = 10**400
        (tmp_path / "b.json").write_text(json.dumps(document), "utf-8")
        status, found, _ = call(tmp_path / "a.json", tmp_path / "b.json")
        (pair,) = found["comparisons"][0]["findings"]["changed"]
        assert (status, pair["new"]["measurements"][0]["value"]) == (0, None)

    def test_a_named_pipe_is_not_waited_for(self, tmp_path: Path, call: Call) -> None:
        os.mkfifo(tmp_path / "pipe")
        status, _, err = call(tmp_path / "pipe", sample("one_layer_same"))
        assert (status, "not a regular file" in err) == (3, True)


class TestFailures:
    def test_a_model_that_is_missing(self, call: Call) -> None:
        status, document, err = call("nowhere.onnx", sample("one_layer_same"))
        (found,) = document["comparisons"]
        assert (status, err) == (3, "scotoma: nowhere.onnx: no such file\n")
        assert found["old"]["error"] == {"kind": "missing", "message": "no such file"}
        assert found["notes"] == ["nothing is compared: not both models could be examined"]
        assert found["findings"]["gained"] == []

    def test_an_export_that_cannot_be_read_is_worse(self, tmp_path: Path, call: Call) -> None:
        (tmp_path / "new.onnx").write_bytes(b"")
        status, document, _ = call(sample("one_layer_same"), tmp_path / "new.onnx")
        assert (status, kinds(document)) == (3, ["unreadable"])

    def test_standard_input_once(self, call: Call) -> None:
        assert call("-", "-")[0] == 2

    def test_a_size_that_does_not_fit(self, call: Call) -> None:
        path = sample("one_layer_same")
        assert call(path, path, "--size", "8x8x8")[0] == 2
