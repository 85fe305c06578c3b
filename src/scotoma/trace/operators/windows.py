"""Convolutions, transposed convolutions and poolings: sliding windows over the spatial axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from scotoma.loader.model import Operator
from scotoma.trace.index_map import IndexMap, Taps, WindowMap
from scotoma.trace.layout import collapsed, untracked
from scotoma.trace.operators.elementwise import elementwise, join
from scotoma.trace.reading import AxisRead, Flow, Mixed, Reading, Same
from scotoma.trace.tracer import CannotTellError, Tracer, int_attribute, map_axes


def _maps(
    tracer: Tracer, operator: Operator, taps: Taps, *, channels_last: bool
) -> dict[int, IndexMap]:
    """Return the index map of every spatial axis."""
    windows = tracer.resolution.windows.get(operator.name)
    if windows is None:
        raise CannotTellError("its window is not known")
    first = 1 if channels_last else 2
    return {first + i: WindowMap.of(window, taps) for i, window in enumerate(windows)}


def _convolution(
    tracer: Tracer, operator: Operator, data: str, *, channels_last: bool = False
) -> dict[str, Flow]:
    """Build the flow of a convolution of `data`; depthwise ones keep the channels apart."""
    out = operator.outputs[0]
    maps = _maps(tracer, operator, Taps.ALL, channels_last=channels_last)
    axis = tracer.rank(data) - 1 if channels_last else 1
    if tracer.depends(data):
        channels_in, channels_out = tracer.shape(data)[axis], tracer.shape(out)[axis]
        depthwise = int_attribute(operator, "group", 1) == channels_in == channels_out
        mixed = () if depthwise else (axis,)
        flow = map_axes(tracer, operator, data, maps, mixed=mixed, out_sizes={axis: channels_out})
    else:
        flow = tracer.flow(operator, untracked(tracer.shape(out)), [])
    weights = [n for n in operator.inputs[1:3] if n and n != data and tracer.depends(n)]
    extra = [
        Reading(n, tracer.layout(n), tuple(Mixed() for _ in tracer.layout(n)), share=1, whole=True)
        for n in weights
    ]
    return {out: tracer.flow(operator, flow.layout, [*flow.readings, *extra])}


def convolution(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle Conv, ConvTranspose, ConvInteger and QLinearConv; weights may depend on the image."""
    last = operator.attributes.get("channels_last") == 1
    return _convolution(tracer, operator, operator.inputs[0], channels_last=last)


def channels_last_convolution(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle NhwcFusedConv."""
    return _convolution(tracer, operator, operator.inputs[0], channels_last=True)


def fused_convolution(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle FusedConv and the blocked Conv: a convolution with an optional summand."""
    summand = operator.inputs[3] if len(operator.inputs) > 3 else ""
    if not summand or not tracer.depends(summand):
        return convolution(tracer, operator)
    out = operator.outputs[0]
    if not tracer.depends(operator.inputs[0]):
        return elementwise(tracer, replace(operator, inputs=(summand,)))
    flow = convolution(tracer, operator)[out]
    step = tracer.step(operator, "conv", flow, tracer.shape(out))
    layout, readings = join(tracer, [step, summand], tracer.rank(out))
    return {out: tracer.flow(operator, layout, readings)}


def pooling(taps: Taps, *, last: bool = False) -> Callable[[Tracer, Operator], dict[str, Flow]]:
    """Return the handler of a pool whose walks choose among `taps`."""

    def handle(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
        kind = taps
        if operator.attributes.get("count_include_pad") == 1:
            kind = Taps.PADDED
        channels_last = last or operator.attributes.get("channels_last") == 1
        maps = _maps(tracer, operator, kind, channels_last=channels_last)
        flow = map_axes(tracer, operator, operator.inputs[0], maps)
        return dict.fromkeys((o for o in operator.outputs if o), flow)

    return handle


def reorder(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle the blocked layout's ReorderInput and ReorderOutput: channels are padded or cut."""
    data, out = operator.inputs[0], operator.outputs[0]
    shape = tracer.shape(out)
    if not operator.attributes.get("channels_last"):
        flow = map_axes(tracer, operator, data, {}, mixed=(1,), out_sizes={1: shape[1]})
        return {out: flow}
    # The unblocked side is NHWC: the spatial axes move by one.
    to_last = operator.op_type == "ReorderOutput"
    layout = tracer.layout(data)
    rank = len(layout)
    channels = 1 if to_last else rank - 1
    places = [0, *(i for i in range(1, rank) if i != channels)]
    places.insert(rank - 1 if to_last else 1, channels)
    reads: list[AxisRead] = [Same(places.index(i)) for i in range(rank)]
    reads[channels] = Mixed()
    axes = [layout[i] for i in places]
    axes[places.index(channels)] = collapsed(shape[places.index(channels)])
    reading = Reading(data, layout, tuple(reads), share=1)
    return {out: tracer.flow(operator, tuple(axes), [reading])}


HANDLERS = {
    "Conv": convolution,
    "ConvTranspose": convolution,
    "ConvInteger": convolution,
    "QLinearConv": convolution,
    "com.microsoft:QLinearConv": convolution,
    "com.microsoft:FusedConv": fused_convolution,
    "com.microsoft:NhwcFusedConv": channels_last_convolution,
    "com.microsoft.nchwc:Conv": fused_convolution,
    "MaxPool": pooling(Taps.REAL),
    "AveragePool": pooling(Taps.REAL),
    "LpPool": pooling(Taps.REAL),
    "com.microsoft:NhwcMaxPool": pooling(Taps.REAL, last=True),
    "com.microsoft:QLinearAveragePool": pooling(Taps.REAL),
    "com.microsoft.nchwc:MaxPool": pooling(Taps.REAL),
    "com.microsoft.nchwc:AveragePool": pooling(Taps.REAL),
    "com.microsoft.nchwc:ReorderInput": reorder,
    "com.microsoft.nchwc:ReorderOutput": reorder,
}
