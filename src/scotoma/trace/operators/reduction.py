"""Operators that summarise axes: reductions, global pools, softmax and normalisations."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from scotoma.loader.model import Operator
from scotoma.trace.layout import Axis, Digit, Layout
from scotoma.trace.operators.elementwise import join
from scotoma.trace.reading import AxisRead, Flow, Mixed, Reading, Same
from scotoma.trace.tracer import (
    CannotTellError,
    Tracer,
    int_attribute,
    ints_attribute,
    is_whole_mix,
    map_axes,
    optional_input,
    settle,
)

Handler = Callable[[Tracer, Operator], dict[str, Flow]]


def _axes(tracer: Tracer, operator: Operator, rank: int) -> tuple[int, ...] | None:
    """Return the reduced axes, from the attribute or the second input; None: not given."""
    axes = ints_attribute(operator, "axes")
    if axes is None and (name := optional_input(operator, 1)):
        axes = tuple(int(v) for v in tracer.constant(name, "axes").ravel())
    if axes is None:
        return None
    if any(not -rank <= a < rank for a in axes):
        raise CannotTellError("its axes are out of range")
    return tuple(a % rank for a in axes)


def _reduced(
    tracer: Tracer, operator: Operator, axes: Iterable[int], *, keep: bool
) -> dict[str, Flow]:
    """Return the flow of a reduction over `axes`."""
    axes = sorted(set(axes))
    data = operator.inputs[0]
    flow = map_axes(tracer, operator, data, {}, mixed=axes)
    if not keep:
        kept = [i for i in range(len(flow.layout)) if i not in axes]
        place = {old: new for new, old in enumerate(kept)}
        reading = flow.readings[0]
        reads: list[AxisRead] = [
            Same(place[r.out]) if isinstance(r, Same) else r for r in reading.axes or ()
        ]
        reading = Reading(data, reading.layout, tuple(reads), share=1, whole=reading.whole)
        flow = tracer.flow(operator, tuple(flow.layout[i] for i in kept), [reading])
    return dict.fromkeys((o for o in operator.outputs if o), flow)


def reduce(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle the Reduce family."""
    rank = tracer.rank(operator.inputs[0])
    axes = _axes(tracer, operator, rank)
    if not axes:
        if int_attribute(operator, "noop_with_empty_axes", 0):
            return {operator.outputs[0]: map_axes(tracer, operator, operator.inputs[0], {})}
        axes = tuple(range(rank))
    return _reduced(tracer, operator, axes, keep=int_attribute(operator, "keepdims", 1) == 1)


