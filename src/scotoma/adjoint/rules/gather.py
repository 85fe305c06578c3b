"""Operators that read cells at places told by an index: Gather and its kin, TopK."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scotoma.adjoint.registry import NoAdjointError, rule
from scotoma.adjoint.rules.movement import gathered_back, runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Site

FEW = 4
"""So many slices, or gathers, are quicker than one scatter."""
LARGEST = 1 << 20
"""Numbers of an index that is written into the graph, at most."""


@rule("Gather")
def gather(site: Site) -> Gradients:
    """Add every gradient to the slice that it was read from. An index changes by jumps only."""
    shape, grad = site.shape(), site.grad()
    if not site.wants(0):
        return []
    axis = site.axis(site.integer("axis", 0), len(shape))
    count = site.elements(site.shape(1))
    flat = (*shape[:axis], count, *shape[axis + 1 :])
    grad = site.reshape(grad, flat)
    try:
        sources = site.known(1).ravel().astype(np.int64)
    except NoAdjointError:
        return [_scattered(site, grad, flat, axis, shape[axis])]
    return [added_along(site, grad, flat, axis, (sources, shape[axis]))]


def added_along(
    site: Site,
    grad: str,
    shape: Sequence[int],
    axis: int,
    copied: tuple[NDArray[np.int64], int],
) -> str:
    """Add slices along an axis to those that they are copies of.

    Parameters
    ----------
    shape
        Of the gradient.
    copied
        The slice that each one is a copy of, and how many there are to copy.
    """
    sources, size = copied
    if not len(sources):
        return site.zeros([*shape[:axis], size, *shape[axis + 1 :]])
    if not (-size <= sources.min() and sources.max() < size):
        raise NoAdjointError("an index of it lies outside of its input")
    sources = np.where(sources < 0, sources + size, sources)
    if len(runs(sources)) <= FEW:
        return gathered_back(site, grad, (axis, len(shape)), size, sources)
    if size > LARGEST or np.unique(sources, return_counts=True)[1].max() > FEW:
        indices = site.ints(sources.tolist())
        return _scattered(site, grad, shape, axis, size, indices)
    places = occurrences(sources, size)
    if max(place.max() for place in places) == len(sources):
        grad = site.pad(grad, [0], [1], [axis], len(shape))  # what no slice is a copy of
    parts = [site.emit("Gather", grad, site.ints(place.tolist()), axis=axis) for place in places]
    return parts[0] if len(parts) == 1 else site.emit("Sum", *parts)


def occurrences(sources: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """Return where each cell occurs first, second and so on; beyond the last place where not.

    Examples
    --------
    >>> [places.tolist() for places in occurrences(np.array([2, 0, 2]), 3)]
    [[1, 3, 0], [3, 3, 2]]
    """
    order = np.argsort(sources, kind="stable")
    ordered = sources[order]
    rank = np.arange(len(sources)) - np.searchsorted(ordered, ordered)
    found: NDArray[np.int64] = np.full((int(rank.max(initial=-1)) + 1, size), len(sources))
    found[rank, ordered] = order
    return list(found)


def _scattered(
    site: Site, grad: str, shape: Sequence[int], axis: int, size: int, indices: str = ""
) -> str:
    """Scatter slices along an axis; by default to where the second input tells."""
    if not indices:
        indices = whole(site, 1)
    rest = [at for at in range(len(shape)) if at != axis]
    if axis:
        grad = site.emit("Transpose", grad, perm=[axis, *rest])
    into = site.zeros([size, *(shape[at] for at in rest)])
    indices = site.reshape(indices, [shape[axis], 1])
    found = site.emit("ScatterND", into, indices, grad, reduction="add")
    if axis:
        found = site.emit("Transpose", found, perm=np.argsort([axis, *rest]).tolist())
    return found


def whole(site: Site, slot: int) -> str:
    """Return an input of indices as integers of 64 bits."""
    indices = site.raw(slot)
    return indices if site.dtype(slot) == np.int64 else site.cast(indices, np.int64)


@rule("GatherElements")
def gather_elements(site: Site) -> Gradients:
    """Add every gradient to the cell that it was read from."""
    grad = site.grad()
    if not site.wants(0):
        return []
    axis = site.integer("axis", 0)
    into = site.zeros(site.shape())
    return [site.emit("ScatterElements", into, site.raw(1), grad, axis=axis, reduction="add")]


@rule("GatherND")
def gather_nd(site: Site) -> Gradients:
    """Add every gradient to the cells that it was read from."""
    grad = site.grad()
    if not site.wants(0):
        return []
    indices = placed(site, whole(site, 1), site.integer("batch_dims", 0))
    return [site.emit("ScatterND", site.zeros(site.shape()), indices, grad, reduction="add")]


def placed(site: Site, indices: str, batched: int) -> str:
    """Put the place along the axes that stand for samples in front of every index."""
    if not batched:
        return indices
    shape = site.shape(1)
    if batched * site.elements(shape[:-1]) > LARGEST:
        raise NoAdjointError("its index is too large")
    grids = np.meshgrid(*(np.arange(size) for size in shape[:batched]), indexing="ij")
    lead = np.stack(grids, -1).reshape(*shape[:batched], *[1] * (len(shape) - batched - 1), batched)
    lead = np.broadcast_to(lead, (*shape[:-1], batched))
    return site.emit("Concat", site.constant(lead, np.int64), indices, axis=-1)


@rule("TopK")
def top_k(site: Site) -> Gradients:
    """Put the gradient back to the cells that were chosen."""
    site.grad_or_none(1)  # an index changes by jumps only
    grad = site.grad_or_none(0)
    if grad is None:
        return []
    indices = site.extra(1, np.int64, site.out_shape())
    axis = site.integer("axis", -1)
    into = site.zeros(site.shape())
    return [site.emit("ScatterElements", into, indices, grad, axis=axis, reduction="add")]


@rule("ReverseSequence")
def reverse_sequence(site: Site) -> Gradients:
    """Reverse the same parts back."""
    time, batch = site.integer("time_axis", 0), site.integer("batch_axis", 1)
    lengths = whole(site, 1)
    return [site.emit("ReverseSequence", site.grad(), lengths, time_axis=time, batch_axis=batch)]
