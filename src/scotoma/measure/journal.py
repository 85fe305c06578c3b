"""Keeps every answer of a measurement in a file as it comes, so that it can go on later.

A line of JSON names the plan; then follows a record for each unit, in the order of the plan: its
number, the numbers of inputs and places, the influence (float64, inputs x places), whether each
place moved (a byte each), and the CRC-32 of all this. A torn record at the end is dropped.
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from scotoma.errors import UsageError
from scotoma.measure.prober import Response

if TYPE_CHECKING:
    from types import TracebackType
    from typing import IO

    from scotoma.measure.plan import Plan

HEAD = struct.Struct("<III")
CHECK = struct.Struct("<I")
LONGEST_LINE = 4096
FLUSH = 1.0
"""Seconds of work that a crash may cost."""


class Journal:
    """A journal that is open for writing, behind the records that it holds already."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._flushed = perf_counter()

    def write(self, index: int, response: Response) -> None:
        """Append the answer of a unit."""
        inputs, places = response.values.shape
        record = HEAD.pack(index, inputs, places)
        record += response.values.astype("<f8").tobytes() + response.moved.tobytes()
        self._file.write(record + CHECK.pack(zlib.crc32(record)))
        if perf_counter() - self._flushed > FLUSH:
            self._file.flush()
            self._flushed = perf_counter()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def begin(path: Path, digest: str) -> Journal:
    """Return an empty journal of a plan; its folder is made if it is not there.

    Raises
    ------
    UsageError
        If the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("wb")
        file.write(_line(digest))
    except OSError as error:
        raise UsageError(f"cannot write into '{path.parent}': {error.strerror}") from error
    return Journal(file)


def resume(path: Path, plan: Plan, digest: str) -> tuple[Journal, list[Response]]:
    """Return a journal to go on with, and the answers of the first units, which it holds.

    Raises
    ------
    UsageError
        If it is of another plan, or is no journal, or cannot be written.
    """
    try:
        file = path.open("r+b")
    except OSError as error:
        raise UsageError(f"cannot go on from '{path}': {error.strerror}") from error
    line = file.readline(LONGEST_LINE)
    if line != _line(digest):
        file.close()
        raise UsageError(
            f"cannot go on from '{path}': it is of another model, input, version or option;"
            " without --resume the measurement begins anew"
        )
    found: list[Response] = []
    end = file.tell()
    while len(found) < len(plan):
        response = _read(file, plan, len(found))
        if response is None:
            break
        found.append(response)
        end = file.tell()
    file.truncate(end)
    file.seek(end)
    return Journal(file), found


def _line(digest: str) -> bytes:
    return json.dumps({"scotoma": "measurement", "plan": digest}).encode() + b"\n"


def _read(file: IO[bytes], plan: Plan, index: int) -> Response | None:
    """Return the record of a unit; None where it is torn or not there."""
    head = file.read(HEAD.size)
    unit = plan.unit(index)
    places = unit.count
    expected = HEAD.pack(index, plan.variants.inputs, places)
    body = file.read(places * (8 * plan.variants.inputs + 1)) if head == expected else b""
    check = file.read(CHECK.size)
    if len(check) < CHECK.size or CHECK.unpack(check)[0] != zlib.crc32(head + body) or not body:
        return None
    values = np.frombuffer(body, "<f8", plan.variants.inputs * places).reshape(
        plan.variants.inputs, places
    )
    moved = np.frombuffer(body, np.bool_, offset=8 * plan.variants.inputs * places)
    return Response(values.astype(np.float64), moved.copy())
