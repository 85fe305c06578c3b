"""Small networks of all families as PyTorch modules with seeded weights, and their exports."""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx
import torch
from adjoint.modules import classifiers, maps, signals, tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

TORCHSCRIPT, DYNAMO = "torchscript", "dynamo"
EXPORTERS = (TORCHSCRIPT, DYNAMO)


@dataclass(frozen=True)
class Architecture:
    """How to make one network, and what it is fed."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...] = (1, 3, 32, 32)
    opset: int = 18

    def module(self, seed: int) -> nn.Module:
        """Return the network with its weights; normalisations have statistics of their own."""
        torch.manual_seed(seed)
        made = self.make()
        with torch.no_grad():
            for name, tensor in (*made.named_parameters(), *made.named_buffers()):
                if name.endswith("running_var"):
                    tensor.uniform_(0.5, 2)
                elif name.endswith(("running_mean", "bias")):
                    tensor.normal_(0, 0.3)
                elif tensor.ndim == 1 and tensor.is_floating_point():
                    tensor.uniform_(0.5, 1.5)
        return made.eval()


def export(module: nn.Module, shape: tuple[int, ...], exporter: str, opset: int) -> onnx.ModelProto:
    """Return what an exporter of PyTorch makes of a network, with the input ``image``."""
    image = (torch.zeros(shape),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if exporter == DYNAMO:
            program = torch.onnx.export(
                module, image, dynamo=True, verbose=False, input_names=["image"],
                opset_version=opset,
            )  # fmt: skip
            assert program is not None
            return program.model_proto
        stream = io.BytesIO()
        torch.onnx.export(
            module, image, stream, dynamo=False, input_names=["image"],
            opset_version=opset - 1,  # so that more forms of operators are seen
        )  # fmt: skip
        return onnx.load_from_string(stream.getvalue())


ARCHITECTURES = {
    "plain": Architecture(classifiers.plain),
    "local_responses": Architecture(classifiers.local_responses, (1, 3, 35, 33)),
    "residual": Architecture(classifiers.residual, (1, 3, 33, 40)),
    "preactivated": Architecture(classifiers.preactivated),
    "dense": Architecture(classifiers.Dense),
    "inception": Architecture(classifiers.Inception, (1, 3, 29, 29)),
    "inverted": Architecture(classifiers.inverted),
    "gated": Architecture(classifiers.gated),
    "shuffle": Architecture(classifiers.Shuffle),
    "next_generation": Architecture(classifiers.next_generation, (1, 3, 35, 32)),
    "unet": Architecture(lambda: maps.UNet(maps.learned)),
    "unet_bilinear": Architecture(
        lambda: maps.UNet(maps.interpolated(mode="bilinear", align_corners=True))
    ),
    "unet_nearest": Architecture(lambda: maps.UNet(maps.interpolated(mode="nearest"))),
    "pyramid": Architecture(maps.Pyramid, (1, 3, 37, 32)),
    "context": Architecture(maps.Context, (1, 3, 33, 32)),
    "vision_transformer": Architecture(lambda: tokens.VisionTransformer(fused=False)),
    "vision_transformer_fused": Architecture(lambda: tokens.VisionTransformer(fused=True)),
    "windows": Architecture(tokens.Windows),
    "hybrid": Architecture(tokens.Hybrid),
    "mixer": Architecture(tokens.Mixer),
    "pool_mixing": Architecture(classifiers.PoolMixing),
    "generator": Architecture(maps.generator, (1, 6, 3, 2)),
    "enlarging": Architecture(maps.Enlarging, (1, 3, 12, 11)),
    "focus": Architecture(maps.Focus),
    "stylised": Architecture(maps.stylised, (1, 3, 20, 18)),
    "waves": Architecture(signals.Waves, (1, 2, 65)),
    "volume": Architecture(signals.volume, (1, 2, 8, 17, 16)),
    "channels_last": Architecture(signals.ChannelsLast, (1, 21, 20, 3)),
    "sampled": Architecture(signals.Sampled, opset=21),
    "statistics": Architecture(classifiers.Statistics),
}
