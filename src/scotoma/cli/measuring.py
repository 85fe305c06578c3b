"""The options of ``scotoma measure``, and how their values are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def read_seconds(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> float | None:
    """Read a time such as ``60s``, ``2m`` or ``1.5h``."""
    if value is None:
        return None
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(s|m|min|h)?", value.strip())
    if match is None:
        raise click.BadParameter(f"'{value}' is not a time such as 60s, 2m or 1.5h")
    return float(match[1]) * UNITS[match[2] or ""]


def _numbers(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[float, ...] | None:
    """Read numbers with commas between them."""
    if value is None:
        return None
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"'{value}' is not made of numbers with commas between") from None


def _place(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[int, ...] | None:
    """Read whole numbers with commas between them."""
    if value is None:
        return None
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise click.BadParameter(f"'{value}' is not whole numbers with commas between, such as 3,4")
    return tuple(map(int, parts))


def _interval(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[float, float] | None:
    """Read two numbers with a colon between them."""
    if value is None:
        return None
    try:
        low, high = (float(part) for part in value.split(":"))
    except ValueError:
        raise click.BadParameter(f"'{value}' is not LOW:HIGH, such as 0:255") from None
    return low, high


def _fixed(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> Mapping[str, str]:
    """Read texts of the form ``NAME=VALUE``."""
    found: dict[str, str] = {}
    for text in values:
        name, equals, value = text.rpartition("=")
        if not (name and equals and value):
            raise click.BadParameter(f"'{text}' is not NAME=NUMBER or NAME=FILE.npy")
        if name in found:
            raise click.BadParameter(f"the input '{name}' is fixed twice")
        found[name] = value
    return found


def _resolution(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> int | str | None:
    digits = value is not None and value.isascii() and value.isdigit() and len(value) < 10
    return int(value) if digits and value is not None else value


def _choice(*names: str, among: list[str], **more: Any) -> Callable[..., Any]:
    """Return an option that is one of some words, the first if it is not given."""
    return click.option(
        *names, type=click.Choice(among), default=among[0], show_default=True, **more
    )


def _number(*names: str, default: int, **more: Any) -> Callable[..., Any]:
    """Return an option that is a whole number."""
    return click.option(*names, type=int, metavar="N", default=default, show_default=True, **more)


def about_inputs() -> Iterator[Callable[..., Any]]:
    """Yield the options about what a model is fed."""
    yield click.option(
        "--input",
        "inputs",
        metavar="random|zeros|mean|PATH",
        multiple=True,
        help="What is perturbed: an image, a folder of images or a .npy file. May be repeated."
        " [default: random]",
    )
    yield _number(
        "--inputs", "random_inputs", default=4, help="How many inputs 'random' stands for."
    )
    yield _number("--seed", default=0, help="Of random inputs, and of the order of the work.")
    yield click.option(
        "--mean",
        metavar="X[,X...]",
        callback=_numbers,
        help="Of an image's channels, of 0 to 1; an image becomes (x / 255 - mean) / std.",
    )
    yield click.option("--std", metavar="X[,X...]", callback=_numbers, help="Likewise.")
    yield click.option(
        "--value-range",
        metavar="LOW:HIGH",
        callback=_interval,
        help="Of the input's values: random ones are uniform in it, images are mapped to it.",
    )
    yield _choice(
        "--fit",
        among=["refuse", "crop", "resize"],
        help="What is done with an image of another size.",
    )
    yield click.option("--bgr", is_flag=True, help="The model wants blue, green, red.")
    yield click.option(
        "--fix",
        "fixed",
        metavar="NAME=NUMBER|FILE.npy",
        multiple=True,
        callback=_fixed,
        help="What another input is fed. May be repeated. [default: zeros]",
    )


def about_perturbation() -> Iterator[Callable[..., Any]]:
    """Yield the options about what is measured, and how."""
    yield _choice(
        "--method",
        among=["auto", "adjoint", "perturb", "hybrid"],
        help="Gradients, moved pixels, or gradients that moved pixels confirm (auto); hybrid: a"
        " preview of a large --delta.",
    )
    yield click.option(
        "--functional",
        metavar="l2|sum|max|logit[:K]",
        default="l2",
        show_default=True,
        help="Norm of the target's change, or change of its sum, its maximum or a class (the top"
        " one, or number K).",
    )
    yield click.option(
        "--tensor",
        metavar="NAME",
        help="Target: an output or inner tensor. [default: the last feature maps]",
    )
    yield click.option(
        "--unit",
        metavar="R,C",
        callback=_place,
        help="One place of the target alone: its effective receptive field.",
    )
    yield click.option(
        "--delta",
        type=float,
        metavar="X",
        help="Step, in the unit of the input. [default: chosen for precision]",
    )
    yield _choice(
        "--difference",
        among=["auto", "forward", "central"],
        help="From the input one way, or both ways. auto: one way with --delta.",
    )
    yield _number("--patch", default=1, help="Perturb squares of N pixels.")
    yield _choice(
        "--channels",
        among=["together", "each"],
        help="Perturb the channels of a pixel at once or one by one.",
    )


def about_work() -> Iterator[Callable[..., Any]]:
    """Yield the options about how much work is done."""
    yield click.option(
        "--resolution",
        metavar="full|N",
        callback=_resolution,
        help="Perturb all pixels, or N along each axis. [default: what the budget allows]",
    )
    yield click.option(
        "--budget",
        metavar="TIME",
        callback=read_seconds,
        help="Stop after 60s, 2m, 1.5h. [default: 60s without --resolution and --passes; to"
        " confirm gradients 1s]",
    )
    yield click.option(
        "--passes", type=int, metavar="N", help="Stop after N inputs through the model."
    )
    yield click.option(
        "--resume", is_flag=True, help="Go on from what an earlier run left in --out."
    )
    yield _number("--jobs", default=1, help="Threads that run the model.")
    yield click.option("--no-progress", "quiet", is_flag=True, help="No progress bar.")
    yield click.option(
        "--multiplex/--no-multiplex",
        default=True,
        help="Perturb pixels together where no cell of the target sees two. [default: yes]",
    )


def about_files() -> Iterator[Callable[..., Any]]:
    """Yield the options about what is written, and where."""
    yield click.option(
        "--out",
        "directory",
        metavar="DIR",
        required=True,
        help="Folder for influence.npy and influence.png; made if missing.",
    )
    yield _choice(
        "--format",
        "format_name",
        among=["text", "json"],
        help="Format of the report on standard output.",
    )
    yield click.option(
        "--picture",
        "pictures",
        type=click.Choice(["png", "svg", "pdf"]),
        multiple=True,
        default=["png"],
        show_default=True,
        help="Kind of the picture. May be repeated.",
    )
    yield _choice("--theme", among=["light", "dark"], help="Background of the picture.")
    yield click.option(
        "--emit-adjoint",
        "adjoint",
        metavar="DIR",
        help="Also write the forward and the backward as ONNX models.",
    )
