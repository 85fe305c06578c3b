"""Resize operators, run by themselves: where they read, and what they leave unread."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from scotoma.audit.bench import same
from scotoma.audit.errors import NotMeasuredError
from scotoma.evidence.resampling import resized_axes
from scotoma.evidence.resizes import resized_axes as shifted_axes
from scotoma.findings import CONFIRMED, CONTRADICTED, Evidence, Finding, Measurement
from scotoma.measure.alone import Alone

if TYPE_CHECKING:
    from scotoma.audit.exam import Exam
    from scotoma.loader.model import Operator
    from scotoma.trace.resample import Resampling

CODES = ("SC108", "SC206")
USES_MAP = False
TENSORS = ()

CLOSE = 0.15
"""Cells by which a claim may be off: single precision chooses another nearest cell now and then."""
BORDER = 0.25
"""Share of the output on each side that may read beyond the map, and is left out."""
FEWEST = 4
"""So many outputs are left at least."""
WHOLE = frozenset({"align_corners", "half_pixel_symmetric"})
"""Ways of resizing whose places follow from the sizes, whatever the scale is."""


def check(finding: Finding, exam: Exam) -> Evidence:
    """Feed a ramp, or other values in what is said to be skipped."""
    exam.require_run()
    operators = [op for op in exam.facts.operators if op.name == finding.primary.node]
    if not operators:
        raise NotMeasuredError("the operator is not in the main graph")
    alone = Alone(exam.facts, operators[:1])
    if finding.code == "SC206":
        return _shift(finding, exam, alone)
    return _skipped(operators[0], exam, alone)


def _shift(finding: Finding, exam: Exam, alone: Alone) -> Evidence:
    """Compare what comes out of a ramp, the coordinates that are read, with their places."""
    claimed = next((m for m in finding.measurements if m.name == "shift"), None)
    if claimed is None or claimed.value is None:
        raise NotMeasuredError("the finding does not say how far")
    geometry = exam.facts.geometry
    places = geometry.spatial_axes(alone.source) if geometry is not None else None
    found = [
        _shift_along(places[resized.label], resized.resampling, exam, alone)
        for resized in shifted_axes(exam.facts)
        if resized.operator.name == finding.primary.node and places is not None
    ]
    shifts = [shift for shift in found if shift is not None]
    worst = max(shifts, key=abs, default=0.0)
    # The claim may be about an axis that is too short to tell.
    if not shifts or (len(shifts) < len(found) and abs(worst - float(claimed.value)) > CLOSE):
        raise NotMeasuredError("its map has no cells away from the border")
    return Evidence(
        CONFIRMED if abs(worst - float(claimed.value)) <= CLOSE else CONTRADICTED,
        f"run by itself on a ramp, it reads {worst:+.3g} cells beside the places that it writes",
        (Measurement("measured_shift", worst, "cells", limit=claimed.limit),),
    )


def _shift_along(axis: int, resampling: Resampling, exam: Exam, alone: Alone) -> float | None:
    """Return how far beside its place a Resize reads, over whole periods away from the border."""
    exam.budget.require()
    line = np.arange(alone.shape[axis])
    ramp = line.reshape([-1 if i == axis else 1 for i in range(len(alone.shape))])
    made = alone.run(np.broadcast_to(ramp, alone.shape).astype(alone.dtype))
    others = tuple(i for i in range(made.ndim) if i != axis)
    cells = made.shape[axis]
    rate = 1 / resampling.scale
    if resampling.transformation in WHOLE:
        rate = Fraction(len(line), cells)
    places = (np.arange(cells) + 0.5) * float(rate) - 0.5
    off = made.mean(axis=others, dtype=np.float64) - places
    if resampling.transformation not in WHOLE:
        border = round(cells * BORDER)
        periods = (cells - 2 * border) // rate.denominator
        off = off[border : border + periods * rate.denominator]
    return float(off.mean()) if len(off) >= FEWEST else None


def _skipped(operator: Operator, exam: Exam, alone: Alone) -> Evidence:
    """Give the lines that are said to be skipped other values, and then all others."""
    geometry = exam.facts.geometry
    axes = resized_axes(geometry, operator) if geometry is not None else []
    places = geometry.spatial_axes(alone.source) if geometry is not None else None
    lines = [(axis.label, axis.skipped) for axis in axes if axis.skipped.any()]
    if not lines or places is None:
        raise NotMeasuredError("which lines it skips is not known")
    random = np.random.default_rng(0)
    one, other = (random.uniform(0.5, 1.5, alone.shape).astype(alone.dtype) for _ in range(2))
    exam.budget.require()
    before, count, moved = alone.run(one), 0, False
    for label, skipped in lines:
        shape = [-1 if axis == places[label] else 1 for axis in range(one.ndim)]
        exam.budget.require()
        after = alone.run(np.where(skipped.reshape(shape), other, one))
        moved = moved or not same(before, after)
        count += int(skipped.sum())
        if same(before, alone.run(np.where(skipped.reshape(shape), one, other))):
            raise NotMeasuredError("run by itself, it makes the same of everything")
    what = "changed an output" if moved else "changed no output in any bit"
    return Evidence(
        CONTRADICTED if moved else CONFIRMED,
        f"run by itself, other values in the {count} lines of cells that it skips {what}",
        (Measurement("moved_lines", count, "lines"),),
    )
