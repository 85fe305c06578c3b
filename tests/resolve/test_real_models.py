"""On whole models, every intermediate shape, type and constant equals onnxruntime's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from resolve.models import LIGHT, NEEDS_SHARED, SHARED, by_op, reasons, session

from scotoma.loader import load_model
from scotoma.resolve import Resolution, resolve

SLOW = {
    "timm_dm_nfnet_f0", "timm_pnasnet5large", "timm_convmixer_768_32", "timm_nasnetalarge",
    "tv_swin_t", "tv_r3d_18", "timm_efficientnet_b5", "light_vgg19", "light_zfnet512",
}  # fmt: skip
"""These, in any kind of export, run only where SCOTOMA_ALL_MODELS is set."""
ALL = bool(os.environ.get("SCOTOMA_ALL_MODELS"))
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason=NEEDS_SHARED)

DATA_DEPENDENT = {"NVIDIA__04_setting_upper_bounds_model", "NVIDIA__models_unbounded_dds"}
"""Shapes that depend on the input's values."""
BLOCKED = {"derived__blazeface_tf_ortopt_all_nchwc"}
"""onnxruntime rounds the channels of blocked tensors up to the width of the processor."""
REFUSED = {
    "A_ceil_phantom_flatten_gemm_op17",  # onnx's shape inference is wrong
    "A_torch_ts_op17_MaxPool2d_2_2_1_ceil",
    "A_torch_ts_op20_MaxPool2d_2_2_1_ceil",
    "C_conv_same_dilated_ort_fails",
    "C_torch_ts_conv_same_dilated_autopad_ort_fails",
    "C_maxpool_same_k1_s2_ort_fails",
    "keijiro__ONNX_MobileNetV1-x050-stride8",
    "G_pad_reflect_too_large",
    "fastmachinelearning__nn_resize_quant_model",  # operators that onnxruntime has not
    "fastmachinelearning__subpixel_quant_model",
    "microsoft__raw_pytorch_superresolution_with_pre_post_processing_op18",
}
"""onnxruntime does not load or run them."""


def files() -> list[Path]:
    """Return the models to compare."""
    found = [*sorted(SHARED.glob("*/*.onnx")), *sorted(LIGHT.glob("*.onnx"))]
    if not ALL:
        found = [file for file in found if file.stem.partition("__")[0] not in SLOW]
    return [file for file in found if file.stem not in REFUSED]


def intermediate(path: Path, resolution: Resolution) -> dict[str, np.ndarray]:
    """Return every tensor of a model, computed by onnxruntime for random inputs."""
    model = onnx.load(str(path), load_external_data=False)
    del model.graph.value_info[:]
    declared = {value.name for value in model.graph.output}
    for operator in model.graph.node:
        for name in operator.output:
            if name and name not in declared:
                model.graph.output.append(onnx.ValueInfoProto(name=name))
    running = session(model, path.parent)
    rng = np.random.default_rng(0)
    feed = {
        value.name: rng.random(resolution.shapes[value.name]).astype(resolution.dtypes[value.name])
        for value in running.get_inputs()
    }
    names = [value.name for value in running.get_outputs()]
    return dict(zip(names, running.run(None, feed), strict=True))


def known(resolution: Resolution, name: str) -> tuple[int, ...]:
    """Return the shape of a tensor, which must be known."""
    shape = resolution.shapes[name]
    assert shape is not None
    return shape


@pytest.mark.parametrize("path", files(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_tensor_equals_onnxruntime(path: Path) -> None:
    resolution = resolve(load_model(str(path)))
    computed = intermediate(path, resolution)
    shapes = {name: value.shape for name, value in computed.items()}
    ours = {name: resolution.shapes[name] for name in computed}
    if path.stem in DATA_DEPENDENT:
        shapes = {name: shape for name, shape in shapes.items() if ours[name] is not None}
        ours = {name: ours[name] for name in shapes}
        assert [u.operator.op_type for u in resolution.unresolved] == ["Range"]
    elif path.stem in BLOCKED:
        shapes = {name: shape[2:] for name, shape in shapes.items()}
        ours = {name: shape and shape[2:] for name, shape in ours.items()}
    else:
        assert reasons(resolution) == []
    assert ours == shapes
    for name, value in computed.items():
        if ours.get(name) is not None:
            assert resolution.dtypes[name] == value.dtype
    for name in computed.keys() & set(resolution.values):
        np.testing.assert_allclose(resolution.values[name], computed[name], rtol=1e-5)


@needs_shared
def test_the_exceptions_are_those_that_are_listed() -> None:
    index = json.loads((SHARED / "index.json").read_text())
    broken = {entry["name"] for entry in index if entry.get("ort_runs") is not True}
    # It was not run at the length that is assumed here, and runs at that.
    assert broken - REFUSED == {"sonos__qtdnn_10x5_101_i32_biases_model"}


@needs_shared
def test_the_tensorflow_same_padding_chain_of_a_torch_export_folds() -> None:
    resolution = resolve(load_model(str(SHARED / "quirks/H_ts_conv2dsame_pad_constant_chain.onnx")))
    (pad,) = by_op(resolution, "Pad")
    assert len(resolution.operators) > 70
    assert resolution.values[pad.inputs[1]].tolist() == [0, 0, 0, 0, 0, 0, 1, 1]
    shape = known(resolution, pad.inputs[0])
    assert resolution.shapes[pad.outputs[0]] == (*shape[:2], shape[2] + 1, shape[3] + 1)
    assert reasons(resolution) == []


@needs_shared
def test_the_reflect_padding_chains_of_a_torch_export_fold() -> None:
    resolution = resolve(load_model(str(SHARED / "zoo/fast_style_transfer.onnx")))
    pads = by_op(resolution, "Pad")
    widths = [resolution.values[pad.inputs[1]].tolist() for pad in pads]
    assert {pad.attributes["mode"] for pad in pads} <= {"reflect", b"reflect"}
    assert widths[0] == [0, 0, 4, 4, 0, 0, 4, 4]
    assert widths[1:] == [[0, 0, 1, 1, 0, 0, 1, 1]] * (len(pads) - 2) + [[0, 0, 4, 4, 0, 0, 4, 4]]
    for pad, width in zip(pads, widths, strict=True):
        before, after = (known(resolution, name) for name in (pad.inputs[0], pad.outputs[0]))
        assert after == (*before[:2], before[2] + 2 * width[2], before[3] + 2 * width[3])


@pytest.mark.parametrize(("size", "last"), [(224, 7), (225, 8), (64, 2)])
def test_another_size_gives_other_windows(size: int, last: int) -> None:
    resolution = resolve(load_model(str(LIGHT / "light_resnet50.onnx")), size=(size, size))
    windows = list(resolution.windows.values())
    assert [w.size_in for w in windows[0]] == [size, size]
    assert (windows[0][0].kernel, windows[0][0].stride, windows[0][0].pad_begin) == (7, 2, 3)
    (pool,) = by_op(resolution, "AveragePool")
    if size >= 224:
        assert known(resolution, pool.inputs[0])[2:] == (last, last)
    else:
        assert [u.operator for u in resolution.refused_at] == [pool]
