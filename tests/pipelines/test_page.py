"""The hook for pre-commit, the snippets of docs/ci.md, and the completion of shells."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import programs
import pytest
import yaml
from pipelines.page import PAGE, ROOT, SAMPLES, SCRIPT, blocks, snippet, validate

import scotoma
from scotoma.report import REPORTERS

pytest_plugins = ["pytester"]


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
