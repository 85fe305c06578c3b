"""Small networks on other inputs than channels-first images, as PyTorch modules."""
# mypy: allow-subclassing-any, disable-error-code="no-any-return"

from __future__ import annotations

import torch
from adjoint.modules.parts import classify, conv
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  its usual name


class Waves(nn.Module):
    """Sound: convolutions over time only, with gates, groups and growing holes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(2, 8, 5, 2, 2)
        self.layers = nn.ModuleList(
            nn.Conv1d(8, 16, 3, padding=d, dilation=d, groups=2) for d in (1, 2, 4)
        )
        self.norm, self.head = nn.GroupNorm(2, 8), nn.Conv1d(8, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for layer in self.layers:
            wave, gate = layer(x).chunk(2, 1)
            x = x + wave.tanh() * gate.sigmoid()
        return F.log_softmax(self.head(F.avg_pool1d(self.norm(x), 2)), 1)


def volume() -> nn.Module:
    """Video: convolutions and pools over three axes, factored as in R(2+1)D."""
    return nn.Sequential(
        nn.Conv3d(2, 6, 3, (1, 2, 2), 1), nn.BatchNorm3d(6), nn.ReLU(), nn.MaxPool3d(3, 2, 1),
        nn.Conv3d(6, 8, (1, 3, 3), padding=(0, 1, 1)), nn.ReLU(),
        nn.Conv3d(8, 8, (3, 1, 1), padding=(1, 0, 0)), nn.AvgPool3d((1, 2, 2)),
        nn.ConvTranspose3d(8, 4, 2, 2), nn.Hardtanh(), nn.AdaptiveAvgPool3d(1), nn.Flatten(),
        nn.Linear(4, 5),
    )  # fmt: skip


class ChannelsLast(nn.Module):
    """An image of whole numbers' range with its channels last, normalised in the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]))
        self.layers = nn.Sequential(
            conv(3, 8, 3, 2), nn.ReLU6(), conv(8, 8, 3, groups=8), nn.ReLU6()
        )
        self.head = nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) / torch.sqrt(self.mean)
        return self.head(self.layers(x.permute(0, 3, 1, 2))).permute(0, 2, 3, 1).reshape(1, -1, 2)


class Sampled(nn.Module):
    """A spatial transformer: the image decides where it is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.locate = nn.Sequential(conv(3, 4, 3, 4), nn.ReLU(), nn.Flatten(), nn.Linear(256, 6))
        self.head = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), classify(4))

    def forward(self, x: Tensor) -> Tensor:
        theta = self.locate(x).view(-1, 2, 3) / 8 + torch.eye(2, 3, dtype=x.dtype)
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        return self.head(F.grid_sample(x, grid, align_corners=False))
