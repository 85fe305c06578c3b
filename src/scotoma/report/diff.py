"""Renders the document of ``scotoma diff`` as text for a person to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from scotoma.findings import Severity
from scotoma.report.escape import clip, escape
from scotoma.report.table import table
from scotoma.report.text import COLOURS, counted, short_number
from scotoma.report.trace import measure_cell, metric_name

if TYPE_CHECKING:
    from scotoma.report.contract.diff import (
        ComparisonDocument,
        CoverageDifferenceDocument,
        DiffDocument,
        DiffFindingDocument,
        GeometryDifferenceDocument,
        InfluenceDifferenceDocument,
        PlacedTensorDocument,
        SideDocument,
    )

MAX_TENSORS = 10
"""Tensors whose geometry changed are listed up to this number."""
MAX_NAME = 40
UNKNOWN = "-"
HEAD = ("shape", "opset", "producer", "task", "status")
COLUMNS = ("grid", "receptive_field", "receptive_field_local", "effective_stride", "centre")
FIGURES = (
    "dead_pixel_fraction", "border_over_interior", "corner_over_centre", "edge_over_centre",
    "left_right_ratio", "top_bottom_ratio",
)  # fmt: skip


def render_diff(document: DiffDocument) -> str:
    """Return a block for each model, what is worse last, and a line that sums up."""
    lines: list[str] = []
    for comparison in document["comparisons"]:
        lines += [*_comparison(comparison), ""]
    count = document["worse"]
    models = document["comparisons"]
    compared = sum(
        not any(side and side["error"] for side in (pair["old"], pair["new"])) for pair in models
    )
    verdict = f"{counted(count, 'thing')} got worse" if count else "nothing got worse"
    head = f"{counted(compared, 'model')} compared"
    if compared < len(models):
        head += f", {len(models) - compared} not"
    return "\n".join([*lines, f"{head}: {verdict}" if compared or count else head, ""])


def _comparison(found: ComparisonDocument) -> Iterator[str]:
    old, new = found["old"], found["new"]
    paths = [UNKNOWN if side is None else escape(side["path"]) for side in (old, new)]
    yield click.style(f"{paths[0]} -> {paths[1]}", bold=True)
    if old is not None and new is not None:
        yield from _heads(old, new)
    for note in found["notes"]:
        yield f"  note: {escape(note)}"
    if not any(side is not None and side["error"] is not None for side in (old, new)):
        yield from _findings(found)
    if found["geometry"] is not None:
        yield from _geometry(found["geometry"])
    if found["influence"] is not None:
        yield from _influence(found["influence"])
    if found["worse"]:
        yield ""
        for item in found["worse"]:
            yield f"  {click.style('worse:', fg='red', bold=True)} {escape(item['message'])}"


def _heads(old: SideDocument, new: SideDocument) -> Iterator[str]:
    """Yield what the two models are where it differs, and why one was not examined."""
    before: Mapping[str, Any] = {**old}
    after: Mapping[str, Any] = {**new}
    changes = [
        f"{key} {_value(before[key])} -> {_value(after[key])}"
        for key in HEAD
        if before[key] != after[key]
    ]
    if changes and not (old["error"] or new["error"]):
        yield f"  {', '.join(changes)}"
    for name, side in (("old", old), ("new", new)):
        if side["error"] is not None:
            yield f"  {name} model not examined: {escape(side['error']['message'])}"
        if side["rule_errors"]:
            crashes = counted(side["rule_errors"], "rule crash", "rule crashes")
            yield f"  {name} model: {crashes}"


def _value(value: object) -> str:
    if value is None:
        return "unknown"
    return "x".join(map(str, value)) if isinstance(value, list) else escape(str(value)) or "none"


def _findings(found: ComparisonDocument) -> Iterator[str]:
    findings = found["findings"]
    yield ""
    for label, items in (("gained", findings["gained"]), ("lost", findings["lost"])):
        for finding in items:
            yield f"  {label}  {_named(finding)}"
            yield f"    {escape(finding['message'])}"
    for pair in findings["changed"]:
        yield f"  changed  {_named(pair['new'])}"
        yield f"    {'; '.join(_changes(pair['old'], pair['new']))}"
    for label, undecided in (
        ("gained", findings["gained_undecided"]), ("lost", findings["lost_undecided"]),
    ):  # fmt: skip
        for item in undecided:
            at = "" if item["node"] is None else f" at {escape(item['node'])}"
            yield f"  {label}  undecided {escape(item['code'])}{at}: {escape(item['reason'])}"
    other = findings["gained"] or findings["lost"] or findings["changed"]
    if not findings["same"]:
        yield "  no other findings" if other else "  no findings in either"
    else:
        of_both = f"{counted(findings['same'], 'finding')} of both"
        yield f"  {of_both}" if other else f"  {of_both}, and no others"


def _named(finding: DiffFindingDocument) -> str:
    colour = COLOURS[Severity[finding["severity"].upper()]]
    severity = click.style(finding["severity"], fg=colour, bold=True)
    at = f" at {escape(finding['node'])}" if finding["node"] is not None else ""
    return f"{severity} {escape(finding['code'])} {escape(finding['name'])}{at}"


def _changes(old: DiffFindingDocument, new: DiffFindingDocument) -> Iterator[str]:
    if old["severity"] != new["severity"]:
        yield f"was {old['severity']}"
    before = {item["name"]: item["value"] for item in old["measurements"]}
    for item in new["measurements"]:
        name, after = item["name"], item["value"]
        first = before.pop(name, None)
        if first != after:
            yield f"{escape(name)} {' -> '.join(_apart(first, after))}"
    for name, value in before.items():
        yield f"{escape(name)} {_number(value)} -> {UNKNOWN}"


def _apart(one: object, other: object) -> tuple[str, str]:
    """Return two values that differ, with as many digits as show it.

    Examples
    --------
    >>> _apart(0.184, 0.5), _apart(0.18401, 0.18402)
    (('0.184', '0.5'), ('0.18401', '0.18402'))
    """
    texts = _number(one), _number(other)
    if texts[0] != texts[1] or not (isinstance(one, float) and isinstance(other, float)):
        return texts
    digits = next((n for n in range(4, 17) if f"{one:.{n}g}" != f"{other:.{n}g}"), 17)
    return f"{one:.{digits}g}", f"{other:.{digits}g}"


def _number(value: object) -> str:
    if value is None:
        return UNKNOWN
    return short_number(value) if isinstance(value, int | float) else escape(str(value))


def _geometry(found: GeometryDifferenceDocument) -> Iterator[str]:
    """Yield which tensors see something else, and how the input is covered."""
    yield ""
    counts = ((found["only_old"], "old"), (found["only_new"], "new"))
    alone = [f"{count:,} only in the {name}" for count, name in counts if count]
    of = f"{found['matched']:,} tensors of both" + (f" ({', '.join(alone)})" if alone else "")
    changed = found["tensors"]
    if not changed:
        yield f"  geometry: the same in {of}"
    else:
        yield f"  geometry: changed in {len(changed):,} of {of}"
        keys = [key for key in COLUMNS if any(key in item["changed"] for item in changed)]
        rows = [
            [
                clip(escape(item["new"]["name"]), MAX_NAME),
                *(_change(item["old"], item["new"], key) for key in keys),
            ]
            for item in changed[:MAX_TENSORS]
        ]
        text = table(["tensor", *(key.replace("_", " ") for key in keys)], rows)
        yield from (f"    {line}" for line in text.splitlines())
        if len(changed) > MAX_TENSORS:
            yield f"    and {len(changed) - MAX_TENSORS:,} more (see --format json)"
    for coverage in found["coverage"]:
        yield from _coverage(coverage)
    for offset in found["offsets"]:
        sides = (", ".join(offset["old"]), ", ".join(offset["new"]))
        name = clip(escape(offset["tensor"]), MAX_NAME)
        yield f"  grid of '{name}' off the centre by {sides[0]} -> {sides[1]} px"


def _change(old: PlacedTensorDocument, new: PlacedTensorDocument, key: str) -> str:
    before, after = old[key], new[key]  # type: ignore[literal-required]
    if before == after:
        return ""
    return f"{_lengths(before)} -> {_lengths(after)}"


def _lengths(value: Sequence[object] | None) -> str:
    if value is None:
        return UNKNOWN
    return ", ".join(map(str, value)) if "/" in str(value) else "x".join(map(str, value))


def _coverage(found: CoverageDifferenceDocument) -> Iterator[str]:
    of = "the outputs" if found["of"] is None else f"'{clip(escape(found['of']), MAX_NAME)}'"
    yield f"  coverage from {of}"
    before: Mapping[str, Any] = {**found["old"]}
    after: Mapping[str, Any] = {**found["new"]}
    rows = [
        (metric_name(key), measure_cell(key, before[key]), measure_cell(key, after[key]))
        for key in before
    ]
    dead = found["old_dead_pixels"], found["new_dead_pixels"]
    rows.insert(0, ("dead pixels", f"{dead[0]:,}", f"{dead[1]:,}"))
    shown = [row for row in rows if row[1] != row[2]]
    text = table(("", "old", "new"), shown)
    yield from (f"    {line}" for line in text.splitlines())


def _influence(found: InfluenceDifferenceDocument) -> Iterator[str]:
    yield ""
    error = found["relative_error"]
    differs = "" if error is None else f", differs by {error:.2%}"
    yield f"  measured influence: {found['compared_pixels']:,} pixels compared{differs}"
    order, ratio = found["rank_correlation"], found["correlation"]
    if order is not None and ratio is not None:
        yield f"    order {order:.3f}, ratio {ratio:.3f} (1: alike)"
    if found["newly_dead"] or found["revived"]:
        yield f"    newly dead {found['newly_dead']:,}, revived {found['revived']:,}"
    old, new = found["old"], found["new"]
    targets = [", ".join(clip(escape(n), MAX_NAME) for n in side["target"]) for side in (old, new)]
    yield f"    target {' -> '.join(dict.fromkeys(targets))}; step {short_number(new['delta'])}"
    figures = [
        (metric_name(key), *(measure_cell(key, side["figures"].get(key)) for side in (old, new)))
        for key in FIGURES
        if key in old["figures"] and key in new["figures"]
    ]
    text = table(("", "old", "new"), figures)
    yield from (f"    {line}" for line in text.splitlines())
    for name, side in (("old", old), ("new", new)):
        if not side["complete"]:
            passes = counted(side["passes"], "pass", "passes")
            yield f"    the {name} model was not measured whole: {passes}"
