"""What the sizes of a tensor's maps follow from, whatever the size of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from scotoma.evidence.window_maps import CONVOLUTIONS, SLIDING, OtherError, taps_of
from scotoma.trace.index_map import Taps
from scotoma.trace.layout import is_tracked, whole_grid

if TYPE_CHECKING:
    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window
    from scotoma.sweep.sweep import Arrows
    from scotoma.trace import Geometry
    from scotoma.trace.layout import Layout
    from scotoma.trace.reading import Flow

    Sizes = tuple[int, ...]

SCALED = frozenset({"DequantizeLinear", "QuantizeLinear"})
"""Operators that may hold a number for every place of one axis."""
QUANTISED = frozenset(
    {"QLinearAdd", "QLinearConcat", "QLinearLeakyRelu", "QLinearMul", "QLinearSigmoid"}
)
"""Operators of onnxruntime that work as those of the standard, on quantised maps."""
PARAMETERS = (
    SCALED
    | CONVOLUTIONS
    | {"BatchNormalization", "Dropout", "Pad", "Split", "Squeeze", "Unsqueeze"}
)
"""Operators whose inputs but the first are not joined with it place by place."""
PLAIN = (
    SLIDING
    | PARAMETERS
    | QUANTISED
    | frozenset(
        {
            "Abs", "Add", "Cast", "Clip", "Concat", "Div", "Elu", "Erf", "Exp", "HardSigmoid",
            "HardSwish", "Identity", "LRN", "LeakyRelu", "Max", "Min", "Mul", "Neg", "PRelu",
            "Relu", "Selu", "Sigmoid", "Softplus", "Sqrt", "Sub", "Sum", "Tanh", "Transpose",
        }
    )
)  # fmt: skip
"""Operators that do at every size the same along the axes of the image, if they run at all."""

SUMMARIES = frozenset(
    {
        "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "ReduceL1", "ReduceL2", "ReduceMax",
        "ReduceMean", "ReduceMin", "ReduceSum",
    }
)  # fmt: skip
"""Operators whose output has the same size whatever that of the axes which they sum up."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the sizes of a tensor follow from, the same at every size."""

    reads: tuple[str, ...]
    """All tensors that are read."""
    same: bool = False
    """It has the sizes of those tensors, which must agree, and their arrows stay as they are."""
    windows: tuple[Window, ...] = ()
    """It has the sizes behind these windows; only those of convolutions pad automatically."""
    taps: Taps = Taps.ALL


def plan_of(geometry: Geometry, flow: Flow, known: Arrows) -> Plan:
    """Return how the sizes of a tensor follow, as far as that is the same at every size.

    Parameters
    ----------
    known
        The arrows of the tensor.
    """
    used, operator = known[0], flow.operator
    alone = len(used) == len(flow.readings) == 1
    reads: tuple[str, ...] = (flow.readings[0].tensor,) if alone else ()
    reads = reads or tuple(dict.fromkeys(reading.tensor for reading in flow.readings))
    if operator is None or operator.op_type not in PLAIN or not _is_known(geometry, operator):
        return Plan(reads)
    if alone and len(operator.inputs) == 1 and used[0][1] == () and operator.op_type != "Split":
        return Plan(reads, same=True)
    # What training normalises a map by is one number for all of it, at every size.
    trains = operator.op_type == "BatchNormalization" and len(reads) == len(used) == 1
    places = places_of(geometry, flow.layout)
    if places is None or (len(used) != len(flow.readings) and not trains):
        return Plan(reads)
    try:
        check_constants(geometry, operator, places, len(flow.layout))
        if all(steps == () for _, steps in used):
            return Plan(reads, same=True)
        windows = geometry.resolution.windows.get(operator.name, ())
        same = any(w.auto_pad.startswith("SAME") for w in windows)
        fixed = not any(w.transposed for w in windows)
        fixed = fixed and (operator.op_type in CONVOLUTIONS or not same)
        whole = places_of(geometry, used[0][0].layout) is not None
        if whole and len(flow.readings) == 1 and operator.op_type in SLIDING and windows and fixed:
            taps = taps_of(operator, places, len(flow.layout))
            return Plan(reads, windows=windows, taps=taps)
    except OtherError:
        pass
    return Plan(reads)


