"""Renders the document of ``scotoma measure`` for a person to read."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from scotoma.report.escape import escape
from scotoma.report.table import table
from scotoma.report.text import input_line, short_number
from scotoma.report.trace import measure_cell

WIDTH = 98
ROWS = {
    "dead_pixel_fraction": "dead pixels",
    "corner_over_centre": "corner / centre",
    "edge_over_centre": "edge / centre",
    "border_over_interior": "border ring / interior",
    "left_right_ratio": "left / right",
    "top_bottom_ratio": "top / bottom",
    "centroid_offset_rows": "centre of mass, rows off",
    "centroid_offset_cols": "centre of mass, columns off",
    "point_asymmetry": "point asymmetry",
    "ripple_rows": "ripple along rows",
    "ripple_cols": "ripple along columns",
    "absorbed_by_padding": "absorbed by padding",
}
"""What is shown of the figures, in this order; the document has all."""
NO_OFFSET = 1e-6
"""Pixels; an offset below is rounding."""
POSITION = "position sensitivity"
LONGEST_NAME = 60
NAMED = 8
"""So many ranges of dead rows are named."""
OF_GRAPH = {"dead_pixel_fraction": "structural_dead_pixel_fraction"}
SHARES = frozenset({"dead_pixel_fraction", "absorbed_by_padding"})
STATIC = frozenset({"absorbed_by_padding"})
"""Figures that only the graph gives."""


def render_measure(document: Mapping[str, Any], files: Sequence[str]) -> str:
    """Return what was measured, the figures of the map and where it was written.

    Parameters
    ----------
    document
        The JSON document of ``scotoma measure``.
    files
        Paths of the files that were written.
    """
    lines = [
        click.style(escape(str(document["model"]["path"])), bold=True),
        f"  {input_line(document['examined'])}",
        *_wrapped(f"target {_target(document)}"),
        *_wrapped(_conditions(document)),
        *_wrapped(_extent(document)),
        "",
        table(("figure", "measured", "± error", "probes", "graph"), list(_rows(document)),
              right=frozenset({1, 2, 3, 4})).rstrip("\n"),
    ]  # fmt: skip
    lines += [*_unknown_lines(document), *_dead_lines(document["influence"])]
    if confirmation := document.get("confirmation"):
        lines += ["", *_confirmation(confirmation, document["pixels"])]
    if preview := document.get("preview"):
        lines += ["", *_wrapped(_preview(preview), "")]
    if agreement := document.get("agreement"):
        lines += ["", *_agreement(agreement)]
    notes = list(document.get("notes") or ())
    if document.get("method_reason"):
        notes.insert(0, f"measured by perturbation alone: {document['method_reason']}")
    if notes:
        lines.append("")
    for note in notes:
        label = "contradiction" if note.startswith("contradiction") else "note"
        text = escape(str(note)).removeprefix("contradiction: ")
        lines += _wrapped(f"{label}: {text}", "")
    lines += ["", *(f"wrote {escape(path)}" for path in files)]
    return "\n".join(lines) + "\n"


def _wrapped(text: str, indent: str = "  ") -> list[str]:
    """Return a text in lines that are not too long."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_on_hyphens=False,
    )


def _target(document: Mapping[str, Any]) -> str:
    outputs = document["outputs"]
    named = ", ".join(f"'{_short(escape(str(name)))}'" for name in outputs[:2])
    if len(outputs) > 2:
        named += f" and {len(outputs) - 2} more"
    return f"{named}: {escape(str(document['target']))}"


def _short(name: str) -> str:
    """Return a name without its middle if it is long; the document has all of it."""
    half = LONGEST_NAME // 2
    return name if len(name) <= LONGEST_NAME else f"{name[:half]}…{name[-half:]}"


