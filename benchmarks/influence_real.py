"""Measures every model of a folder with the default plan and prints a table of their figures.

    python benchmarks/influence_real.py DIR [--budget 10s] [--out DIR] [--only TEXT]

runs ``scotoma measure`` on one model after the other, each a process of its own, keeps document and
pictures under ``--out`` (a model whose document is there already is not measured again), and prints
two Markdown tables, one remark for each thing that is undefined, and why models were not measured.
The status is 1 where the graph is contradicted, or a process ended as none should.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from run import SCOTOMA, SOURCES, table

from scotoma.cli import status
from scotoma.errors import ScotomaError
from scotoma.loader import find_models

DOCUMENT = "influence.json"
MEASURED = (status.FINE,)
REFUSED = (status.WRONG_CALL, status.FAILED)
"""Statuses with one line that says why nothing was measured."""
RATIOS = {
    "corner_over_centre": "corner / centre",
    "edge_over_centre": "edge / centre",
    "left_right_ratio": "left / right",
    "top_bottom_ratio": "top / bottom",
}
"""Figures with what the graph says in brackets."""
SHOWN = 160
"""Most characters of a reason."""
ABSENT = "–"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one model."""

    name: str
    document: Mapping[str, Any] | None
    """None: it was not measured."""
    reason: str = ""
    """Why not."""
    crashed: bool = False
    """It ended in a way that the program's documentation does not know."""


def measure(path: Path, folder: Path, arguments: Sequence[str]) -> Outcome:
    """Measure one model in a process of its own, or take what an earlier run left."""
    kept = folder / DOCUMENT
    if kept.exists():
        return Outcome(path.stem, json.loads(kept.read_text("utf-8")))
    command = [sys.executable, "-c", SCOTOMA, "measure", str(path), "--out", str(folder)]
    command += ["--method", "perturb"]
    found = subprocess.run(
        [*command, "--format", "json", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(SOURCES), *_inherited()])},
    )
    if found.returncode in MEASURED:
        kept.write_text(found.stdout, "utf-8")
        return Outcome(path.stem, json.loads(found.stdout))
    said = found.stderr.strip().splitlines() or ["nothing was said"]
    known = found.returncode in REFUSED and len(said) == 1
    reason = said[-1] if known else f"status {found.returncode}: {said[-1]}"
    return Outcome(path.stem, None, reason, crashed=not known)


def _inherited() -> list[str]:
    path = os.environ.get("PYTHONPATH")
    return [path] if path else []


def cell(figure: Mapping[str, Any] | None, graph: float | None = None) -> str:
    """Return a figure with its standard error, and what the graph says in brackets.

    Examples
    --------
    >>> cell({"value": 0.2591, "standard_error": 0.0173, "probes": 8}, 0.0784)
    '0.259 ± 0.017 (0.078)'
    >>> cell({"value": None, "standard_error": None, "probes": 0})
    '–'
    """
    if figure is None or figure["value"] is None:
        return ABSENT
    error = figure["standard_error"]
    text = f"{figure['value']:.3g}" + (f" ± {error:.2g}" if error else "")
    return text if graph is None else f"{text} ({graph:.2g})"


def extent(document: Mapping[str, Any]) -> str:
    """Return the size of the image, and how many of its pixels were perturbed."""
    examined, part = document["examined"], document["resolution"]
    size = "×".join(str(examined["shape"][axis]) for axis in examined["spatial_axes"])
    probed = "all" if part["full"] else f"{part['probed']:,}"
    return f"{size}, {probed} in {document['passes']:,}"


def ripple(document: Mapping[str, Any]) -> str:
    """Return period and amplitude of the strongest ripple along each axis."""
    found = [
        ABSENT if one is None else f"{one['period']}: {one['amplitude']:.2g}"
        for one in document["ripple"].values()
    ]
    return " / ".join(found) or ABSENT


def offsets(document: Mapping[str, Any]) -> str:
    """Return how far the centre of mass lies from the middle along each axis."""
    figures = document["figures"]
    keys = [key for key in figures if key.startswith("centroid_offset_")]
    return " / ".join(cell(figures[key]) for key in keys) or ABSENT


def tables(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the figures of all models that were measured: ratios, and everything else."""
    ratios, rest = [], []
    for name, document in _measured(outcomes):
        figures, agreement = document["figures"], document["agreement"] or {}
        graph = agreement.get("figures", {})
        ratios.append([
            name, extent(document),
            *(cell(figures.get(key), graph.get(key, {}).get("reference")) for key in RATIOS),
        ])  # fmt: skip
        order = agreement.get("rank_correlation")
        contradictions = agreement.get("contradictions")
        rest.append([
            name,
            cell(figures.get("dead_pixel_fraction"),
                 (figures.get("structural_dead_pixel_fraction") or {}).get("value")),
            offsets(document), ripple(document),
            cell((document["position"] or {}).get("sensitivity")),
            ABSENT if order is None else f"{order:.2f}",
            ABSENT if contradictions is None else str(contradictions),
        ])  # fmt: skip
    head = ["measured (graph)", "pixels, perturbed in passes", *RATIOS.values()]
    more = [
        "measured (graph)", "dead", "centre of mass, px off", "ripple, px: amplitude",
        "position sensitivity", "order agrees", "contradictions",
    ]  # fmt: skip
    return [*table(head, ratios), "", *table(more, rest)]


def _measured(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((one.name, one.document) for one in outcomes if one.document is not None)


def remarks(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield what a reader should look into, one line each."""
    for name, document in _measured(outcomes):
        for key, figure in document["figures"].items():
            if figure["value"] is None:
                yield f"{name}: {key} is unknown: {figure['reason']}"
        if document["agreement"] is None:
            yield f"{name}: the graph could not be followed to the target"
        elif count := document["agreement"]["contradictions"]:
            yield f"{name}: {count} pixels without a path moved the target"
        elif count := document["agreement"]["unmoved"]:
            yield f"{name}: {count} pixels with a path moved nothing"
    for one in outcomes:
        if one.document is None:
            reason = one.reason if len(one.reason) <= SHOWN else one.reason[: SHOWN - 1] + "…"
            yield f"{one.name}: {'CRASHED: ' if one.crashed else 'not measured: '}{reason}"


def main() -> int:
    """Measure, print, and return 1 where something is not as it should be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--budget", default="10s", help="for each model [10s]")
    parser.add_argument("--out", type=Path, help="folder to keep documents and pictures in")
    parser.add_argument("--only", default="", metavar="TEXT", help="models with this in their name")
    options = parser.parse_args()
    try:
        found = map(Path, find_models([options.folder]))
        paths = [path for path in found if options.only in path.name]
    except ScotomaError as error:
        parser.error(str(error))
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.out or Path(temporary)
        outcomes = []
        for number, path in enumerate(paths, 1):
            print(f"{number} of {len(paths)}: {path.name}", file=sys.stderr)
            outcomes.append(measure(path, folder / path.stem, ["--budget", options.budget]))
    listed = [f"- {line}" for line in remarks(outcomes)]
    print("\n".join([*tables(outcomes), "", *listed]))
    contradicted = any(
        (document["agreement"] or {}).get("contradictions") for _, document in _measured(outcomes)
    )
    return int(contradicted or any(one.crashed for one in outcomes))


if __name__ == "__main__":
    sys.exit(main())
