"""A job that runs the action, step by step."""

from __future__ import annotations

import dataclasses
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
from pipelines.page import ROOT, SAMPLES


@dataclasses.dataclass
class Job:
    """Runs the steps of action.yml one after the other, as far as that goes without GitHub.

    The steps of others and the installation are not run: Python is this one, Scotoma is on the
    path, and what would be uploaded is kept.
    """

    folder: Path
    log: str = ""
    uploaded: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    @property
    def work(self) -> Path:
        return self.folder / "a work space"

    def run(self, **given: str) -> int:
        action = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
        inputs = {
            key: given.get(key.replace("-", "_"), item["default"])
            for key, item in action["inputs"].items()
        }
        context: dict[str, Any] = {"inputs": inputs, "steps": {}}
        for step in action["runs"]["steps"]:
            if not self.holds(step.get("if", ""), context) or "Install" in step.get("name", ""):
                continue
            outputs, status = self.step(step, context)
            if status:
                return status
            if "id" in step:
                context["steps"][step["id"]] = {"outputs": outputs}
        return 0

    def value(self, text: str, context: Any) -> str:
        def one(match: re.Match[str]) -> str:
            found = context
            for part in match[1].split("."):
                found = found[part]
            return str(found)

        return re.sub(r"\$\{\{ ([\w.-]+) \}\}", one, text)

    def holds(self, condition: str, context: Any) -> bool:
        for clause in filter(None, condition.split(" && ")):
            match = re.fullmatch(r"([\w.-]+) (==|!=) '(.*)'", clause)
            assert match is not None
            same = self.value(f"${{{{ {match[1]} }}}}", context) == match[3]
            if same != (match[2] == "=="):
                return False
        return True

    def step(self, step: dict[str, Any], context: Any) -> tuple[dict[str, str], int]:
        if "uses" in step:
            values = {k: self.value(v, context) for k, v in step["with"].items()}
            if "upload-sarif" in step["uses"]:
                self.uploaded.append(json.loads((self.work / values["sarif_file"]).read_text()))
            return {"python-path": sys.executable}, 0
        output = self.folder / "output"
        output.write_text("")
        environment = {
            **programs.environment(),
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "RUNNER_TEMP": str(self.folder / "runner temp"),
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
            **{k: self.value(v, context) for k, v in step["env"].items()},
        }
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = programs.run(command, cwd=self.work, env=environment)
        self.log += done.stdout + done.stderr
        return dict(line.split("=", 1) for line in output.read_text().splitlines()), done.returncode


@pytest.mark.skipif(shutil.which("bash") is None, reason="the action runs bash")
class TestJob:
    @pytest.fixture
    def job(self, tmp_path: Path) -> Job:
        job = Job(tmp_path)
        for name in ("bin", "runner temp", "a work space"):
            (tmp_path / name).mkdir()
        program = tmp_path / "bin" / "scotoma"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m scotoma "$@"\n')
        program.chmod(0o755)
        shutil.copy(SAMPLES / "digits_patches_dynamo.onnx", job.work / "bad one.onnx")
        shutil.copy(SAMPLES / "one_layer_same.onnx", job.work / "good.onnx")
        return job

    def codes(self, job: Job) -> list[str]:
        (report,) = job.uploaded
        return [result["ruleId"] for result in report["runs"][0]["results"]]

    def test_a_clean_model_passes(self, job: Job) -> None:
        assert job.run(models="good.onnx", fail_on="note") == 0
        assert self.codes(job) == []
        assert "nothing found" in (job.folder / "summary").read_text()

    def test_findings_fail_after_the_upload(self, job: Job) -> None:
        assert job.run(fail_on="warning") == 1
        assert self.codes(job) == ["SC101", "SC306"]

    def test_what_does_not_count_is_not_uploaded(self, job: Job) -> None:
        assert job.run(args="--write-baseline=known.json") == 0
        job.uploaded.clear()
        assert job.run(baseline="known.json", fail_on="note") == 0
        assert self.codes(job) == []
        whole = json.loads((job.work / "scotoma.sarif").read_text())
        assert [r["ruleId"] for r in whole["runs"][0]["results"]] == ["SC101", "SC306"]
        job.uploaded.clear()
        assert job.run(args='--config=suppress=[{rule="SC101",reason="r"}]', fail_on="never") == 0
        assert self.codes(job) == ["SC306"]

    def test_the_upload_can_be_left_out_and_fails_with_the_call(self, job: Job) -> None:
        assert job.run(models="good.onnx", upload_sarif="false") == 0
        assert job.run(args="--nonsense") == 2
        assert job.uploaded == []

    def test_names_of_files_run_nothing(self, job: Job) -> None:
        for name in (
            "$(touch evil)",
            "`touch evil`;touch evil",
            "::error::x",
            "##[error]x",
            "-o evil",
        ):
            shutil.copy(job.work / "bad one.onnx", job.work / f"{name}.onnx")
        assert job.run(fail_on="warning") == 1
        assert not list(job.folder.rglob("evil"))
        assert {command.partition(" file=")[0] for command in commands(job.log)} == {
            "::warning", "::notice",
        }  # fmt: skip


def commands(log: str) -> list[str]:
    """Return what GitHub takes for commands: it heeds none between a stop and its token."""
    found, token = [], ""
    for line in map(str.strip, log.splitlines()):
        if token:
            token = "" if line == f"::{token}::" else token
        elif line.startswith("::stop-commands::"):
            token = line.removeprefix("::stop-commands::")
        elif line.startswith("::") or "##[" in line:
            found.append(line)
    return found
