"""Tiny models, built where they are used, and what is known of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from measure.nets import NODE, Build, Examine, weights
from onnx import TensorProto, helper, numpy_helper

from scotoma.facts import Facts
from scotoma.loader import load_model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    import numpy.typing as npt


FLOAT = TensorProto.FLOAT


def build_model(  # noqa: PLR0917  the parts of a model
    nodes: Sequence[onnx.NodeProto],
    input_shape: Sequence[int | str],
    weights: dict[str, npt.NDArray[Any]] | None = None,
    output: str = "y",
    output_type: int = FLOAT,
    input_type: int = FLOAT,
    extra_inputs: Sequence[onnx.ValueInfoProto] = (),
    opset: int = 17,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", input_type, input_shape), *extra_inputs],
        [helper.make_tensor_value_info(output, output_type, None)],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def chain_of_convolutions(
    layers: int, pad: int, input_shape: Sequence[int | str]
) -> onnx.ModelProto:
    """3x3 convolutions with all weights 1: influence on the sum counts kernel-tap paths."""
    nodes = [
        helper.make_node(
            "Conv",
            ["x" if layer == 0 else f"t{layer}", "w"],
            ["y" if layer == layers - 1 else f"t{layer + 1}"],
            name=f"conv{layer}",
            pads=[pad] * 4,
        )
        for layer in range(layers)
    ]
    return build_model(nodes, input_shape, {"w": np.ones((1, 1, 3, 3), np.float32)})


@pytest.fixture
def build() -> Build:
    return build_model


@pytest.fixture
def convolutions() -> Build:
    return chain_of_convolutions


@pytest.fixture
def examine(tmp_path: Path) -> Examine:
    def run(
        proto: onnx.ModelProto, size: Sequence[int] | None = None, name: str = "tiny.onnx"
    ) -> Facts:
        path = tmp_path / name
        path.write_bytes(proto.SerializeToString())
        return Facts.of(load_model(str(path)), size=size)

    return run


@pytest.fixture
def smooth(build: Build, examine: Examine) -> Facts:
    """Three channels, a stride, and a target of 2x4x3 elements without a kink."""
    nodes = [
        NODE("Conv", ["x", "w"], ["c"], strides=[2, 2], pads=[1, 1, 0, 0]),
        NODE("Tanh", ["c"], ["t"]),
        NODE("Conv", ["t", "v"], ["y"]),
    ]
    values = {"w": weights(4, 3, 3, 3), "v": weights(2, 4, 2, 2, seed=1)}
    return examine(build(nodes, [1, 3, 10, 8], values))


@pytest.fixture
def wide(build: Build, examine: Examine) -> Facts:
    """A target of more elements than are taken one by one."""
    nodes = [NODE("Conv", ["x", "w"], ["c"], pads=[1] * 4), NODE("Sigmoid", ["c"], ["y"])]
    return examine(build(nodes, [1, 2, 9, 7], {"w": weights(8, 2, 3, 3)}))
