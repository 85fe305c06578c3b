"""Small networks that answer with maps, as PyTorch modules."""
# mypy: allow-subclassing-any, disable-error-code="no-any-return"

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from adjoint.modules.parts import conv
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  its usual name

if TYPE_CHECKING:
    from collections.abc import Callable


class UNet(nn.Module):
    """Two scales down and up, with skips that are concatenated."""

    def __init__(self, up: Callable[[int, int], nn.Module]) -> None:
        super().__init__()

        def double(cin: int, cout: int) -> nn.Module:
            return nn.Sequential(conv(cin, cout), nn.ReLU(), conv(cout, cout), nn.ReLU())

        self.down = nn.ModuleList([double(3, 4), double(4, 8), double(8, 16)])
        self.up = nn.ModuleList([up(16, 8), up(8, 4)])
        self.merge = nn.ModuleList([double(16, 8), double(8, 4)])
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for index, layer in enumerate(self.down):
            x = layer(x if index == 0 else F.max_pool2d(x, 2))
            skips.append(x)
        for up, merge, skip in zip(self.up, self.merge, skips[-2::-1], strict=True):
            x = merge(torch.cat([skip, up(x)], 1))
        return self.head(x)


def learned(cin: int, cout: int) -> nn.Module:
    return nn.ConvTranspose2d(cin, cout, 2, 2)


def interpolated(**how: object) -> Callable[[int, int], nn.Module]:
    return lambda cin, cout: nn.Sequential(
        nn.Upsample(scale_factor=2, **how), nn.Conv2d(cin, cout, 1)
    )


class Pyramid(nn.Module):
    """FPN: coarse maps are enlarged and added to finer ones; an output for each scale."""

    def __init__(self) -> None:
        super().__init__()
        widths = (8, 16, 16)
        self.stages = nn.ModuleList(
            nn.Sequential(conv(cin, cout, 3, 2), nn.LeakyReLU(0.1))
            for cin, cout in zip((3, *widths), widths, strict=False)
        )
        self.lateral = nn.ModuleList(nn.Conv2d(width, 8, 1) for width in widths)
        self.heads = nn.ModuleList(nn.Conv2d(8, 4, 3, padding=1) for _ in widths)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        merged: list[Tensor] = []
        for lateral, level in zip(self.lateral[::-1], maps[::-1], strict=True):
            y = lateral(level)
            if merged:
                y = y + F.interpolate(merged[-1], size=y.shape[-2:], mode="nearest")
            merged.append(y)
        return tuple(head(y) for head, y in zip(self.heads, merged, strict=True))


class Context(nn.Module):
    """DeepLab: dilated branches and one by the mean of the map, enlarged bilinearly."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 8, 3, 2), nn.ReLU())
        self.branches = nn.ModuleList(nn.Conv2d(8, 4, 3, padding=d, dilation=d) for d in (1, 3, 6))
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 4, 1), nn.ReLU())
        self.head = nn.Conv2d(16, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        x = self.stem(x)
        mean = F.interpolate(self.pooled(x), size=x.shape[-2:], mode="bilinear")
        x = self.head(torch.cat([mean, *(branch(x) for branch in self.branches)], 1))
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def generator() -> nn.Module:
    """DCGAN: a map from a small one by transposed convolutions of several strides."""
    return nn.Sequential(
        nn.ConvTranspose2d(6, 8, 4, 1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.ConvTranspose2d(8, 8, 4, 2, 1, groups=2), nn.BatchNorm2d(8), nn.ReLU(),
        nn.ConvTranspose2d(8, 4, 3, 2, 1, output_padding=1), nn.ReLU(),
        nn.ConvTranspose2d(4, 3, 3, 3, dilation=2), nn.Tanh(),
    )  # fmt: skip


class Enlarging(nn.Module):
    """Super-resolution by pixel shuffle, added to the image enlarged bicubically."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 5, padding=2, padding_mode="replicate"), nn.PReLU(8),
            nn.Conv2d(8, 8, 3, padding=1), nn.ELU(), nn.Conv2d(8, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) + F.interpolate(x, scale_factor=2, mode="bicubic")


class Focus(nn.Module):
    """YOLO: space to depth by slices, spatial pyramid of pools, a head with two activations."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(12, 8), nn.SiLU())
        self.head = nn.Conv2d(32, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        corners = [x[..., i::2, j::2] for i in (0, 1) for j in (0, 1)]
        x = self.stem(torch.cat(corners, 1))
        x = torch.cat([x, *(F.max_pool2d(x, k, 1, k // 2) for k in (5, 9, 13))], 1)
        place, size = self.head(x).split((2, 4), 1)
        return torch.cat([place.sigmoid() * 2 - 0.5, size.clamp(max=3).exp()], 1)


def stylised() -> nn.Module:
    """Style transfer: reflected borders, normalisation of each map by itself."""
    return nn.Sequential(
        nn.ReflectionPad2d(4), nn.Conv2d(3, 8, 9), nn.InstanceNorm2d(8, affine=True), nn.ReLU(),
        nn.Conv2d(8, 8, 3, 2, 1), nn.InstanceNorm2d(8, affine=True), nn.ReLU(),
        nn.Upsample(scale_factor=2), nn.ReflectionPad2d(1), nn.Conv2d(8, 3, 3),
    )  # fmt: skip