def _conditions(document: Mapping[str, Any]) -> str:
    labels = [escape(str(item["label"])) for item in document["inputs"]]
    inputs = labels[0]
    if len(labels) > 1:
        inputs = f"{len(labels)} inputs ({labels[0]} … {labels[-1]})"
    patch = document["patch"]
    size = "" if patch == 1 else f", patches of {patch} px"
    each = ", channel by channel" if document["channels"] == "each" else ""
    parts = [f"functional {document['functional']}", inputs]
    gradients = document.get("gradients")
    if gradients is not None:
        said = "exact gradients"
        if gradients["random"]:
            said = (
                f"gradients along {gradients['cotangents']} random directions an input (error of a"
                f" pixel {gradients['relative_error']:.0%})"
            )
        parts.append(said + (each if document["delta"] is None else ""))
    if document["delta"] is not None:
        step = short_number(document["delta"])
        parts.append(f"{document['difference']} difference, step {step}{size}{each}")
    return "; ".join(parts)


def _all(cells: str, count: int) -> str:
    return "the only pixel" if count == 1 else f"all {cells}"


def _extent(document: Mapping[str, Any]) -> str:
    extent = document["resolution"]
    tile = extent.get("tile", 1)
    pixels = f"{extent['pixels']:,} {'pixels' if tile == 1 else f'tiles of {tile} px'}"
    part = _all(pixels, extent["pixels"]) if extent["full"] else f"{extent['probed']:,} of {pixels}"
    passes = f"in {document['passes']:,} passes"
    together = ", several at once" if document["multiplexed"] else ""
    if document.get("gradients") is not None:
        part += " by gradients"
        confirmation = document.get("confirmation")
        passes = ""
        if confirmation is not None:
            passes = (
                f", {confirmation['perturbed_pixels']:,} perturbed to confirm in"
                f" {document['passes']:,} passes"
            )
            passes += together
    elif preview := document.get("preview"):
        part = (
            f"preview of {part} in {preview['passes']:,} passes up to"
            f" '{_short(escape(preview['cut']))}'"
        )
        passes = f", {document['passes']:,} through the whole model"
    else:
        passes = f" {passes}{together}"
    end = "" if document["complete"] else "; not complete"
    return f"{part}{passes}, {document['seconds']:.1f} s{end}"


