"""Options that several commands share, and how their values are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from scotoma.cli.help import HEADING

if TYPE_CHECKING:
    from scotoma.engine import Options

MAX_DIMENSION = 2**31 - 1

Command = Callable[..., Any]


def read_sizes(text: str) -> tuple[int, ...]:
    """Return the numbers of a text such as ``224x224``.

    Raises
    ------
    click.BadParameter
        If it is anything else, or a number is not between 1 and `MAX_DIMENSION`.

    Examples
    --------
    >>> read_sizes("1x3x224x224")
    (1, 3, 224, 224)
    """
    parts = text.lower().split("x")
    if not all(part.isascii() and part.isdigit() and len(part) <= 10 for part in parts):
        raise click.BadParameter(
            f"'{text}' is not made of whole numbers with an x between them, such as 224x224"
        )
    sizes = tuple(map(int, parts))
    if not all(1 <= size <= MAX_DIMENSION for size in sizes):
        raise click.BadParameter(f"'{text}': each number must lie between 1 and {MAX_DIMENSION}")
    return sizes


def read_input_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """Return the name and the shape of a text such as ``x=1x3x224x224``."""
    name, equals, shape = text.rpartition("=")
    if not equals or not name:
        raise click.BadParameter(f"'{text}' is not NAME=SHAPE, such as x=1x3x224x224")
    return name, read_sizes(shape)


def split_selectors(values: Iterable[str]) -> list[str]:
    """Return the parts of comma-separated values."""
    return [part.strip() for value in values for part in value.split(",")]


def _size(_context: click.Context, _option: click.Parameter, value: str | None) -> object:
    return None if value is None else read_sizes(value)


def _input_shapes(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> Mapping[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in map(read_input_shape, values):
        if name in shapes:
            raise click.BadParameter(f"the input '{name}' is given two shapes")
        shapes[name] = shape
    return shapes


class _Whole(click.types.StringParamType):
    """A text that may hold spaces, in the environment too."""

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        return [rv]


def mirrored(*names: str, **settings: Any) -> Command:
    """Return an option that can also be set in the environment.

    ``--fail-on`` is read from ``SCOTOMA_FAIL_ON``. Of an option that may be repeated the
    environment gives one value.
    """
    if settings.get("multiple"):
        settings.setdefault("type", _Whole())
    flag = next(name for name in reversed(names) if name.startswith("--"))
    variable = "SCOTOMA_" + flag.removeprefix("--").replace("-", "_").upper()
    return click.option(*names, envvar=variable, show_envvar=True, **settings)


def together(options: Iterable[Command], heading: str = "") -> Callable[[Command], Command]:
    """Return a decorator that gives a command several options, in this order.

    Parameters
    ----------
    heading
        What those that have none yet stand under in the help.
    """

    def decorate(command: Command) -> Command:
        before = len(getattr(command, "__click_params__", ()))
        for option in reversed(list(options)):
            command = option(command)
        for parameter in getattr(command, "__click_params__", ())[before:] if heading else ():
            if not hasattr(parameter, HEADING):
                setattr(parameter, HEADING, heading)
        return command

    return decorate


input_options = together(
    [
        mirrored(
            "--size",
            metavar="HxW",
            callback=_size,
            help="Examine at this size, one number per spatial axis: 224x224.",
        ),
        mirrored(
            "--input-shape",
            "input_shapes",
            metavar="NAME=SHAPE",
            multiple=True,
            callback=_input_shapes,
            help="Shape of one input: x=1x3x224x224. May be repeated.",
        ),
        mirrored(
            "--input-name",
            metavar="NAME",
            help="Input whose pixels are followed. [default: the largest spatial one]",
        ),
    ],
    "Model",
)

TABLE_FORMATS = ("text", "json")
"""Formats of the commands that print one table."""

table_options = together(
    [
        click.option(
            "--format",
            "format_name",
            type=click.Choice(TABLE_FORMATS),
            default="text",
            show_default=True,
            help="Format of standard output, and of files whose ending says none.",
        ),
        click.option(
            "-o",
            "--output",
            "outputs",
            metavar="[FORMAT=]FILE",
            multiple=True,
            help="Write the report to a file instead of standard output (-), of the format that is"
            " stated or that its ending says. May be repeated.",
        ),
    ],
    "Report",
)

run_options = together(
    [
        click.option("--debug", is_flag=True, help="Show a traceback where Scotoma itself fails."),
        mirrored(
            "--color",
            "colour",
            type=click.Choice(["auto", "always", "never"]),
            default="auto",
            show_default=True,
            help="Colour the text on standard output.",
        ),
    ]
)

rules_option = together(
    [
        click.option(
            "--rules",
            "rule_directories",
            metavar="DIR",
            multiple=True,
            help="Also use the rules of this folder. Runs its Python code. May be repeated.",
        )
    ],
    "Rules",
)
no_weights_option = together(
    [mirrored("--no-weights", is_flag=True, help="Never look at a weight.")], "Model"
)


def engine_options(
    *,
    size: tuple[int, ...] | None,
    input_shapes: Mapping[str, tuple[int, ...]],
    input_name: str | None,
    weights: bool = True,
    hash_files: bool = False,
    debug: bool = False,
) -> Options:
    """Return what the engine is told."""
    from scotoma.engine import Options  # noqa: PLC0415  not for --help

    return Options(
        size=size,
        input_shapes=input_shapes or None,
        input_name=input_name,
        weights=weights,
        hash_files=hash_files,
        debug=debug,
    )
