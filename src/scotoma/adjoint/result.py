"""What building an adjoint yields: two ONNX models that share their weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scotoma.adjoint.weights import FILE

if TYPE_CHECKING:
    import os

    from scotoma.adjoint.weights import Weights

FORWARD_FILE, BACKWARD_FILE = "forward.onnx", "backward.onnx"


@dataclass(frozen=True, slots=True)
class Missing:
    """An operator on the way of a gradient that has no adjoint here."""

    node: str
    op_type: str
    """With its domain in front, unless it is the standard one."""
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Adjoint:
    """A model split in two: its forward, and the gradients of some tensors from what that leaves.

    The backward is linear in the cotangents, so that the gradient of any functional F of the
    targets is had by feeding dF/dtarget. Several cotangents can use the residuals of one forward.
    """

    forward: bytes
    """The model at the resolved shapes, in its own operator sets, as a serialized ONNX model.

    Dropout is inert. Its outputs are the targets, then the residuals that it makes.
    """
    backward: bytes | None
    """A serialized ONNX model from residuals and cotangents to gradients.

    None when there is no gradient to compute.
    """
    targets: tuple[str, ...]
    residuals: tuple[str, ...]
    """Inputs of the backward that are outputs, or inputs, of the forward of the same name."""
    cotangents: Mapping[str, str]
    """Name of the backward's input by target, of the target's shape; those that are needed.

    float64 where the target is, float32 for all other types. So are the gradients.
    """
    gradients: Mapping[str, str]
    """Name of the backward's output by tensor, of the tensor's shape."""
    zero: Mapping[str, tuple[int, ...]]
    """Tensors that no target depends on, with their shapes: their gradients are zero."""
    incomplete: Mapping[str, tuple[Missing, ...]]
    """Tensors without a gradient here, with the operators that stand in its way."""
    missing: tuple[Missing, ...]
    """All operators that stand in the way of some gradient, in the order of the graph."""
    weights: Weights
    """Tensors that both models refer to as external data in a file `weights.bin`."""
    residual_bytes: int
    """Memory that the residuals take."""

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write ``forward.onnx``, ``backward.onnx`` and, where it is needed, ``weights.bin``.

        Raises
        ------
        WeightsUnavailableError
            If a tensor of the model cannot be read.
        OSError
            If a file cannot be written.
        """
        from pathlib import Path  # noqa: PLC0415  only where files are written

        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        if len(self.weights):
            with (path / FILE).open("wb") as stream:
                for piece in self.weights.pieces():
                    stream.write(piece)
        (path / FORWARD_FILE).write_bytes(self.forward)
        if self.backward is not None:
            (path / BACKWARD_FILE).write_bytes(self.backward)
