"""The tensors that are looked at in published and trained models, and in the sample models."""

from __future__ import annotations

from pathlib import Path

import pytest
from networks import LIGHT, SHARED

from scotoma.facts import Facts
from scotoma.loader import load_model
from scotoma.measure.options import MeasureOptions
from scotoma.measure.target import choose

SAMPLES = Path(__file__).resolve().parents[2] / "sample_models"
FAMOUS = {
    "bvlc_alexnet": "r14",
    "densenet121": "r907",
    "inception_v1": "r137",
    "inception_v2": "r504",
    "resnet50": "r171",
    "shufflenet": "r198",
    "squeezenet": "r64",
    "vgg19": "r36",
    "zfnet512": "r14",
}
SAMPLE_TARGETS = {
    "ceil_pool": ("divisor",),
    "detector_head": tuple(f"/Transpose{n}_output_0" for n in ("", "_1", "_2", "_3")),
    "digits_good_torchscript": ("/layer5/relu/Relu_output_0",),
    "five_layers_valid": ("feature_map",),
    "position_detector": ("map",),
    "residual_net": ("/block3/relu/Relu_output_0",),
    "unet_misfit": ("logits",),
}
TRAINED = {
    # several heads, all before their sigmoids
    "ShiqiYu__onnx_yunet_n_640_640": (
        "320", "332", "344", "356", "368", "380", "392", "403", "414", "425", "436", "447",
    ),
    # an instance normalisation takes means of squares of every map, the image among them
    "Kazuhito00__model_person-reidentification-retail-0248": ("model/tf.nn.relu_99/Relu:0",),
    # squeeze-and-excitation with dequantisers of its own
    "derived__selfie_tf_qdq_int8": ("conv2d_transpose_add:0_DequantizeLinear_Output",),
    # sigmoid and softmax before a join
    "dog-qiuqiu__onnx-runtime_FastestDet": (
        "onnx::Sigmoid_954", "onnx::Concat_960", "onnx::Softmax_755",
    ),
    "Kazuhito00__det_model_ch_ppocr_mobile_v2.0_det_infer": ("p2o.Add.69",),
    "pulp-platform__CCT_FP32_CCT_1_16_16_8_network": ("output",),
    "NVIDIA__models_unbounded_dds": ("conv_out_4",),
}  # fmt: skip
ZOO = {
    "timm_coatnet_0_rw_224": ("/norm/Transpose_1_output_0",),
    "tv_swin_t": ("/permute/Transpose_output_0",),
    "timm_mobilenetv4_hybrid_medium": ("/blocks/blocks.4/blocks.4.0/bn1/act/Relu_output_0",),
    "dcgan_generator": ("/t/t.12/ConvTranspose_output_0",),
    "tv_r3d_18": ("/layer4/layer4.1/relu/Relu_output_0",),
}


@pytest.mark.parametrize(
    ("path", "tensors"),
    [
        *((LIGHT / f"light_{name}.onnx", (tensor,)) for name, tensor in FAMOUS.items()),
        *((SAMPLES / f"{name}.onnx", tensors) for name, tensors in SAMPLE_TARGETS.items()),
        *((SHARED / "real" / f"{name}.onnx", tensors) for name, tensors in TRAINED.items()),
        *((SHARED / "zoo" / f"{name}.onnx", tensors) for name, tensors in ZOO.items()),
    ],
    ids=lambda value: getattr(value, "stem", ""),
)
def test_published_models(path: Path, tensors: tuple[str, ...]) -> None:
    if not path.exists():
        pytest.skip(f"{path} is not there")
    assert choose(Facts.of(load_model(path)), MeasureOptions()).tensors == tensors
