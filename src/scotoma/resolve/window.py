"""A sliding window along one spatial axis, with all its numbers resolved."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """How the outputs of an operator slide over its input, along one axis.

    Tap ``t`` of output ``o`` reads input ``o * stride - pad_begin + t * dilation``. For a
    transposed convolution (``transposed``) the roles are exchanged: input ``i`` writes output
    ``i * stride - pad_begin + t * dilation``.
    """

    kernel: int
    stride: int
    dilation: int
    pad_begin: int
    """May be negative: a crop."""
    pad_end: int
    size_in: int
    size_out: int
    transposed: bool = False
    ceil_mode: bool = False
    """Declared and in force (opset 10 and later)."""
    count_include_pad: bool = False
    """Average pools: a tap on declared padding counts in the divisor."""
    auto_pad: str = "NOTSET"
    phantom: bool = False
    """The ceil-mode window that starts wholly in the end padding exists by the letter of opsets
    below 22 and was dropped here, as onnxruntime >= 1.21 and PyTorch do."""

    @property
    def extent(self) -> int:
        """Reach of the dilated kernel in cells of the input: ``(kernel - 1) * dilation + 1``."""
        return (self.kernel - 1) * self.dilation + 1
