"""The document of ``scotoma sizes``: what the model loses at each input size, the best first."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Any

from scotoma.report.document import examined_foot, examined_head

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.sizes.candidates import AxisFacts, Candidate
    from scotoma.sizes.survey import Survey

    Document = dict[str, Any]


def sizes_document(facts: Facts, survey: Survey) -> Document:
    """Return the document of the JSON contract for one model and what was compared.

    Lengths in pixels that may be fractions are strings such as ``-31/2``; None is unknown.
    """
    return {
        **examined_head(facts),
        "around": list(survey.around),
        "strided_layers": len(survey.strided),
        "compared": len(survey.candidates),
        "examined": sum(candidate.examined for candidate in survey.candidates),
        "refused": sum(candidate.accepted is False for candidate in survey.candidates),
        "sizes": [_size_document(candidate) for candidate in survey.candidates],
        **examined_foot(facts),
    }


def shortened(document: Mapping[str, Any], top: int | None) -> Document:
    """Return a document with only so many of the best sizes, and the current one in any case."""
    sizes = document["sizes"]
    kept = sizes[:top] + [item for item in sizes[len(sizes[:top]) :] if item["current"]]
    return {**document, "sizes": kept}


def _size_document(candidate: Candidate) -> Document:
    refusal, dead = candidate.refused_by, candidate.dead
    return {
        "size": list(candidate.size),
        "current": candidate.current,
        "examined": candidate.examined,
        "accepted": candidate.accepted,
        "refused_by": None
        if refusal is None
        else {"node": refusal.node, "op_type": refusal.op_type, "reason": refusal.reason},
        "dead_pixels": dead,
        "dead_pixels_local": candidate.dead_local,
        "dead_pixel_fraction": None if dead is None else dead / prod(candidate.size),
        **_counts(candidate),
        "axes": [{"size": axis.size, **_counts(axis)} for axis in candidate.axes],
    }


def _counts(item: Candidate | AxisFacts) -> Document:
    offset = item.centre_offset
    return {
        "uneven_layers": None if item.uneven is None else len(item.uneven),
        "phantom_windows": None if item.phantoms is None else len(item.phantoms),
        "centre_offset": None if offset is None else str(offset),
    }
