"""How far Resize and Upsample move their maps, and whether something else shows the shift."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from scotoma.evidence.joins import joins
from scotoma.trace.operators.resize import resamplings
from scotoma.trace.resample import taps
from scotoma.trace.trace import MALFORMED
from scotoma.trace.tracer import CannotTellError, Tracer

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.trace.resample import Resampling


@dataclass(frozen=True, slots=True)
class Resized:
    """One axis of the image in a Resize or Upsample."""

    operator: Operator
    label: int
    """Axis of the image, 0 for H."""
    resampling: Resampling
    shift: Fraction
    """How far the cells that are read lie beyond the place of the output, in input cells."""
    pixels: Fraction | None
    """The same in pixels of the model's input; None where the effective stride is not known."""


def resized_axes(facts: Facts) -> list[Resized]:
    """Return the resized axes of all feature maps, with their shifts."""
    found = []
    for operator in facts.operators:
        if operator.op_type not in {"Resize", "Upsample"} or not facts.is_local(operator):
            continue
        axes = facts.geometry.spatial_axes(operator.inputs[0]) if facts.geometry else None
        if axes is None:
            continue
        try:
            resampled = resamplings(Tracer(facts.resolution), operator)
        except (CannotTellError, *MALFORMED):
            continue
        strides = facts.strides(operator.inputs[0])
        for label, axis in enumerate(axes):
            resampling = resampled.get(axis)
            # The one cell of an axis is all there is to read.
            if resampling is None or resampling.size_in == 1:
                continue
            shift = Fraction(0) if repeats(resampling) else resampling.mean_shift
            if shift is None:
                continue
            pixels = shift * strides[label] if strides is not None else None
            found.append(Resized(operator, label, resampling, shift, pixels))
    return found


def repeats(resampling: Resampling) -> bool:
    """Tell whether every cell is repeated a whole number of times, the last one perhaps less.

    So 5 cells become 9: by the factor 9/5 where the sizes are given, but read as by 2.
    """
    n, m = resampling.size_in, resampling.size_out
    factor = -(-m // n)
    if factor < 2 or -(-m // factor) != n or resampling.mode != "nearest":
        return False
    table = taps(resampling)
    return table is not None and bool((table.inputs == np.arange(m) // factor).all())


def shows(facts: Facts, operator: Operator) -> bool:
    """Tell whether the place of an operator's output matters to what follows.

    It does where the map meets one that did not come through the operator, and where a feature
    map is a graph output.
    """
    if facts.geometry is None:
        return False
    behind = set(operator.outputs)
    for name, flow in facts.geometry.flows.items():
        if any(r.tensor in behind and not r.whole for r in flow.readings):
            behind.add(name)
    if any(name in behind and name in facts.feature_maps for name in facts.geometry.outputs()):
        return True
    return any(
        any(name in behind for name in join.operands)
        and any(name not in behind for name in join.operands)
        for join in facts.once(joins)
    )
