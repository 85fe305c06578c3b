"""Says what of a difference is worse.

Worse is, in the new model: a finding at or above a severity that the old one does not have, or has
less severely; under a gate on undecided rules, a rule that could tell before; more pixels without
a path to the outputs; the grid of a last feature map further off the centre of the image; more
pixels that measurably move nothing; a map that differs by more than was allowed; and a model that
cannot be read or run where the old one could. Everything else is a difference.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from scotoma.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scotoma.report.contract.diff import (
        DiffFindingDocument,
        FindingsDifferenceDocument,
        GeometryDifferenceDocument,
        InfluenceDifferenceDocument,
        SideDocument,
        WorseDocument,
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """What a difference is judged by."""

    fail_on: Severity | None = Severity.WARNING
    """New findings of this severity and above are worse; None: none are."""
    undecided: bool = False
    """So are rules that can no longer tell."""
    influence_change: float | None = None
    """Relative error of the measured map above which it is worse; None: it is not judged."""


def worse_sides(old: SideDocument | None, new: SideDocument | None) -> Iterator[WorseDocument]:
    """Yield what of the models themselves is worse."""
    if old is None or new is None:
        return
    if new["error"] is not None and old["error"] is None:
        message = f"the new model cannot be examined: {new['error']['message']}"
        yield {"kind": "unreadable", "message": message}
    if new["refusal"] is not None and old["refusal"] is None:
        yield {"kind": "refused", "message": new["refusal"]}


def worse_findings(found: FindingsDifferenceDocument, limits: Limits) -> Iterator[WorseDocument]:
    """Yield what of the findings is worse."""
    for finding in found["gained"]:
        if _stops(finding, limits):
            message = f"new {finding['severity']} {_named(finding)}"
            yield {"kind": "finding", "message": message}
    for pair in found["changed"]:
        before, after = pair["old"], pair["new"]
        if _severity(after) > _severity(before) and _stops(after, limits):
            change = f"was {before['severity']}, is {after['severity']}"
            yield {"kind": "severity", "message": f"{_named(after)} {change}"}
    if limits.undecided:
        counts = Counter(item["code"] for item in found["gained_undecided"])
        for code, count in sorted(counts.items()):
            times = "once" if count == 1 else f"{count} times"
            message = f"{code} cannot tell {times} more: {_reason(found, code)}"
            yield {"kind": "undecided", "message": message}


def worse_geometry(found: GeometryDifferenceDocument) -> Iterator[WorseDocument]:
    """Yield what of the geometry is worse."""
    for item in found["coverage"]:
        before, after = item["old_dead_pixels"], item["new_dead_pixels"]
        shares = item["old"]["dead_pixel_fraction"], item["new"]["dead_pixel_fraction"]
        if shares[1] > shares[0]:
            of = "the outputs" if item["of"] is None else f"'{item['of']}'"
            message = f"pixels without a path to {of}: {before:,} before, {after:,} now"
            yield {"kind": "dead-pixels", "message": message}
    for offset in found["offsets"]:
        first, second = ([Fraction(text) for text in offset[key]] for key in ("old", "new"))
        if any(abs(b) > abs(a) for a, b in zip(first, second, strict=True)):
            message = (
                f"the grid of '{offset['tensor']}' lies {_pixels(second)} px off the centre of the"
                f" image, {_pixels(first)} before"
            )
            yield {"kind": "centre-offset", "message": message}


def worse_influence(found: InfluenceDifferenceDocument, limits: Limits) -> Iterator[WorseDocument]:
    """Yield what of the measured maps is worse."""
    if found["newly_dead"] > found["revived"]:
        message = f"{found['newly_dead']:,} pixels move nothing any more"
        if found["revived"]:
            message += f", {found['revived']:,} others do now"
        yield {"kind": "measured-dead-pixels", "message": message}
    error = found["relative_error"]
    allowed = limits.influence_change
    if allowed is not None and error is not None and error > allowed:
        message = f"the measured map differs by {error:.2%}, {allowed:.2%} are allowed"
        yield {"kind": "influence-change", "message": message}


def _stops(finding: DiffFindingDocument, limits: Limits) -> bool:
    return limits.fail_on is not None and _severity(finding) >= limits.fail_on


def _severity(finding: DiffFindingDocument) -> Severity:
    return Severity[finding["severity"].upper()]


def _named(finding: DiffFindingDocument) -> str:
    at = f" at {finding['node']}" if finding["node"] is not None else ""
    return f"{finding['code']} {finding['name']}{at}"


def _reason(found: FindingsDifferenceDocument, code: str) -> str:
    return next(item["reason"] for item in found["gained_undecided"] if item["code"] == code)


def _pixels(offset: list[Fraction]) -> str:
    return ", ".join(f"{float(length):g}" for length in offset)
