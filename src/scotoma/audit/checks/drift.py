"""Drifts: how far every layer of a claim, run by itself, moves what stands in the middle."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from scotoma.audit.errors import NotMeasuredError
from scotoma.audit.layer import MOST_LAYERS, layer, moved
from scotoma.findings import CONFIRMED, CONTRADICTED, Evidence, Finding, Measurement

if TYPE_CHECKING:
    from scotoma.audit.exam import Exam

CODES = ("SC201", "SC203")
USES_MAP = False
TENSORS = ()


def check(finding: Finding, exam: Exam) -> Evidence:
    """Move one line of cells in the middle of the layers' maps, and see where it comes out."""
    names = list(dict.fromkeys(place.node for place in finding.locations if place.node))
    claimed = next((m.value for m in finding.measurements if m.name == "drift"), None)
    if len(names) > 1:  # the claim is what they come to together
        claimed = None
    drifts: dict[str, Fraction] = {}
    reason = "the claim names no layer"
    for name in names[:MOST_LAYERS]:
        try:
            found = _drifts(name, exam)
        except NotMeasuredError as error:
            reason = f"'{name}': {error}"
        else:
            # The claim may be about one axis of two that move.
            drifts[name] = max(found, key=lambda pixels: (abs(pixels) == claimed, abs(pixels)))
    if not drifts:
        raise NotMeasuredError(reason)
    first = next(iter(drifts))
    still = [name for name, pixels in drifts.items() if pixels == 0]
    off = claimed is not None and abs(drifts[first]) != claimed
    measured = (
        Measurement("moved_layers", len(drifts) - len(still), "layers", limit=0),
        Measurement("largest_move", max(map(abs, drifts.values())), "px", limit=0),
    )
    far = f"{float(drifts[first]):+.3g} px of the input"
    said = f"run by itself, '{first}' moves a line of cells by {far}"
    if still and not off:
        said = f"run by itself, '{still[0]}' moves nothing"
    elif len(drifts) > 1:
        more = len(drifts) - 1
        said += f"; {more} more {'layer moves' if more == 1 else 'layers move'} it, too"
    return Evidence(CONTRADICTED if still or off else CONFIRMED, said, measured)


def _drifts(name: str, exam: Exam) -> list[Fraction]:
    """Return the drifts in pixels of the input along the axes with windows of stride 1."""
    item = layer(exam, name)
    strides = exam.facts.strides(item.alone.source)
    if strides is None or len(strides) != len(item.windows):
        raise NotMeasuredError("its effective stride is not known")
    found = []
    for label, window in enumerate(item.windows):
        if window.stride == 1 and window.kernel > 1 and not window.transposed:
            found.append(moved(item, label) * strides[label])
    if not found:
        raise NotMeasuredError("it has no window of stride 1")
    return found
