"""Runs Scotoma as ``scotoma`` and as ``python -m scotoma``.

The command line is imported here at last, so that Ctrl-C while it loads is one line as well.
"""

from __future__ import annotations

import _thread
import signal
import sys
from threading import Timer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from types import FrameType

AGAIN = 0.01
"""Seconds after which an interrupt that Python has dropped is raised once more."""
INTERRUPTED = 130


class _Notice:
    """Handles Ctrl-C as Python does, and keeps in mind that it came."""

    def __init__(self) -> None:
        self.came = False
        # Where a caller has it ignored, as in the background, it stays so.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self.take)

    def take(self, number: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt."""
        self.came = True
        signal.default_int_handler(number, frame)


def run() -> int:
    """Run the command line and return its exit status."""
    notice = _Notice()
    sys.unraisablehook = _raise_again
    try:
        from scotoma.cli import main  # noqa: PLC0415  see above

        result = main()
    except KeyboardInterrupt:
        result = None
    # All is written; what is left is to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if result == INTERRUPTED or not (result is None or notice.came):
        return result
    # A library may take an interrupt for a failure of its own.
    sys.stderr.write("scotoma: interrupted\n")
    return INTERRUPTED


def _raise_again(dropped: UnraisableHookArgs) -> None:
    """Take care that an interrupt counts that came while Python was in a callback of its own.

    Python reports exceptions in finalisers and in callbacks of weak references, and goes on.
    """
    if dropped.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(dropped)
        return
    timer = Timer(AGAIN, _thread.interrupt_main)
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    sys.exit(run())
