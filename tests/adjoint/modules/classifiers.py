"""Small classifiers of convolutions, as PyTorch modules."""
# mypy: allow-subclassing-any, disable-error-code="no-any-return"

from __future__ import annotations

import torch
from adjoint.modules.parts import Gate, Residual, classify, conv
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  its usual name


def plain() -> nn.Module:
    """VGG: convolutions, max pools, dense layers."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16 * 64, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 10),
    )  # fmt: skip


def local_responses() -> nn.Module:
    """AlexNet: large strides, overlapping pools, responses normalised over channels."""
    return nn.Sequential(
        nn.Conv2d(3, 12, 7, 3, 2), nn.ReLU(), nn.LocalResponseNorm(5, 0.1), nn.MaxPool2d(3, 2),
        nn.Conv2d(12, 16, 5, padding=2, groups=2), nn.ReLU(), nn.LocalResponseNorm(3, 0.2),
        nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(16, 10),
    )  # fmt: skip


def residual() -> nn.Module:
    """ResNet: an overlapping pool, a basic block and a strided bottleneck with projection."""
    basic = nn.Sequential(conv(8, 8), nn.ReLU(), conv(8, 8))
    bottleneck = nn.Sequential(
        conv(8, 8, 1), nn.ReLU(), conv(8, 8, 3, 2), nn.ReLU(), conv(8, 16, 1)
    )
    return nn.Sequential(
        conv(3, 8, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1), Residual(basic, after=nn.ReLU()),
        Residual(bottleneck, conv(8, 16, 1, 2), nn.ReLU()), classify(16),
    )  # fmt: skip


def preactivated() -> nn.Module:
    """ResNet v2: normalisations that no convolution takes in, smooth activations."""

    def branch() -> nn.Module:
        return nn.Sequential(
            nn.BatchNorm2d(8), nn.SiLU(), nn.Conv2d(8, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8), nn.Mish(), nn.Conv2d(8, 8, 3, padding=1, bias=False),
        )  # fmt: skip

    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), Residual(branch()), Residual(branch()), nn.BatchNorm2d(8),
        nn.Softplus(), classify(8),
    )  # fmt: skip


class Dense(nn.Module):
    """DenseNet: every layer reads all before it; average pools between the blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(c), nn.ReLU(), nn.Conv2d(c, 4, 3, padding=1))
            for c in (8, 12, 16)
        )
        self.transition = nn.Sequential(nn.Conv2d(20, 10, 1), nn.AvgPool2d(2))
        self.head = classify(10)

    def forward(self, x: Tensor) -> Tensor:
        maps = [self.stem(x)]
        for layer in self.layers:
            maps.append(layer(torch.cat(maps, 1)))
        return self.head(self.transition(torch.cat(maps, 1)))


class Inception(nn.Module):
    """Branches of different kernels, with average pools that do and do not count padding."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 8, 3, 2), nn.ReLU())
        self.branches = nn.ModuleList([
            nn.Sequential(conv(8, 4, 1), nn.ReLU()),
            nn.Sequential(
                nn.Conv2d(8, 4, (1, 7), padding=(0, 3)), nn.ReLU(),
                nn.Conv2d(4, 4, (7, 1), padding=(3, 0)), nn.ReLU(),
            ),
            nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), conv(8, 4, 1)),
            nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=True), conv(8, 4, 1)),
            nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(8, 4, 1)),
        ])  # fmt: skip
        self.head = nn.Sequential(nn.MaxPool2d(3, 2, ceil_mode=True), classify(20))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head(torch.cat([branch(x) for branch in self.branches], 1))


def inverted() -> nn.Module:
    """MobileNetV2: inverted bottlenecks with depthwise convolutions and linear ends."""

    def bottleneck(cin: int, cout: int, stride: int) -> nn.Sequential:
        wide = 4 * cin
        return nn.Sequential(
            conv(cin, wide, 1), nn.ReLU6(), conv(wide, wide, 3, stride, groups=wide), nn.ReLU6(),
            conv(wide, cout, 1),
        )  # fmt: skip

    return nn.Sequential(
        conv(3, 8, 3, 2), nn.ReLU6(), Residual(bottleneck(8, 8, 1)), bottleneck(8, 12, 2),
        classify(12),
    )  # fmt: skip


def gated() -> nn.Module:
    """MobileNetV3: hard activations, and gates by the whole map."""

    def block() -> nn.Module:
        return nn.Sequential(
            conv(8, 16, 1), nn.Hardswish(), conv(16, 16, 5, groups=16), Gate(16), nn.Hardswish(),
            conv(16, 8, 1),
        )  # fmt: skip

    return nn.Sequential(conv(3, 8, 3, 2), nn.Hardswish(), Residual(block()), classify(8))


class Shuffle(nn.Module):
    """ShuffleNetV2: half of the channels pass by, then they are shuffled."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 16, 3, 2)
        self.branch = nn.Sequential(
            conv(8, 8, 1), nn.ReLU(), conv(8, 8, 3, groups=8), conv(8, 8, 1)
        )
        self.head = classify(16)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        for _ in range(2):
            left, right = x.chunk(2, 1)
            x = torch.cat([left, F.relu(self.branch(right))], 1)
            n, c, h, w = x.shape
            x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return self.head(x)


class ChannelsLastNorm(nn.LayerNorm):
    """A normalisation over the channels of each place."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class NextBlock(nn.Module):
    """ConvNeXt: a wide depthwise kernel, then two dense layers on every place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.up, self.down = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.scale = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.scale * self.down(F.gelu(self.up(y)))
        return x + y.permute(0, 3, 1, 2)


def next_generation() -> nn.Module:
    """ConvNeXt in small, with its patch stem and its downsampling."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 4, 4), ChannelsLastNorm(8), NextBlock(8), ChannelsLastNorm(8),
        nn.Conv2d(8, 16, 2, 2), NextBlock(16), classify(16),
    )  # fmt: skip


class PoolMixing(nn.Module):
    """PoolFormer: a pool minus the identity in place of attention, grouped normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 7, 4, 2)
        self.norms = nn.ModuleList([nn.GroupNorm(1, 8), nn.GroupNorm(4, 8)])
        self.dense = nn.Sequential(nn.Conv2d(8, 16, 1), nn.GELU("tanh"), nn.Conv2d(16, 8, 1))
        self.scale = nn.Parameter(torch.full((8, 1, 1), 0.7))
        self.head = classify(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.norms[0](x)
        x = x + self.scale * (F.avg_pool2d(y, 3, 1, 1, count_include_pad=False) - y)
        return self.head(x + self.dense(self.norms[1](x)))


class Statistics(nn.Module):
    """Generalised means, a unit vector of features, log-probabilities, maximum and deviation."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv(3, 8, 3, 2), nn.SELU(), nn.LPPool2d(2, 2), nn.Softsign())
        self.head = nn.Linear(8, 6)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x).abs().add(1e-3).pow(3).mean((2, 3)).pow(1 / 3)  # GeM
        y = F.normalize(y, dim=1)
        scores = self.head(y) - torch.logsumexp(self.head(y), 1, keepdim=True)
        return torch.cat([scores, scores.max(1, keepdim=True).values, y.std(1, keepdim=True)], 1)
