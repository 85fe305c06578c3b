"""The same model in PyTorch: the operators of `vision_models` one by one, on the same weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from onnx import helper, numpy_helper
from torch.nn import functional

if TYPE_CHECKING:
    import onnx


class Twin:
    """Runs a model in PyTorch; gradients of the weights are not asked for."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self._nodes = [
            (
                node.op_type,
                list(node.input),
                node.output[0],
                {item.name: helper.get_attribute_value(item) for item in node.attribute},
            )
            for node in graph.node
        ]
        self._weights = {
            tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy())
            for tensor in graph.initializer
        }
        self._input, self._output = graph.input[0].name, graph.output[0].name

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Return the model's output."""
        known = {**self._weights, self._input: image}
        for op_type, inputs, output, attributes in self._nodes:
            known[output] = _OPERATORS[op_type](*(known[name] for name in inputs), **attributes)
        return known[self._output]


def _conv(x: Any, weight: Any, bias: Any, **how: Any) -> Any:
    pads = how["pads"][:2]
    return functional.conv2d(x, weight, bias, how["strides"], pads, groups=how["group"])


def _conv_transpose(x: Any, weight: Any, bias: Any, **how: Any) -> Any:
    return functional.conv_transpose2d(x, weight, bias, how["strides"])


def _max_pool(x: Any, **how: Any) -> Any:
    pads = how.get("pads", [0, 0])[:2]
    return functional.max_pool2d(x, how["kernel_shape"], how["strides"], pads)


def _gemm(x: Any, weight: Any, bias: Any, **_: Any) -> Any:
    return functional.linear(x, weight, bias)


def _layer_norm(x: Any, scale: Any, bias: Any, **how: Any) -> Any:
    return functional.layer_norm(x, scale.shape, scale, bias, how["epsilon"])


_OPERATORS: dict[str, Any] = {
    "Add": lambda x, y: x + y,
    "Clip": lambda x, low, high: functional.hardtanh(x, float(low), float(high)),
    "Concat": lambda *parts, axis: torch.cat(parts, axis),
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Flatten": lambda x: x.flatten(1),
    "Gelu": functional.gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda x: x.mean((2, 3), keepdim=True),
    "LayerNormalization": _layer_norm,
    "MatMul": lambda x, y: x @ y,
    "MaxPool": _max_pool,
    "Mul": lambda x, y: x * y,
    "Relu": functional.relu,
    "Transpose": lambda x, perm: x.permute(perm),
}
