"""Output shapes of operators that move cells about: reshape, slice, join, pad, gather, resize."""

from __future__ import annotations

from scotoma.resolve.step import (
    RefusedError,
    Shape,
    Shapes,
    Step,
    UnknownError,
    broadcast,
    dims,
    elements,
)


def reshape(step: Step) -> Shapes:
    """Resolve Reshape with its 0 (keep) and -1 (rest) entries."""
    shape = step.shape()
    from_input = step.has(1) or step.version >= 5
    wanted = step.whole(1) if from_input else step.integers("shape") or ()
    return [reshaped(shape, wanted, keep=step.integer("allowzero", 0) == 0)]


def reshaped(shape: Shape, wanted: tuple[int, ...], *, keep: bool = True) -> Shape:
    """Work out the shape that a Reshape target gives, or refuse it in plain words."""
    sizes = list(wanted)
    if keep:
        for axis, size in enumerate(sizes):
            if size == 0:
                if axis >= len(shape):
                    raise RefusedError(f"axis {axis} of {dims(shape)} is to be kept, there is none")
                sizes[axis] = shape[axis]
    there = elements(shape)
    if sizes.count(-1) > 1 or any(size < -1 for size in sizes):
        raise RefusedError(f"{list(wanted)} is no shape")
    if -1 in sizes:
        place = sizes.index(-1)
        rest = elements(tuple(sizes[:place] + sizes[place + 1 :]))
        if rest == 0 or there % rest:
            raise RefusedError(f"a multiple of {rest} elements wanted, {there} there")
        sizes[place] = there // rest
    elif elements(tuple(sizes)) != there:
        raise RefusedError(f"{elements(tuple(sizes))} elements wanted, {there} there")
    return tuple(sizes)


def transpose(step: Step) -> Shapes:
    """Resolve Transpose."""
    shape = step.shape()
    order = step.integers("perm")
    if order is None:
        return [shape[::-1]]
    if sorted(order) != list(range(len(shape))):
        raise RefusedError(f"order {list(order)} for a tensor with {len(shape)} axes")
    return [tuple([shape[axis] for axis in order])]


def flatten(step: Step) -> Shapes:
    """Resolve Flatten."""
    shape = step.shape()
    axis = step.axis(step.integer("axis", 1), len(shape), end=True)
    return [(elements(shape[:axis]), elements(shape[axis:]))]


def axes_of(step: Step, since: int) -> tuple[int, ...] | None:
    """Return the axes of an operator that took them as attribute before opset `since`."""
    if step.version >= since or step.has(1):
        return step.whole(1) if step.has(1) else None
    return step.integers("axes")


def squeeze(step: Step) -> Shapes:
    """Resolve Squeeze."""
    shape = step.shape()
    axes = axes_of(step, 13)
    if axes is None:
        return [tuple(size for size in shape if size != 1)]
    gone = step.axes(axes, len(shape))
    for axis in gone:
        if shape[axis] != 1:
            raise RefusedError(f"axis {axis} has {shape[axis]} cells and cannot be dropped")
    return [tuple(size for axis, size in enumerate(shape) if axis not in gone)]


def unsqueeze(step: Step) -> Shapes:
    """Resolve Unsqueeze."""
    shape = step.shape()
    axes = axes_of(step, 13)
    if axes is None:
        raise UnknownError("its axes are missing")
    rank = len(shape) + len(axes)
    new = step.axes(axes, rank)
    rest = iter(shape)
    return [tuple(1 if axis in new else next(rest) for axis in range(rank))]


def expand(step: Step) -> Shapes:
    """Resolve Expand."""
    wanted = step.whole(1)
    if any(size < 0 for size in wanted):
        raise RefusedError(f"a shape of {list(wanted)} is asked for")
    return [broadcast(step.shape(), wanted)]


