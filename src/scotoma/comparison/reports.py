"""Reads the JSON document of ``scotoma lint``, as far as a comparison needs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, cast

import msgspec

from scotoma.errors import ModelError, UsageError
from scotoma.report.contract.common import Level, Status
from scotoma.report.contract.lint import ErrorDocument, UndecidedDocument
from scotoma.settings.wording import explained

if TYPE_CHECKING:
    from scotoma.report.contract.lint import ModelDocument

MAX_BYTES = 1 << 28
"""Of a report; it lists every rule and finding of every model."""
LARGEST = int(sys.float_info.max)
"""Whole numbers beyond it are no longer numbers to JSON."""
_BOM = b"\xef\xbb\xbf"


class _Name(TypedDict):
    name: str
    shape: list[int] | None


class _Value(TypedDict):
    name: str
    value: int | float | str | None
    unit: str
    limit: int | float | str | None


class _Finding(TypedDict):
    code: str
    name: str
    severity: Level
    message: str
    node: str | None
    tensor: str | None
    measurements: list[_Value]
    fingerprint: str
    suppressed: dict[str, object] | None


class _Task(TypedDict):
    value: str


class _Crash(TypedDict):
    code: str
    error: str


class _Model(TypedDict, total=False):
    path: msgspec.UnsetType | str
    graph_sha256: str | None
    producer: str | None
    opset: int | None
    input: _Name | None
    task: _Task | None
    status: Status
    error: ErrorDocument | None
    refusal: str | None
    findings: list[_Finding]
    undecided: list[UndecidedDocument]
    rule_errors: list[_Crash]


class _Report(TypedDict):
    schema_version: Literal["1"]
    models: list[_Model]


def is_report(path: str) -> bool:
    """Tell whether a file begins as a JSON object does; a model never begins with a brace."""
    if not Path(path).is_file():  # opening a named pipe would wait for a writer
        return False
    try:
        with Path(path).open("rb") as file:
            return file.read(64).removeprefix(_BOM).lstrip()[:1] == b"{"
    except OSError:
        return False


def read_report(path: str) -> list[ModelDocument]:
    """Return what a report says of each model.

    Raises
    ------
    ModelError
        ``unreadable``, or ``too-large``.
    UsageError
        If it is no JSON document of ``scotoma lint``.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ModelError("unreadable", f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise ModelError("too-large", f"{path}: too large for a report")
    data = data.removeprefix(_BOM)
    _refuse_version(path, data)
    try:
        report = msgspec.json.decode(data, type=_Report)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        reason = " ".join(explained(str(error)).split())
        raise UsageError(f"{path}: is no JSON report of `scotoma lint`: {reason}") from error
    models = report["models"]
    for index, model in enumerate(models):
        missing = sorted(_Model.__annotations__.keys() - model.keys() - {"task", "refusal"})
        if missing:
            place = f"models[{index}] has no '{missing[0]}'"
            raise UsageError(f"{path}: is no JSON report of `scotoma lint`: {place}")
        _tame(model["findings"])
        model.setdefault("task", None)  # older reports do not say it
        model.setdefault("refusal", None)
    return cast("list[ModelDocument]", models)


class _Version(TypedDict):
    schema_version: str


def _refuse_version(path: str, data: bytes) -> None:
    """Raise UsageError for a report of another version; what is no report is told later."""
    try:
        version = msgspec.json.decode(data, type=_Version)["schema_version"]
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return
    if version != "1":
        known = f"it is of version {version:.40}, and this Scotoma compares version 1: make it anew"
        raise UsageError(f"{path}: is no JSON report of `scotoma lint`: {known}")


def _tame(findings: list[_Finding]) -> None:
    """Take out the numbers that are too large for anything to be done with them."""
    for finding in findings:
        for item in finding["measurements"]:
            value = item["value"]
            if isinstance(value, int) and abs(value) > LARGEST:
                item["value"] = None
