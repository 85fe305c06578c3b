"""Where documents go: standard output, or files of several formats at once."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from scotoma.errors import OutputError, ScotomaError, UsageError

STDOUT = "-"
ENDINGS = {
    ".html": "html", ".json": "json", ".md": "markdown", ".sarif": "sarif", ".xml": "junit",
}  # fmt: skip
"""Format by the end of a file's name, where none is stated."""

_CALLERS_FAULT = frozenset(
    {
        errno.EACCES, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR,
        errno.EPERM, errno.EROFS,
    }
)  # fmt: skip
"""What goes wrong with a file that cannot be there; the rest befalls a file that can."""


@dataclass(frozen=True, slots=True)
class Target:
    """One document to write."""

    format_name: str
    path: str
    """``-`` for standard output."""


def targets(given: Iterable[str], default: str, formats: Collection[str]) -> list[Target]:
    """Return what to write from the values of ``-o``: ``FILE`` or ``FORMAT=FILE``.

    A file without a format gets the default one, or instead of text that of its ending. Without
    any value the default format goes to standard output.

    Raises
    ------
    UsageError
        If a format is unknown, two documents would go to one place or a folder is missing.
    """
    found: list[Target] = []
    for value in given:
        match = re.fullmatch(r"([a-z]+)=(.+)", value)
        if value.endswith("=") and value[:-1] in formats:
            raise UsageError(f"-o {value}: a file is missing behind '='")
        if match and match[1] not in formats:
            raise UsageError(f"-o {value}: no format '{match[1]}'; there are {', '.join(formats)}")
        if match:
            found.append(Target(match[1], match[2]))
        else:
            ending = ENDINGS.get(Path(value).suffix.lower(), default)
            stated = default != "text" or ending not in formats
            found.append(Target(default if stated else ending, value))
    for index, target in enumerate(found):
        if any(other.path == target.path for other in found[:index]):
            raise UsageError(f"-o: two documents would go to '{target.path}'")
        if target.path != STDOUT:
            _refuse(target.path)
    return found or [Target(default, STDOUT)]


def _refuse(path: str) -> None:
    """Raise UsageError for a file that cannot be written, before time is spent on it."""
    place = Path(path)
    try:
        if place.is_dir():
            raise UsageError(f"-o: '{path}' is a folder")
        if not place.absolute().parent.is_dir():
            raise UsageError(f"-o: there is no folder for '{path}'")
        if os.access(place if place.exists() else place.absolute().parent, os.W_OK):
            return
        reason = os.strerror(errno.EACCES)
    except OSError as error:  # no file can have this name
        reason = str(error.strerror)
    raise UsageError(f"-o: '{path}' cannot be written: {reason}")


def write_all(
    places: Iterable[Target], render: Callable[[str], str], *, colour: bool
) -> list[ScotomaError]:
    """Write one document to each place; return what went wrong, after which the others are tried.

    Parameters
    ----------
    render
        Makes the document of a format.
    """
    problems: list[ScotomaError] = []
    for place in places:
        try:
            write(render(place.format_name), place.path, colour=colour)
        except (OutputError, UsageError) as error:
            problems.append(error)
    return problems


def write(text: str, path: str, *, colour: bool) -> None:
    """Write a document to a file, or to standard output with or without its styles.

    A file is written whole or left as it was.

    Raises
    ------
    UsageError
        If there can be no such file.
    OutputError
        If it cannot hold the document.
    """
    if path == STDOUT:
        _write_stdout(text if colour else click.unstyle(text))
        return
    try:
        _write_file(Path(path), click.unstyle(text).encode("utf-8", "backslashreplace"))
    except OSError as error:
        kind = UsageError if error.errno in _CALLERS_FAULT else OutputError
        raise kind(f"'{path}' cannot be written: {error.strerror}") from error


def _write_file(path: Path, data: bytes) -> None:
    if path.exists() and not path.is_file():
        path.write_bytes(data)  # a device or a pipe is not to be replaced
        return
    target = path.resolve()  # a link stays a link
    beside = target.with_name(f".scotoma-{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        with beside.open("xb") as file:
            file.write(data)
        if target.exists():
            shutil.copymode(target, beside)
        beside.replace(target)
    except PermissionError:
        beside.unlink(missing_ok=True)
        if not target.exists():
            raise
        target.write_bytes(data)  # its folder takes no new file
    except BaseException:  # Ctrl-C as well
        beside.unlink(missing_ok=True)
        raise


def _write_stdout(text: str) -> None:
    if sys.stdout is None:  # closed by the caller
        raise UsageError("standard output is closed: -o FILE writes to a file")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()  # the reader has seen enough
    except OSError as error:
        _forget_stdout()
        raise OutputError(f"standard output cannot be written: {error.strerror}") from error


def _forget_stdout() -> None:
    """Send what is left in the buffer nowhere, so that it does not fail at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def use_colour(choice: str) -> bool:
    """Return whether standard output gets styles.

    ``always`` and ``never`` say so; ``auto``: on a terminal, unless NO_COLOR is set and not empty
    (https://no-color.org).
    """
    if choice != "auto":
        return choice == "always"
    return not os.environ.get("NO_COLOR") and sys.stdout is not None and sys.stdout.isatty()


def complain(message: str) -> None:
    """Write one line to standard error."""
    from scotoma.report.escape import escape  # noqa: PLC0415  only on failure

    click.echo(f"scotoma: {escape(message)}", err=True)


def tolerate_any_encoding() -> None:
    """Let standard output escape what its encoding lacks, instead of failing on it."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
