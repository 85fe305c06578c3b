"""The options of ``scotoma lint`` that a configuration can hold as well, and their values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from scotoma.cli.options import mirrored, rules_option, split_selectors, together
from scotoma.errors import UsageError

if TYPE_CHECKING:
    from scotoma.settings.layers import Layer

LEVELS = ("error", "warning", "note")
TASKS = ("auto", "classify", "dense", "detect")

LISTS = "codes, beginnings of codes, names or ALL, with commas between them"


def read_severities(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """Return levels by rule from texts such as ``SC101=error,even-kernel=note``."""
    levels: dict[str, str] = {}
    for part in split_selectors(values):
        rule, _, level = part.rpartition("=")
        if not rule or level not in LEVELS:
            raise click.BadParameter(f"'{part}' is not RULE=LEVEL with one of {', '.join(LEVELS)}")
        levels.pop(rule, None)
        levels[rule] = level
    return levels


selection_options = together(
    [
        mirrored("--select", metavar="RULES", multiple=True, help=f"Run only these: {LISTS}."),
        mirrored("--extend-select", metavar="RULES", multiple=True, help="Run these as well."),
        mirrored("--ignore", metavar="RULES", multiple=True, help="Do not run these."),
        mirrored(
            "--severity",
            metavar="RULE=LEVEL",
            multiple=True,
            callback=read_severities,
            help="Report findings of a rule as error, warning or note. May be repeated.",
        ),
    ],
    "Rules",
)
task_option = together(
    [
        mirrored(
            "--task",
            type=click.Choice(TASKS),
            default="auto",
            show_default=True,
            help="What the models are for: some severities depend on it. auto: the graph tells.",
        )
    ],
    "Rules",
)
configuration_options = together(
    [
        mirrored(
            "--config",
            "configs",
            metavar="FILE|KEY=VALUE",
            multiple=True,
            help="Use this configuration, or one setting in TOML: size=[224,224].",
        ),
        mirrored("--isolated", is_flag=True, help="Look for no configuration file."),
    ],
    "Settings",
)
gate_options = together(
    [
        mirrored(
            "--fail-on",
            type=click.Choice([*LEVELS, "never"]),
            default="error",
            show_default=True,
            help="Exit with status 1 on findings of this severity or a higher one.",
        ),
        mirrored("--fail-on-undecided", is_flag=True, help="Also where a rule could not tell."),
        mirrored("--exit-zero", is_flag=True, help="Exit with status 0 whatever is found."),
        mirrored(
            "--baseline",
            metavar="FILE",
            help="Findings that this file lists do not count; what --write-baseline wrote.",
        ),
        mirrored(
            "--trust-model-suppressions",
            is_flag=True,
            help="Let a model's own metadata suppress findings.",
        ),
    ],
    "What counts",
)
settings_options = together(
    [
        selection_options,
        task_option,
        together(
            [
                mirrored(
                    "--runtime",
                    metavar="NAME>=VERSION",
                    help="Leave out what happens in other versions only: 'onnxruntime>=1.22'.",
                )
            ],
            "Rules",
        ),
        rules_option,
        gate_options,
    ]
)

THRESHOLDS = (
    "max_dead_pixels", "min_border_ratio", "max_asymmetry", "max_position_sensitivity",
)  # fmt: skip
"""Parameters that are entries of the table ``thresholds``."""

_KEYS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "select": ("select", lambda values: tuple(split_selectors(values))),
    "extend_select": ("extend_select", lambda values: tuple(split_selectors(values))),
    "ignore": ("ignore", lambda values: tuple(split_selectors(values))),
    "severity": ("severity", dict),
    "fail_on": ("fail_on", str),
    "fail_on_undecided": ("fail_on_undecided", bool),
    "task": ("task", str),
    "runtime": ("runtime", str),
    "baseline": ("baseline", str),
    "trust_model_suppressions": ("trust_model_suppressions", bool),
    "no_weights": ("weights", lambda flag: not flag),
    "size": ("size", tuple),
    "input_shapes": ("input_shapes", dict),
    "input_name": ("input_name", str),
    "deploy": ("deploy", tuple),
}
"""Key of the settings by parameter, and how its value is read."""


def given_layers(context: click.Context) -> tuple[Layer, Layer]:
    """Return what the environment and what the command line set."""
    from scotoma.settings.layers import Layer  # noqa: PLC0415  not for --help

    return (
        Layer("the environment", _values(context, ParameterSource.ENVIRONMENT)),
        Layer("the command line", _values(context, ParameterSource.COMMANDLINE)),
    )


def _values(context: click.Context, source: ParameterSource) -> dict[str, object]:
    given = [name for name in context.params if context.get_parameter_source(name) is source]
    found = {
        key: read(context.params[name]) for name, (key, read) in _KEYS.items() if name in given
    }
    limits = {name.replace("_", "-"): context.params[name] for name in given if name in THRESHOLDS}
    for name, limit in limits.items():
        if not math.isfinite(limit):  # no range of click's keeps NaN out
            raise UsageError(f"--{name}: {limit} is no limit")
    return {**found, "thresholds": limits} if limits else found
