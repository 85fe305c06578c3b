"""Resize and Upsample in all modes and coordinate transformations."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from scotoma.loader.model import Operator
from scotoma.trace.index_map import IndexMap
from scotoma.trace.layout import Axis, Grid, of_grid, whole_grid
from scotoma.trace.reading import Flow
from scotoma.trace.resample import Resampling, simplest, taps
from scotoma.trace.tracer import (
    CannotTellError,
    Tracer,
    int_attribute,
    ints_attribute,
    map_axes,
    optional_input,
    str_attribute,
)


def resamplings(tracer: Tracer, operator: Operator) -> dict[int, Resampling]:
    """Return how every axis whose size or grid changes is resized."""
    data, out = operator.inputs[0], operator.outputs[0]
    before, after = tracer.shape(data), tracer.shape(out)
    if len(before) != len(after):
        raise CannotTellError("its output has another rank than its input")
    blocked = operator.domain == "com.microsoft.nchwc"
    old = not blocked and (operator.op_type == "Upsample" or (operator.version or 11) < 11)
    transformation = "asymmetric" if old or blocked else "half_pixel"
    if not old:
        transformation = str_attribute(operator, "coordinate_transformation_mode", transformation)
    if transformation == "tf_crop_and_resize":
        raise CannotTellError("it crops to a region of interest")
    mode = str_attribute(operator, "mode", "nearest")
    mode = {"bilinear": "linear", "trilinear": "linear"}.get(mode, mode)
    if mode not in {"nearest", "linear", "cubic"}:
        raise CannotTellError(f"its mode '{mode}' is not known")
    if before == after:
        return {}  # onnxruntime copies what keeps its shape, whatever the scales
    scales = _scales(tracer, operator, len(before))
    antialias = int_attribute(operator, "antialias", 0) == 1
    kept = _kept_ratio(tracer, operator, before) if scales is None else None
    resized = {}
    for axis, (n, m) in enumerate(zip(before, after, strict=True)):
        scale = Fraction(m, n) if scales is None else simplest(scales[axis], n, m)
        if kept is not None and n != m:
            scale = kept
        if n == m and (scale == 1 or antialias):
            continue
        resized[axis] = Resampling(
            n, m, scale, mode, transformation,
            _nearest_mode(operator, scale, stated=not (old or blocked)),
            antialias,
            int_attribute(operator, "exclude_outside", 0) == 1,
        )  # fmt: skip
    return resized


def _nearest_mode(operator: Operator, scale: Fraction, *, stated: bool) -> str:
    """Return how coordinates are rounded; where no attribute can say it, as onnxruntime does."""
    if stated:
        return str_attribute(operator, "nearest_mode", "round_prefer_floor")
    return "ceil" if scale < 1 else "floor"


def _scales(tracer: Tracer, operator: Operator, rank: int) -> list[float] | None:
    """Return the scale of every axis; None where the sizes decide."""
    if "scales" in operator.attributes:
        value = operator.attributes["scales"]
        if not isinstance(value, tuple):
            raise CannotTellError("its attribute scales is not a list")
        scales = [float(v) for v in value]
    else:
        slot = 1 if operator.op_type == "Upsample" or (operator.version or 11) < 11 else 2
        if operator.domain == "com.microsoft.nchwc":
            return None
        name = optional_input(operator, slot)
        if not name or tracer.resolution.shapes.get(name) == (0,):
            return None
        scales = [float(v) for v in tracer.constant(name, "scales").ravel()]
    if not scales:
        return None
    axes = ints_attribute(operator, "axes")
    if axes is not None:
        full = [1.0] * rank
        for axis, scale in zip(axes, scales, strict=False):
            full[axis % rank] = scale
        scales = full
    if len(scales) != rank or any(s <= 0 for s in scales):
        raise CannotTellError("its scales do not fit its input")
    return scales


def _kept_ratio(tracer: Tracer, operator: Operator, before: tuple[int, ...]) -> Fraction | None:
    """Return the one scale of all axes where the sizes keep the aspect ratio, else None."""
    policy = str_attribute(operator, "keep_aspect_ratio_policy", "stretch")
    name = optional_input(operator, 3)
    if policy == "stretch" or not name:
        return None
    sizes = [int(v) for v in tracer.constant(name, "sizes").ravel()]
    axes = ints_attribute(operator, "axes") or tuple(range(len(before)))
    ratios = [Fraction(m, before[axis]) for axis, m in zip(axes, sizes, strict=True)]
    return min(ratios) if policy == "not_larger" else max(ratios)


def resize(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle Resize and Upsample."""
    data = operator.inputs[0]
    maps: dict[int, IndexMap] = {}
    nominal: dict[int, Axis] = {}
    for axis, resampling in resamplings(tracer, operator).items():
        table = taps(resampling)
        if table is None:
            raise CannotTellError(
                f"its coordinates ({resampling.transformation}) cannot be followed"
            )
        maps[axis] = table
        if (found := _nominal(tracer, tracer.layout(data)[axis], resampling)) is not None:
            nominal[axis] = found
    flow = map_axes(tracer, operator, data, maps)
    if nominal:
        layout = tuple(nominal.get(i, axis) for i, axis in enumerate(flow.layout))
        flow = replace(flow, layout=layout)
    return {operator.outputs[0]: flow}


def _nominal(tracer: Tracer, axis: Axis, resampling: Resampling) -> Axis | None:
    """Return the axis of a map that is upsampled to the size of one it was downsampled from.

    From 7 cells a stride of 2 makes 3 or 4, and resizing to 7 again is no factor of 2. With the
    borders ignored it is: the receptive field is that of the factor which restores the effective
    stride of the larger map. The cells that are read stay those of this size. None for all other
    axes.
    """
    n, m = resampling.size_in, resampling.size_out
    grid = whole_grid(axis)
    if grid is None or grid.field is None or m <= n or m % n == 0:
        return None
    for stride in tracer.strides(grid.label, m):
        factor = grid.field.effective_stride / stride if stride else Fraction(0)
        if factor.denominator != 1 or factor < 2 or abs(m - n * factor) >= factor:
            continue
        size = n * int(factor)
        table = taps(replace(resampling, size_out=size, scale=factor))
        field = table.field(grid.field) if table is not None else None
        if table is not None and field is None:
            field = grid.field.of_cells(m, stride, table.reads)
        if field is not None:
            note = f"resized by {Fraction(m, n)} at this size; receptive fields as if by {factor}"
            return of_grid(Grid(grid.label, m, field, grid.note or note))
    return None


HANDLERS = {
    "Resize": resize,
    "Upsample": resize,
    "com.microsoft.nchwc:Upsample": resize,
}
