"""Renders the document of ``scotoma sizes`` as tables for a person to read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import click

from scotoma.report.escape import escape
from scotoma.report.sizes_document import shortened
from scotoma.report.table import table
from scotoma.report.text import counted, input_line, short_number
from scotoma.sizes.ranges import REACH

Document = Mapping[str, Any]

TOP = 10
"""Sizes that are shown unless the caller says otherwise."""
FEW_ACCEPTED = 40
"""So many times as many refused sizes as further accepted ones: (nearly) one size is accepted."""
MAX_REFUSALS = 3
"""Operators that refuse sizes are listed up to this number."""
UNKNOWN = "-"

_HEADS = (
    "size", "unread px", "without gates", "dead taps", "uneven layers", "leftover layers",
    "phantoms", "off centre", "",
)  # fmt: skip
_LOCAL = 2
"""Index of the column that is left out where it repeats the one before."""


def render_sizes(document: Document, top: int | None = None) -> str:
    """Return what the model loses at the sizes to be deployed, and the best sizes.

    Parameters
    ----------
    document
        The JSON document of ``scotoma sizes``.
    top
        How many sizes are shown, beside the current one; None: `TOP`.
    """
    path = click.style(escape(str(document["model"]["path"] or "model")), bold=True)
    lines = [path, f"  {input_line(document['input'])}"]
    everything = document["sizes"]
    if not everything:
        reasons = [escape(str(item["reason"])) for item in document["unanalysed"][:1]]
        lines.append(f"  its sizes could not be compared{''.join(f': {r}' for r in reasons)}")
        return "\n".join(lines) + "\n"
    if document["deployed"]:
        lines += ["", *_deployed(document), ""]
    strided = counted(document["strided_layers"], "strided layer")
    made = "made of the best along each side, " if document["combined"] else ""
    lines.append(
        f"  {counted(len(everything), 'size')} around {_times(document['around'])}, {made}the best "
        f"first; {strided}"
    )
    kept = [item for item in everything if item["accepted"] is not False or item["current"]]
    shown = shortened({"sizes": kept}, TOP if top is None else top)["sizes"]
    lines += ["", _table([(item, _notes(item)) for item in shown])]
    hidden = len(kept) - len(shown)
    if hidden:
        lines.append(f"{counted(hidden, 'more size')} (see --top)")
    lines += [*_left_out(document), *_accepted(everything), *_refusals(everything)]
    guessed = sum(not item["examined"] for item in everything)
    if guessed:
        lines.append(
            f"not examined: {counted(guessed, 'size')}, of which only window arithmetic tells, not "
            "whether the graph accepts them; a narrower --range examines more"
        )
    if document["unanalysed"]:
        lines.append(
            f"not analysed at the current size: {counted(len(document['unanalysed']), 'operator')}"
            " (see `scotoma trace`)"
        )
    return "\n".join(lines) + "\n"


def _deployed(document: Document) -> Iterator[str]:
    """Yield the table of the sizes to be deployed, and what is wrong with each."""
    items = document["deployed"]
    origin = document["deployed_by"]
    by = f", set by {escape(str(origin))}" if origin else ""
    yield f"  {counted(len(items), 'size')} to be deployed{by}"
    yield ""
    rows = []
    for item in items:
        refused = item["accepted"] is False
        rows.append((item, "refused" if refused else "" if item["examined"] else "not examined"))
        if item["better"]:
            rows.append((item["better"], "better"))
    yield _table(rows)
    yield ""
    for item in items:
        size = click.style(_times(item["size"]), bold=True)
        if not item["problems"]:
            yield f"  {size}: nothing is wrong with it"
            continue
        yield f"  {size}"
        for problem in item["problems"]:
            yield f"    {escape(str(problem['message']))}"
        yield f"    {click.style('better:', fg='green')} {_better(item)}"


def _better(item: Document) -> str:
    """Say which size is better and how far away it is."""
    if item["better"] is None:
        done = "accepted" if item["accepted"] is False else "better"
        return f"no size that is {done} within {REACH} px was found"
    better = item["better"]["size"]
    steps = [b - a for a, b in zip(item["size"], better, strict=True)]
    moved = {step for step in steps if step}
    away = f", {next(iter(moved)):+} px" if len(moved) == 1 else ""
    return f"{_times(better)}{away}"


def _left_out(document: Document) -> Iterator[str]:
    """Yield which sizes are too small to be compared."""
    for item in document["left_out"]:
        span = str(item["low"])
        if item["high"] > item["low"]:
            span += f" to {item['high']}"
        every = len(item["axes"]) == len(document["around"])
        along = "" if every else f" along {' and '.join(item['names'])}"
        yield f"left out: {span} px{along}, {escape(str(item['reason']))}"


def _accepted(sizes: Sequence[Document]) -> Iterator[str]:
    """Yield which sizes the graph accepts, where that is (nearly) only one."""
    refused = sum(item["accepted"] is False for item in sizes)
    accepted = [_times(item["size"]) for item in sizes if item["accepted"]]
    if not refused or refused < FEW_ACCEPTED * (len(accepted) - 1):
        return
    if refused + len(accepted) < len(sizes):
        return
    which = f"only {' and '.join(accepted)}" if accepted else "none"
    yield f"accepted: {which} of the {len(sizes)} sizes that were compared"


def _refusals(sizes: Iterable[Document]) -> Iterator[str]:
    """Yield which operators refuse sizes, the one that refuses most first."""
    refused: dict[tuple[str, str], list[Document]] = {}
    for item in sizes:
        by = item["refused_by"]
        if by is not None:
            refused.setdefault((str(by["node"]), str(by["op_type"])), []).append(item)
    order = sorted(refused.items(), key=lambda pair: -len(pair[1]))
    for (node, op_type), items in order[:MAX_REFUSALS]:
        first = items[0]
        such_as = f", such as {_times(first['size'])}" if len(items) > 1 else ""
        which = counted(len(items), "size") if len(items) > 1 else _times(first["size"])
        yield (
            f"refused: {which} by '{escape(node)}' ({escape(op_type)}){such_as}: "
            f"{escape(str(first['refused_by']['reason']))}"
        )
    if len(order) > MAX_REFUSALS:
        more = sum(len(items) for _, items in order[MAX_REFUSALS:])
        yield f"refused: {counted(more, 'size')} by other operators (see --format json)"


def _table(items: Sequence[tuple[Document, str]]) -> str:
    rows = [_row(item, note) for item, note in items]
    heads = list(_HEADS)
    if all(item["dead_pixels_local"] == item["dead_pixels"] for item, _ in items):
        rows = [row[:_LOCAL] + row[_LOCAL + 1 :] for row in rows]
        heads.pop(_LOCAL)
    return table(heads, rows, right=frozenset(range(1, len(heads) - 1))).rstrip("\n")


def _row(item: Document, note: str) -> list[str]:
    offset, share = item["centre_offset"], item["dead_weight_share"]
    return [
        _times(item["size"]),
        _count(item["dead_pixels"]),
        _count(item["dead_pixels_local"]),
        UNKNOWN if share is None else "0" if share == 0 else _percent(share),
        _count(item["uneven_layers"]),
        _count(item["leftover_layers"]),
        _count(item["phantom_windows"]),
        UNKNOWN if offset is None else f"{short_number(float(Fraction(offset)))} px",
        note,
    ]


def _notes(item: Document) -> str:
    notes = ["current"] if item["current"] else []
    if item["refused_by"] is not None:
        notes.append("refused")
    elif not item["examined"]:
        notes.append("not examined")
    if item["too_small"] is not None:
        notes.append("too small")
    return ", ".join(notes)


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else "<0.1%"


def _count(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def _times(size: Sequence[int]) -> str:
    return "x".join(map(str, size))
