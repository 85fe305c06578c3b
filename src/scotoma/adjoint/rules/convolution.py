"""Conv and ConvTranspose, which are each other's adjoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scotoma.adjoint.registry import NoAdjointError, rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Shape, Site


@rule("Conv")
def conv(site: Site) -> Gradients:
    """Return the gradients of a convolution's data, weight and bias."""
    grad = site.grad()
    found: list[str | None] = [None, None, None]
    if site.wants(0):
        found[0] = by_data(site, grad, site.input(1), site.shape(1))
    if site.wants(1):
        found[1] = by_weight(site, (site.input(0), site.shape(0)), (grad, site.out_shape()))
    if site.wants(2):
        found[2] = by_bias(site, grad)
    return found


def by_data(site: Site, grad: str, weight: str, shape: Shape) -> str:
    """Return the gradient of a convolution's data.

    At stride 1 it is a convolution with the mirrored kernel, which onnxruntime runs as fast as
    the forward; otherwise a transposed convolution, faster there than one stride-1 convolution
    per phase.
    """
    windows, group = site.windows, site.integer("group", 1)
    axes = range(2, 2 + len(windows))
    dilations = [window.dilation for window in windows]
    if all(window.stride == 1 for window in windows):
        begins = [window.extent - 1 - window.pad_begin for window in windows]
        ends = [
            window.size_in - window.size_out - begin + window.extent - 1
            for window, begin in zip(windows, begins, strict=True)
        ]
        grad, pads = padded(site, grad, begins, ends)
        weight = mirrored(site, weight, shape, group)
        return site.emit("Conv", grad, weight, group=group, dilations=dilations, pads=pads)
    begins = [max(window.pad_begin, 0) for window in windows]
    ends = [max(window.pad_end, 0) for window in windows]
    strides = [window.stride for window in windows]
    made = [
        (window.size_out - 1) * window.stride + window.extent - begin - end
        for window, begin, end in zip(windows, begins, ends, strict=True)
    ]
    # Cells behind the last window; and those that a negative padding left out.
    shifts = [window.pad_begin - begin for window, begin in zip(windows, begins, strict=True)]
    rest = [
        window.size_in - size + shift
        for window, size, shift in zip(windows, made, shifts, strict=True)
    ]
    extra = [
        min(max(size, 0), max(window.stride, window.dilation) - 1)
        for window, size in zip(windows, rest, strict=True)
    ]
    grad = site.emit(
        "ConvTranspose", grad, weight, group=group, dilations=dilations,
        strides=strides, pads=[*begins, *ends], output_padding=extra,
    )  # fmt: skip
    tails = [size - padding for size, padding in zip(rest, extra, strict=True)]
    return site.pad(grad, [-shift for shift in shifts], tails, axes, axes.stop)


def padded(
    site: Site, tensor: str, begins: Sequence[int], ends: Sequence[int]
) -> tuple[str, list[int]]:
    """Cut off what a convolution cannot pad by, and return its pads."""
    axes = range(2, 2 + len(begins))
    cut = [min(begin, 0) for begin in begins], [min(end, 0) for end in ends]
    tensor = site.pad(tensor, *cut, axes, axes.stop)
    return tensor, [max(begin, 0) for begin in begins] + [max(end, 0) for end in ends]


def mirrored(site: Site, weight: str, shape: Shape, group: int) -> str:
    """Return the weight of a convolution for its adjoint: mirrored, and input for output."""
    outputs, inputs, *kernel = shape
    spatial = [axis for axis, size in enumerate(shape) if axis > 1 and size > 1]
    if spatial:
        count = len(spatial)
        weight = site.emit(
            "Slice", weight, site.ints([-1] * count), site.ints([-(1 << 31)] * count),
            site.ints(spatial), site.ints([-1] * count),
        )  # fmt: skip
    if outputs % group:
        raise NoAdjointError("its channels do not divide into its groups")
    rest = range(2, len(shape))
    if group == 1:
        return site.emit("Transpose", weight, perm=[1, 0, *rest])
    each = outputs // group
    if inputs == each == 1:
        return weight
    weight = site.reshape(weight, [group, each, inputs, *kernel])
    weight = site.emit("Transpose", weight, perm=[0, 2, 1, *(axis + 1 for axis in rest)])
    return site.reshape(weight, [group * inputs, each, *kernel])


def by_weight(site: Site, data: tuple[str, Shape], grad: tuple[str, Shape]) -> str:
    """Return the gradient of a weight: the data convolved with the gradient.

    Samples are summed over as channels are otherwise; strides and dilations change places.

    Parameters
    ----------
    data
        What the windows slide over, and its shape.
    grad
        What there is one of per window, and its shape.
    """
    (tensor, (count, channels, *sizes)), (kernel, (_, _, *places)) = data, grad
    group, windows = site.integer("group", 1), site.windows
    rest = range(2, 2 + len(sizes))
    if group > 1:
        each = channels // group
        tensor = site.reshape(tensor, [count, group, each, *sizes])
        tensor = site.emit("Transpose", tensor, perm=[2, 1, 0, *(axis + 1 for axis in rest)])
        tensor = site.reshape(tensor, [each, group * count, *sizes])
    else:
        tensor = site.emit("Transpose", tensor, perm=[1, 0, *rest])
    begins = [window.pad_begin for window in windows]
    ends = [
        (place - 1) * window.stride + window.extent - size - window.pad_begin
        for window, place, size in zip(windows, places, sizes, strict=True)
    ]
    tensor, pads = padded(site, tensor, begins, ends)
    kernel = site.emit("Transpose", kernel, perm=[1, 0, *rest])
    found = site.emit(
        "Conv", tensor, kernel, group=group, pads=pads,
        strides=[window.dilation for window in windows],
        dilations=[window.stride for window in windows],
    )  # fmt: skip
    return site.emit("Transpose", found, perm=[1, 0, *rest])


def by_bias(site: Site, grad: str) -> str:
    """Return the gradient of the bias: the sum over samples and places."""
    rank = len(site.out_shape())
    return site.emit("ReduceSum", grad, site.ints([0, *range(2, rank)]), keepdims=0)


@rule("ConvTranspose")
def conv_transpose(site: Site) -> Gradients:
    """Return the gradients of a transposed convolution: of its data by a convolution."""
    windows, grad = site.windows, site.grad()
    found: list[str | None] = [None, None, None]
    if site.wants(0):
        begins = [window.pad_begin for window in windows]
        ends = [
            (window.size_in - 1) * window.stride + window.extent - window.size_out - begin
            for window, begin in zip(windows, begins, strict=True)
        ]
        cut, pads = padded(site, grad, begins, ends)
        found[0] = site.emit(
            "Conv", cut, site.input(1), group=site.integer("group", 1),
            strides=[window.stride for window in windows],
            dilations=[window.dilation for window in windows], pads=pads,
        )  # fmt: skip
    if site.wants(1):
        found[1] = by_weight(site, (grad, site.out_shape()), (site.input(0), site.shape(0)))
    if site.wants(2):
        found[2] = by_bias(site, grad)
    return found
