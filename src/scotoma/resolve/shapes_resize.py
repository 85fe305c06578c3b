"""Output sizes of Resize and Upsample; sampling operators whose grid gives the output its size."""

from __future__ import annotations

import numpy as np

from scotoma.resolve.step import RefusedError, Shape, Shapes, Step, UnknownError, dims

LARGEST = 2**40
"""No axis of a model that runs is longer."""


def resize(step: Step) -> Shapes:
    """Resolve Resize of all opsets."""
    shape = step.shape()
    if step.version < 11:
        return [scaled(shape, scales_at(step, 1))]
    axes = step.integers("axes")
    axes = tuple(range(len(shape))) if axes is None else step.axes(axes, len(shape))
    if step.has(2) and step.state.shapes.get(step.name(2)) != (0,):
        return [scaled(shape, spread(scales_at(step, 2), axes, len(shape)))]
    sizes = step.whole(3)
    if len(sizes) != len(axes):
        raise RefusedError(f"{len(sizes)} sizes for {len(axes)} axes")
    if any(size < 0 for size in sizes):
        raise RefusedError(f"sizes of {list(sizes)} are asked for")
    return [sized(shape, sizes, axes, step.text("keep_aspect_ratio_policy", "stretch"))]


def upsample(step: Step) -> Shapes:
    """Resolve Upsample of all opsets."""
    shape = step.shape()
    if step.version >= 9 or step.has(1):
        return [scaled(shape, scales_at(step, 1))]
    found: object = step.attributes.get("scales")
    if found is None and "height_scale" in step.attributes:
        found = (1.0, 1.0, step.attributes["height_scale"], step.attributes.get("width_scale"))
    scales = [x for x in found if isinstance(x, int | float)] if isinstance(found, tuple) else []
    if not scales:
        raise UnknownError("it has no scales")
    return [scaled(shape, tuple(map(float, scales)))]


def scales_at(step: Step, index: int) -> tuple[float, ...]:
    """Return the scales at a constant input."""
    return tuple(float(number) for number in step.value(index).ravel())


def spread(scales: tuple[float, ...], axes: tuple[int, ...], rank: int) -> tuple[float, ...]:
    """Return one scale per axis, 1 for the axes that are not resized."""
    if len(scales) != len(axes):
        raise RefusedError(f"{len(scales)} scales for {len(axes)} axes")
    result = [1.0] * rank
    for axis, scale in zip(axes, scales, strict=True):
        result[axis] = scale
    return tuple(result)


def scaled(shape: Shape, scales: tuple[float, ...]) -> Shape:
    """Multiply in single precision and cut off, as onnxruntime does."""
    if len(scales) != len(shape):
        raise RefusedError(f"{len(scales)} scales for {len(shape)} axes")
    result = []
    for size, scale in zip(shape, scales, strict=True):
        if not 0 < scale < LARGEST or size > LARGEST:
            raise UnknownError(f"a scale of {scale} on {size} cells gives no size")
        result.append(int(np.float32(size) * np.float32(scale)))
    return tuple(result)


def sized(shape: Shape, sizes: tuple[int, ...], axes: tuple[int, ...], policy: str) -> Shape:
    """Return the output shape for asked sizes, under the policy on the aspect ratio."""
    result = list(shape)
    if policy == "stretch":
        for axis, size in zip(axes, sizes, strict=True):
            result[axis] = size
        return tuple(result)
    if policy not in {"not_larger", "not_smaller"}:
        raise UnknownError(f"keep_aspect_ratio_policy {policy!r} is not defined")
    if not axes or any(shape[axis] <= 0 for axis in axes):
        raise RefusedError(f"an empty {dims(shape)} has no aspect ratio")
    ratios = [
        np.float32(size) / np.float32(shape[axis]) for axis, size in zip(axes, sizes, strict=True)
    ]
    ratio = min(ratios) if policy == "not_larger" else max(ratios)
    for axis in axes:
        result[axis] = int(np.floor(float(ratio * np.float32(shape[axis])) + 0.5))
    return tuple(result)


def grid_sample(step: Step) -> Shapes:
    """Resolve GridSample: spatial sizes of the grid."""
    shape, grid = step.shape(), step.shape(1)
    if len(grid) != len(shape) or len(shape) < 3 or grid[-1] != len(shape) - 2:
        raise RefusedError(f"a grid of {dims(grid)} for {dims(shape)}")
    return [(*shape[:2], *grid[1:-1])]


def affine_grid(step: Step) -> Shapes:
    """Resolve AffineGrid: one coordinate vector per cell of the size asked for."""
    size = step.whole(1)
    if len(size) < 3 or any(number < 0 for number in size):
        raise RefusedError(f"a size of {list(size)} is asked for")
    return [(size[0], *size[2:], len(size) - 2)]


def roi_align(step: Step) -> Shapes:
    """Resolve RoiAlign."""
    shape, rois = step.shape(), step.shape(1)
    if len(shape) != 4 or not rois:
        raise RefusedError(f"regions of {dims(rois)} in {dims(shape)}")
    height, width = step.integer("output_height", 1), step.integer("output_width", 1)
    return [(rois[0], shape[1], height, width)]


def max_roi_pool(step: Step) -> Shapes:
    """Resolve MaxRoiPool."""
    pooled = step.integers("pooled_shape")
    if not pooled or not step.shape(1):
        raise UnknownError("it has no pooled_shape")
    return [(step.shape(1)[0], step.shape()[1], *pooled)]


HANDLERS = {
    "": {
        "Resize": resize,
        "Upsample": upsample,
        "GridSample": grid_sample,
        "AffineGrid": affine_grid,
        "RoiAlign": roi_align,
        "MaxRoiPool": max_roi_pool,
    },
    "com.microsoft": {"GridSample": grid_sample},
    "com.microsoft.nchwc": {"Upsample": upsample},
}
