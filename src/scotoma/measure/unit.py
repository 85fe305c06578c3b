"""A single place of the target: its map is the effective receptive field of that unit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from scotoma.errors import UnfitError
from scotoma.measure.influence import Structural
from scotoma.sweep.along import Semiring
from scotoma.sweep.support import axes_of_array
from scotoma.sweep.sweep import run
from scotoma.trace.layout import tracked_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scotoma.facts import Facts
    from scotoma.measure.target import Target


def at_unit(facts: Facts, aim: Target, unit: Sequence[int]) -> Target:
    """Return the target with one place of it alone, in all channels.

    Parameters
    ----------
    unit
        Place on the target's grid, one number per axis of the image, from 0 on.

    Raises
    ------
    UnfitError
        If the target is several tensors, has no places of the image, or not this one.
    """
    if len(aim.tensors) > 1:
        raise UnfitError("--unit needs a single target: name a tensor with --tensor")
    (tensor,) = aim.tensors
    axes = None if facts.geometry is None else facts.geometry.spatial_axes(tensor)
    shape = facts.shape(tensor)
    if axes is None or shape is None:
        raise UnfitError(f"--unit: '{tensor}' is no map with the axes of the image")
    sizes = [shape[axis] for axis in axes]
    if len(unit) != len(axes) or any(
        not 0 <= place < size for place, size in zip(unit, sizes, strict=True)
    ):
        asked, known = ",".join(map(str, unit)), "x".join(map(str, sizes))
        raise UnfitError(f"--unit {asked}: '{tensor}' has {known} places, counted from 0")
    index = [slice(None)] * len(shape)
    for axis, place in zip(axes, unit, strict=True):
        index[axis] = slice(place, place + 1)
    said = f"{aim.why}, its unit {','.join(map(str, unit))} alone"
    return replace(aim, why=said, index=tuple(index), unit=tuple(unit))


def structural_at_unit(facts: Facts, aim: Target) -> Structural | None:
    """Return what the graph says of one place: its theoretical field and its random walk."""
    geometry, (tensor,) = facts.geometry, aim.tensors
    axes = None if geometry is None else geometry.spatial_axes(tensor)
    if geometry is None or axes is None or aim.unit is None:
        return None
    flow = geometry.flows[tensor]
    sizes, digits = tracked_sizes(flow.layout), axes_of_array(flow)
    place: list[int | slice] = [slice(None)] * len(digits)
    for axis, number in zip(axes, aim.unit, strict=True):
        place[digits.index(axis)] = number
    reached = np.zeros(sizes, bool)
    reached[tuple(place)] = True
    field = run(geometry, {tensor: reached}, Semiring.REACH).values.astype(bool)
    start = reached / reached.sum()
    walk = run(geometry, {tensor: start}, Semiring.WALK).values.astype(np.float64)
    return Structural(walk, ~field, max(0.0, 1.0 - float(walk.sum())))
