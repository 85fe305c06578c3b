"""Operators that move cells without changing them: shapes, slices, joins, paddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scotoma.adjoint.registry import NoAdjointError, rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Site


@rule("Identity", "Dropout")
def identity(site: Site) -> Gradients:
    """Return the gradient; the forward has dropout switched off, so that its mask is constant."""
    site.grad_or_none(1)
    return [site.grad_or_none(0)]


@rule("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(site: Site) -> Gradients:
    """Give the gradient the input's shape."""
    return [site.reshape(site.grad(), site.shape())]


@rule("Cast", "CastLike")
def cast(site: Site) -> Gradients:
    """Convert the gradient; what becomes whole numbers changes by jumps only."""
    from scotoma.adjoint.site import work_type  # noqa: PLC0415  a cycle otherwise

    made = site.made()
    if made is None:
        raise NoAdjointError("the type that it makes is not known")
    if made.kind in "iub":
        site.grad_or_none(0)
        return [None]
    wanted = work_type(site.dtype())
    return [site.grad() if wanted == site.work else site.cast(site.grad(), wanted)]


@rule("Transpose")
def transpose(site: Site) -> Gradients:
    """Transpose back."""
    rank = len(site.shape())
    order = site.integers("perm") or tuple(reversed(range(rank)))
    if sorted(order) != list(range(rank)):
        raise NoAdjointError("its perm is no order of the axes")
    return [site.emit("Transpose", site.grad(), perm=np.argsort(order).tolist())]


@rule("Concat")
def concat(site: Site) -> Gradients:
    """Cut the gradient into the pieces."""
    count = len(site.op.inputs)
    if count == 1:
        return [site.grad()]
    axis = site.axis(site.integer("axis", 1), len(site.out_shape()))
    sizes = [site.shape(slot)[axis] for slot in range(count)]
    if sum(site.wants(slot) for slot in range(count)) > 1:
        return site.emit_many(count, "Split", site.grad(), site.ints(sizes), axis=axis)
    start = 0
    found: list[str | None] = []
    for slot, size in enumerate(sizes):
        wanted = site.wants(slot)
        found.append(cut(site, site.grad(), axis, start, start + size) if wanted else None)
        start += size
    return found


def cut(site: Site, tensor: str, axis: int, start: int, stop: int) -> str:
    """Return the cells from start to stop along an axis."""
    ends = site.ints([start]), site.ints([stop])
    return site.emit("Slice", tensor, *ends, site.ints([axis]))


@rule("Split")
def split(site: Site) -> Gradients:
    """Join the gradients of the pieces."""
    rank = len(site.shape())
    axis = site.axis(site.integer("axis", 0), rank)
    pieces = []
    for slot, name in enumerate(site.op.outputs):
        grad = site.grad_or_none(slot)
        if not name:
            raise NoAdjointError("a piece of it has no name")
        pieces.append(site.zeros(site.out_shape(slot)) if grad is None else grad)
    return [pieces[0] if len(pieces) == 1 else site.emit("Concat", *pieces, axis=axis)]


@rule("Slice")
def slice_(site: Site) -> Gradients:
    """Put the gradient back to where it was cut out, zeros around it."""
    shape, out = site.shape(), site.out_shape()
    starts, axes, steps = _slices(site)
    grad = site.grad()
    turned = [axis for axis, step in zip(axes, steps, strict=True) if step < 0]
    if turned:
        grad = mirror(site, grad, turned)
    apart = [1] * len(shape)
    begins, ends = [0] * len(shape), [0] * len(shape)
    for given, axis, step in zip(starts, axes, steps, strict=True):
        size = shape[axis]
        start = given + size if given < 0 else given
        start = min(max(start, 0), size if step > 0 else size - 1)
        apart[axis] = abs(step)
        # A slice that runs backwards ends at its smallest cell.
        begins[axis] = start if step > 0 else start + (out[axis] - 1) * step
    if 0 in out:
        return [site.zeros(shape)]
    # A step longer than the axis takes one cell.
    apart = [1 if size == 1 else step for size, step in zip(out, apart, strict=True)]
    grad, wide = site.spread(grad, out, apart)
    for axis, size in enumerate(shape):
        ends[axis] = size - wide[axis] - begins[axis]
    moved = [axis for axis in range(len(shape)) if begins[axis] or ends[axis]]
    if not moved:
        return [grad]
    pads = [begins[a] for a in moved], [ends[a] for a in moved]
    return [site.pad(grad, *pads, moved, len(shape))]


