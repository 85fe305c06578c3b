"""Says in words for a person what msgspec finds wrong with a table, and where."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
Hook = Callable[[type, Any], Any]

_NAMES = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "null": "nothing",
    "object": "a table",
    "str": "a text",
}
"""What a person calls the types that msgspec names."""
_LEVELS = "error, warning or note"
_CHOICES = {
    "fail-on": "error, warning, note or never",
    "status": "complete, partial, unavailable or error",
    "task": "auto, classify, dense or detect",
}
"""What a key can be, where msgspec does not say it."""
_HEXADECIMAL = "^[0-9a-f]"


def converted(value: object, kind: type[T], keys: Callable[[str], Iterable[str]], hook: Hook) -> T:
    """Return a value as what it should be.

    Parameters
    ----------
    keys
        Answers with the keys that a table can have, by its place such as ``.suppress[0]``.
    hook
        Reads types that msgspec does not know.

    Raises
    ------
    ValueError
        Says which key is wrong and what was expected.
    """
    try:
        return msgspec.convert(value, kind, dec_hook=hook)
    except msgspec.ValidationError as error:
        raise ValueError(explained(_with_key(str(error), value, kind, hook), keys)) from error


def explained(text: str, keys: Callable[[str], Iterable[str]] = lambda _: ()) -> str:
    """Turn msgspec's message about a place such as ``$.size[0]`` into key and expectation.

    Examples
    --------
    >>> explained("Expected `int` >= 1 - at `$.size[0]`")
    'size[0]: expected a whole number >= 1'
    >>> explained("Object missing required field `models`")
    'models: is missing'
    """
    what, _, place = text.partition(" - at `$")
    what = what.replace(" | null", "").replace("`", "'")
    for name, said in _NAMES.items():
        what = what.replace(f"'{name}'", said)
    place = place.rstrip("`")
    key = place.removeprefix(".").replace("[...]", "")
    within = f"{key}." if key else ""
    if unknown := re.fullmatch(r"Object contains unknown field '(.*)'", what, re.DOTALL):
        return f"{within}{unknown[1]}: {unknown_key(unknown[1], keys(place))}"
    if missing := re.fullmatch(r"Object missing required field '(.*)'", what):
        return f"{within}{missing[1]}: is missing"
    if "regex" in what:
        digits = _HEXADECIMAL in what
        what = f"expected {'64 hexadecimal digits' if digits else 'a text that is not blank'}"
    what = what.replace("a list of length >= 1", "a list of one entry or more")
    what = re.sub(r"(>= -?\d+)\.0$", r"\1", what)
    if invalid := re.fullmatch(r"Invalid enum value (.*)", what, re.DOTALL):
        what = f"expected {_CHOICES.get(key.rpartition('.')[2], _LEVELS)}, got {invalid[1]}"
    said = f"{what[:1].lower()}{what[1:]}"
    return f"{key}: {said}" if key else said


def unknown_key(key: str, names: Iterable[str]) -> str:
    """Say that there is no such key, and which one may be meant."""
    known = sorted(names)
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(known) or 'none'}"
    return f"unknown key; {hint}"


def parsed(data: bytes) -> Any:
    """Return what a JSON file holds.

    The standard library reads what it wrote, names that are no UTF-8 included.

    Raises
    ------
    ValueError
        If it holds no JSON; says why in words.
    """
    if not data.strip():
        raise ValueError("it is empty")
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise ValueError("it is not text") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"it is not JSON ({error.msg} in {place})") from error


def _with_key(text: str, value: object, kind: type, hook: Hook) -> str:
    """Put the key into a message that says only that some entry of a table is wrong."""
    place = re.search(r" - at `\$((?:\.[\w-]+|\[\d+\])*)\[\.\.\.\]", text)
    if place is None:
        return text
    steps = [name or int(index) for name, index in re.findall(r"\.([\w-]+)|\[(\d+)\]", place[1])]
    for key in _at(value, steps):
        alone = _with_only(value, steps, key)
        try:
            msgspec.convert(alone, kind, dec_hook=hook)
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