def _rows(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield a row for each figure: name, value, error, probes, and what the graph says."""
    figures = document["figures"]
    graph = (document.get("agreement") or {}).get("figures", {})
    for key, name in ROWS.items():
        if key not in figures:
            continue
        found = figures[key]
        if key in STATIC:
            yield name, "", "", "", _cell(key, found["value"])
            continue
        static = graph.get(key, {}).get("reference")
        if key in OF_GRAPH:
            static = figures.get(OF_GRAPH[key], {}).get("value")
        beside = "" if static is None else _cell(key, static)
        yield name, *_measured(key, found), beside
    place = document.get("position")
    if place is not None:
        yield POSITION, *_measured("position", place["sensitivity"]), ""


def _unknown_lines(document: Mapping[str, Any]) -> list[str]:
    """Say why figures of the table have no value, one line for each reason."""
    figures, place = document["figures"], document.get("position")
    rows = [(name, figures[key]) for key, name in ROWS.items() if key in figures]
    names: dict[str, list[str]] = {}
    for name, figure in rows:
        if figure["value"] is None and figure.get("reason"):
            names.setdefault(figure["reason"], []).append(name)
    if place is not None and place["sensitivity"]["value"] is None and place["reason"]:
        names.setdefault(place["reason"], []).append(POSITION)
    lines = [f"{', '.join(named)} unknown: {reason}" for reason, named in names.items()]
    return ["", *(part for line in lines for part in _wrapped(line, ""))] if lines else []


def _dead_lines(influence: Mapping[str, Any]) -> list[str]:
    """Name the rows and columns that are dead throughout."""
    parts = []
    for key, name in (("dead_rows", "rows"), ("dead_cols", "columns")):
        if ranges := influence.get(key):
            more = f" and {len(ranges) - NAMED} more ranges" if len(ranges) > NAMED else ""
            parts.append(f"{name} {measure_cell(key, ranges[:NAMED])}{more}")
    return ["", *_wrapped(f"dead throughout: {'; '.join(parts)}", "")] if parts else []


def _measured(key: str, figure: Mapping[str, Any]) -> tuple[str, str, str]:
    error = figure["standard_error"]
    shown = "" if error is None or not error else _cell(key, error)
    return _cell(key, figure["value"]), shown, f"{figure['probes']:,}"


def _cell(key: str, value: float | None) -> str:
    if value is None:
        return "unknown"
    if key.startswith("centroid") and abs(value) < NO_OFFSET:
        return "0"
    return f"{value:.2%}" if key in SHARES else short_number(value)


def _agreement(agreement: Mapping[str, Any]) -> list[str]:
    """Say how the measured map and the graph's compare."""
    parts = []
    if agreement["rank_correlation"] is not None:
        parts.append(
            f"order {agreement['rank_correlation']:.2f}, ratio {agreement['correlation']:.2f}"
            f" (1: alike) over {agreement['compared_pixels']:,} pixels"
        )
    count = agreement["contradictions"]
    if count:
        parts.append(
            f"CONTRADICTION: {count:,} pixels without a path moved the target"
            f" ({_pixels(agreement['contradicting_pixels'])})"
        )
    else:
        parts.append("no pixel without a path moved the target")
    if agreement["unmoved"]:
        parts.append(
            f"{agreement['unmoved']:,} with a path did not ({_pixels(agreement['unmoved_pixels'])})"
        )
    return _wrapped("agreement with the graph: " + "; ".join(parts), "")


def _preview(found: Mapping[str, Any]) -> str:
    """Say how far a preview is off."""
    if not found["sampled_pixels"]:
        return "preview against perturbation: not compared"
    count = f"{found['sampled_pixels']:,} pixels"
    if found["relative_error"] is None:
        return f"preview against perturbation: nothing moved at {count}"
    correlation = found["correlation"]
    also = "" if correlation is None else f", correlation {correlation:.3f}"
    if found["random"]:
        count += f", with the noise of {found['cotangents']} random directions an input"
    return (
        f"preview against perturbation: relative error {found['relative_error']:.2g} (norm)"
        f"{also}, over {count}"
    )


def _confirmation(found: Mapping[str, Any], pixels: Mapping[str, Any]) -> list[str]:
    """Say how gradients and perturbation compare, and how many pixels are dead."""
    parts = []
    if found["median_relative_error"] is not None:
        correlation = found["correlation"]
        ratio = "" if correlation is None else f"ratio {correlation:.3f} (1: alike), "
        parts.append(
            f"{ratio}relative error {found['median_relative_error']:.2g} (median) and"
            f" {found['max_relative_error']:.2g} (largest) over {found['compared_pixels']:,} pixels"
        )
    for key, what in (
        ("moved_without_gradient", "without a gradient moved the target"),
        ("unmoved_with_gradient", "with a gradient moved no bit"),
    ):
        if found[key]:
            parts.append(f"{found[key]:,} {what} ({_pixels(found[f'{key}_pixels'])})")
    counts = []
    if pixels["structurally_dead"] is not None:
        counts.append(f"{pixels['structurally_dead']:,} without a path")
    counts += [f"{pixels['locally_dead']:,} dead on these inputs", f"{pixels['live']:,} live"]
    return [
        *(_wrapped("gradients against perturbation: " + "; ".join(parts), "") if parts else []),
        *_wrapped("pixels: " + ", ".join(counts), ""),
    ]


def _pixels(places: Sequence[Sequence[int]]) -> str:
    named = ", ".join(f"[{', '.join(map(str, place))}]" for place in places[:3])
    return named + (", …" if len(places) > 3 else "")
