"""How ``--help`` is laid out: options under headings, commands by importance, examples."""

from __future__ import annotations

from typing import Any

import click

HEADING = "heading"
"""Attribute of an option: what it stands under in the help."""
REST = "Other options"
WIDEST = 26
"""Characters; what an option is called may be longer, and then stands on a line of its own."""


class Command(click.Command):
    """A command whose options stand under headings, in the order that they are declared in."""

    def __init__(self, *arguments: Any, examples: str = "", **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.examples = examples

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, each under its heading; those without one come last."""
        found: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            # Of arguments the text above says what they are.
            is_option = isinstance(parameter, click.Option)
            record = parameter.get_help_record(ctx) if is_option else None
            if record is not None:
                found.setdefault(getattr(parameter, HEADING, REST), []).append(record)
        rest = found.pop(REST, [])
        sections = [*found.items(), (REST if found else "Options", rest)]
        widest = max(len(name) for _, rows in sections for name, _ in rows)
        column = min(WIDEST, widest)
        for heading, rows in sections:
            with formatter.section(heading):
                # As wide as in all other sections.
                formatter.write_dl([(name.ljust(column), said) for name, said in rows], column)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, and then what else there is to say."""
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples.strip().splitlines():
                    formatter.write(f"{' ' * formatter.current_indent}{line.strip()}\n")
        super().format_epilog(ctx, formatter)


class Group(click.Group):
    """Commands in the order that they were added in."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's
        """Return the names, the most important first."""
        return list(self.commands)
