"""Finds and reads the configuration of a model: ``scotoma.toml``, or a table of pyproject.toml.

What is slow to import, the TOML parser and the schema, is imported only where there is one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scotoma.errors import UsageError

if TYPE_CHECKING:
    from scotoma.settings.layers import Layer, Values

OWN = "scotoma.toml"
SHARED = "pyproject.toml"
TABLE = b"scotoma"

MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Override:
    """What a configuration sets for some of the models only."""

    files: tuple[str, ...]
    values: Values


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration, read and checked."""

    path: str
    """As a person may read it: from the working directory."""
    folder: str
    """Absolute; globs and file names start here."""
    values: Values
    overrides: tuple[Override, ...]

    def layers(self, model: str) -> list[Layer]:
        """Return what it sets for a model, the strongest last."""
        from scotoma.settings.layers import Layer  # noqa: PLC0415  only with a configuration

        found = [Layer(self.path, self.values)]
        for number, override in enumerate(self.overrides):
            if fits_file(model, override.files, self.folder):
                found.append(Layer(f"{self.path}, per-file[{number}]", override.values))
        return found


def find_configurations(models: list[str]) -> dict[str, str | None]:
    """Return the closest configuration upwards from each model, None where there is none.

    In one folder ``scotoma.toml`` comes before ``pyproject.toml``, which counts where it has a
    table ``[tool.scotoma]``. For standard input the search starts in the working directory. Every
    folder is looked at once.
    """
    known: dict[Path, str | None] = {}
    found: dict[str, str | None] = {}
    for model in models:
        start = Path.cwd() if model == "-" else Path(os.path.abspath(model)).parent  # noqa: PTH100
        found[model] = _closest(start, known)
    return found


def _closest(start: Path, known: dict[Path, str | None]) -> str | None:
    passed = []
    result = None
    for folder in (start, *start.parents):
        if folder in known:
            result = known[folder]
            break
        passed.append(folder)
        result = _in_folder(folder)
        if result is not None:
            break
    known.update(dict.fromkeys(passed, result))
    return result


def _in_folder(folder: Path) -> str | None:
    own, shared = folder / OWN, folder / SHARED
    try:
        # A link that leads nowhere was meant to be a configuration: reading it says what is wrong.
        is_own = own.is_file() or (own.is_symlink() and not own.exists())
        found = own if is_own else shared if shared.is_file() else None
    except OSError:  # a folder that may not be searched
        return None
    if found == shared:
        data = _read(str(shared))
        # Most projects have a pyproject.toml that says nothing of this tool.
        if TABLE not in data or _own_table(_parse(str(shared), data)) is None:
            return None
    return None if found is None else str(found)


def _own_table(table: Values) -> Any:
    """Return what a pyproject.toml says of this tool, None where it says nothing."""
    tools = table.get("tool")
    return tools.get("scotoma") if isinstance(tools, dict) else None


def read_configuration(path: str) -> Configuration:
    """Read a configuration file.

    Raises
    ------
    UsageError
        If it cannot be read or says something that cannot be: names the file and the key.
    """
    from scotoma.settings.schema import read_values  # noqa: PLC0415  only with a configuration

    table = _parse(path, _read(path))
    prefix = ""
    if Path(path).name == SHARED:
        prefix, table = "tool.scotoma", _own_table(table)
        if table is None:
            raise UsageError(f"{shown_path(path)}: has no table [tool.scotoma]")
    shown = shown_path(path)
    folder = str(Path(path).absolute().parent)
    values, overrides = read_values(table, shown, prefix=prefix, folder=folder)
    made = tuple(Override(files, settings) for files, settings in overrides)
    return Configuration(shown, folder, values, made)


def read_inline(text: str) -> Layer:
    """Read one setting written as TOML, such as ``size = [224, 224]``.

    Raises
    ------
    UsageError
        If it is not TOML or says something that cannot be.
    """
    from scotoma.settings.layers import Layer  # noqa: PLC0415  only with a configuration
    from scotoma.settings.schema import read_values  # noqa: PLC0415

    origin = f"--config '{text}'"
    folder = str(Path.cwd())
    try:
        table = _parse_text(origin, text)
    except UsageError as error:
        raise UsageError(f"{error}; a text stands in quotes: 'fail-on=\"note\"'") from error
    values, overrides = read_values(table, origin, folder=folder)
    if overrides:
        raise UsageError(f"{origin}: per-file belongs into a file")
    return Layer(origin, values)


def fits_file(model: str, globs: tuple[str, ...], folder: str) -> bool:
    """Tell whether a model fits one of some globs.

    A glob without a slash is about the file's name, another one about its path from the folder;
    ``*`` fits slashes as well.

    Examples
    --------
    >>> fits_file("/a/models/x.onnx", ("models/*",), "/a"), fits_file("/a/x.onnx", ("y*",), "/a")
    (True, False)
    """
    name = Path(model).name
    path = relative(model, folder)
    return any(
        fnmatchcase(path if "/" in g else name, g.removeprefix("./")) or path == g for g in globs
    )


def relative(path: str, folder: str) -> str:
    """Return a path from a folder with slashes, on every system; ``-`` stays as it is."""
    if path == "-":
        return path
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return Path(path).as_posix()


def shown_path(path: str) -> str:
    """Return a path from the working directory."""
    return relative(path, str(Path.cwd()))


def _read(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{shown_path(path)}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise UsageError(f"{shown_path(path)}: too large for a configuration")
    return data


def _parse(path: str, data: bytes) -> Values:
    shown = shown_path(path)
    try:
        return _parse_text(shown, data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{shown}: is not UTF-8") from error


def _parse_text(origin: str, text: str) -> Values:
    import tomllib  # noqa: PLC0415  only with a configuration

    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise UsageError(f"{origin}: is not valid TOML: it is nested too deeply") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{origin}: is not valid TOML: {error}") from error
