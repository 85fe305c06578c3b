"""Small networks with attention or dense layers over places, as PyTorch modules."""
# mypy: allow-subclassing-any, disable-error-code="no-any-return"

from __future__ import annotations

import torch
from adjoint.modules.parts import Gate, Residual, classify, conv
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  its usual name


class Attention(nn.Module):
    """Self-attention over tokens, as its parts or as PyTorch's own operator."""

    def __init__(self, width: int, *, heads: int = 2, fused: bool = False) -> None:
        super().__init__()
        self.heads, self.fused = heads, fused
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, length, width = x.shape
        qkv = self.qkv(x).reshape(n, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if self.fused:
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            y = ((q @ k.transpose(-2, -1)) * q.shape[-1] ** -0.5).softmax(-1) @ v
        return self.out(y.transpose(1, 2).reshape(n, length, width))


def encoder(width: int, *, fused: bool) -> nn.Module:
    """Return one layer of a transformer."""
    attention = nn.Sequential(nn.LayerNorm(width), Attention(width, fused=fused))
    dense = nn.Sequential(
        nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
    )
    return nn.Sequential(Residual(attention), Residual(dense))


class VisionTransformer(nn.Module):
    """Patches, a class token, learned positions."""

    def __init__(self, *, fused: bool) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.positions = nn.Parameter(torch.randn(1, 17, 16))
        self.layers = nn.Sequential(encoder(16, fused=fused), encoder(16, fused=fused))
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.positions
        return self.head(self.norm(self.layers(x))[:, 0])


class Windows(nn.Module):
    """Swin: attention in windows that the second layer shifts, then patches are merged."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.layers = nn.ModuleList(encoder(8, fused=False) for _ in range(2))
        self.merge = nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 16, bias=False))
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).permute(0, 2, 3, 1)
        n, h, w, c = x.shape
        for shift, layer in zip((0, -2), self.layers, strict=True):
            y = torch.roll(x, (shift, shift), (1, 2)) if shift else x
            y = y.view(n, h // 4, 4, w // 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, c)
            y = layer(y).view(n, h // 4, w // 4, 4, 4, c).permute(0, 1, 3, 2, 4, 5)
            y = y.reshape(n, h, w, c)
            x = torch.roll(y, (-shift, -shift), (1, 2)) if shift else y
        quarters = [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        return self.head(self.merge(torch.cat(quarters, -1)).mean((1, 2)))


class Hybrid(nn.Module):
    """CoAtNet: convolutions with gates, then attention over the map with a bias for distance."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 8, 3, 2), nn.GELU(), conv(8, 16, 3, 2), Gate(16))
        self.bias = nn.Parameter(torch.randn(64, 64))
        self.query = nn.Conv2d(16, 48, 1)
        self.head = classify(16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        q, k, v = self.query(x).flatten(2).chunk(3, 1)
        weights = (torch.einsum("ncq,nck->nqk", q, k) / 4 + self.bias).softmax(-1)
        return self.head(x + torch.einsum("nqk,nck->ncq", weights, v).view_as(x))


class Mixer(nn.Module):
    """MLP-Mixer: dense layers over places and over channels in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, 8)
        self.places = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
        self.channels = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
        self.norms = nn.ModuleList(nn.LayerNorm(16) for _ in range(2))
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = x + self.places(self.norms[0](x).transpose(1, 2)).transpose(1, 2)
        x = x + self.channels(self.norms[1](x))
        return self.head(x.mean(1))
