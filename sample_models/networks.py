"""The small networks that `make.py` trains and exports. Needs torch."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional


def conv_norm_relu(
    cin: int, cout: int, kernel: int, stride: int = 1, padding: int | str = 0
) -> nn.Sequential:
    """Return a convolution without bias, its normalisation and a rectifier."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(cin, cout, kernel, stride, padding, bias=False),
            norm=nn.BatchNorm2d(cout),
            relu=nn.ReLU(),
        )
    )


class DigitNet(nn.Module):
    """Five 3x3 layers, the second and fourth with stride 2, global average, ten classes.

    With padding 1 and a side of 1 modulo 4 (29 -> 15 -> 8) both strides consume their padding
    evenly. With padding 0 the maps are 27, 13, 11, 5, 3, and every pixel is still read.
    """

    def __init__(self, padding: int, dropout: float = 0.0, dropout_maps: float = 0.0) -> None:
        super().__init__()
        self.layer1 = conv_norm_relu(1, 8, 3, 1, padding)
        self.layer2 = conv_norm_relu(8, 16, 3, 2, padding)
        self.layer3 = conv_norm_relu(16, 16, 3, 1, padding)
        self.dropout_maps = nn.Dropout2d(dropout_maps) if dropout_maps else nn.Identity()
        self.layer4 = conv_norm_relu(16, 32, 3, 2, padding)
        self.layer5 = conv_norm_relu(32, 32, 3, 1, padding)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.classifier = nn.Linear(32, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Return ten logits per image."""
        x = self.dropout_maps(self.layer3(self.layer2(self.layer1(image))))
        x = self.pool(self.layer5(self.layer4(x))).flatten(1)
        out: Tensor = self.classifier(self.dropout(x))
        return out


class PatchNet(nn.Module):
    """6x6 patches with stride 6, two 3x3 layers, global average, ten classes.

    29 = 4 x 6 + 5: the last five rows and columns fill no patch.
    """

    def __init__(self) -> None:
        super().__init__()
        self.patches = conv_norm_relu(1, 48, 6, 6)
        self.layer1 = conv_norm_relu(48, 48, 3, 1, 1)
        self.layer2 = conv_norm_relu(48, 48, 3, 1, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(48, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Return ten logits per image."""
        x = self.pool(self.layer2(self.layer1(self.patches(image))))
        out: Tensor = self.classifier(x.flatten(1))
        return out


class ResidualBlock(nn.Module):
    """Two 3x3 layers and a shortcut, a 1x1 convolution where the stride is 2."""

    def __init__(self, cin: int, cout: int, stride: int) -> None:
        super().__init__()
        self.layer1 = conv_norm_relu(cin, cout, 3, stride, 1)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(cout)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or cin != cout:
            self.shortcut = nn.Sequential(
                nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout)
            )
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of both branches, rectified."""
        out: Tensor = self.relu(self.norm2(self.conv2(self.layer1(x))) + self.shortcut(x))
        return out


class ResidualNet(nn.Module):
    """A ResNet in small: 7x7/2 stem, 3x3/2 max pool, three blocks, effective stride 16."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_norm_relu(1, 8, 7, 2, 3)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.block1 = ResidualBlock(8, 8, 1)
        self.block2 = ResidualBlock(8, 16, 2)
        self.block3 = ResidualBlock(16, 32, 2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(32, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Return ten logits per image."""
        x = self.block3(self.block2(self.block1(self.maxpool(self.stem(image)))))
        out: Tensor = self.classifier(self.pool(x).flatten(1))
        return out


class UNet(nn.Module):
    """A U-Net whose way up does not fit its way down.

    Made for 45x45: two 2x2 pools give 22 and 11. On the way up, nearest upsampling is followed by
    2x2 convolutions padded at the end only, and 44 is brought to 45 by a row and a column of zeros
    at the end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down1 = conv_norm_relu(1, 8, 3, 1, 1)
        self.down2 = conv_norm_relu(8, 16, 3, 1, 1)
        self.bottom = conv_norm_relu(16, 16, 3, 1, 1)
        self.pool = nn.MaxPool2d(2)
        self.upconv2 = conv_norm_relu(16, 16, 2, 1, "same")
        self.up2 = conv_norm_relu(32, 8, 3, 1, 1)
        self.upconv1 = conv_norm_relu(8, 8, 2, 1, "same")
        self.up1 = conv_norm_relu(16, 8, 3, 1, 1)
        self.head = nn.Conv2d(8, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logit of every pixel."""
        skip1 = self.down1(image)
        skip2 = self.down2(self.pool(skip1))
        x = self.bottom(self.pool(skip2))
        x = self.upconv2(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
        x = self.up2(torch.cat([skip2, x], 1))
        x = self.upconv1(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
        x = functional.pad(x, (0, 1, 0, 1))
        out: Tensor = self.head(self.up1(torch.cat([skip1, x], 1)))
        return out


class Detector(nn.Module):
    """A single-shot detector: backbone, two-level feature pyramid, shared box and class heads."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.classes = classes
        self.stage1 = conv_norm_relu(3, 8, 3, 2, 1)
        self.stage2 = conv_norm_relu(8, 16, 3, 2, 1)
        self.stage3 = conv_norm_relu(16, 24, 3, 2, 1)
        self.stage4 = conv_norm_relu(24, 32, 3, 2, 1)
        self.lateral3 = nn.Conv2d(24, 16, 1)
        self.lateral4 = nn.Conv2d(32, 16, 1)
        self.smooth3 = nn.Conv2d(16, 16, 3, 1, 1)
        self.smooth4 = nn.Conv2d(16, 16, 3, 1, 1)
        self.boxes = nn.Conv2d(16, 4, 3, 1, 1)
        self.scores = nn.Conv2d(16, classes, 3, 1, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return boxes (1, cells, 4) in units of a cell and scores (1, cells, classes), 0 to 1."""
        c3 = self.stage3(self.stage2(self.stage1(image)))
        p4 = self.lateral4(self.stage4(c3))
        up = functional.interpolate(p4, size=c3.shape[-2:], mode="nearest")
        levels = self.smooth3(self.lateral3(c3) + up), self.smooth4(p4)
        boxes = [self.boxes(p).permute(0, 2, 3, 1).reshape(1, -1, 4) for p in levels]
        scores = [self.scores(p).permute(0, 2, 3, 1).reshape(1, -1, self.classes) for p in levels]
        return torch.cat(boxes, 1).sigmoid(), torch.cat(scores, 1).sigmoid()