def _slices(site: Site) -> tuple[list[int], list[int], list[int]]:
    """Return start, axis and step of every axis that is sliced."""
    rank = len(site.shape())
    if site.version < 10:
        starts, axes = site.integers("starts"), site.integers("axes")
        steps: Sequence[int] | None = None
        if starts is None:
            raise NoAdjointError("its starts are missing")
    else:
        starts = tuple(site.known(1).ravel().tolist())
        axes = tuple(site.known(3).ravel().tolist()) if site.has(3) else None
        steps = site.known(4).ravel().tolist() if site.has(4) else None
    found = [site.axis(axis, rank) for axis in (axes or range(len(starts)))]
    return list(starts), found, list(steps or [1] * len(starts))


def mirror(site: Site, tensor: str, axes: Sequence[int]) -> str:
    """Reverse a tensor along axes."""
    count = len(axes)
    return site.emit(
        "Slice", tensor, site.ints([-1] * count), site.ints([-(1 << 31)] * count),
        site.ints(axes), site.ints([-1] * count),
    )  # fmt: skip


@rule("Pad")
def pad(site: Site) -> Gradients:
    """Add the gradients of the copies in the border to the cells that they are copies of."""
    if site.wants(2):
        raise NoAdjointError("the value that it pads with is not constant")
    shape, mode = site.shape(), site.text("mode", "constant")
    grad = site.grad()
    begins, ends = _paddings(site)
    if mode == "constant":
        axes = [axis for axis in range(len(shape)) if begins[axis] or ends[axis]]
        if not axes:
            return [grad]
        pads = [-begins[a] for a in axes], [-ends[a] for a in axes]
        return [site.pad(grad, *pads, axes, len(shape))]
    for axis, size in enumerate(shape):
        if begins[axis] or ends[axis]:
            sources = copies(size, begins[axis], ends[axis], mode)
            grad = gathered_back(site, grad, (axis, len(shape)), size, sources)
    return [grad]


def _paddings(site: Site) -> tuple[list[int], list[int]]:
    rank = len(site.shape())
    name = "paddings" if site.version < 2 else "pads"
    found = site.known(1).ravel().tolist() if site.version >= 11 else site.integers(name)
    axes = list(range(rank))
    if site.version >= 18 and site.has(3):
        axes = [site.axis(axis, rank) for axis in site.known(3).ravel().tolist()]
    if found is None or len(found) != 2 * len(axes):
        raise NoAdjointError("its pads do not fit its axes")
    begins, ends = [0] * rank, [0] * rank
    for index, axis in enumerate(axes):
        begins[axis], ends[axis] = found[index], found[index + len(axes)]
    return begins, ends


def copies(size: int, begin: int, end: int, mode: str) -> NDArray[np.int64]:
    """Return which cell every cell of a padded axis is a copy of.

    Negative padding cuts off first, and what is left is padded, as in onnxruntime.

    Examples
    --------
    >>> copies(4, 2, 1, "reflect").tolist()
    [2, 1, 0, 1, 2, 3, 2]
    """
    cells = np.arange(size)[max(-begin, 0) : size - max(-end, 0)]
    modes = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}
    if mode not in modes or not len(cells):
        raise NoAdjointError(f"its mode {mode!r} is not known")
    chosen: NDArray[np.int64] = np.pad(
        cells,
        (max(begin, 0), max(end, 0)),
        mode=modes[mode],  # type: ignore[call-overload]  # one of the three
    )
    return chosen


def gathered_back(
    site: Site, grad: str, place: tuple[int, int], size: int, sources: NDArray[np.int64]
) -> str:
    """Add cells along an axis to the cells that they are copies of, run by run.

    Parameters
    ----------
    place
        The axis, and the number of axes of the tensor.
    size
        Cells along the axis that there are copies of.
    sources
        The cell that each one is a copy of.
    """
    axis, rank = place
    parts = []
    for start, stop in runs(sources):
        part = grad if stop - start == len(sources) else cut(site, grad, axis, start, stop)
        first, last = int(sources[start]), int(sources[stop - 1])
        if stop - start > 1 and first == last:
            part = site.emit("ReduceSum", part, site.ints([axis]), keepdims=1)
        elif first > last:
            part = mirror(site, part, [axis])
        low, high = min(first, last), max(first, last)
        parts.append(site.pad(part, [low], [size - 1 - high], [axis], rank))
    return parts[0] if len(parts) == 1 else site.emit("Sum", *parts)


def runs(sources: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Divide cells into runs of neighbours that go forwards, backwards, or stand still.

    Examples
    --------
    >>> runs(np.array([2, 1, 0, 1, 2, 2, 2]))
    [(0, 3), (3, 5), (5, 7)]
    """
    found = []
    start, step = 0, None
    for index, ahead in enumerate(np.diff(sources).tolist(), 1):
        if step is None and abs(ahead) <= 1:
            step = ahead
        elif ahead != step:
            found.append((start, index))
            start, step = index, None
    return [*found, (start, len(sources))]
