"""Where documents go: standard output, or files of several formats at once."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from scotoma.errors import UsageError

STDOUT = "-"


@dataclass(frozen=True, slots=True)
class Target:
    """One document to write."""

    format_name: str
    path: str
    """``-`` for standard output."""


def targets(given: Iterable[str], default: str, formats: Collection[str]) -> list[Target]:
    """Return what to write from the values of ``-o``: ``FILE`` or ``FORMAT=FILE``.

    Without any, the default format goes to standard output.

    Raises
    ------
    UsageError
        If a format is unknown, two documents would go to one place or a folder is missing.
    """
    found: list[Target] = []
    for value in given:
        match = re.fullmatch(r"([a-z]+)=(.+)", value)
        if match and match[1] not in formats:
            raise UsageError(f"-o {value}: no format '{match[1]}'; there are {', '.join(formats)}")
        found.append(Target(match[1], match[2]) if match else Target(default, value))
    for index, target in enumerate(found):
        if any(other.path == target.path for other in found[:index]):
            raise UsageError(f"-o: two documents would go to '{target.path}'")
        if target.path != STDOUT and not Path(target.path).absolute().parent.is_dir():
            raise UsageError(f"-o: there is no folder for '{target.path}'")
    return found or [Target(default, STDOUT)]


def write(text: str, path: str, *, colour: bool) -> None:
    """Write a document to a file, or to standard output with or without its styles.

    Raises
    ------
    UsageError
        If the file cannot be written.
    """
    if path == STDOUT:
        _write_stdout(text if colour else click.unstyle(text))
        return
    try:
        Path(path).write_text(click.unstyle(text), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"'{path}' cannot be written: {error.strerror}") from error


def _write_stdout(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough. What is left in the buffer must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def use_colour(choice: str) -> bool:
    """Return whether standard output gets styles.

    ``always`` and ``never`` say so; ``auto``: on a terminal, unless NO_COLOR is set and not empty
    (https://no-color.org).
    """
    if choice != "auto":
        return choice == "always"
    return not os.environ.get("NO_COLOR") and sys.stdout.isatty()


def complain(message: str) -> None:
    """Write one line to standard error."""
    from scotoma.report.escape import escape  # noqa: PLC0415  only on failure

    click.echo(f"scotoma: {escape(message)}", err=True)


def tolerate_any_encoding() -> None:
    """Let standard output escape what its encoding lacks, instead of failing on it."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
