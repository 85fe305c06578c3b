"""What a configuration, a rule's options and a baseline may hold, checked by msgspec.

Imported only where there is one of them: the checker takes some 20 ms to import.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
import typing
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from scotoma.errors import UsageError
from scotoma.settings.layers import Suppression, Values

T = TypeVar("T")

_NAMES = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "object": "a table",
    "str": "a text",
}
"""What a person calls the types that msgspec names."""

_LEVELS = "error, warning or note"
_CHOICES = {
    "fail-on": "error, warning, note or never",
    "task": "auto, classify, dense or detect",
}
"""What a key can be, where msgspec does not say it."""

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
        raise ValueError(str(error)) from error
    return [Suppression(item.rule, item.reason, item.node) for item in found]


def read_baseline(data: bytes, origin: str) -> dict[str, list[KnownTable]]:
    """Return the findings that a baseline holds, by path.

    Raises
    ------
    UsageError
        If it is no baseline.
    """
    try:
        # The standard library reads what it wrote, names that are no UTF-8 included.
        return msgspec.convert(json.loads(data), BaselineTable).models
    except (ValueError, RecursionError) as error:
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
            raise UsageError(f"{origin}: {where}.{key}: {_unknown(key, names)}")
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
        return msgspec.convert(value, kind, dec_hook=_fraction)
    except msgspec.ValidationError as error:
        text = _with_key(str(error), value, kind)
        raise UsageError(f"{origin}: {_explained(text, prefix, kind)}") from error


def _with_key(text: str, value: object, kind: type) -> str:
    """Put the key into a message that says only that some entry of a table is wrong."""
    place = re.search(r" - at `\$((?:\.[\w-]+|\[\d+\])*)\[\.\.\.\]", text)
    if place is None:
        return text
    steps = [name or int(index) for name, index in re.findall(r"\.([\w-]+)|\[(\d+)\]", place[1])]
    for key in _at(value, steps):
        alone = _with_only(value, steps, key)
        try:
            msgspec.convert(alone, kind, dec_hook=_fraction)
        except msgspec.ValidationError:
            return text.replace("[...]", f".{key}", 1)
    return text


def _at(value: Any, steps: Iterable[str | int]) -> Any:
    for step in steps:
        value = value[step]
    return value


def _with_only(value: Any, steps: list[str | int], key: str) -> Any:
    """Return a copy of nested tables in which the one at the end of the steps has one entry."""
    if not steps:
        return {key: value[key]}
    copy = value.copy()
    copy[steps[0]] = _with_only(value[steps[0]], steps[1:], key)
    return copy


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


def _explained(text: str, prefix: str, kind: type) -> str:
    """Turn msgspec's message about a place such as ``$.size[0]`` into key and expectation."""
    what, _, place = text.partition(" - at `$")
    what = what.replace(" | null", "").replace("`", "'")
    for name, said in _NAMES.items():
        what = what.replace(f"'{name}'", said)
    key = (prefix + place.rstrip("`")).removeprefix(".").replace("[...]", "")
    unknown = re.fullmatch(r"Object contains unknown field '(.*)'", what, re.DOTALL)
    if unknown:
        within = f"{key}." if key else ""
        return f"{within}{unknown[1]}: {_unknown(unknown[1], _keys(kind, place))}"
    missing = re.fullmatch(r"Object missing required field '(.*)'", what)
    if missing:
        within = f"{key}." if key else ""
        return f"{within}{missing[1]}: is missing"
    if "regex" in what:
        what = "expected a text that is not blank"
    invalid = re.fullmatch(r"Invalid enum value (.*)", what, re.DOTALL)
    if invalid:
        what = f"expected {_CHOICES.get(key.rpartition('.')[2], _LEVELS)}, got {invalid[1]}"
    return f"{key}: {what[:1].lower()}{what[1:]}"


def _keys(kind: type, place: str) -> list[str]:
    if ".thresholds" in place:
        return list(ThresholdsTable.__struct_encode_fields__)
    for name, table in (("suppress", SuppressTable), ("per-file", FileTable)):
        if place.startswith(f".{name}"):
            return list(table.__struct_encode_fields__)
    return list(getattr(kind, "__struct_encode_fields__", ()))


def _unknown(key: str, names: Iterable[str]) -> str:
    known = sorted(names)
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(known) or 'none'}"
    return f"unknown key; {hint}"
