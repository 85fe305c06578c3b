"""What of a model is not known, operator by operator, and why."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from scotoma.trace.tracer import MAX_CELLS

if TYPE_CHECKING:
    from scotoma.resolve.resolution import Resolution
    from scotoma.trace import Geometry

NEWEST_OPSET = 28
"""The newest version of the standard operators whose semantics are known here."""


@dataclass(frozen=True, slots=True)
class Unanalysed:
    """An operator of which something is not known, with the reason."""

    node: str
    op_type: str
    reason: str


def not_analysed(resolution: Resolution, geometry: Geometry | None) -> tuple[Unanalysed, ...]:
    """Return what is not known, the model's opset and its input first."""
    causes = resolution.unresolved if geometry is None else geometry.unanalysed
    refused = {u.operator.name for u in resolution.refused_at}
    found = [
        Unanalysed(
            u.operator.name,
            u.operator.op_type,
            f"cannot run at this size: {u.reason}" if u.operator.name in refused else u.reason,
        )
        for u in causes
    ]
    opset = resolution.model.opsets.get("", 0)
    if opset > NEWEST_OPSET:
        reason = f"newer than {NEWEST_OPSET}, the newest known, by whose rules it is read"
        found.insert(0, Unanalysed("ai.onnx", f"opset {opset}", reason))
    examined = resolution.examined
    if examined is not None and (why := obstacle(resolution)):
        found.insert(0, Unanalysed(examined.name, "Input", why))
    return tuple(found)


def obstacle(resolution: Resolution) -> str:
    """Say why the examined input cannot be followed; empty where it can."""
    examined = resolution.examined
    if examined is None or examined.shape is None or not examined.spatial_axes:
        return "the model has no spatial input"
    cells = prod(examined.shape[axis] for axis in examined.spatial_axes)
    if cells == 0:
        return "the input is empty"
    if cells > MAX_CELLS:
        return f"its {cells:,} pixels are too many to follow, {MAX_CELLS:,} at most"
    return ""
