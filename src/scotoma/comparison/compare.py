"""From two models, or two reports, to the document of ``scotoma diff``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, cast

from scotoma import __version__
from scotoma.comparison.findings import findings_difference
from scotoma.comparison.geometry import compare_geometry
from scotoma.comparison.verdict import (
    Limits,
    worse_findings,
    worse_geometry,
    worse_influence,
    worse_sides,
)
from scotoma.errors import UsageError
from scotoma.report.trace_document import trace_document

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.findings import Severity
    from scotoma.measure.options import MeasureOptions
    from scotoma.report.contract.common import Level
    from scotoma.report.contract.diff import (
        ComparisonDocument,
        DiffDocument,
        DiffFindingDocument,
        GeometryDifferenceDocument,
        InfluenceDifferenceDocument,
        SideDocument,
    )
    from scotoma.report.contract.lint import (
        FindingDocument,
        ModelDocument,
        UndecidedDocument,
    )

SCHEMA_VERSION: Final = "1"


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A model, before or after."""

    model: ModelDocument
    """What the rules say of it, as in the JSON document of ``scotoma lint``."""
    facts: Facts | None = None
    """None: only a report of it is there, or it could not be examined."""
    data: bytes | None = None
    """The file itself, of a model that is none."""
    reported: bool = False
    """Only a report of it is there."""


def compare(
    old: Sequence[Subject],
    new: Sequence[Subject],
    limits: Limits,
    *,
    measurement: MeasureOptions | None = None,
) -> DiffDocument:
    """Compare models one by one.

    Those with the same path are one model; single ones are, whatever they are called; others are
    by the names of their files, where each name is there once.

    Parameters
    ----------
    measurement
        How the influence of pixels is measured, in both; None: it is not.

    Raises
    ------
    scotoma.errors.UsageError
        If a measurement is asked for where only reports are there.
    scotoma.errors.MeasurementError
        If a model cannot be measured.
    """
    comparisons = [
        _compare(before, after, limits, measurement) for before, after in _pairs(old, new)
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "scotoma", "version": __version__},
        "fail_on": None if limits.fail_on is None else _level(limits.fail_on),
        "comparisons": comparisons,
        "worse": sum(len(comparison["worse"]) for comparison in comparisons),
    }


def _level(severity: Severity) -> Level:
    return cast("Level", str(severity))


def _pairs(
    old: Sequence[Subject], new: Sequence[Subject]
) -> Iterator[tuple[Subject | None, Subject | None]]:
    """Yield what belongs together, in the order of the new models, then what is gone."""
    if len(old) == len(new) == 1:
        yield old[0], new[0]
        return
    left = list(old)
    matched: dict[int, Subject] = {}
    for key in (_path, _file):
        for index, after in enumerate(new):
            same = [before for before in left if key(before) == key(after)]
            twins = [other for other in new if key(other) == key(after)]
            if index not in matched and len(same) == len(twins) == 1:
                matched[index] = same[0]
                left.remove(same[0])
    for index, after in enumerate(new):
        yield matched.get(index), after
    for before in left:
        yield before, None


def _path(subject: Subject) -> str:
    return subject.model["path"]


def _file(subject: Subject) -> str:
    return PurePath(subject.model["path"]).name


def _compare(
    old: Subject | None,
    new: Subject | None,
    limits: Limits,
    measurement: MeasureOptions | None,
) -> ComparisonDocument:
    sides = _side(old), _side(new)
    notes: list[str] = []
    if old is None:
        notes.append("only the new report has this model: all of its findings count as new")
    if new is None:
        notes.append("only the old report has this model")
    # Of a model that could not be examined, nothing is gained or lost.
    whole = not any(side is not None and side["error"] is not None for side in sides)
    if not whole:
        notes.append("nothing is compared: not both models could be examined")
    before, after = (subject if whole else None for subject in (old, new))
    findings = findings_difference(
        _findings(before), _findings(after), _undecided(before), _undecided(after)
    )
    geometry = _geometry(old, new, notes)
    influence = _influence(old, new, measurement, notes)
    worse = [*worse_sides(*sides), *worse_findings(findings, limits)]
    worse += worse_geometry(geometry) if geometry is not None else ()
    worse += worse_influence(influence, limits) if influence is not None else ()
    return {
        "old": sides[0],
        "new": sides[1],
        "findings": findings,
        "geometry": geometry,
        "influence": influence,
        "worse": worse,
        "notes": notes,
    }


def _findings(subject: Subject | None) -> list[DiffFindingDocument]:
    """Return the findings of a model that count."""
    if subject is None:
        return []
    counted = [f for f in subject.model["findings"] if f["suppressed"] is None]
    return [_reduced(finding) for finding in counted]


def _undecided(subject: Subject | None) -> list[UndecidedDocument]:
    return [] if subject is None else subject.model["undecided"]


def _reduced(finding: FindingDocument) -> DiffFindingDocument:
    return {
        "code": finding["code"],
        "name": finding["name"],
        "severity": finding["severity"],
        "message": finding["message"],
        "node": finding["node"],
        "tensor": finding["tensor"],
        "measurements": finding["measurements"],
        "fingerprint": finding["fingerprint"],
    }


def _side(subject: Subject | None) -> SideDocument | None:
    if subject is None:
        return None
    model = subject.model
    examined, task = model["input"], model["task"]
    return {
        "path": model["path"],
        "graph_sha256": model["graph_sha256"],
        "producer": model["producer"],
        "opset": model["opset"],
        "input": None if examined is None else examined["name"],
        "shape": None if examined is None else examined["shape"],
        "task": None if task is None else task["value"],
        "status": model["status"],
        "error": model["error"],
        "refusal": model["refusal"],
        "rule_errors": len(model["rule_errors"]),
    }


def _geometry(
    old: Subject | None, new: Subject | None, notes: list[str]
) -> GeometryDifferenceDocument | None:
    if old is None or new is None or old.model["error"] or new.model["error"]:
        return None
    if old.facts is None or new.facts is None:
        notes.append("the geometry is not compared: a report holds none")
        return None
    for subject, which in ((old, "old"), (new, "new")):
        if subject.facts is not None and subject.facts.geometry is None:
            notes.append(f"the geometry is not compared: the {which} model has no image to follow")
            return None
    if old.facts.image_size != new.facts.image_size:
        notes.append("the inputs differ in size, and so does all that depends on it")
    return compare_geometry(
        (old.facts, trace_document(old.facts)["tensors"]),
        (new.facts, trace_document(new.facts)["tensors"]),
    )


def _influence(
    old: Subject | None,
    new: Subject | None,
    measurement: MeasureOptions | None,
    notes: list[str],
) -> InfluenceDifferenceDocument | None:
    if measurement is None:
        return None
    if any(subject is not None and subject.reported for subject in (old, new)):
        raise UsageError("a measurement needs the models themselves, not reports of them")
    if old is None or new is None or old.facts is None or new.facts is None:
        return None
    from scotoma.comparison.influence import compare_influence  # noqa: PLC0415  onnxruntime

    found, said = compare_influence(old.facts, new.facts, measurement, (old.data, new.data))
    notes += said
    return found
