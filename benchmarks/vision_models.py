"""Well-known networks as ONNX graphs with seeded weights, normalisations folded as exporters do.

The weights are drawn so that activations keep their size through the layers (He et al. 2015);
what a network says means nothing, what it costs is what the published one costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSET = 20
CLASSES = 1000


class Graph:
    """A network under construction; tensors are known by name, their channels with them."""

    def __init__(self, batch: int, size: int) -> None:
        self.roll = np.random.default_rng(20)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.channels = {"image": 3}
        self.shape = [batch, 3, size, size]

    def add(self, op_type: str, inputs: Sequence[str], channels: int = 0, **attributes: Any) -> str:
        """Append an operator and return its output, which has the channels of the first input."""
        name = f"{op_type.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [name], name=f"/{name}", **attributes))
        self.channels[name] = channels or self.channels.get(inputs[0], 0)
        return name

    def weight(self, *shape: int, inputs: int | None = None, offset: float = 0) -> str:
        """Add a weight; with `inputs`, the number of terms that a cell sums, of that scale."""
        scale = 0.1 if inputs is None else float(np.sqrt(2 / inputs))
        values = self.roll.standard_normal(shape, np.float32) * np.float32(scale)
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values + np.float32(offset), name))
        return name

    def conv(
        self, x: str, width: int, kernel: int, stride: int = 1, *, groups: int = 1, pad: int = -1
    ) -> str:
        """Append a convolution that keeps the size at stride 1."""
        cin = self.channels[x] // groups
        pad = kernel // 2 if pad < 0 else pad
        weight = self.weight(width, cin, kernel, kernel, inputs=cin * kernel**2)
        return self.add(
            "Conv", [x, weight, self.weight(width)], width, kernel_shape=[kernel] * 2,
            strides=[stride] * 2, pads=[pad] * 4, group=groups,
        )  # fmt: skip

    def conv_relu(self, x: str, width: int, kernel: int, stride: int = 1) -> str:
        """Append a convolution and a rectifier."""
        return self.add("Relu", [self.conv(x, width, kernel, stride)])

    def clipped(self, x: str, width: int, kernel: int, stride: int = 1, groups: int = 1) -> str:
        """Append a convolution and a rectifier up to 6."""
        bounds = [self.scalar(0), self.scalar(6)]
        return self.add("Clip", [self.conv(x, width, kernel, stride, groups=groups), *bounds])

    def scalar(self, value: float) -> str:
        """Add a number."""
        name = f"number_{value:g}"
        if all(weight.name != name for weight in self.weights):
            self.weights.append(numpy_helper.from_array(np.array(value, np.float32), name))
        return name

    def dense(self, x: str, cin: int, width: int) -> str:
        """Append a dense layer over the last axis."""
        y = self.add("MatMul", [x, self.weight(cin, width, inputs=cin)], width)
        return self.add("Add", [y, self.weight(width)])

    def classify(self, x: str) -> onnx.ModelProto:
        """Append the head of a classifier behind a vector and return the model."""
        flat = self.add("Flatten", [x])
        weights = [self.weight(CLASSES, self.channels[x], inputs=self.channels[x])]
        weights.append(self.weight(CLASSES))
        return self.model(self.add("Gemm", [flat, *weights], CLASSES, transB=1))

    def model(self, output: str) -> onnx.ModelProto:
        """Return the model with one output."""
        made = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None)],
            self.weights,
        )
        return helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)


def resnet(batch: int, size: int, blocks: Sequence[int], *, bottleneck: bool) -> onnx.ModelProto:
    """Return a ResNet (He et al. 2016), with the stride in the 3x3 layer of a bottleneck."""
    net = Graph(batch, size)
    x = net.conv_relu("image", 64, 7, 2)
    x = net.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for stage, count in enumerate(blocks):
        width = 64 << stage
        out = 4 * width if bottleneck else width
        for block in range(count):
            stride = 2 if stage and not block else 1
            if bottleneck:
                y = net.conv_relu(net.conv_relu(x, width, 1), width, 3, stride)
                y = net.conv(y, out, 1)
            else:
                y = net.conv(net.conv_relu(x, width, 3, stride), out, 3)
            beside = x if net.channels[x] == out else net.conv(x, out, 1, stride)
            x = net.add("Relu", [net.add("Add", [y, beside])])
    return net.classify(net.add("GlobalAveragePool", [x]))


def mobilenet_v2(batch: int, size: int) -> onnx.ModelProto:
    """Return MobileNetV2 (Sandler et al. 2018)."""
    net = Graph(batch, size)
    x = net.clipped("image", 32, 3, 2)
    settings = (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
        (6, 320, 1, 1),
    )  # fmt: skip
    for expansion, width, count, first in settings:
        for block in range(count):
            cin = net.channels[x]
            wide = cin * expansion
            stride = first if block == 0 else 1
            y = x if expansion == 1 else net.clipped(x, wide, 1)
            y = net.conv(net.clipped(y, wide, 3, stride, groups=wide), width, 1)
            x = net.add("Add", [x, y]) if stride == 1 and cin == width else y
    return net.classify(net.add("GlobalAveragePool", [net.clipped(x, 1280, 1)]))


def unet(batch: int, size: int, width: int = 32) -> onnx.ModelProto:
    """Return a U-Net (Ronneberger et al. 2015) with padding, from 32 channels to 512."""
    net = Graph(batch, size)
    x, skips = "image", []
    for level in range(5):
        if level:
            x = net.add("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
        x = net.conv_relu(net.conv_relu(x, width << level, 3), width << level, 3)
        skips.append(x)
    for level in reversed(range(4)):
        cin, out = net.channels[x], width << level
        weights = [net.weight(cin, out, 2, 2, inputs=cin), net.weight(out)]
        up = net.add("ConvTranspose", [x, *weights], out, kernel_shape=[2, 2], strides=[2, 2])
        x = net.add("Concat", [skips[level], up], 2 * out, axis=1)
        x = net.conv_relu(net.conv_relu(x, out, 3), out, 3)
    return net.model(net.conv(x, 2, 1))


def convnext_tiny(batch: int, size: int) -> onnx.ModelProto:
    """Return ConvNeXt-T (Liu et al. 2022)."""
    net = Graph(batch, size)

    def turn(x: str, *, last: bool) -> str:
        return net.add("Transpose", [x], perm=[0, 2, 3, 1] if last else [0, 3, 1, 2])

    def norm(x: str, width: int) -> str:
        scale = [net.weight(width, offset=1), net.weight(width)]
        return net.add("LayerNormalization", [x, *scale], axis=-1, epsilon=1e-6)

    x, width = net.conv("image", 96, 4, 4, pad=0), 96
    x = turn(norm(turn(x, last=True), width), last=False)
    for stage, count in enumerate((3, 3, 9, 3)):
        if stage:
            x = turn(norm(turn(x, last=True), width), last=False)
            width *= 2
            x = net.conv(x, width, 2, 2, pad=0)
        for _ in range(count):
            y = norm(turn(net.conv(x, width, 7, groups=width), last=True), width)
            y = net.dense(net.add("Gelu", [net.dense(y, width, 4 * width)]), 4 * width, width)
            y = turn(net.add("Mul", [y, net.weight(width, offset=0.3)]), last=False)
            x = net.add("Add", [x, y])
    x = net.add("GlobalAveragePool", [x])
    return net.classify(turn(norm(turn(x, last=True), width), last=False))


MODELS: dict[str, Callable[[int], onnx.ModelProto]] = {
    "ResNet-18": lambda batch: resnet(batch, 224, (2, 2, 2, 2), bottleneck=False),
    "ResNet-50": lambda batch: resnet(batch, 224, (3, 4, 6, 3), bottleneck=True),
    "MobileNetV2": lambda batch: mobilenet_v2(batch, 224),
    "U-Net": lambda batch: unet(batch, 224),
    "ConvNeXt-T": lambda batch: convnext_tiny(batch, 224),
    "ResNet-18 at 1024": lambda batch: resnet(batch, 1024, (2, 2, 2, 2), bottleneck=False),
}
"""By name, of images per run; 224x224 unless the name says otherwise."""
DEPTHWISE = frozenset({"MobileNetV2", "ConvNeXt-T"})
