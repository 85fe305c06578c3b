"""The document of ``scotoma sizes``: what the model loses at each input size, the best first."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Any, cast

from scotoma.report.document import examined_foot, examined_head
from scotoma.sizes.merit import axis_name

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.report.contract.sizes import (
        AxisSizeDocument,
        Counts,
        DeployedDocument,
        ProblemKind,
        SizeDocument,
        SizesDocument,
    )
    from scotoma.sizes.candidates import AxisFacts, Candidate
    from scotoma.sizes.survey import Deployed, Survey


def sizes_document(facts: Facts, survey: Survey, deployed_by: str | None = None) -> SizesDocument:
    """Return the document of the JSON contract for one model and what was compared.

    Lengths in pixels that may be fractions are strings such as ``-31/2``; None is unknown.

    Parameters
    ----------
    deployed_by
        Where the sizes to be deployed were set.
    """
    rank = len(survey.axes)
    return {
        **examined_head(facts),
        "around": list(survey.around),
        "strided_layers": len(survey.strided),
        "deployed_by": deployed_by,
        "deployed": [_deployed_document(item) for item in survey.deployed],
        "combined": survey.combined,
        "compared": len(survey.candidates),
        "examined": sum(candidate.examined for candidate in survey.candidates),
        "refused": sum(candidate.accepted is False for candidate in survey.candidates),
        "left_out": [
            {
                "axes": list(item.axes),
                "names": [axis_name(axis, rank) for axis in item.axes],
                "low": item.low,
                "high": item.high,
                "reason": item.reason,
            }
            for item in survey.left_out
        ],
        "sizes": [_size_document(candidate) for candidate in survey.candidates],
        "axes": [
            {
                "axis": axis,
                "name": axis_name(axis, rank),
                "sizes": [_axis_document(length) for length in lengths],
            }
            for axis, lengths in enumerate(survey.axes)
        ],
        **examined_foot(facts),
    }


def shortened(document: Mapping[str, Any], top: int | None) -> dict[str, Any]:
    """Return a document with only so many of the best sizes, and the current one in any case."""
    sizes = document["sizes"]
    kept = sizes[:top] + [item for item in sizes[len(sizes[:top]) :] if item["current"]]
    return {**document, "sizes": kept}


def _deployed_document(item: Deployed) -> DeployedDocument:
    return {
        **_size_document(item.candidate),
        "problems": [
            {
                "kind": cast("ProblemKind", problem.kind),
                "message": problem.message,
                "nodes": list(problem.nodes),
            }
            for problem in item.problems
        ],
        "better": None if item.better is None else _size_document(item.better),
    }


def _size_document(candidate: Candidate) -> SizeDocument:
    refusal, dead, share = candidate.refused_by, candidate.dead, candidate.dead_share
    return {
        "size": list(candidate.size),
        "current": candidate.current,
        "examined": candidate.examined,
        "accepted": candidate.accepted,
        "refused_by": None
        if refusal is None
        else {"node": refusal.node, "op_type": refusal.op_type, "reason": refusal.reason},
        "too_small": candidate.too_small,
        "dead_pixels": dead,
        "dead_pixels_local": candidate.dead_local,
        "dead_pixel_fraction": None if dead is None else dead / prod(candidate.size),
        "dead_weight_share": None if share is None else float(share),
        **_counts(candidate),
        "axes": [_axis_document(axis) for axis in candidate.axes],
    }


def _axis_document(axis: AxisFacts) -> AxisSizeDocument:
    return {"size": axis.size, "too_small": axis.too_small, **_counts(axis)}


def _counts(item: Candidate | AxisFacts) -> Counts:
    offset = item.centre_offset
    return {
        "uneven_layers": _number(item.uneven),
        "leftover_layers": _number(item.leftover),
        "phantom_windows": _number(item.phantoms),
        "dead_tap_layers": _number(item.dead_taps),
        "centre_offset": None if offset is None else str(offset),
    }


def _number(names: frozenset[str] | None) -> int | None:
    return None if names is None else len(names)
