"""Reads ``.npy`` files: one array, or a stack of arrays, without trusting what they claim."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt


def map_array(path: Path) -> npt.NDArray[Any]:
    """Map the array of a ``.npy`` file.

    Raises
    ------
    UsageError
        If it is no such file, or does not hold numbers.
    """
    require_regular(path)
    try:
        # Mapped: a header that lies about the size fails here instead of allocating.
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy reads the header as Python and lets any error through
        reason = (str(error).splitlines() or ["no reason given"])[0]
        raise UsageError(f"'{path}' is not a readable .npy file: {reason}") from error
    if not isinstance(stored, np.ndarray) or stored.dtype.kind not in "fiub":
        raise UsageError(f"'{path}' does not hold numbers")
    return stored


def converted(path: Path, stored: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return a copy of what a file holds in the element type of an input.

    Raises
    ------
    UsageError
        If a value is NaN or infinite, or is not in the type.
    """
    if stored.dtype.kind == "f" and not np.isfinite(stored).all():
        raise UsageError(f"'{path}' holds NaN or infinity")
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            array = np.array(stored, dtype, order="C")
        fits = bool(np.isfinite(array).all())
    else:
        low, high = (0, 1) if dtype.kind == "b" else _limits(dtype)
        fits = bool(((stored >= low) & (stored <= high) & (stored % 1 == 0)).all())
        array = np.array(stored if fits else 0, dtype, order="C")
    if not fits:
        raise UsageError(f"'{path}' holds values that are not in the range of {dtype}")
    return array


def require_regular(path: Path) -> None:
    """Refuse what is no ordinary file: opening a pipe would wait for a writer for ever.

    Raises
    ------
    UsageError
        If the path does not lead to a file.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  a NUL in the path is a ValueError here
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"'{path}' cannot be read: {reason}") from error
    if not stat.S_ISREG(mode):
        raise UsageError(f"'{path}' is not a regular file")


def _limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)
