"""Model files as bytes to read from: regular files mapped, standard input spooled to a file."""

from __future__ import annotations

import io
import mmap
import os
import shutil
import stat
import sys
import tempfile
from typing import TYPE_CHECKING

from scotoma.errors import ModelError

if TYPE_CHECKING:
    from typing import IO

STDIN = "-"


def open_model(path: str, data: bytes | None = None) -> mmap.mmap:
    """Map a model file read-only, without reading it.

    Parameters
    ----------
    path
        A regular file, or ``-`` for standard input, which goes to a temporary file first so that
        no more of it is in memory than is looked at.
    data
        The bytes of the file, where they were read already.

    Raises
    ------
    ModelError
        ``missing``, ``empty`` or ``unreadable``.
    """
    try:
        if data is not None:
            return _spool(io.BytesIO(data))
        if path == STDIN:
            return _spool(sys.stdin.buffer)
        return map_file(path)
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError("missing", "no such file") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise ModelError("unreadable", f"cannot be read: {reason or error}") from None


def map_file(path: str) -> mmap.mmap:
    """Map a regular file read-only.

    Raises
    ------
    ModelError
        ``empty``, or ``unreadable`` for anything but a regular file.
    OSError
        As `os.open` and `mmap.mmap`.
    """
    # Without O_NONBLOCK, opening a named pipe would wait for a writer for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise ModelError("unreadable", "is a directory")
        if not stat.S_ISREG(status.st_mode):
            raise ModelError("unreadable", "not a regular file (pipe it to '-' instead)")
        return _map(descriptor)
    finally:
        os.close(descriptor)


def _spool(stream: IO[bytes]) -> mmap.mmap:
    with tempfile.TemporaryFile() as spool:
        shutil.copyfileobj(stream, spool, 1 << 20)
        spool.flush()
        return _map(spool.fileno())


def _map(descriptor: int) -> mmap.mmap:
    if os.fstat(descriptor).st_size == 0:
        raise ModelError("empty", "the file is empty")
    return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