def tile(step: Step) -> Shapes:
    """Resolve Tile; opset 1 repeats along one axis."""
    shape = step.shape()
    repeats = step.whole(1)
    if step.version < 6 and step.has(2):
        axis = step.axis(step.whole(2)[0], len(shape))
        return [(*shape[:axis], shape[axis] * repeats[0], *shape[axis + 1 :])]
    if len(repeats) != len(shape) or any(number < 0 for number in repeats):
        raise RefusedError(f"repeats {list(repeats)} for a tensor with {len(shape)} axes")
    return [tuple(size * number for size, number in zip(shape, repeats, strict=True))]


def concat(step: Step) -> Shapes:
    """Resolve Concat."""
    first = step.shape()
    axis = step.axis(step.integer("axis", 1 if step.version < 4 else 0), len(first))
    total = first[axis]
    for index in range(1, len(step.inputs)):
        shape = step.shape(index)
        if (
            len(shape) != len(first)
            or shape[:axis] != first[:axis]
            or shape[axis + 1 :] != first[axis + 1 :]
        ):
            raise RefusedError(f"{dims(first)} and {dims(shape)} do not join along axis {axis}")
        total += shape[axis]
    return [(*first[:axis], total, *first[axis + 1 :])]


def slice_op(step: Step) -> Shapes:
    """Resolve Slice."""
    shape = list(step.shape())
    for axis, begin, end, by in slices(step, tuple(shape)):
        shape[axis] = len(range(begin, end, by))
    return [tuple(shape)]


def slices(step: Step, shape: Shape) -> list[tuple[int, int, int, int]]:
    """Return (axis, start, end, step) per sliced axis, ready for ``range``."""
    if step.version >= 10 or step.has(1):
        starts, ends = step.whole(1), step.whole(2)
        axes = step.whole(3) if step.has(3) else None
        steps = step.whole(4) if step.has(4) else None
    else:
        starts, ends = step.integers("starts") or (), step.integers("ends") or ()
        axes, steps = step.integers("axes"), None
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = (1,) * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise RefusedError("its starts, ends, axes and steps differ in length")
    result = []
    for axis, begin, end, by in zip(step.axes(axes, len(shape)), starts, ends, steps, strict=True):
        if by == 0:
            raise RefusedError("its step is 0")
        result.append((axis, *clamp(begin, end, by, shape[axis]), by))
    return result


def clamp(begin: int, end: int, by: int, size: int) -> tuple[int, int]:
    """Clamp the limits of a slice to the axis, as ONNX and Python do."""
    high = size if by > 0 else size - 1
    begin = begin + size if begin < 0 else begin
    end = end + size if end < 0 else end
    return min(max(begin, 0), high), min(max(end, 0 if by > 0 else -1), high)


def split(step: Step) -> Shapes:
    """Resolve Split."""
    shape = step.shape()
    axis = step.axis(step.integer("axis", 0), len(shape))
    return [(*shape[:axis], part, *shape[axis + 1 :]) for part in split_sizes(step, shape, axis)]


