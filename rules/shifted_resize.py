"""Resize operators that move the content of their map.

What it finds
-------------
A Resize keeps things in place if the cells that an output reads lie, on the mean, around its own
place, edges of the map on edges. Found are those that read 0.2 cells of their input or more (option
``limit``) beside it, exact for every mode, coordinate transformation, rounding and scale. Linear
interpolation with ``asymmetric`` coordinates reads a quarter of a cell too far when it doubles a
map, half a cell too little when it halves one; ``Upsample`` and Resize of opset 10 know no other
coordinates. ``nearest`` with ``asymmetric`` coordinates, rounded down, is in place for
whole-numbered scales.

Why it matters
--------------
The content moves: up to half a cell of the coarse map, many pixels of the input at a deep layer.
Masks and key points come out shifted, and a branch that meets one that was not resized no longer
fits it. Conversions that drop or change the coordinate transformation cause this silently.

What to do
----------
Use ``half_pixel`` coordinates, or ``nearest`` with ``asymmetric`` and ``floor`` for whole-numbered
scales. A network trained with the shift must be trained again, or its answers corrected by it.

Limits
------
A warning where the result meets another branch or reaches an output that is a feature map; a note
elsewhere and in classifiers, whose answer has no place that could shift. Cropping with
``tf_crop_and_resize`` is not looked at. ``align_corners`` stretches a map about its middle and
moves nothing on the mean.

References
----------
https://onnx.ai/onnx/operators/onnx__Resize.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.axes import by_axis
from scotoma.evidence.drift import pixels
from scotoma.evidence.hidden import hidden, is_resize
from scotoma.evidence.resizes import resized_axes, shows
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option
from scotoma.task import Task

if TYPE_CHECKING:
    from scotoma.evidence.resizes import Resized
    from scotoma.facts import Facts


@dataclass(frozen=True, slots=True)
class Options(RuleOptions):
    """What a user can set."""

    limit: Fraction = option(
        Fraction(1, 5), "cells of its input beside its place, from which on a Resize is listed", 0
    )


class ShiftedResize(Rule):
    """A Resize reads beside the place it writes."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC206", name="shifted-resize", severity=Severity.WARNING, since="0.1.0",
        references=("https://onnx.ai/onnx/operators/onnx__Resize.html",),
        severity_by_task={Task.CLASSIFY: Severity.NOTE},
    )  # fmt: skip

    options = Options

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield a finding for every operator that moves its map."""
        if (unseen := hidden(facts, is_resize)) is not None:
            yield self.undecided(unseen.reason, unseen.cause)
        limit = facts.options(Options).limit
        axes: dict[str, list[Resized]] = {}
        for resized in resized_axes(facts):
            if resized.shift and abs(resized.shift) >= limit:
                axes.setdefault(resized.operator.name, []).append(resized)
        for found in axes.values():
            worst = max(found, key=lambda r: abs(r.shift))
            operator = worst.operator
            shown = shows(facts, operator)
            of_input = f" ({pixels(abs(worst.pixels))} of the input)" if worst.pixels else ""
            side = "end" if worst.shift > 0 else "begin"
            seen = "" if shown else "; nothing behind it shows the shift"
            measured = [Measurement("shift", worst.shift, "cells", limit=limit)]
            if worst.pixels is not None:
                measured.append(Measurement("shift_px", worst.pixels, "px"))
            said = {
                r.label: f"{kind(r)}, {r.resampling.size_in} to {r.resampling.size_out} cells, "
                f"{float(r.shift):+.3g} cells"
                for r in found
            }
            note = by_axis(said, facts.image_rank)
            yield self.finding(
                Location(operator.name, operator.op_type, operator.inputs[0], note),
                f"'{operator.name}' ({kind(worst)}) reads {float(abs(worst.shift)):.3g} "
                f"{'cell' if abs(worst.shift) <= 1 else 'cells'} of its input{of_input} too far "
                f"towards the {side}{seen}",
                *measured,
                remedy=remedy(worst),
                severity=Severity.WARNING if shown else Severity.NOTE,
            )


def kind(resized: Resized) -> str:
    """Name the way of resizing in the words of the operator."""
    r = resized.resampling
    rounding = f" {r.nearest_mode}" if r.mode == "nearest" else ""
    return f"{r.mode} {r.transformation}{rounding}"


def remedy(resized: Resized) -> str:
    """Say which coordinates keep the map in place."""
    r = resized.resampling
    old = resized.operator.op_type == "Upsample" or (resized.operator.version or 11) < 11
    opset = " (opset 11 or later)" if old else ""
    if r.mode != "nearest":
        return f"use half_pixel coordinates{opset}, or correct the answers by the shift"
    if r.scale > 1 and r.scale.denominator == 1:
        return f"use asymmetric coordinates with nearest_mode floor{opset}"
    return f"use linear interpolation with half_pixel coordinates{opset}"
