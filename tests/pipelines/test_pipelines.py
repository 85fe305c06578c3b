"""What people put into their pipelines: the action, the hook, the snippets of docs/ci.md."""

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

import scotoma
from scotoma.report import REPORTERS

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "integrations" / "github_action.sh"
PAGE = (ROOT / "docs" / "ci.md").read_text("utf-8")
SAMPLES = ROOT / "sample_models"


def blocks(language: str) -> list[str]:
    """Return the code blocks of the page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def snippet(mark: str) -> Any:
    """Return the YAML block with a text in it, parsed."""
    (found,) = [block for block in blocks("yaml") if mark in block]
    return yaml.safe_load(found)


def validate(path: Path, schema: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    done = programs.run([*command, str(path)])
    assert (done.returncode, done.stdout) == (0, "ok -- validation done\n")


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


class TestHook:
    def hook(self) -> Any:
        (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
        return hook

    def test_it_is_the_one_of_the_page(self) -> None:
        (repository,) = snippet("hooks:")["repos"]
        assert [hook["id"] for hook in repository["hooks"]] == [self.hook()["id"]]
        assert repository["rev"] == f"v{scotoma.__version__}"

    @pytest.mark.parametrize(("model", "status"), [("digits_patches_dynamo", 1), ("ceil_pool", 1),
                                                   ("one_layer_same", 0)])  # fmt: skip
    def test_it_lints_the_files_that_it_is_given(self, model: str, status: int) -> None:
        hook, (repository,) = self.hook(), snippet("hooks:")["repos"]
        path = SAMPLES / f"{model}.onnx"
        assert re.search(hook["files"], str(path))
        assert not re.search(hook["files"], "model.onnx.txt")
        program, *arguments = hook["entry"].split()
        assert (program, hook["language"]) == ("scotoma", "python")
        (used,) = repository["hooks"]
        done = programs.python("-m", program, *arguments, *used["args"], str(path), cwd=ROOT)
        assert done.returncode == status


class TestPage:
    def test_the_snippet_for_gitlab_fits_its_schema(self, tmp_path: Path) -> None:
        (block,) = [block for block in blocks("yaml") if "artifacts:" in block]
        (tmp_path / ".gitlab-ci.yml").write_text(block, "utf-8")
        validate(tmp_path / ".gitlab-ci.yml", "gitlab-ci")

    def test_the_snippet_for_gitlab_runs(self, tmp_path: Path) -> None:
        job = snippet("artifacts:")["scotoma"]
        program, *arguments = job["script"][1].split()
        assert program == "scotoma"
        (tmp_path / "models").mkdir()
        shutil.copy(SAMPLES / "one_layer_same.onnx", tmp_path / "models")
        programs.python("-m", program, *arguments, cwd=tmp_path, check=True)
        written = {path.name for path in tmp_path.iterdir()} - {"models"}
        assert written == set(job["artifacts"]["reports"].values())

    def test_formats_that_it_names_exist(self) -> None:
        named = set(re.findall(r"-o ([a-z]+)=", PAGE + SCRIPT.read_text("utf-8")))
        named |= set(re.findall(r'-o "([a-z]+)=', SCRIPT.read_text("utf-8")))
        assert named <= set(REPORTERS)
        assert {"gitlab", "junit", "sarif", "markdown", "github"} <= named

    def test_the_example_for_pytest_works(
        self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PYTHONPATH", programs.environment()["PYTHONPATH"])
        (block,) = blocks("python")
        pytester.makepyfile(test_models=block)
        folder = pytester.mkdir("models")
        for name in ("one_layer_same", "digits_patches_dynamo"):
            shutil.copy(SAMPLES / f"{name}.onnx", folder)
        result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
        result.assert_outcomes(passed=1, failed=1)
        result.stdout.fnmatch_lines(["*warning SC101 unread-pixels at node_conv2d (Conv)*"])

    def test_the_commands_of_the_page_are_known(self) -> None:
        from scotoma.cli import group

        for line in "".join(blocks("sh")).splitlines():
            if line.startswith("scotoma "):
                _, name, *arguments = line.split()
                known = {o for p in group.commands[name].params for o in p.opts}
                assert {a for a in arguments if a.startswith("-")} <= known


class TestShell:
    def complete(self, *words: str) -> list[str]:
        environment = programs.environment(
            _SCOTOMA_COMPLETE="bash_complete",
            COMP_WORDS=" ".join(words),
            COMP_CWORD=str(len(words) - 1),
        )
        done = programs.run(programs.SCOTOMA, env=environment)
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    def test_commands_and_options_are_completed(self) -> None:
        assert self.complete("scotoma", "l") == ["lint"]
        assert self.complete("scotoma", "di") == ["diff"]
        assert self.complete("scotoma", "lint", "--fail-o") == ["--fail-on", "--fail-on-undecided"]
        assert self.complete("scotoma", "lint", "--fail-on", "w") == ["warning"]

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_the_page_sets_up_every_shell(self, shell: str) -> None:
        assert f"_SCOTOMA_COMPLETE={shell}_source scotoma" in PAGE
        if shell == "bash" and shutil.which("bash") is None:
            pytest.skip("click asks bash for its version")
        environment = programs.environment(_SCOTOMA_COMPLETE=f"{shell}_source")
        done = programs.run(programs.SCOTOMA, env=environment)
        assert "_SCOTOMA_COMPLETE=" in done.stdout
        assert done.stderr == ""

    def test_the_module_is_the_program(self) -> None:
        done = programs.run([*programs.SCOTOMA, "--version"])
        assert done.stdout == f"scotoma, version {scotoma.__version__}\n"