def split_sizes(step: Step, shape: Shape, axis: int) -> tuple[int, ...]:
    """Return the lengths of the parts; without a list the last one may be shorter."""
    count = len(step.op.outputs)
    if step.has(1):
        sizes = step.whole(1)
    else:
        sizes = step.integers("split") or () if step.version < 13 else ()
    if not sizes:
        count = step.integer("num_outputs", count) if step.version >= 18 else count
        if not 0 < count == len(step.op.outputs):
            raise UnknownError(f"{count} parts for {len(step.op.outputs)} outputs")
        part = -(-shape[axis] // count)
        sizes = (part,) * (count - 1)
        sizes = (*sizes, shape[axis] - sum(sizes))
        if sizes[-1] < 0 or (step.version < 18 and sizes[-1] != part):
            raise RefusedError(f"{shape[axis]} cells cannot be split into {count} parts")
    if any(size < 0 for size in sizes) or sum(sizes) != shape[axis]:
        raise RefusedError(f"parts of {list(sizes)} wanted, {shape[axis]} cells there")
    return sizes


def pad(step: Step) -> Shapes:
    """Resolve Pad; negative padding crops."""
    shape = step.shape()
    result = []
    mirror = step.text("mode", "constant") == "reflect"
    for axis, (size, (begin, end)) in enumerate(zip(shape, pads_of(step, shape), strict=True)):
        kept = size + min(begin, 0) + min(end, 0)
        if mirror and max(begin, end) >= max(kept, 1):
            raise RefusedError(
                f"it reflects {max(begin, end)} cells of axis {axis}, which has {kept}"
            )
        if kept < 0:
            raise RefusedError(f"it crops {-min(begin, 0) - min(end, 0)} of {size} cells")
        result.append(size + begin + end)
    return [tuple(result)]


def pads_of(step: Step, shape: Shape) -> list[tuple[int, int]]:
    """Return begin and end padding for every axis of the input."""
    rank = len(shape)
    if step.version >= 11 or step.has(1):
        pads = step.whole(1)
        axes = step.whole(3) if step.has(3) else tuple(range(rank))
    else:
        found = step.integers("pads")
        pads = (step.integers("paddings") if found is None else found) or ()
        axes = tuple(range(rank))
    if len(pads) != 2 * len(axes):
        raise RefusedError(f"{len(pads)} paddings for {len(axes)} axes")
    result = [(0, 0)] * rank
    half = len(axes)
    for place, axis in enumerate(step.axes(axes, rank)):
        result[axis] = (pads[place], pads[place + half])
    return result


def gather(step: Step) -> Shapes:
    """Resolve Gather."""
    shape = step.shape()
    axis = step.axis(step.integer("axis", 0), len(shape))
    return [shape[:axis] + step.shape(1) + shape[axis + 1 :]]


def gather_elements(step: Step) -> Shapes:
    """Resolve GatherElements."""
    if len(step.shape()) != len(step.shape(1)):
        raise RefusedError("its data and indices differ in rank")
    return [step.shape(1)]


def gather_nd(step: Step) -> Shapes:
    """Resolve GatherND."""
    shape, indices = step.shape(), step.shape(1)
    batch = step.integer("batch_dims", 0)
    if not indices or not 0 <= batch < min(len(shape), len(indices)):
        raise RefusedError("its indices do not address its data")
    last = indices[-1] + batch
    if last > len(shape):
        raise RefusedError(f"indices of {indices[-1]} numbers for {len(shape) - batch} axes")
    return [indices[:-1] + shape[last:]]


def depth_to_space(step: Step) -> Shapes:
    """Resolve DepthToSpace."""
    shape, block = step.shape(), step.integer("blocksize", 0)
    if len(shape) != 4 or block <= 0 or shape[1] % block**2:
        raise RefusedError(f"{dims(shape)} in blocks of {block}")
    return [(shape[0], shape[1] // block**2, shape[2] * block, shape[3] * block)]


def space_to_depth(step: Step) -> Shapes:
    """Resolve SpaceToDepth."""
    shape, block = step.shape(), step.integer("blocksize", 0)
    if len(shape) != 4 or block <= 0 or shape[2] % block or shape[3] % block:
        raise RefusedError(f"{dims(shape)} in blocks of {block}")
    return [(shape[0], shape[1] * block**2, shape[2] // block, shape[3] // block)]


HANDLERS = {
    "": {
        "Reshape": reshape,
        "Transpose": transpose,
        "Flatten": flatten,
        "Squeeze": squeeze,
        "Unsqueeze": unsqueeze,
        "Expand": expand,
        "Tile": tile,
        "Concat": concat,
        "Slice": slice_op,
        "Split": split,
        "Pad": pad,
        "Gather": gather,
        "GatherElements": gather_elements,
        "GatherND": gather_nd,
        "DepthToSpace": depth_to_space,
        "SpaceToDepth": space_to_depth,
    },
}
