"""``scotoma rules`` and ``scotoma explain``: what the rules are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from scotoma.cli.options import rules_option, run_options
from scotoma.cli.output import STDOUT, use_colour, write
from scotoma.errors import UsageError

if TYPE_CHECKING:
    from scotoma.rule import Rule

HOW_SET = """
Each is on where its limit is set, by the option or the key of the table [thresholds] that is called
as it is without `measured-`: `scotoma audit --max-dead-pixels 0`, or `max-dead-pixels = 0`.
"""
"""Under the limits of measured figures."""


@click.command()
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="Format of the list.",
)
@rules_option
@run_options
def rules(*, format_name: str, rule_directories: tuple[str, ...], debug: bool, colour: str) -> None:
    """List the rules."""
    from scotoma.registry import load_rules  # noqa: PLC0415  not for --help
    from scotoma.report import rules as render  # noqa: PLC0415

    del debug  # read by `scotoma.cli.main`
    renderers = {
        "text": render.render_table,
        "json": render.render_json,
        "markdown": render.render_markdown,
    }
    text = renderers[format_name](load_rules(rule_directories).rules)
    write(text, STDOUT, colour=use_colour(colour))


@click.command()
@click.argument("rule")
@rules_option
@run_options
def explain(rule: str, *, rule_directories: tuple[str, ...], debug: bool, colour: str) -> None:
    """Say what a rule finds, why it matters and what to do.

    RULE is its code or its name; of the beginning of a code, such as SC1, the rules are listed.
    """
    from scotoma.registry import load_rules  # noqa: PLC0415  not for --help
    from scotoma.report import rules as render  # noqa: PLC0415

    del debug  # read by `scotoma.cli.main`
    registry = load_rules(rule_directories)
    if family := registry.family(rule):
        text = render.render_family(rule, family)
    else:
        try:
            text = render.explain(registry.get(rule))
        except UsageError:
            limits = _limits(rule)
            if not limits:
                raise
            text = (
                render.explain(limits[0], when="on where its limit is set")
                if len(limits) == 1
                else render.render_family(rule, limits, kind="limit", when="where set") + HOW_SET
            )
    write(text, STDOUT, colour=use_colour(colour))


def _limits(name: str) -> list[Rule]:
    """Return the limits of measured figures with this code, beginning of a code, or name."""
    from scotoma.audit.thresholds import THRESHOLDS  # noqa: PLC0415  it brings all that measures

    return [
        item
        for item in THRESHOLDS.values()
        if (name and item.meta.code.startswith(name.upper())) or name.lower() == item.meta.name
    ]
