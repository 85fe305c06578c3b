"""Which input is examined, along which axes, and at which size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from resolve.models import FLOAT, build, by_op, node, reasons, resolved

from scotoma.errors import UsageError
from scotoma.resolve import InputShape, Resolution

F32 = np.float32
UINT8 = onnx.TensorProto.UINT8
INT64 = onnx.TensorProto.INT64


def ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def weight(*shape: int) -> np.ndarray:
    return np.zeros(shape, F32)


def examined(resolution: Resolution) -> InputShape:
    """Return the input that is examined; there must be one."""
    assert resolution.examined is not None
    return resolution.examined


CONV = node("Conv", "i w", ["y"])
W3 = {"w": weight(2, 3, 3, 3)}


LAYOUTS = [
    ("channels first", [1, 3, 20, 30], [node("Conv", "x w")], W3, (2, 3)),
    (
        "TensorFlow",
        [1, 20, 30, 3],
        [node("Cast", "x", ["c"], to=1), node("Mul", "c s", ["m"]),
         node("Transpose", "m", ["i"], perm=[0, 3, 1, 2]), CONV],
        W3 | {"s": np.array(0.5, F32)},
        (1, 2),
    ),
    (
        "quantised TensorFlow",
        [1, 20, 30, 3],
        [node("QuantizeLinear", "x s", ["q"]), node("DequantizeLinear", "q s", ["d"]),
         node("Transpose", "d", ["i"], perm=[0, 3, 1, 2]), CONV],
        W3 | {"s": np.array(0.5, F32)},
        (1, 2),
    ),
    (
        "no batch, channels last",
        [20, 30, 3],
        [node("Unsqueeze", "x a", ["u"]), node("Transpose", "u", ["i"], perm=[0, 3, 1, 2]), CONV],
        W3 | {"a": ints(0)},
        (0, 1),
    ),
    (
        "no batch, channels first",
        [3, 20, 30],
        [node("Unsqueeze", "x a", ["i"]), CONV],
        W3 | {"a": ints(0)},
        (1, 2),
    ),
    (
        "grey image of rank 2",
        [20, 30],
        [node("Reshape", "x a", ["i"]), CONV],
        {"w": weight(2, 1, 3, 3), "a": ints(1, 1, 20, 30)},
        (0, 1),
    ),
    (
        "sound through a 2-D convolution",
        [1, 8, 100],
        [node("Unsqueeze", "x a", ["i"]), CONV],
        {"w": weight(2, 8, 1, 3), "a": ints(2)},
        (2,),
    ),
    ("sound", [1, 8, 100], [node("Conv", "x w")], {"w": weight(2, 8, 3)}, (2,)),
    ("volume", [1, 1, 8, 9, 10], [node("Conv", "x w")], {"w": weight(2, 1, 3, 3, 3)}, (2, 3, 4)),
    ("channels last, no reader tells", [1, 20, 30, 3], [node("Relu", "x")], {}, (1, 2)),
    ("channels first, no reader tells", [1, 3, 20, 4], [node("Relu", "x")], {}, (2, 3)),
    ("sound, channels last", [1, 4000, 1], [node("Relu", "x")], {}, (1,)),
    ("picture, channels last", [30, 40, 3], [node("Relu", "x")], {}, (0, 1)),
    ("picture, channels first", [3, 30, 40], [node("Relu", "x")], {}, (1, 2)),
    ("features", [1, 64], [node("Relu", "x")], {}, ()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "nodes", "constants", "axes"),
    [pytest.param(*case[1:], id=case[0]) for case in LAYOUTS],
)
def test_the_image_grid_is_found(
    shape: list[int],
    nodes: list[onnx.NodeProto],
    constants: Mapping[str, np.ndarray],
    axes: tuple[int, ...],
    tmp_path: Path,
) -> None:
    resolution = resolved(build(nodes, {"x": shape}, constants=constants), tmp_path)
    assert resolution.inputs == (InputShape("x", tuple(shape), axes, assumed=False),)
    assert resolution.examined == (resolution.inputs[0] if axes else None)


@pytest.mark.parametrize(
    ("dtype", "spatial"),
    [(FLOAT, True), (UINT8, True), (onnx.TensorProto.FLOAT16, True), (INT64, False),
     (onnx.TensorProto.BOOL, False)],
)  # fmt: skip
def test_only_pictures_have_pixels(dtype: int, spatial: bool, tmp_path: Path) -> None:
    model = build([node("Identity", "x")], {"x": (dtype, [1, 3, 20, 20])})
    resolution = resolved(model, tmp_path)
    assert (resolution.examined is not None) == spatial


def dynamic(
    *dims: int | str | None, constants: Mapping[str, np.ndarray] = W3, **more: Any
) -> onnx.ModelProto:
    return build([node("Conv", "x w")], {"x": list(dims)}, constants=constants, **more)


@pytest.mark.parametrize(
    ("dims", "shape", "assumed"),
    [
        (("N", 3, "H", "W"), (1, 3, 224, 224), True),
        ((None, None, None, None), (1, 3, 224, 224), True),
        ((-1, 3, -1, 40), (1, 3, 224, 40), True),
        (("N", 3, 32, 40), (1, 3, 32, 40), False),
        (("N", 3, "S", "S"), (1, 3, 224, 224), True),
        ((2, 3, 32, 40), (2, 3, 32, 40), False),
    ],
)
def test_dynamic_dimensions_get_defaults(
    dims: tuple[int | str | None, ...], shape: tuple[int, ...], assumed: bool, tmp_path: Path
) -> None:
    found = examined(resolved(dynamic(*dims), tmp_path))
    assert (found.shape, found.assumed) == (shape, assumed)


def test_unknown_channels_come_from_the_first_convolution(tmp_path: Path) -> None:
    model = build(
        [node("Conv", "x w", group=2)],
        {"x": ["N", "C", 32, 32]},
        constants={"w": weight(4, 3, 3, 3)},
    )
    assert examined(resolved(model, tmp_path)).shape == (1, 6, 32, 32)


def test_an_undeclared_rank_comes_from_the_first_convolution(tmp_path: Path) -> None:
    model = dynamic(1, 3, 2, 2, constants={"w": weight(2, 5, 3)})
    model.graph.input[0].type.tensor_type.ClearField("shape")
    resolution = resolved(model, tmp_path)
    assert resolution.examined == InputShape("x", (1, 5, 1024), (2,), assumed=True)
    assert resolution.shapes["y"] == (1, 2, 1022)


def test_an_input_of_unknown_rank_is_named_where_it_is_read(tmp_path: Path) -> None:
    model = build([node("Relu", "x", ["r"]), node("Neg", "r")], {"x": [1]})
    model.graph.input[0].type.tensor_type.ClearField("shape")
    resolution = resolved(model, tmp_path)
    assert resolution.inputs == (InputShape("x", None, (), assumed=False),)
    assert reasons(resolution) == [("Relu", "the shape of its input 'x' is not known", False)]


def test_size_overrides_fixed_dimensions_and_their_symbols(tmp_path: Path) -> None:
    model = build(
        [node("Conv", "x w", ["a"]), node("Conv", "z w", ["b"])],
        {"x": [1, 3, "H", "W"], "z": [1, 3, "H", 50], "f": [1, 3, 8, 8]},
        ["a", "b"],
        constants=W3,
    )
    shapes = resolved(model, tmp_path, size=(40, 60)).shapes
    assert shapes["x"] == (1, 3, 40, 60)
    assert shapes["z"] == (1, 3, 40, 50)
    assert shapes["f"] == (1, 3, 8, 8)
    found = examined(resolved(dynamic(1, 3, 32, 32), tmp_path, size=(40, 60)))
    assert (found.shape, found.assumed) == ((1, 3, 40, 60), False)


def test_size_reaches_the_second_picture_of_a_pair(tmp_path: Path) -> None:
    model = build([node("Sub", "x z")], {"x": [1, 3, 32, 32], "z": [1, 3, 32, 32]})
    shapes = resolved(model, tmp_path, size=(40, 60)).shapes
    assert (shapes["z"], shapes["y"]) == ((1, 3, 40, 60), (1, 3, 40, 60))


def test_input_shapes_are_taken_whole_and_fill_symbols(tmp_path: Path) -> None:
    model = build(
        [node("Conv", "x w", ["a"]), node("Conv", "z w", ["b"])],
        {"x": ["N", 3, "H", "W"], "z": ["N", 3, "H", "V"]},
        ["a", "b"],
        constants=W3,
    )
    resolution = resolved(model, tmp_path, input_shapes={"x": (2, 3, 30, 40)})
    assert [(item.shape, item.assumed) for item in resolution.inputs] == [
        ((2, 3, 30, 40), False),
        ((2, 3, 30, 224), True),
    ]


def test_the_largest_picture_is_examined_unless_another_is_named(tmp_path: Path) -> None:
    model = build(
        [node("Relu", "b"), node("Relu", "a", ["z"])],
        {"a": [1, 3, 8, 8], "v": [1, 10**6], "b": [1, 3, 16, 16]},
        ["y", "z"],
    )
    assert examined(resolved(model, tmp_path)).name == "b"
    assert examined(resolved(model, tmp_path, input_name="a")).name == "a"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"input_name": "q"}, "there is no input 'q'; the inputs are 'x', 'v'"),
        ({"input_name": "v"}, "input 'v' has no spatial axes"),
        ({"input_shapes": {"q": (1, 2)}}, "there is no input 'q'; the inputs are 'x', 'v'"),
        ({"input_shapes": {"x": (1, 3)}}, "shape 1x3 gives 2 numbers, input 'x' has 5 axes"),
        ({"input_shapes": {"v": (1, -3)}}, "shape 1x-3 of input 'v' is not a shape"),
        ({"size": (224, 224)}, "the size 224x224 gives 2 numbers, input 'x' has 3 spatial axes"),
        ({"size": (7,)}, "the size 7 gives 1 number, input 'x' has 3 spatial axes"),
        ({"size": (0, 5, 5)}, "0x5x5 is not a size"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(
    options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    model = build([node("Relu", "x")], {"x": [1, 3, 8, 8, 8], "v": [1, 5]})
    with pytest.raises(UsageError) as caught:
        resolved(model, tmp_path, **options)
    assert str(caught.value) == words


def test_size_is_of_no_use_to_a_model_without_pictures(tmp_path: Path) -> None:
    model = build([node("Relu", "x")], {"x": [1, 5]})
    resolution = resolved(model, tmp_path, size=(224, 224))
    assert (resolution.examined, resolution.shapes["y"]) == (None, (1, 5))


def classifier(features: int, dims: Sequence[int | str]) -> onnx.ModelProto:
    nodes = [
        node("Conv", "x w", ["c"], strides=[4, 4]),
        node("Reshape", "c s", ["f"]),
        node("MatMul", "f m", ["y"]),
    ]
    constants = W3 | {"s": ints(1, -1), "m": weight(features, 10)}
    return build(nodes, {"x": list(dims)}, constants=constants)


def test_the_first_common_size_that_no_operator_refuses_is_assumed(tmp_path: Path) -> None:
    # A 3x3 convolution with stride 4 makes 64x64 cells of 256 pixels, and 2 channels.
    resolution = resolved(classifier(2 * 64 * 64, ("N", 3, "H", "W")), tmp_path)
    assert resolution.examined == InputShape("x", (1, 3, 256, 256), (2, 3), assumed=True)
    assert reasons(resolution) == []
    assert resolution.shapes["y"] == (1, 10)


def test_the_default_stays_if_every_size_is_refused(tmp_path: Path) -> None:
    resolution = resolved(classifier(17, ("N", 3, "H", "W")), tmp_path)
    assert examined(resolution).shape == (1, 3, 224, 224)
    assert reasons(resolution) == [("MatMul", "17 features wanted, 6272 there", True)]


def test_a_declared_size_is_not_changed_by_a_refusal(tmp_path: Path) -> None:
    resolution = resolved(classifier(2 * 64 * 64, ("N", 3, 224, 224)), tmp_path)
    assert examined(resolution).shape == (1, 3, 224, 224)
    assert resolution.refused_at[0].operator is by_op(resolution, "MatMul")[0]


def test_the_operator_that_refuses_another_size_is_named(tmp_path: Path) -> None:
    nodes = [
        node("MaxPool", "x", ["p"], kernel_shape=[32, 32], strides=[32, 32]),
        node("Reshape", "p s", ["f"], name="/flatten"),
        node("Gemm", "f m", ["y"]),
    ]
    constants = {"s": ints(1, 25088), "m": weight(25088, 10)}
    model = build(nodes, {"x": [1, 512, 224, 224]}, constants=constants)
    assert resolved(model, tmp_path).refused_at == ()
    resolution = resolved(model, tmp_path, size=(200, 200))
    assert [(u.operator.name, u.reason) for u in resolution.refused_at] == [
        ("/flatten", "25088 elements wanted, 18432 there")
    ]
    assert resolution.unresolved == resolution.refused_at