def _is_known(geometry: Geometry, operator: Operator) -> bool:
    """Tell whether the type of an operator says what it does."""
    if operator.op_type == "FusedConv":
        # A constant that it adds has a size of its own.
        maps = all(name in geometry.flows for name in operator.inputs[3:] if name)
        return operator.domain == "com.microsoft" and maps
    return operator.domain == ("com.microsoft" if operator.op_type in QUANTISED else "")


def places_of(geometry: Geometry, layout: Layout) -> Sizes | None:
    """Return the axes of a tensor that are the image's, None where it is followed otherwise."""
    key = ("places", id(layout))
    if key not in geometry.kept:
        geometry.kept[key] = _places(layout, geometry.rank)
    places: Sizes | None = geometry.kept[key]
    return places


def _places(layout: Layout, rank: int) -> Sizes | None:
    """Return the axes that are whole grids of the image, None unless it is all that is followed."""
    found: dict[int, int] = {}
    for i, axis in enumerate(layout):
        if len(axis) == 1 and axis[0].grid is None:
            continue
        grid = whole_grid(axis)
        if grid is not None and grid.label is not None and grid.label not in found:
            found[grid.label] = i
        elif is_tracked(axis):
            return None
    return tuple(found.values()) if len(found) == rank else None


def check_constants(geometry: Geometry, operator: Operator, places: Sizes, rank: int) -> None:
    """See that what is no map of the image has no places of its own.

    Raises
    ------
    OtherError
        If it may have some.
    """
    resolved, kind = geometry.resolution, operator.op_type
    if kind == "Pad" and not resolved.constants.issuperset(filter(None, operator.inputs[1:])):
        raise OtherError
    if _counts(geometry, operator) and _own_axis(operator, rank) in (None, *places):
        raise OtherError
    if kind in PARAMETERS or len(operator.inputs) < 2:
        return
    for name in operator.inputs:
        if name and name not in geometry.flows:
            old = (operator.version or 0) < 7
            check_places(resolved.shapes.get(name), places, rank, old=old)


def _counts(geometry: Geometry, operator: Operator) -> bool:
    """Tell whether an operator holds numbers for all cells along an axis of its own."""
    if operator.op_type not in SCALED:
        return operator.op_type in {"BatchNormalization", "Split"}
    shape = geometry.resolution.shapes.get(operator.inputs[1])
    return shape is None or prod(shape) != 1


def _own_axis(operator: Operator, rank: int) -> int | None:
    """Return the axis along which an operator holds numbers, None where it is not just one."""
    if operator.op_type == "BatchNormalization":
        return 1
    axis = operator.attributes.get("axis", 0 if operator.op_type == "Split" else 1)
    blocks = operator.attributes.get("block_size", 0)
    if not isinstance(axis, int) or blocks or not -rank <= axis < rank:
        return None
    return axis % rank


def check_places(shape: Sizes | None, places: Sizes, rank: int, *, old: bool = False) -> None:
    """See that a tensor that is joined with a map is the same at all places.

    Parameters
    ----------
    places
        The axes of the map that are the image's.
    rank
        How many axes the map has.
    old
        The tensor is not aligned with the last axes of the map.

    Raises
    ------
    OtherError
        If it is not, or of unknown shape.
    """
    if shape is None or len(shape) > rank or (shape and old):
        raise OtherError
    for axis, cells in enumerate(shape, rank - len(shape)):
        if axis in places and cells != 1:
            raise OtherError


def joins_maps(operator: Operator, axes: Sequence[int]) -> bool:
    """Tell whether a Concat puts maps side by side along an axis of the image."""
    axis = operator.attributes.get("axis", 1)
    if operator.op_type != "Concat":
        return False
    return not isinstance(axis, int) or axis < 0 or axis in axes