def arg_reduce(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle ArgMax and ArgMin."""
    axis = int_attribute(operator, "axis", 0) % max(tracer.rank(operator.inputs[0]), 1)
    return _reduced(tracer, operator, [axis], keep=int_attribute(operator, "keepdims", 1) == 1)


def global_pool(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle the global pools: every axis after the channels."""
    rank = tracer.rank(operator.inputs[0])
    axes = range(2, rank)
    if operator.attributes.get("channels_last") == 1:
        axes = range(1, rank - 1)
    return _reduced(tracer, operator, axes, keep=True)


def _mixing(
    tracer: Tracer, operator: Operator, axes: Iterable[int], data: str | None = None
) -> dict[str, Flow]:
    """Return the flow of an operator that keeps places and reads all of `axes` besides."""
    name = operator.inputs[0] if data is None else data
    if not tracer.depends(name):
        return {}
    layout = tracer.layout(name)
    axes = set(axes)
    same = tuple(Same(i) for i in range(len(layout)))
    whole = any(is_whole_mix(layout[a]) for a in axes)
    if not any(d.grid is not None for a in axes for d in layout[a]):
        readings = [Reading(name, layout, same, share=1)]
        flow = tracer.flow(operator, layout, readings)
    elif whole:
        mixed = tuple(Mixed() if i in axes else Same(i) for i in range(len(layout)))
        flow = tracer.flow(
            operator,
            layout,
            [
                Reading(name, layout, same, share=1, local_only=True),
                Reading(name, layout, mixed, share=1, whole=True),
            ],
        )
    else:
        mixed = tuple(Mixed() if i in axes else Same(i) for i in range(len(layout)))
        out = _window_layout(layout, axes)
        flow = tracer.flow(operator, out, [Reading(name, layout, mixed, share=1)])
    return {operator.outputs[0]: flow}


def _window_layout(layout: Layout, axes: set[int]) -> Layout:
    """Return the layout after cells of one window were mixed: places inside it are untracked."""
    out: list[Axis] = [
        tuple(Digit(d.size) for d in axis) if i in axes else axis for i, axis in enumerate(layout)
    ]
    return settle(tuple(out), layout, sorted(axes))


def softmax(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle the Softmax family; before opset 13 it runs over all axes from `axis` on."""
    rank = tracer.rank(operator.inputs[0])
    old = (operator.version or 13) < 13 and not operator.domain
    axis = int_attribute(operator, "axis", 1 if old else -1) % max(rank, 1)
    return _mixing(tracer, operator, range(axis, rank) if old else [axis])


def from_axis(default: int) -> Handler:
    """Return the handler of a normalisation over the axes from `axis` to the last."""

    def handle(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
        rank = tracer.rank(operator.inputs[0])
        axis = int_attribute(operator, "axis", default) % max(rank, 1)
        return _mixing(tracer, operator, range(axis, rank))

    return handle


def spatial_normalization(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle InstanceNormalization and GroupNormalization: statistics over the whole map."""
    rank = tracer.rank(operator.inputs[0])
    last = operator.attributes.get("channels_last") == 1
    return _mixing(tracer, operator, range(1, rank - 1) if last else range(2, rank))


def skip_normalization(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle SkipLayerNormalization and its kin: a sum, then a normalisation over the last axis."""
    out = next(o for o in operator.outputs if o)
    shape = tracer.shape(out)
    sum_ = join(tracer, [n for n in operator.inputs[:2] if n], len(shape))
    step = tracer.step(operator, "sum", tracer.flow(operator, *sum_), shape)
    flows = _mixing(tracer, operator, [len(shape) - 1], step)
    if len(operator.outputs) > 3 and operator.outputs[3]:
        flows[operator.outputs[3]] = tracer.flows[step]
    return flows


def lp_normalization(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle LpNormalization."""
    rank = tracer.rank(operator.inputs[0])
    return _mixing(tracer, operator, [int_attribute(operator, "axis", -1) % max(rank, 1)])


def mean_variance(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
    """Handle MeanVarianceNormalization."""
    rank = tracer.rank(operator.inputs[0])
    axes = ints_attribute(operator, "axes") or (0, 2, 3)
    return _mixing(tracer, operator, [a % rank for a in axes if -rank <= a < rank])


def along_axis(default: int) -> Handler:
    """Return the handler of an operator that orders or accumulates one axis: it reads all of it."""

    def handle(tracer: Tracer, operator: Operator) -> dict[str, Flow]:
        data = operator.inputs[0]
        rank = tracer.rank(data)
        if operator.op_type in {"CumSum", "CumProd"}:
            axis = int(tracer.constant(operator.inputs[1], "axis").ravel()[0])
        else:
            axis = int_attribute(operator, "axis", default)
        axis %= max(rank, 1)
        out = next(o for o in operator.outputs if o)
        sizes = {axis: tracer.shape(out)[axis]}
        flow = map_axes(tracer, operator, data, {}, mixed=[axis], out_sizes=sizes)
        return dict.fromkeys((o for o in operator.outputs if o), flow)

    return handle


_REDUCE = [
    "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd",
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare",
    "com.microsoft:QLinearReduceMean",
]  # fmt: skip

HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(_REDUCE, reduce),
    **dict.fromkeys(["ArgMax", "ArgMin"], arg_reduce),
    **dict.fromkeys(
        [
            "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool",
            "com.microsoft:QLinearGlobalAveragePool", "com.microsoft.nchwc:GlobalAveragePool",
            "com.microsoft.nchwc:GlobalMaxPool",
        ],
        global_pool,
    ),
    **dict.fromkeys(
        ["Softmax", "LogSoftmax", "Hardmax", "com.microsoft:QLinearSoftmax"], softmax
    ),
    "InstanceNormalization": spatial_normalization,
    "GroupNormalization": spatial_normalization,
    "com.microsoft:GroupNorm": spatial_normalization,
    "LayerNormalization": from_axis(-1),
    "SimplifiedLayerNormalization": from_axis(-1),
    "com.microsoft:SimplifiedLayerNormalization": from_axis(-1),
    "com.microsoft:SkipLayerNormalization": skip_normalization,
    "com.microsoft:SkipSimplifiedLayerNormalization": skip_normalization,
    "RMSNormalization": from_axis(-1),
    "LpNormalization": lp_normalization,
    "MeanVarianceNormalization": mean_variance,
    "TopK": along_axis(-1),
    "CumSum": along_axis(0),
    "CumProd": along_axis(0),
}  # fmt: skip
