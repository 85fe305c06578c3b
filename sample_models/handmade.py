"""The sample models that are written node by node, without an exporter."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
"""Below 22, where the specification says nothing of windows that start in the padding."""
IR_VERSION = 8

Array = NDArray[np.float32]
Weights = dict[str, Array | NDArray[np.int64]]


def model(
    name: str,
    nodes: list[onnx.NodeProto],
    side: int,
    output: tuple[str, list[int]],
    weights: Weights,
) -> onnx.ModelProto:
    """Return a model with one input, `image` (1, 1, side, side), and one output."""
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, side, side])],
        [helper.make_tensor_value_info(output[0], TensorProto.FLOAT, output[1])],
        [numpy_helper.from_array(array, key) for key, array in weights.items()],
    )
    made = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="scotoma sample_models",
    )
    onnx.checker.check_model(made, full_check=True)
    return made


def path_counter(layers: int, padding: int, side: int) -> onnx.ModelProto:
    """Return 3x3 convolutions of weight 1 and bias 0: what a white pixel adds up to is a count.

    Parameters
    ----------
    layers
        How many convolutions, one after the other.
    padding
        Zeros on every side of every layer's input: 0 valid, 1 same, 2 full.
    side
        Of the square input, px.
    """
    kernel: Array = np.ones((1, 1, 3, 3), np.float32)
    bias: Array = np.zeros(1, np.float32)
    nodes, tensor = [], "image"
    for layer in range(1, layers + 1):
        out = "feature_map" if layer == layers else f"map{layer}"
        nodes.append(
            helper.make_node(
                "Conv",
                [tensor, "ones", "zero"],
                [out],
                name=f"conv{layer}",
                kernel_shape=[3, 3],
                pads=[padding] * 4,
            )
        )
        tensor = out
    size = side + layers * (2 * padding - 2)
    return model(
        "path_counter", nodes, side, (tensor, [1, 1, size, size]), {"ones": kernel, "zero": bias}
    )


def position_detector(kernel: Array) -> onnx.ModelProto:
    """Return one 3x3 same convolution with the given weights and the sum over its whole output."""
    nodes = [
        helper.make_node(
            "Conv", ["image", "kernel"], ["map"], name="conv", kernel_shape=[3, 3], pads=[1] * 4
        ),
        helper.make_node("ReduceSum", ["map", "spatial_axes"], ["answer"], name="sum", keepdims=0),
    ]
    axes = np.array([1, 2, 3], np.int64)
    weights: Weights = {"kernel": kernel, "spatial_axes": axes}
    return model("position_detector", nodes, 10, ("answer", [1]), weights)


def ceil_pool() -> onnx.ModelProto:
    """Return three pools that round their size up, each with a different consequence.

    34 -> 17 (3x3/2, the last window hangs over the edge), 17 -> 6 (3x3/3, padded, a seventh window
    would start in the padding), 6 -> 4 (3x3/2, padded, padding counted in the average, the last
    window hangs over the padding).
    """
    rng = np.random.default_rng(0)
    weights: Weights = {
        "stem.weight": rng.normal(0, 0.3, (4, 1, 3, 3)).astype(np.float32),
        "stem.bias": rng.normal(0, 0.1, 4).astype(np.float32),
        "classifier.weight": rng.normal(0, 0.5, (10, 4)).astype(np.float32),
        "classifier.bias": np.zeros(10, np.float32),
    }
    nodes = [
        helper.make_node(
            "Conv",
            ["image", "stem.weight", "stem.bias"],
            ["stem"],
            name="stem",
            kernel_shape=[3, 3],
            pads=[1] * 4,
        ),
        helper.make_node("Relu", ["stem"], ["stem_relu"], name="relu"),
        helper.make_node(
            "MaxPool",
            ["stem_relu"],
            ["partial"],
            name="pool_partial",
            kernel_shape=[3, 3],
            strides=[2, 2],
            ceil_mode=1,
        ),
        helper.make_node(
            "MaxPool",
            ["partial"],
            ["phantom"],
            name="pool_phantom",
            kernel_shape=[3, 3],
            strides=[3, 3],
            pads=[1] * 4,
            ceil_mode=1,
        ),
        helper.make_node(
            "AveragePool",
            ["phantom"],
            ["divisor"],
            name="pool_divisor",
            kernel_shape=[3, 3],
            strides=[2, 2],
            pads=[1] * 4,
            ceil_mode=1,
            count_include_pad=1,
        ),
        helper.make_node("GlobalAveragePool", ["divisor"], ["mean"], name="global_pool"),
        helper.make_node("Flatten", ["mean"], ["features"], name="flatten"),
        helper.make_node(
            "Gemm",
            ["features", "classifier.weight", "classifier.bias"],
            ["logits"],
            name="classifier",
            transB=1,
        ),
    ]
    return model("ceil_pool", nodes, 34, ("logits", [1, 10]), weights)
