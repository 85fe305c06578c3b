"""The settings of a model: which keys there are, their defaults, and how sources are merged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

Values = dict[str, Any]

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Suppression:
    """Findings of a rule that are not to count, at some nodes of some models."""

    rule: str
    """Code, beginning of a code, name or ``ALL``."""
    reason: str
    node: str = "*"
    """Glob over the name of the node that a finding is about; ``*`` fits the graph as well."""
    files: tuple[str, ...] = ()
    """Globs over models; none: all."""
    source: str = ""
    """The file that it stands in."""
    folder: str = ""
    """Where the globs over models start from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that can be set for a model, with the defaults."""

    select: tuple[str, ...] = ()
    """Empty: the rules that are on by default."""
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    severity: Mapping[str, str] = field(default_factory=dict)
    """Level by rule selector."""
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Values by rule and name of the option."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Limits of measured figures, by name; ``scotoma audit`` judges them."""
    fail_on: str = "error"
    fail_on_undecided: bool = False
    size: tuple[int, ...] | None = None
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    input_name: str | None = None
    deploy: tuple[tuple[int, ...], ...] = ()
    """Sizes that the model is to run at; one number stands for all axes that move."""
    task: str = "auto"
    """``auto``, or what the model is for: ``classify``, ``dense`` or ``detect``."""
    weights: bool = True
    runtime: str | None = None
    baseline: str | None = None
    """Path of a file."""
    suppress: tuple[Suppression, ...] = ()
    trust_model_suppressions: bool = False
    configuration: str | None = None
    """The file that was read."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where each key that is not at its default was set."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source sets: some keys of `Settings`."""

    origin: str
    values: Values


ADDED_UP = frozenset({"extend_select", "ignore", "suppress"})
"""Keys of which every source adds to what the ones before it say."""
MERGED = frozenset({"severity", "options", "input_shapes", "thresholds"})
"""Tables: a later source replaces single entries."""


def merge(layers: Iterable[Layer], *, configuration: str | None = None) -> Settings:
    """Return the settings from several sources, the strongest last.

    Examples
    --------
    >>> low = Layer("a file", {"ignore": ("SC1",), "fail_on": "note"})
    >>> high = Layer("the command line", {"ignore": ("SC2",), "fail_on": "never"})
    >>> made = merge([low, high])
    >>> made.ignore, made.fail_on, made.origins["fail_on"]
    (('SC1', 'SC2'), 'never', 'the command line')
    """
    values: Values = {}
    origins: dict[str, str] = {}
    for layer in layers:
        for key, value in layer.values.items():
            if key in ADDED_UP:
                values[key] = (*values.get(key, ()), *value)
            elif key == "options":
                tables = values.get(key, {})
                values[key] = tables | {
                    rule: {**tables.get(rule, {}), **table} for rule, table in value.items()
                }
            elif key in MERGED:
                # Entries of a later source come last, and the last that fits a rule decides.
                kept = {k: v for k, v in values.get(key, {}).items() if k not in value}
                values[key] = {**kept, **value}
            else:
                values[key] = value
            several = key in origins and key in ADDED_UP | MERGED
            origins[key] = f"{origins[key]} and {layer.origin}" if several else layer.origin
    return Settings(**values, configuration=configuration, origins=origins)


def document(settings: Settings) -> dict[str, dict[str, object]]:
    """Return value and origin of every key, spelt as in a configuration."""
    found: dict[str, dict[str, object]] = {}
    for item in fields(Settings):
        if item.name in ("configuration", "origins"):
            continue
        value = getattr(settings, item.name)
        if item.name == "suppress":
            value = [
                {"rule": s.rule, "node": s.node, "files": list(s.files), "reason": s.reason}
                for s in value
            ]
        elif isinstance(value, tuple):
            value = list(value)
        name = "rules" if item.name == "options" else item.name.replace("_", "-")
        found[name] = {"value": value, "origin": settings.origins.get(item.name, DEFAULT)}
    return found
