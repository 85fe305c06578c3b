"""Lays text out in columns."""

from __future__ import annotations

from collections.abc import Sequence

import click


def table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()
) -> str:
    """Return rows under their heads, each column as wide as its widest cell.

    Parameters
    ----------
    heads
        One title for each column.
    rows
        Cells without styles; as many in each row as there are heads.
    right
        Indices of the columns that are aligned to the right.

    Examples
    --------
    >>> print(click.unstyle(table(("node", "px"), [("a", "7"), ("bcdef", "11")])), end="")
    node   px
    a      7
    bcdef  11
    """
    widths = [max(len(cell) for cell in column) for column in zip(heads, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(padded).rstrip()

    lines = [click.style(line(heads), bold=True), *map(line, rows)]
    return "\n".join(lines) + "\n"
