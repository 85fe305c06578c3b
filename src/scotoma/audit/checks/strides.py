"""Padding of strided layers: what their first, middle and last windows read when run alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scotoma.audit.errors import NotMeasuredError
from scotoma.audit.layer import MOST_LAYERS, layer, padding_read, stride_shift
from scotoma.evidence.axes import by_axis
from scotoma.findings import CONFIRMED, CONTRADICTED, Evidence, Finding, Measurement

if TYPE_CHECKING:
    from fractions import Fraction

    from scotoma.audit.exam import Exam

CODES = ("SC202", "SC205")
USES_MAP = False
TENSORS = ()


def check(finding: Finding, exam: Exam) -> Evidence:
    """Look at the first layer's ends, or at where the windows of all layers lie."""
    return _ends(finding, exam) if finding.code == "SC202" else _sides(finding, exam)


def _ends(finding: Finding, exam: Exam) -> Evidence:
    name = finding.primary.node
    item = layer(exam, name)
    read = {
        label: padding_read(item, label)
        for label, window in enumerate(item.windows)
        if window.stride > 1 and not window.transposed
    }
    if not read:
        raise NotMeasuredError("it has no stride")
    said = {
        label: f"{begin} before the first cell and {max(end, 0)} after the last"
        for label, (begin, end) in read.items()
    }
    worst = max(abs(begin - end) for begin, end in read.values())
    return Evidence(
        CONFIRMED if worst else CONTRADICTED,
        f"run by itself, '{name}' reads padding as follows: {by_axis(said, len(item.windows))}",
        (Measurement("padding_read_difference", worst, "cells", limit=0),),
    )


def _sides(finding: Finding, exam: Exam) -> Evidence:
    shifts: dict[str, Fraction] = {}
    reason = "the claim names no layer"
    names = [place.node for place in finding.locations if place.node]
    for name in list(dict.fromkeys(names))[:MOST_LAYERS]:
        try:
            item = layer(exam, name)
            found = [
                stride_shift(item, label)
                for label, window in enumerate(item.windows)
                if window.stride > 1 and not window.transposed
            ]
        except NotMeasuredError as error:
            reason = f"'{name}': {error}"
            continue
        if found:
            shifts[name] = max(found, key=abs)
    late = [name for name, shift in shifts.items() if shift > 0]
    early = [name for name, shift in shifts.items() if shift < 0]
    if len(shifts) < 2:
        raise NotMeasuredError(reason)
    measured = (
        Measurement("towards_end", len(late), "layers", limit=0),
        Measurement("towards_begin", len(early), "layers", limit=0),
    )
    if late and early:
        said = (
            f"run by themselves, '{late[0]}' reads {float(shifts[late[0]]):+.3g} cells off the"
            f" cells that it stands for and '{early[0]}' {float(shifts[early[0]]):+.3g}"
        )
        return Evidence(CONFIRMED, said, measured)
    said = f"run by themselves, {len(shifts)} of its layers read off to one side or to none"
    return Evidence(CONTRADICTED, said, measured)
