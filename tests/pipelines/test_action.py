"""The action for GitHub: what it declares, and what its script does."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import programs
import pytest
import yaml
from pipelines.page import PAGE, ROOT, SAMPLES, SCRIPT, blocks, snippet, validate


class TestAction:
    def action(self) -> Any:
        return yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))

    def test_it_fits_the_schema_of_github(self) -> None:
        validate(ROOT / "action.yml", "github-actions")

    def test_actions_of_others_are_pinned(self) -> None:
        text = (ROOT / "action.yml").read_text("utf-8") + PAGE
        used = [
            name for name in re.findall(r"uses: (\S+)", text) if name != "OWNER/scotoma@REVISION"
        ]
        assert len(used) == 3
        assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", name) for name in used)

    def test_its_steps_are_the_script_and_hand_over_values_in_variables(self) -> None:
        action = self.action()
        own = [step for step in action["runs"]["steps"] if "run" in step]
        steps = [step["run"].rpartition(" ")[2] for step in own]
        assert steps == ["install", "lint", "judge"]
        for step in own:
            assert "${{" not in step["run"]
            assert step["shell"] == "bash"
            assert str(SCRIPT.relative_to(ROOT)) in step["run"]
        read = set(re.findall(r"\$\{?(INPUT_[A-Z_]+)", SCRIPT.read_text("utf-8")))
        assert set(own[1]["env"]) == read | {"PYTHON"}
        given = {re.sub(r"\W+", "", own[1]["env"][name]).removeprefix("inputs") for name in read}
        assert given == {name.replace("-", "") for name in action["inputs"]} - {
            "uploadsarif", "pythonversion",
        }  # fmt: skip

    def test_the_page_lists_its_inputs(self) -> None:
        rows = re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE)
        assert rows == list(self.action()["inputs"])
        assert set(snippet("OWNER/scotoma")["jobs"]["scotoma"]["steps"][1]["with"]) <= set(rows)

    def test_the_workflow_of_the_page_fits_its_schema(self, tmp_path: Path) -> None:
        (block,) = [block for block in blocks("yaml") if "OWNER/scotoma" in block]
        (tmp_path / "workflow.yml").write_text(block, "utf-8")
        validate(tmp_path / "workflow.yml", "github-workflows")


@pytest.mark.skipif(shutil.which("bash") is None, reason="the action runs bash")
class TestActionScript:
    @pytest.fixture
    def step(self, tmp_path: Path) -> Any:
        """Run a step of the action as GitHub does, in a folder with models."""
        (tmp_path / "bin").mkdir()
        program = tmp_path / "bin" / "scotoma"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m scotoma "$@"\n')
        program.chmod(0o755)
        work = tmp_path / "work"
        (work / "my models").mkdir(parents=True)
        shutil.copy(SAMPLES / "digits_patches_dynamo.onnx", work / "my models" / "bad one.onnx")
        shutil.copy(SAMPLES / "one_layer_same.onnx", work / "good.onnx")

        def run(name: str, **values: str) -> tuple[int, str, dict[str, str], str]:
            files = {key: tmp_path / key for key in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
            for path in files.values():
                path.write_text("")
            given = {
                "INPUT_MODELS": ".", "INPUT_FAIL_ON": "", "INPUT_BASELINE": "", "INPUT_ARGS": "",
                "INPUT_SARIF": "scotoma.sarif", "GITHUB_ACTION_PATH": str(ROOT),
                "PYTHON": sys.executable,
            }  # fmt: skip
            environment = {
                **programs.environment(),
                "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
                "RUNNER_TEMP": str(tmp_path),
                **{key: str(path) for key, path in files.items()},
                **given,
                **values,
            }
            done = programs.run(["bash", str(SCRIPT), name], cwd=work, env=environment)
            lines = files["GITHUB_OUTPUT"].read_text().splitlines()
            outputs = dict(line.split("=", 1) for line in lines)
            outputs.pop("upload", None)
            return done.returncode, done.stdout, outputs, files["GITHUB_STEP_SUMMARY"].read_text()

        self.work = work
        return run

    def test_findings_are_reported_everywhere(self, step: Any) -> None:
        status, out, outputs, summary = step(
            "lint", INPUT_MODELS="\n  my models\r\n*.onnx\n\n", INPUT_FAIL_ON="warning"
        )
        assert (status, outputs) == (0, {"status": "1", "sarif": "scotoma.sarif"})
        assert "  warning SC101 unread-pixels at node_conv2d (Conv)" in out
        assert re.search(r"^::warning file=my models/bad one\.onnx.*SC101", out, re.MULTILINE)
        assert summary.startswith("## Scotoma\n\n2 models: 0 errors, 1 warning")
        sarif = json.loads((self.work / "scotoma.sarif").read_text())
        results = sarif["runs"][0]["results"]
        uris = {r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in results}
        assert uris == {"my%20models/bad%20one.onnx"}

    def test_the_gate_is_the_last_step(self, step: Any) -> None:
        for status in (0, 1, 3):
            assert step("judge", STATUS=str(status))[0] == status
        assert step("judge", STATUS="")[0] == 3

    def test_options_go_one_on_each_line(self, step: Any) -> None:
        args = '--ignore=SC101\n--config=fail-on="note"\n  --select=SC1 \n'
        _, out, outputs, _ = step("lint", INPUT_MODELS="my models", INPUT_ARGS=args)
        assert outputs["status"] == "0"
        assert "1 model: 0 errors, 0 warnings, 0 notes" in out

    def test_a_baseline_and_an_unreadable_model(self, step: Any) -> None:
        (self.work / "broken.onnx").write_bytes(b"\x08")
        args = "--write-baseline=known.json"
        assert step("lint", INPUT_MODELS="my models", INPUT_ARGS=args)[2]["status"] == "0"
        again = step(
            "lint", INPUT_MODELS="my models", INPUT_BASELINE="known.json", INPUT_FAIL_ON="note"
        )
        assert again[2]["status"] == "0"
        assert step("lint", INPUT_MODELS=".")[2]["status"] == "3"

    def test_a_wrong_call_leaves_no_report(self, step: Any) -> None:
        assert step("lint", INPUT_MODELS="my models")[2]["sarif"] == "scotoma.sarif"
        status, _, outputs, summary = step("lint", INPUT_ARGS="--select=nonsense")
        assert (status, outputs, summary) == (0, {"status": "2", "sarif": ""}, "")
        assert not (self.work / "scotoma.sarif").exists()

    def test_inputs_run_nothing(self, step: Any) -> None:
        evil = '"; touch evil; $(touch evil) `touch evil`'
        _, _, outputs, _ = step("lint", INPUT_MODELS=evil, INPUT_FAIL_ON="never", INPUT_ARGS=evil)
        assert outputs["status"] in ("2", "3")
        assert not (self.work / "evil").exists()
