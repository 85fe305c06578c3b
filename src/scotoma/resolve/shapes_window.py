"""Output shapes and windows of convolutions and pools, in every layout they come in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scotoma.resolve.step import RefusedError, Shape, Shapes, Step, UnknownError
from scotoma.resolve.window import Window
from scotoma.resolve.windows import Pooling, Slide, conv_window, pool_window, transposed_window


@dataclass(frozen=True, slots=True)
class Form:
    """Where an operator keeps its data and weight, and how its data is laid out."""

    data: int = 0
    weight: int = 1
    channels_last: bool = False
    blocked: bool = False
    """Channels in blocks of the processor's width, so that channel counts are rounded up."""


def spatial(step: Step, form: Form) -> tuple[Shape, Shape, bool]:
    """Return the data shape, its spatial part, and whether channels come last."""
    shape = step.shape(form.data)
    last = form.channels_last or step.integer("channels_last", 0) != 0
    if len(shape) < 3:
        raise RefusedError(f"its input has {len(shape)} axes, none of them spatial")
    return shape, (shape[1:-1] if last else shape[2:]), last


def per_axis(step: Step, name: str, rank: int, default: int) -> tuple[int, ...]:
    """Return an attribute with one number per spatial axis."""
    found = step.integers(name)
    if found is None or not found:
        return (default,) * rank
    if len(found) != rank:
        raise UnknownError(f"{name} has {len(found)} numbers for {rank} spatial axes")
    return found


def slides(step: Step, kernel: tuple[int, ...], auto_pad: str, *, dilated: bool) -> list[Slide]:
    """Return the declared window along every spatial axis."""
    rank = len(kernel)
    strides = per_axis(step, "strides", rank, 1)
    dilations = per_axis(step, "dilations", rank, 1) if dilated else (1,) * rank
    declared = zip(kernel, strides, dilations, padding(step, rank), strict=True)
    return [Slide(*numbers, auto_pad) for numbers in declared]


def padding(step: Step, rank: int) -> tuple[tuple[int, int], ...]:
    """Return begin and end padding per spatial axis as the file declares it."""
    found = step.integers("pads")
    if found is None or not found:
        return ((0, 0),) * rank
    if len(found) != 2 * rank:
        raise UnknownError(f"pads has {len(found)} numbers for {rank} spatial axes")
    return tuple(zip(found[:rank], found[rank:], strict=True))


def assemble(shape: Shape, channels: int, windows: tuple[Window, ...], *, last: bool) -> Shape:
    """Put batch, channels and the windows' output sizes together."""
    sizes = tuple(window.size_out for window in windows)
    return (shape[0], *sizes, channels) if last else (shape[0], channels, *sizes)


def kernel_of(step: Step, form: Form, rank: int) -> tuple[tuple[int, ...], Shape]:
    """Return the kernel, from the attribute or else the weight, and the weight's shape."""
    weight = step.shape(form.weight)
    kernel = step.integers("kernel_shape")
    if len(weight) != rank + 2:
        raise RefusedError(f"its weight has {len(weight)} axes, its input {rank + 2}")
    if not kernel:
        return weight[2:], weight
    if len(kernel) != rank:
        raise UnknownError(f"kernel_shape has {len(kernel)} numbers for {rank} spatial axes")
    if not form.blocked and kernel != weight[2:]:
        raise RefusedError(f"kernel_shape {list(kernel)} is not that of the weight {weight[2:]}")
    return kernel, weight


def convolution(form: Form) -> Callable[[Step], Shapes]:
    """Make the handler of a convolution of the given form."""

    def handler(step: Step) -> Shapes:
        shape, sizes, last = spatial(step, form)
        rank = len(sizes)
        kernel, weight = kernel_of(step, form, rank)
        group = step.integer("group", 1)
        channels = shape[-1] if last else shape[1]
        if group <= 0:
            raise UnknownError(f"{group} groups")
        if not form.blocked and weight[1] * group != channels:
            raise RefusedError(f"{weight[1] * group} input channels wanted, {channels} there")
        if not form.blocked and weight[0] % group:
            raise RefusedError(f"{weight[0]} output channels in {group} groups")
        auto_pad = step.text("auto_pad", "NOTSET")
        if "pads" in step.attributes and step.integers("pads"):
            # onnxruntime refuses both at once; the specification's shape function takes the pads.
            auto_pad = "NOTSET"
        declared = slides(step, kernel, auto_pad, dilated=True)
        windows = tuple(map(conv_window, sizes, declared))
        step.state.windows[step.op.name] = windows
        return [assemble(shape, weight[0], windows, last=last)]

    return handler


