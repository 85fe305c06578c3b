"""Train the sample networks and export them. Needs torch."""

from __future__ import annotations

import io
import itertools
import warnings
from collections.abc import Callable

import digits
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

BATCH = 64
TORCHSCRIPT_OPSET = 17
DYNAMO_OPSET = 18


def make_repeatable() -> None:
    """Make torch compute the same bits in every run on the same kind of machine."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)


def fit(
    network: nn.Module,
    examples: Callable[[np.random.Generator], tuple[Tensor, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
    epochs: int,
) -> nn.Module:
    """Train with Adam and a one-cycle learning rate; return the network in evaluation mode.

    Parameters
    ----------
    network
        What to train, in place.
    examples
        Draws the inputs and targets of an epoch.
    loss
        Of the network's output and the targets.
    epochs
        Passes over the examples.
    """
    rng = np.random.default_rng(0)
    steps = epochs * -(-digits.TRAIN // BATCH)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, steps)
    warnings.filterwarnings("ignore", "Using padding='same'")  # The U-Net means it.
    network.train()
    for _ in range(epochs):
        inputs, targets = examples(rng)
        for batch in torch.from_numpy(rng.permutation(len(inputs))).split(BATCH):
            optimiser.zero_grad()
            loss(network(inputs[batch]), targets[batch]).backward()
            optimiser.step()
            schedule.step()
    return network.eval()


def classify_digits(
    network: nn.Module, canvas: int, factor: int = 1, epochs: int = 30
) -> nn.Module:
    """Train to name digits that lie anywhere on the canvas, `factor` times enlarged."""
    images, labels, _, _ = digits.load()
    images = digits.enlarge(images, factor)
    targets = torch.from_numpy(labels)

    def examples(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(digits.scatter(images, canvas, rng)), targets

    return fit(network, examples, nn.functional.cross_entropy, epochs)


def find_ink(network: nn.Module, canvas: int, factor: int, epochs: int = 6) -> nn.Module:
    """Train to tell the pixels of a digit from the noise around it."""
    images, _, _, _ = digits.load()
    images = digits.enlarge(images, factor)

    def examples(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        clean = digits.scatter(images, canvas, rng)
        noise = rng.normal(0, 0.4, clean.shape).astype(np.float32)
        return torch.from_numpy(clean + noise), torch.from_numpy((clean > 0.5).astype(np.float32))

    return fit(network, examples, nn.functional.binary_cross_entropy_with_logits, epochs)


def find_corner() -> NDArray[np.float32]:
    """Train one 3x3 same convolution, summed, to know a pixel in the top-left corner.

    Plain gradient descent with momentum on all 100 images of one white pixel on 10x10; the target
    is 1 for the top-left corner and 0 for every other place. No bias.

    Returns
    -------
    ndarray
        The weights, (1, 1, 3, 3).
    """
    torch.manual_seed(0)
    conv = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    images = torch.eye(100).reshape(100, 1, 10, 10)
    targets = torch.zeros(100)
    targets[0] = 1
    optimiser = torch.optim.SGD(conv.parameters(), lr=0.02, momentum=0.99)
    for _ in range(5000):
        optimiser.zero_grad()
        nn.functional.mse_loss(conv(images).sum((1, 2, 3)), targets).backward()
        optimiser.step()
    kernel: NDArray[np.float32] = conv.weight.detach().numpy()
    return kernel


def fold_norms(network: nn.Module) -> nn.Module:
    """Fold each BatchNorm into the convolution before it, so that no export mode touches it."""
    for parent in list(network.modules()):
        children = list(parent.named_children())
        for (before, conv), (name, norm) in itertools.pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, before, fuse_conv_bn_eval(conv, norm))
                setattr(parent, name, nn.Identity())
    return network


def export_dynamo(
    network: nn.Module, shape: tuple[int, ...], outputs: list[str], *, training: bool = False
) -> onnx.ModelProto:
    """Export with the exporter that is built on torch.export.

    Parameters
    ----------
    network
        Normalisations folded.
    shape
        Of the input `image`.
    outputs
        Names.
    training
        Leave the network in training mode, as by a forgotten `eval()`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network.train(training),
            (torch.zeros(shape),),
            dynamo=True,
            opset_version=DYNAMO_OPSET,
            input_names=["image"],
            output_names=outputs,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("the exporter returned nothing")
    made: onnx.ModelProto = program.model_proto
    return made


def export_torchscript(
    network: nn.Module,
    shape: tuple[int, ...],
    outputs: list[str],
    *,
    training: bool = False,
    dynamic_size: bool = False,
) -> onnx.ModelProto:
    """Export with the older exporter, which is built on TorchScript.

    Parameters
    ----------
    network, shape, outputs, training
        As for `export_dynamo`.
    dynamic_size
        Leave height and width of the input open, and the second axis of the outputs.
    """
    axes = {"image": {2: "height", 3: "width"}, **{name: {1: "cells"} for name in outputs}}
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.train(training),
            (torch.zeros(shape),),
            file,
            dynamo=False,
            training=torch.onnx.TrainingMode.PRESERVE,
            opset_version=TORCHSCRIPT_OPSET,
            input_names=["image"],
            output_names=outputs,
            dynamic_axes=axes if dynamic_size else None,
        )
    return onnx.load_from_string(file.getvalue())
