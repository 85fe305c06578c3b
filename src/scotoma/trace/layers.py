"""What a layer is to a person: its kind in the field's words, its arithmetic, its parameters."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from scotoma.trace.operators import key

if TYPE_CHECKING:
    from scotoma.loader.model import Operator
    from scotoma.resolve.resolution import Resolution
    from scotoma.resolve.window import Window
    from scotoma.trace.geometry import Geometry

_POOLS = {
    "MaxPool": "max pooling",
    "AveragePool": "average pooling",
    "LpPool": "power-average pooling",
    "NhwcMaxPool": "max pooling",
    "QLinearAveragePool": "average pooling",
}
_GLOBAL = {
    "GlobalAveragePool": "global average pooling",
    "GlobalMaxPool": "global max pooling",
    "GlobalLpPool": "global power-average pooling",
    "QLinearGlobalAveragePool": "global average pooling",
}
_CONVOLUTIONS = {
    "Conv", "ConvInteger", "QLinearConv", "FusedConv", "NhwcFusedConv",
}  # fmt: skip
_DENSE = {"Gemm", "MatMul", "QGemm", "QLinearMatMul", "FusedMatMul", "MatMulInteger"}
_PARAMETERISED = _CONVOLUTIONS | _DENSE | {"ConvTranspose", "BatchNormalization", "PRelu"}


def kind(geometry: Geometry, operator: Operator) -> str | None:
    """Return what an operator is, where it changes what is seen; None for all others."""
    op_type = operator.op_type
    windows = geometry.resolution.windows.get(operator.name)
    if op_type in _CONVOLUTIONS and windows:
        return _convolution(geometry, operator, windows)
    if op_type in _POOLS and windows:
        return _POOLS[op_type]
    if op_type == "ConvTranspose":
        return "transposed convolution"
    if op_type in _GLOBAL:
        return _GLOBAL[op_type]
    if op_type in {"Resize", "Upsample"}:
        return _resampling(geometry, operator)
    if op_type == "DepthToSpace":
        return "pixel shuffle"
    if op_type == "SpaceToDepth":
        return "pixel unshuffle"
    if op_type == "Pad":
        return "padding"
    if op_type in _DENSE:
        return _product(geometry, operator)
    return _by_geometry(geometry, operator)


def _convolution(geometry: Geometry, operator: Operator, windows: tuple[Window, ...]) -> str:
    group = operator.attributes.get("group", 1)
    strided = any(w.stride > 1 for w in windows)
    if strided:
        patches = all(w.kernel == w.stride and not w.pad_begin and not w.pad_end for w in windows)
        if patches and _sees_pixels(geometry, operator.inputs[0]):
            return "patch embedding"
        if any(w.extent < w.stride for w in windows):
            return "strided convolution, skips cells"
        return "strided convolution"
    channels = geometry.resolution.shapes.get(operator.outputs[0]) or (0, 0)
    if isinstance(group, int) and group > 1 and group == channels[1]:
        return "depthwise convolution"
    if any(w.dilation > 1 and w.kernel > 1 for w in windows):
        return "dilated convolution"
    if all(w.kernel == 1 for w in windows):
        return "pointwise convolution"
    return "convolution"


def _sees_pixels(geometry: Geometry, tensor: str) -> bool:
    """Tell whether the cells of a tensor are the pixels themselves."""
    grids = geometry.grids(tensor)
    return bool(grids) and all(g.field is not None and g.field.size == 1 for g in grids or ())


def _resampling(geometry: Geometry, operator: Operator) -> str:
    before = geometry.resolution.shapes.get(operator.inputs[0]) or ()
    after = geometry.resolution.shapes.get(operator.outputs[0]) or ()
    return "upsampling" if prod(after) >= prod(before) else "downsampling by resize"


def _product(geometry: Geometry, operator: Operator) -> str:
    """Name a matrix product: of two activations, or of one with a weight."""
    constants = geometry.resolution.constants
    if any(name in constants for name in operator.inputs[:4] if name):
        return "dense layer"
    return "attention product"


def _by_geometry(geometry: Geometry, operator: Operator) -> str | None:
    """Name operators that resample by moving cells: shuffles by reshape, slices with a step."""
    if not operator.outputs or not operator.inputs:
        return None
    flow = geometry.flows.get(operator.outputs[0])
    if flow is None:
        return None
    if any(r.whole for r in flow.readings) and operator.op_type.startswith("Reduce"):
        return "global pooling by reduction"
    before, after = geometry.strides(operator.inputs[0]), geometry.strides(operator.outputs[0])
    if before is None or after is None or before == after:
        return None
    finer = any(a < b for a, b in zip(after, before, strict=True))
    if operator.op_type in {"Reshape", "Transpose"}:
        return "pixel shuffle" if finer else "pixel unshuffle"
    return "upsampling" if finer else "subsampling"


def multiply_adds(resolution: Resolution, operator: Operator) -> int | None:
    """Return the multiply-adds of a convolution or matrix product for one run, None for others."""
    windows = resolution.windows.get(operator.name)
    if not windows and operator.op_type not in _DENSE:
        return None
    out = resolution.shapes.get(operator.outputs[0]) if operator.outputs else None
    data = resolution.shapes.get(operator.inputs[0]) if operator.inputs else None
    if out is None or data is None:
        return None
    if windows and (operator.op_type in _CONVOLUTIONS or operator.op_type == "ConvTranspose"):
        group = operator.attributes.get("group", 1)
        if not isinstance(group, int) or group < 1 or len(out) < 2 or len(data) < 2:
            return None
        taps = prod(w.kernel for w in windows)
        if operator.op_type == "ConvTranspose":
            return prod(data) * taps * (out[1] // group)
        last = operator.attributes.get("channels_last") == 1 or "Nhwc" in operator.op_type
        return prod(out) * taps * (data[-1 if last else 1] // group)
    if operator.op_type in _DENSE:
        axis = 0 if operator.attributes.get("transA") == 1 else -1
        return prod(out) * data[axis] if data else None
    return None


def parameters(resolution: Resolution, operator: Operator) -> int | None:
    """Return how many stored numbers a convolution or matrix product multiplies or adds."""
    name = key(operator).rpartition(":")[2]
    if name not in _PARAMETERISED:
        return None
    shapes = [resolution.shapes.get(n) for n in operator.inputs[1:] if n in resolution.constants]
    known = [prod(shape) for shape in shapes if shape]
    return sum(known) if known else None
