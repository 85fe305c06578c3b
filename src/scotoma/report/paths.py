"""Names model files as other programs find them: from a folder, never by their absolute place."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path, PurePath
from urllib.parse import quote


def path_from(path: str, folder: str | None) -> str:
    """Return the path of a model with slashes, from a folder; ``-`` stays as it is.

    Parameters
    ----------
    path
        As the caller gave it: absolute, or from that folder.
    folder
        Absolute; None: an absolute path stays absolute.

    Examples
    --------
    >>> path_from("./models/a.onnx", "/project"), path_from("/project/b.onnx", "/project/models")
    ('models/a.onnx', '../b.onnx')
    """
    found = path
    if folder is not None and Path(path).is_absolute():
        try:
            found = os.path.relpath(path, folder)
        except ValueError:  # on another drive
            return PurePath(path).as_posix()
    return posixpath.normpath(PurePath(found).as_posix())


def uri_from(path: str, folder: str | None) -> str:
    """Return the same as a URI reference, its bytes percent-encoded where a URI lacks them.

    Examples
    --------
    >>> uri_from("models/größe 1#.onnx", None), uri_from("c:d.onnx", None)
    ('models/gr%C3%B6%C3%9Fe%201%23.onnx', 'c%3Ad.onnx')
    """
    name = path_from(path, folder)
    try:
        return quote(name.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:  # half a character, which only some systems let into a name
        return quote(name.encode("utf-8", "surrogatepass"))
