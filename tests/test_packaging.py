from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

import scotoma

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SOURCES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "rules").rglob("*.py")])


def imported(path: Path) -> set[str]:
    """Return the top-level names of everything that a module imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def test_all_packages_are_listed() -> None:
    folders = {path.parent for path in (ROOT / "src").rglob("*.py")}
    packages = {".".join(folder.relative_to(ROOT / "src").parts) for folder in folders}
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == sorted({*packages, "scotoma.rules"})
    assert all((folder / "__init__.py").is_file() for folder in folders)


def test_rules_are_one_flat_folder() -> None:
    assert [path for path in (ROOT / "rules").rglob("*.py") if path.parent.name != "rules"] == []
    assert PROJECT["tool"]["setuptools"]["package-dir"] == {"": "src", "scotoma.rules": "rules"}


def test_the_dependencies_are_what_is_imported() -> None:
    listed = {re.split(r"[^A-Za-z0-9_-]", entry)[0] for entry in PROJECT["project"]["dependencies"]}
    found = set().union(*map(imported, SOURCES)) - sys.stdlib_module_names - {"scotoma"}
    come_with_onnx = {"google", "ml_dtypes"}
    assert {{"PIL": "pillow"}.get(name, name) for name in found - come_with_onnx} == listed


def test_the_version_is_the_packages_own() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", scotoma.__version__)


def test_python_versions_agree() -> None:
    assert PROJECT["project"]["requires-python"] == ">=3.11"
    assert PROJECT["tool"]["ruff"]["target-version"] == "py311"
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "Python 3.11" in text


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_slow_libraries_are_imported_where_they_are_used(path: Path) -> None:
    """A module-level import of one of these would slow down every command."""
    slow = {"onnx", "onnxruntime", "networkx", "matplotlib", "PIL", "jinja2"}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    at_import = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            at_import |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            at_import.add(node.module.partition(".")[0])
    assert at_import & slow == set()
