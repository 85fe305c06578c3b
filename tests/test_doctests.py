"""Runs the examples in the docstrings of the engine and of the rules."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import scotoma
from scotoma.registry import builtin_package


def modules() -> list[str]:
    found = [info.name for info in pkgutil.walk_packages(scotoma.__path__, "scotoma.")]
    rules = builtin_package()
    found += [f"scotoma.rules.{info.name}" for info in pkgutil.iter_modules(rules.__path__)]
    return sorted(set(found) - {"scotoma.__main__"})


@pytest.mark.parametrize("name", modules())
def test_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert failed == 0
