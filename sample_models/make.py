"""Make every sample model: train, export, write, and run each once in onnxruntime.

`python sample_models/make.py` writes the .onnx files beside this script. It needs

    pip install torch==2.13.0 onnx==1.23.2 onnxscript==0.7.2 onnxruntime scikit-learn

Seeds are fixed and torch runs on one thread: with the same versions on the same kind of machine
the files come out the same to the byte. `check.py` measures what README.md says of them.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx

FOLDER = Path(__file__).resolve().parent
TOOLS = "torch==2.13.0 onnx==1.23.2 onnxscript==0.7.2 onnxruntime scikit-learn"
LIMIT = 3_000_000
"""Bytes that all files together may have."""
CANVAS = 29
"""Side of the digit classifiers' input: 1 modulo 4, which two strides of 2 divide evenly."""

Made = Iterator[tuple[str, "onnx.ModelProto"]]


def golden() -> Made:
    """Yield the models that count: 3x3 layers with all weights 1."""
    from handmade import path_counter

    yield "one_layer_valid", path_counter(1, 0, 10)
    yield "one_layer_same", path_counter(1, 1, 10)
    yield "one_layer_full", path_counter(1, 2, 10)
    yield "five_layers_valid", path_counter(5, 0, 28)
    yield "five_layers_same", path_counter(5, 1, 28)


def ceil() -> Made:
    """Yield the pools that round up."""
    from handmade import ceil_pool

    yield "ceil_pool", ceil_pool()


def position() -> Made:
    """Yield the shift-invariant model that knows where it is."""
    from handmade import position_detector
    from training import find_corner

    yield "position_detector", position_detector(find_corner())


def classifiers() -> Made:
    """Yield the digit classifiers, each by both exporters."""
    import torch
    from networks import DigitNet, PatchNet
    from training import classify_digits, export_dynamo, export_torchscript, fold_norms

    kinds: dict[str, tuple[Callable[[], torch.nn.Module], bool]] = {
        "digits_good": (lambda: DigitNet(padding=1), False),
        "digits_valid": (lambda: DigitNet(padding=0), False),
        "digits_patches": (PatchNet, False),
        "digits_dropout": (lambda: DigitNet(padding=1, dropout=0.3), True),
        "digits_dropout2d": (lambda: DigitNet(padding=1, dropout_maps=0.2), True),
    }
    shape = (1, 1, CANVAS, CANVAS)
    for name, (build, training) in kinds.items():
        torch.manual_seed(0)
        network = fold_norms(classify_digits(build(), CANVAS))
        if name != "digits_dropout2d":  # The TorchScript exporter refuses Dropout2d in training.
            made = export_torchscript(network, shape, ["logits"], training=training)
            yield f"{name}_torchscript", made
        yield f"{name}_dynamo", export_dynamo(network, shape, ["logits"], training=training)


def residual() -> Made:
    """Yield the small residual net."""
    import torch
    from networks import ResidualNet
    from training import classify_digits, export_torchscript, fold_norms

    torch.manual_seed(0)
    network = fold_norms(classify_digits(ResidualNet(), 64, factor=4, epochs=10))
    yield "residual_net", export_torchscript(network, (1, 1, 64, 64), ["logits"])


def unet() -> Made:
    """Yield the U-Net with misfit upsampling."""
    import torch
    from networks import UNet
    from training import export_dynamo, find_ink, fold_norms

    torch.manual_seed(0)
    network = fold_norms(find_ink(UNet(), 45, factor=4))
    yield "unet_misfit", export_dynamo(network, (1, 1, 45, 45), ["logits"])


def detector() -> Made:
    """Yield the detector, with random weights and open height and width."""
    import torch
    from networks import Detector
    from training import export_torchscript, fold_norms

    torch.manual_seed(0)
    network = fold_norms(Detector().eval())
    made = export_torchscript(network, (1, 3, 64, 64), ["boxes", "scores"], dynamic_size=True)
    yield "detector_head", made


GROUPS: dict[str, Callable[[], Made]] = {
    "golden": golden,
    "ceil": ceil,
    "position": position,
    "classifiers": classifiers,
    "residual": residual,
    "unet": unet,
    "detector": detector,
}


def tidy(message: Any) -> None:
    """Remove the exporter's remarks, which hold stack traces and paths of this machine."""
    for field in ("doc_string", "metadata_props"):
        if field in message.DESCRIPTOR.fields_by_name:
            message.ClearField(field)
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        for child in value if isinstance(value, Iterator) or hasattr(value, "add") else [value]:
            tidy(child)


def run_once(data: bytes) -> None:
    """Run the model on a black image, open dimensions as 64; onnxruntime raises what is wrong."""
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(data)
    (image,) = session.get_inputs()
    shape = [size if isinstance(size, int) else 64 for size in image.shape]
    session.run(None, {image.name: np.zeros(shape, np.float32)})


def write(name: str, model: onnx.ModelProto, folder: Path) -> int:
    """Write one model if it is sound and self-contained; return its size in bytes."""
    import onnx

    tidy(model)
    onnx.checker.check_model(model, full_check=True)
    if any(tensor.external_data for tensor in model.graph.initializer):
        raise ValueError(f"{name}: weights outside the file")
    data = model.SerializeToString(deterministic=True)
    for private in (b"/root", b"/home", b"/tmp", b"site-packages", bytes(FOLDER)):
        if private in data:
            raise ValueError(f"{name}: holds {private.decode()}, a path of this machine")
    run_once(data)
    (folder / f"{name}.onnx").write_bytes(data)
    print(f"{name}.onnx  {len(data):,} bytes", flush=True)
    return len(data)


def main() -> int:
    """Make the groups that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("group", nargs="*", help=f"of {', '.join(GROUPS)}; all without one")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write to")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.group) - set(GROUPS))
    if unknown:
        parser.error(f"no such group: {', '.join(unknown)}")
    try:
        import training
    except ImportError as error:
        print(f"{error.name} is missing; pip install {TOOLS}", file=sys.stderr)
        return 2
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    training.make_repeatable()
    arguments.out.mkdir(parents=True, exist_ok=True)
    groups = arguments.group or list(GROUPS)
    total = sum(write(*made, arguments.out) for group in groups for made in GROUPS[group]())
    print(f"{total:,} bytes in all")
    return 0 if total < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
