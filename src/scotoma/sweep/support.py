"""The set of cells that is really read: by one unit of a feature map, and around a resize.

A receptive field is the hull of what a unit reads; dilated windows and strides that are wider than
their kernels leave holes in it. The sets are exact: one boolean sweep from a one-hot start (an
interval or a mask per axis would be wrong for graphs with branches).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from scotoma.sweep.along import Semiring
from scotoma.sweep.sweep import arrows, run
from scotoma.trace.layout import tracked_sizes
from scotoma.trace.reading import Flow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.sweep.sweep import Other
    from scotoma.trace.geometry import Geometry

    Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Support:
    """The pixels that one unit of a feature map reads."""

    cell: tuple[int, ...]
    """The unit's place, one number per axis of the image."""
    mask: Mask
    """True where a pixel is read; shape: the spatial sizes of the input."""

    @property
    def box(self) -> tuple[slice, ...]:
        """The smallest box of pixels that holds them all; empty slices where nothing is read."""
        return tuple(
            slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)
            for axis in range(self.mask.ndim)
            for places in [np.flatnonzero(self.along(axis))]
        )

    @property
    def extent(self) -> tuple[int, ...]:
        """Sizes of the box: the unit's receptive field, cut off at the image's borders."""
        return tuple(s.stop - s.start for s in self.box)

    def along(self, axis: int) -> Mask:
        """Return which places along one axis are read at all."""
        others = tuple(other for other in range(self.mask.ndim) if other != axis)
        return np.asarray(self.mask.any(axis=others))

    def density(self, dead: Mask | None = None) -> Fraction:
        """Return the share of the box that is read, exact.

        Parameters
        ----------
        dead
            Pixels that are left out, since no unit at all reads them.
        """
        box = self.box
        inside = self.mask[box]
        if inside.all():
            return Fraction(1)
        alive = inside if dead is None else inside[~dead[box]]
        return Fraction(int(np.count_nonzero(alive)), alive.size) if alive.size else Fraction(1)


def support(
    geometry: Geometry,
    tensor: str,
    cell: Sequence[int] | None = None,
    *,
    other: Other | None = None,
) -> Support | None:
    """Return the pixels that one unit of a feature map reads along local paths.

    Parameters
    ----------
    cell
        Place of the unit, one number per axis of the image; None: the central one, ``size // 2``.
    other
        As of `scotoma.sweep.sweep.sweep`.

    Returns
    -------
    Support or None
        None where the tensor is not a map with the image's axes in place.
    """
    flow, axes = geometry.flows.get(tensor), geometry.spatial_axes(tensor)
    if flow is None or axes is None:
        return None
    sizes = tracked_sizes(flow.layout)
    digits = axes_of_array(flow)
    place: list[int | slice] = [slice(None)] * len(digits)
    chosen = []
    for label, axis in enumerate(axes):
        position = digits.index(axis)
        at = sizes[position] // 2 if cell is None else cell[label]
        place[position] = at
        chosen.append(at)
    start = np.zeros(sizes, bool)
    start[tuple(place)] = True
    swept = run(geometry, {tensor: start}, Semiring.REACH, local=True, other=other)
    return Support(tuple(chosen), swept.values.astype(bool))


def axes_of_array(flow: Flow) -> list[int]:
    """Return the axis of the tensor that each axis of its array in a sweep belongs to."""
    return [i for i, axis in enumerate(flow.layout) for d in axis if d.grid is not None]


def behind(geometry: Geometry, tensors: Sequence[str]) -> dict[str, Flow]:
    """Return the flows on the local paths from the image to some tensors, the last ones first."""
    wanted = tuple(tensors)
    if (kept := geometry.kept.get(("behind",))) is not None and kept[0] == wanted:
        return dict(kept[1])
    needed, known = set(wanted), arrows(geometry, local=True)
    found: dict[str, Flow] = {}
    for name in reversed(tuple(geometry.flows)):
        if name in needed:
            found[name] = geometry.flows[name]
            needed.update([reading.tensor for reading, _ in known[name][0]])
    geometry.kept["behind",] = wanted, found
    return dict(found)
