"""Files, folders, globs and standard input as arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import programs
import pytest

from scotoma.errors import UsageError
from scotoma.loader import find_models


@pytest.fixture(autouse=True)
def folder(tmp_path: Any, monkeypatch: Any) -> Any:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "none").mkdir()
    for name in ("z.onnx", "a/2.onnx", "a/1.ONNX", "a/notes.txt", "a/b/3.onnx", "odd[1].onnx"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        (["z.onnx"], ["z.onnx"]),
        (["a"], ["a/1.ONNX", "a/2.onnx", "a/b/3.onnx"]),
        (["."], ["a/1.ONNX", "a/2.onnx", "a/b/3.onnx", "odd[1].onnx", "z.onnx"]),
        (["a/*.onnx"], ["a/2.onnx"]),
        (["**/*.onnx"], ["a/2.onnx", "a/b/3.onnx", "odd[1].onnx", "z.onnx"]),
        (["a/b*"], ["a/b/3.onnx"]),
        (["odd[1].onnx"], ["odd[1].onnx"]),
        (["a/notes.txt"], ["a/notes.txt"]),
        (["absent.onnx"], ["absent.onnx"]),
        (["z.onnx", "-", "a"], ["-", "a/1.ONNX", "a/2.onnx", "a/b/3.onnx", "z.onnx"]),
        (["./a/2.onnx", "a/2.onnx", "a"], ["a/1.ONNX", "a/2.onnx", "a/b/3.onnx"]),
        (["a/b/../2.onnx", "z.onnx"], ["a/b/../2.onnx", "z.onnx"]),
    ],
)
def test_found(arguments: Any, files: Any) -> None:
    assert find_models(arguments) == files


def test_absolute_paths_are_sorted_among_the_others(tmp_path: Path) -> None:
    middle = str(tmp_path / "a" / "b" / "3.onnx")
    assert find_models(["z.onnx", middle, "a/2.onnx"]) == ["a/2.onnx", middle, "z.onnx"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["none"], r"no \*.onnx file in 'none'"),
        (["x*.onnx"], r"no file matches 'x\*.onnx'"),
        (["non*"], r"no file matches 'non\*'"),
        (["-", "-"], "only once"),
    ],
)
def test_not_found(arguments: Any, reason: Any) -> None:
    with pytest.raises(UsageError, match=reason):
        find_models(arguments)


def test_nothing_slow_is_imported_to_find_files() -> None:
    code = (
        "import sys, scotoma.loader; scotoma.loader.find_models(['z.onnx']);"
        "print(sorted({'numpy', 'onnx', 'networkx'} & set(sys.modules)))"
    )
    assert programs.python("-c", code, check=True).stdout == "[]\n"


def test_folders_of_others_are_passed_over(tmp_path: Path) -> None:
    for folder in ("models/.cache", "models/.venv/lib", "models/env", "models/node_modules"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "theirs.onnx").touch()
    (tmp_path / "models" / "env" / "pyvenv.cfg").touch()
    ours = tmp_path / "models" / "ours.onnx"
    ours.touch()
    assert find_models([str(tmp_path / "models")]) == [str(ours)]
    hidden = tmp_path / "models" / ".cache"
    assert find_models([str(hidden)]) == [str(hidden / "theirs.onnx")]