def conv_transpose(step: Step) -> Shapes:
    """Resolve ConvTranspose."""
    form = Form()
    shape, sizes, last = spatial(step, form)
    rank = len(sizes)
    kernel, weight = kernel_of(step, form, rank)
    group = step.integer("group", 1)
    if shape[1] != weight[0]:
        raise RefusedError(f"{weight[0]} input channels wanted, {shape[1]} there")
    extra = per_axis(step, "output_padding", rank, 0)
    declared = slides(step, kernel, step.text("auto_pad", "NOTSET"), dilated=True)
    wanted: tuple[int | None, ...] = step.integers("output_shape") or (None,) * rank
    if len(wanted) == rank + 2:
        wanted = wanted[2:]
    if len(wanted) != rank:
        raise UnknownError(f"output_shape has {len(wanted)} numbers for {rank} spatial axes")
    windows = tuple(
        transposed_window(size, slide, output_padding=more, output_size=size_out)
        for size, slide, more, size_out in zip(sizes, declared, extra, wanted, strict=True)
    )
    step.state.windows[step.op.name] = windows
    return [assemble(shape, weight[1] * group, windows, last=last)]


@dataclass(frozen=True, slots=True)
class Pool:
    """From which opset on a kind of pool has its options."""

    ceil: int = 1
    dilation: int = 1
    include_pad: int | None = None
    crops: int | None = None
    """From here on ``SAME_*`` with a stride beyond the kernel means negative padding."""
    strict: int | None = None
    """From here on the text says that no window starts in the end padding."""
    channels_last: bool = False
    indices: bool = False


MAX_POOL = Pool(ceil=10, dilation=10, strict=22, indices=True)
AVERAGE_POOL = Pool(ceil=10, dilation=19, include_pad=7, crops=19, strict=22)
LP_POOL = Pool(ceil=18, dilation=18, crops=1, strict=22)
QLINEAR_POOL = Pool(include_pad=1)


def pool(kind: Pool) -> Callable[[Step], Shapes]:
    """Make the handler of a pooling operator."""

    def since(step: Step, opset: int | None) -> bool:
        return opset is not None and step.version >= opset

    def handler(step: Step) -> Shapes:
        shape, sizes, last = spatial(step, Form(channels_last=kind.channels_last))
        rank = len(sizes)
        if not step.integers("kernel_shape"):
            raise UnknownError("it has no kernel_shape")
        kernel = per_axis(step, "kernel_shape", rank, 1)
        auto_pad = step.text("auto_pad", "NOTSET")
        declared = slides(step, kernel, auto_pad, dilated=since(step, kind.dilation))
        pooling = Pooling(
            ceil_mode=since(step, kind.ceil) and step.integer("ceil_mode", 0) != 0,
            count_include_pad=(
                since(step, kind.include_pad) and step.integer("count_include_pad", 0) != 0
            ),
            # Dilation takes onnxruntime off the path that refuses a negative padding.
            crops=since(step, kind.crops) or any(slide.dilation > 1 for slide in declared),
            ignores_phantom=since(step, kind.strict),
        )
        windows = tuple(
            pool_window(size, slide, pooling) for size, slide in zip(sizes, declared, strict=True)
        )
        step.state.windows[step.op.name] = windows
        out = assemble(shape, shape[-1] if last else shape[1], windows, last=last)
        return [out, out] if kind.indices else [out]

    return handler


def global_pool(step: Step) -> Shapes:
    """Resolve a global pool: every spatial axis becomes one cell."""
    shape, sizes, last = spatial(step, Form())
    ones = (1,) * len(sizes)
    return [(shape[0], *ones, shape[-1]) if last else (*shape[:2], *ones)]


HANDLERS = {
    "": {
        "Conv": convolution(Form()),
        "ConvInteger": convolution(Form()),
        "DeformConv": convolution(Form()),
        "QLinearConv": convolution(Form(weight=3)),
        "ConvTranspose": conv_transpose,
        "MaxPool": pool(MAX_POOL),
        "AveragePool": pool(AVERAGE_POOL),
        "LpPool": pool(LP_POOL),
        "GlobalAveragePool": global_pool,
        "GlobalMaxPool": global_pool,
        "GlobalLpPool": global_pool,
    },
    "com.microsoft": {
        "FusedConv": convolution(Form()),
        "NhwcFusedConv": convolution(Form(channels_last=True)),
        "QLinearConv": convolution(Form(weight=3)),
        "NhwcMaxPool": pool(Pool(channels_last=True)),
        "QLinearAveragePool": pool(QLINEAR_POOL),
        "QLinearGlobalAveragePool": global_pool,
    },
    "com.microsoft.nchwc": {
        "Conv": convolution(Form(blocked=True)),
        "MaxPool": pool(Pool()),
        "AveragePool": pool(Pool(include_pad=1)),
        "GlobalAveragePool": global_pool,
        "GlobalMaxPool": global_pool,
    },
    "com.ms.internal.nhwc": {
        "Conv": convolution(Form(channels_last=True)),
        "QLinearConv": convolution(Form(weight=3, channels_last=True)),
        "MaxPool": pool(Pool(channels_last=True)),
        "AveragePool": pool(Pool(include_pad=7, channels_last=True)),
    },
}
