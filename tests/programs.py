"""Runs Python in a process of its own, with the code of this checkout, installed or not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SCOTOMA = [sys.executable, "-m", "scotoma"]
PATIENCE = 300.0  # seconds; only what hangs takes so long, however busy the machine is


def environment(**changed: str) -> dict[str, str]:
    """Return the variables of a process, with some of them changed."""
    given = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(ROOT / "src"), *([given] if given else [])])
    return {**os.environ, "PYTHONPATH": path, **changed}


def run(
    command: list[str], *, check: bool = False, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """Run a command to its end; what it writes is captured as text unless options say more."""
    given: dict[str, Any] = {"env": environment(), "timeout": PATIENCE, **options}
    if not {"stdout", "stderr"} & given.keys():
        given |= {"capture_output": True, "text": True}
    return subprocess.run(command, check=check, **given)


def python(*arguments: str, **options: Any) -> subprocess.CompletedProcess[Any]:
    """Run the Python that runs the tests."""
    return run([sys.executable, *arguments], **options)


def start(command: list[str], **options: Any) -> subprocess.Popen[Any]:
    """Start a command that Ctrl-C ends, even where the tests run in the background and ignore it.

    A process inherits that SIGINT is ignored, and Python then leaves it so.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(command, env=environment(), **options)
    finally:
        signal.signal(signal.SIGINT, before)
