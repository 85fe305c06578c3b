"""Resize and Upsample: along every axis the transposed map, by the quickest operator for it."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from scotoma.adjoint.interpolation import Taps, taps
from scotoma.adjoint.registry import NoAdjointError, rule
from scotoma.trace.nearest import Region
from scotoma.trace.resample import Resampling, simplest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Site

MODES = {"nearest": "nearest", "linear": "linear", "bilinear": "linear", "cubic": "cubic"}
DENSE = 1 << 18
"""Up to so many elements a matrix is quicker than one gather per tap."""
LARGEST = 1 << 22
"""Elements of a matrix at most."""
FEW = 8
"""Gathers per axis that beat a large matrix."""


@rule("Resize", "Upsample")
def resize(site: Site) -> Gradients:
    """Give every cell its weighted share of the gradients of the outputs that read it."""
    site.only(0)
    if len(site.out_shape()) != len(site.shape()) or 0 in site.out_shape():
        raise NoAdjointError("its output is empty, or has another rank than its input")
    return [by_axes(site, {axis: taps(*found) for axis, found in _resamplings(site).items()})]


def by_axes(site: Site, axes: dict[int, Taps]) -> str:
    """Apply the transposed maps of the axes that are resized."""
    grad, shape = site.grad(), list(site.out_shape())
    grad = _tiles(site, grad, shape, axes)
    # The axes that shrink the most come first: less is left for the others.
    for axis in sorted(axes, key=lambda at: axes[at].size_in / axes[at].size_out):
        grad = _along(site, grad, shape, axis, axes[axis])
        shape[axis] = axes[axis].size_in
    return grad


def _resamplings(site: Site) -> dict[int, tuple[Resampling, float, Region | None]]:
    """Return how every axis that changes is resized."""
    old = site.op.op_type == "Upsample" or site.version < 11
    mode = MODES.get(site.text("mode", "nearest"))
    transformation = site.text("coordinate_transformation_mode", "half_pixel")
    nearest = site.text("nearest_mode", "round_prefer_floor")
    if mode is None:
        raise NoAdjointError(f"its mode {site.text('mode', '')!r} is not known")
    cropped = _regions(site) if transformation == "tf_crop_and_resize" and not old else {}
    scales, antialias = _scales(site), site.integer("antialias", 0) == 1
    if site.shape() == site.out_shape() and not cropped:
        return {}  # onnxruntime copies what keeps its shape, whatever the scales
    found = {}
    for axis, (before, after) in enumerate(zip(site.shape(), site.out_shape(), strict=True)):
        scale = scales[axis]
        # onnxruntime looks at no crop here; with antialias it copies whatever the scale.
        if before == after and (scale == 1 or antialias):
            continue
        if old:
            # Before opset 11 onnxruntime rounds up where it makes an axis smaller.
            transformation, nearest = "asymmetric", "ceil" if scale < 1 else "floor"
        resampling = Resampling(
            before, after, scale, mode, transformation, nearest,
            antialias, site.integer("exclude_outside", 0) == 1,
        )  # fmt: skip
        found[axis] = (resampling, site.real("cubic_coeff_a", -0.75), cropped.get(axis))
    return found


def _axes(site: Site) -> tuple[int, ...]:
    """Return the axes that scales, sizes and regions are given for."""
    rank = len(site.shape())
    return tuple(site.axis(axis, rank) for axis in site.integers("axes") or range(rank))


def _scales(site: Site) -> list[Fraction]:
    """Return output cells per input cell along every axis."""
    before, after = site.shape(), site.out_shape()
    given = _given_scales(site)
    if given is not None:
        if len(given) != len(before) or min(given) <= 0:
            raise NoAdjointError("its scales do not fit its input")
        return [simplest(*each) for each in zip(given, before, after, strict=True)]
    scales = [Fraction(m, n) for n, m in zip(before, after, strict=True)]
    policy = site.text("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return scales
    axes, sizes = _axes(site), site.known(3).ravel().tolist()
    ratios = [Fraction(int(size), before[axis]) for axis, size in zip(axes, sizes, strict=True)]
    kept = min(ratios) if policy == "not_larger" else max(ratios)
    return [kept if axis in axes else Fraction(1) for axis in range(len(before))]


def _given_scales(site: Site) -> list[float] | None:
    """Return the scale of every axis; None where sizes are given."""
    stored = site.op.attributes.get("scales")
    if isinstance(stored, tuple):
        return [float(scale) for scale in stored]
    slot = 1 if site.op.op_type == "Upsample" or site.version < 11 else 2
    if not site.has(slot) or 0 in site.shape(slot):
        if slot == 1:
            raise NoAdjointError("it has no scales")
        return None
    scales = [1.0] * len(site.shape())
    for axis, scale in zip(_axes(site), site.known(slot).ravel().tolist(), strict=True):
        scales[axis] = scale
    return scales


def _regions(site: Site) -> dict[int, Region]:
    """Return the part of every axis that is cropped to."""
    axes = _axes(site)
    roi = site.known(1).ravel().tolist()
    if len(roi) != 2 * len(axes):
        raise NoAdjointError("its region does not fit its axes")
    pairs = zip(axes, roi[: len(axes)], roi[len(axes) :], strict=True)
    return {axis: Region(start, end) for axis, start, end in pairs}


def _tiles(site: Site, grad: str, shape: list[int], axes: dict[int, Taps]) -> str:
    """Sum over tiles where cells were repeated, and strike those axes off the list."""
    rank = len(shape)
    kernel = {axis: _repeats(found) for axis, found in axes.items() if axis >= 2}
    kernel = {axis: times for axis, times in kernel.items() if times > 1}
    if not kernel or not 3 <= rank <= 5:
        return grad
    sizes = [kernel.get(axis, 1) for axis in range(2, rank)]
    grad = site.emit("AveragePool", grad, kernel_shape=sizes, strides=sizes)
    for axis in kernel:
        shape[axis] = axes.pop(axis).size_in
    return site.emit("Mul", grad, site.number(np.prod(sizes)))


def _repeats(found: Taps) -> int:
    """Return how often every cell is repeated; 0 if that is not all that happens."""
    times, rest = divmod(found.size_out, found.size_in)
    if rest or found.cells.shape[1] != 1 or not (found.weights == 1).all():
        return 0
    expected = np.repeat(np.arange(found.size_in), times)
    return times if np.array_equal(found.cells[:, 0], expected) else 0


def _along(site: Site, grad: str, shape: Sequence[int], axis: int, found: Taps) -> str:
    """Apply the transposed map along one axis."""
    steps = _steps(found)
    if steps is not None:
        return _put_back(site, grad, shape, axis, (*steps, found.size_in))
    size = found.size_in * found.size_out
    if size > DENSE:
        turned = found.turned()
        if turned.cells.shape[1] <= FEW or size > LARGEST:
            return _by_gathers(site, grad, len(shape), axis, turned)
    matrix = found.matrix()
    if axis == len(shape) - 1:
        return site.emit("MatMul", grad, site.number(matrix))
    before, after = int(np.prod(shape[:axis])), int(np.prod(shape[axis + 1 :]))
    if axis != len(shape) - 2:
        grad = site.reshape(grad, [before, shape[axis], after])
    grad = site.emit("MatMul", site.number(matrix.T), grad)
    if axis != len(shape) - 2:
        grad = site.reshape(grad, [*shape[:axis], found.size_in, *shape[axis + 1 :]])
    return grad


def _steps(found: Taps) -> tuple[int, int] | None:
    """Return the first cell and the step where single cells at equal distances are copied."""
    used = found.weights != 0
    if not (used.sum(1) == 1).all() or not (found.weights[used] == 1).all():
        return None
    cells = found.cells[used]
    apart = np.unique(np.diff(cells))
    if len(apart) > 1 or (len(apart) == 1 and apart[0] < 1):
        return None
    return int(cells[0]), int(apart[0]) if len(apart) else 1


def _put_back(
    site: Site, grad: str, shape: Sequence[int], axis: int, place: tuple[int, int, int]
) -> str:
    """Put cells back to where they were taken from, zeros between and around them."""
    first, step, size = place
    steps = [step if at == axis else 1 for at in range(len(shape))]
    grad, wide = site.spread(grad, shape, steps)
    return site.pad(grad, [first], [size - wide[axis] - first], [axis], len(shape))


def _by_gathers(site: Site, grad: str, rank: int, axis: int, turned: Taps) -> str:
    """Sum up the outputs that each cell goes into, one after the other."""
    count = turned.cells.shape[1]
    if count > 1 << 8:
        raise NoAdjointError("a cell of it goes into too many outputs")
    parts = []
    for slot in range(count):
        cells = site.constant(turned.cells[:, slot], np.int64)
        weights = turned.weights[:, slot].reshape([-1, *[1] * (rank - 1 - axis)])
        part = site.emit("Gather", grad, cells, axis=axis)
        parts.append(site.emit("Mul", part, site.number(weights)))
    return parts[0] if count == 1 else site.emit("Sum", *parts)
