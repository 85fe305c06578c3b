"""What a configuration, a rule's options and a baseline may hold, checked by msgspec.

Imported only where there is one of them: the checker takes some 20 ms to import.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from scotoma.errors import UsageError
from scotoma.settings.layers import Suppression, Values
from scotoma.settings.wording import converted, explained, parsed, unknown_key

T = TypeVar("T")

_EXAMPLES = {
    "deploy": "[[224, 224], [320, 320]]",
    "extend-select": '["SC701"]',
    "files": '["detectors/*.onnx"]',
    "ignore": '["SC2", "border-layer"]',
    "input-shapes": "{ x = [1, 3, 224, 224] }",
    "select": '["SC1", "even-kernel"]',
    "severity": '{ SC2 = "note" }',
    "size": "[224, 224]",
}
"""How a key is written that holds more than one value."""
_SEVERAL = frozenset({"per-file", "suppress"})
"""Tables of which there can be several."""
_NO_KEYS = frozenset(
    {
        "color", "config", "debug", "exit-zero", "format", "hash", "isolated", "jobs",
        "min-severity", "output", "prune-baseline", "quiet", "show-settings", "statistics",
        "trust-model-suppressions", "write-baseline",
    }
)  # fmt: skip
"""What only the command line can say, or the environment."""
VERSION = "1"
"""Of baselines."""

Level = Literal["error", "warning", "note"]
Goal = Literal["auto", "classify", "dense", "detect"]
Dimension = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Shape = Annotated[tuple[Dimension, ...], msgspec.Meta(min_length=1)]
Reason = Annotated[str, msgspec.Meta(pattern=r"\S")]
Glob = Annotated[str, msgspec.Meta(min_length=1)]


class Table(msgspec.Struct, rename="kebab", forbid_unknown_fields=True, omit_defaults=True):
    """The base of all tables: keys with hyphens, and no others than those that there are."""


class SuppressTable(Table):
    """Findings that are not to count."""

    rule: str
    reason: Reason
    node: Glob = "*"
    files: tuple[Glob, ...] = ()


class ThresholdsTable(Table, kw_only=True):
    """Limits of measured figures."""

    max_dead_pixels: Annotated[int, msgspec.Meta(ge=0)] | None = None
    min_border_ratio: Annotated[float, msgspec.Meta(ge=0)] | None = None
    max_asymmetry: Annotated[float, msgspec.Meta(ge=1)] | None = None
    max_position_sensitivity: Annotated[float, msgspec.Meta(ge=0)] | None = None


class ModelTable(Table, kw_only=True):
    """What can be set for single models."""

    extend_select: tuple[str, ...] | None = None
    ignore: tuple[str, ...] | None = None
    severity: dict[str, Level] | None = None
    fail_on: Level | Literal["never"] | None = None
    size: Shape | None = None
    input_shapes: dict[str, Shape] | None = None
    input_name: str | None = None
    deploy: tuple[Shape, ...] | None = None
    task: Goal | None = None
    thresholds: ThresholdsTable | None = None


class FileTable(ModelTable, kw_only=True):
    """What is set for models that fit some globs."""

    files: Annotated[tuple[Glob, ...], msgspec.Meta(min_length=1)]


class Root(ModelTable, kw_only=True):
    """A whole configuration."""

    select: tuple[str, ...] | None = None
    rules: dict[str, dict[str, Any]] | None = None
    fail_on_undecided: bool | None = None
    weights: bool | None = None
    runtime: str | None = None
    baseline: str | None = None
    suppress: tuple[SuppressTable, ...] = ()
    per_file: tuple[FileTable, ...] = ()


class KnownTable(msgspec.Struct, forbid_unknown_fields=True):
    """A finding in a baseline."""

    fingerprint: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    code: str
    severity: Level
    node: str | None
    message: str


class BaselineTable(msgspec.Struct):
    """A baseline: findings by the path of their model."""

    schema_version: Literal["1"]
    models: dict[str, list[KnownTable]]


class OwnSuppression(msgspec.Struct, forbid_unknown_fields=True):
    """What a model says that should not be reported of it."""

    rule: str
    reason: Reason
    node: Glob = "*"


def read_values(
    table: Values, origin: str, *, folder: str, prefix: str = ""
) -> tuple[Values, list[tuple[tuple[str, ...], Values]]]:
    """Return the values of a configuration by key of `Settings`, and those for some files.

    Parameters
    ----------
    origin
        The file, for messages.
    folder
        What file names in it start from.
    prefix
        The table that it is in.

    Raises
    ------
    UsageError
        Names the file, the key and what was expected.
    """
    root = convert(table, Root, origin, prefix)
    values = _values(root, skip=("suppress", "per_file", "rules"))
    if root.rules is not None:
        values["options"] = root.rules
    if root.baseline is not None:
        values["baseline"] = str(Path(folder, root.baseline))
    if root.suppress:
        values["suppress"] = tuple(
            Suppression(s.rule, s.reason, s.node, s.files, origin, folder) for s in root.suppress
        )
    return values, [(item.files, _values(item, skip=("files",))) for item in root.per_file]


def read_own_suppressions(text: str) -> list[Suppression]:
    """Return what a model's metadata suppress, a JSON list of tables.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    try:
        found = msgspec.json.decode(text.encode(errors="replace"), type=list[OwnSuppression])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(explained(str(error))) from error
    return [Suppression(item.rule, item.reason, item.node) for item in found]


