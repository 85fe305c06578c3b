"""Which model files the arguments of a command mean."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING

from scotoma.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SUFFIX = ".onnx"
_STDIN = "-"


def find_models(arguments: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Return the model files that are meant, each once, sorted by path from the working directory.

    The order of the arguments does not matter, nor that some name a file twice; of several
    spellings of its path the shortest is returned.

    Parameters
    ----------
    arguments
        Files; folders, searched recursively for ``*.onnx``; globs that the shell left alone,
        ``**`` included; ``-`` for standard input. A path that does not exist is returned as it
        is, so that it is reported like any other unreadable file.

    Raises
    ------
    UsageError
        If a folder or a glob holds no model, or ``-`` is given twice.
    """
    found: dict[str, str] = {}
    for given in arguments:
        argument = os.fspath(given)
        for path in _expand(argument):
            if path == _STDIN and _STDIN in found:
                raise UsageError("'-' can be given only once")
            key = path if path == _STDIN else os.path.abspath(path)  # noqa: PTH100  keeps links
            found[key] = min(found.get(key, path), path, key=lambda name: (len(name), name))
    return [found[key] for key in sorted(found, key=_place)]


def _place(path: str) -> str:
    """Return a path from the working directory, with slashes."""
    if path == _STDIN:
        return path
    try:
        return Path(os.path.relpath(path)).as_posix()
    except ValueError:  # on another drive
        return Path(path).as_posix()


def _expand(argument: str) -> list[str]:
    path = Path(argument)
    if argument == _STDIN or path.is_file():
        return [argument]
    if path.is_dir():
        paths = list(_in_folder(path))
        if not paths:
            raise UsageError(f"no *{_SUFFIX} file in {argument!r}")
        return paths
    if not path.exists() and glob.has_magic(argument):
        paths = []
        for match in sorted(glob.glob(argument, recursive=True)):  # noqa: PTH207  may be absolute
            paths += _in_folder(Path(match)) if Path(match).is_dir() else [match]
        if not paths:
            raise UsageError(f"no file matches {argument!r}")
        return paths
    return [argument]


def _in_folder(folder: Path) -> Iterator[str]:
    """Yield the model files below a folder; hidden folders and environments are passed over."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_foreign(Path(parent, name)))
        for name in sorted(files):
            if name.lower().endswith(_SUFFIX):
                yield str(Path(parent, name))


def _is_foreign(folder: Path) -> bool:
    """Tell whether a folder holds what others made: a version control's, an environment's."""
    name = folder.name
    foreign = name.startswith(".") or name in {"__pycache__", "node_modules"}
    return foreign or (folder / "pyvenv.cfg").is_file()
