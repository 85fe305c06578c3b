"""The settings of a call: the keys of a configuration, as keyword arguments."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

from scotoma.settings.layers import Layer
from scotoma.settings.schema import read_values

Level = Literal["error", "warning", "note"]


class LintSettings(TypedDict, total=False):
    """What a call can set; each means what the key of that name means in ``scotoma.toml``."""

    select: Sequence[str]
    """Codes, beginnings of codes, names or ``ALL``."""
    extend_select: Sequence[str]
    ignore: Sequence[str]
    severity: Mapping[str, Level]
    """By rule."""
    fail_on: Level | Literal["never"]
    fail_on_undecided: bool
    task: Literal["auto", "classify", "dense", "detect"]
    runtime: str
    """Such as ``onnxruntime>=1.22``."""
    baseline: str | os.PathLike[str]
    suppress: Sequence[Mapping[str, Any]]
    """Tables with ``rule``, ``node`` and ``reason``."""
    weights: bool
    size: Sequence[int]
    input_shapes: Mapping[str, Sequence[int]]
    input_name: str
    rule_options: Mapping[str, Mapping[str, Any]]
    """Options of rules by the rule's name, as ``[rules.NAME]`` in a configuration."""
    thresholds: Mapping[str, float]
    """Limits of measured figures, such as ``max-dead-pixels``; `scotoma.audit` judges them."""


def layer(settings: Mapping[str, Any]) -> Layer:
    """Return what a call sets.

    Raises
    ------
    scotoma.errors.UsageError
        If a key is unknown or its value cannot be.

    Examples
    --------
    >>> layer({"fail_on": "note", "size": (32, 32)}).values
    {'fail_on': 'note', 'size': (32, 32)}
    """
    table = {
        {"rule_options": "rules"}.get(key, key.replace("_", "-")): _plain(value)
        for key, value in settings.items()
        if value is not None
    }
    values, _ = read_values(table, "the call", folder=str(Path.cwd()))
    return Layer("the call", values)


def _plain(value: object) -> object:
    """Return a value as TOML would have it."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