def read_baseline(data: bytes, origin: str) -> dict[str, list[KnownTable]]:
    """Return the findings that a baseline holds, by path.

    Raises
    ------
    UsageError
        If it is no baseline.
    """
    try:
        document = parsed(data)
    except ValueError as error:
        raise UsageError(f"{origin}: is not a baseline: {error}") from error
    if isinstance(document, dict) and isinstance(document.get("models"), list):
        raise UsageError(f"{origin}: is a report, not a baseline; --write-baseline writes one")
    version = document.get("schema_version") if isinstance(document, dict) else None
    if isinstance(version, str) and version != VERSION:
        raise UsageError(
            f"{origin}: is a baseline of version {version:.40}, of which this Scotoma knows "
            f"{VERSION} only: write it anew with --write-baseline, or use the Scotoma that wrote it"
        )
    try:
        return converted(document, BaselineTable, _keys_of(BaselineTable), _fraction).models
    except ValueError as error:
        raise UsageError(f"{origin}: is not a baseline: {error}") from error


def read_options(kind: type[T], table: Mapping[str, object], origin: str, where: str) -> T:
    """Return a rule's options from the values that are set.

    Parameters
    ----------
    kind
        The dataclass that the rule declares.
    where
        The key of the table in the configuration.

    Raises
    ------
    UsageError
        If a key is unknown, or a value has the wrong type or makes no sense.
    """
    names = [item.name.replace("_", "-") for item in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for key in table:
        if key not in names:
            raise UsageError(f"{origin}: {where}.{key}: {unknown_key(key, names)}")
    hints = typing.get_type_hints(kind)
    made: dict[str, object] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        made[name] = convert(value, hints[name], origin, f"{where}.{key}")
    try:
        return kind(**made)
    except ValueError as error:
        raise UsageError(f"{origin}: {where}: {error}") from error


def convert(value: object, kind: type[T], origin: str, prefix: str) -> T:
    """Return a value as what it should be.

    Raises
    ------
    UsageError
        Names the source, the key and what was expected.
    """
    try:
        return converted(value, kind, _keys_of(kind), _fraction)
    except ValueError as error:
        text = str(error)
        key = text.partition(": ")[0].rpartition(".")[2]
        if "unknown key" in text and key in _NO_KEYS:
            text = f"{key}: is no key of a configuration; --{key} is an option"
        elif key in _EXAMPLES and ("expected a list" in text or "expected a table" in text):
            text += f", such as {key} = {_EXAMPLES[key]}"
        elif key in _SEVERAL and "got a table" in text:
            text += f"; write [[{key}]]"
        if prefix:
            has_key = ": " in text
            joint = "" if text.startswith("[") else "." if has_key else ": "
            text = f"{prefix}{joint}{text}"
        raise UsageError(f"{origin}: {text}") from error


def _fraction(kind: type, value: object) -> object:
    """Read an exact number; a decimal one as it is written, so that 0.1 is a tenth."""
    if kind is not Fraction:
        raise NotImplementedError
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError("Expected a number or a fraction such as '1/3'")
    try:
        return Fraction(str(value))
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError("Expected a number or a fraction such as '1/3'") from error


def _values(table: msgspec.Struct, *, skip: Iterable[str]) -> Values:
    found = {name: getattr(table, name) for name in table.__struct_fields__ if name not in skip}
    if isinstance(limits := found.get("thresholds"), ThresholdsTable):
        found["thresholds"] = {k.replace("_", "-"): v for k, v in _values(limits, skip=()).items()}
    return {name: value for name, value in found.items() if value is not None}


def _keys_of(kind: type) -> Callable[[str], list[str]]:
    return lambda place: _keys(kind, place)


def _keys(kind: type, place: str) -> list[str]:
    if ".thresholds" in place:
        return list(ThresholdsTable.__struct_encode_fields__)
    tables = (("models", KnownTable), ("suppress", SuppressTable), ("per-file", FileTable))
    for name, table in tables:
        if place.startswith(f".{name}"):
            return list(table.__struct_encode_fields__)
    return list(getattr(kind, "__struct_encode_fields__", ()))
