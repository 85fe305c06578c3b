"""Weights of a model as the graphs made from it refer to them: by place in one common file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scotoma.adjoint import protos
from scotoma.errors import WeightsUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from scotoma.loader.tensors import StoredTensor

FILE = "weights.bin"
"""What the external data of both graphs is called."""
SMALL = 1024
"""Bytes; a tensor up to this size is stored in the graph itself."""
ALIGNMENT = 64
NUMERIC = frozenset("fiub")


class Weights:
    """The large tensors that the forward and the backward graph share, each stored once.

    Nothing is read here: a tensor gets its place in the file from the size that it declares. Who
    runs or writes the graphs reads them, one at a time, mapped from the model's own file.
    """

    def __init__(self) -> None:
        self._tensors: dict[str, StoredTensor] = {}
        self._offsets: dict[str, int] = {}
        self.nbytes = 0
        """Length of the common file."""

    def __len__(self) -> int:
        return len(self._tensors)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def proto(self, name: str, tensor: StoredTensor) -> onnx.TensorProto:
        """Return the initializer of that name: a reference, or a small tensor itself.

        Raises
        ------
        WeightsUnavailableError
            If a small tensor cannot be read, or the shape is impossible.
        """
        if min(tensor.shape, default=0) < 0:
            raise WeightsUnavailableError(f"tensor {tensor.name!r} has a negative dimension")
        nbytes = tensor.nbytes
        if (
            nbytes is None
            or nbytes <= SMALL
            or tensor.dtype is None
            or tensor.dtype.kind not in NUMERIC
        ):
            return protos.tensor(tensor.array(), name)
        if name not in self._tensors:
            self._tensors[name] = tensor
            self._offsets[name] = -(-self.nbytes // ALIGNMENT) * ALIGNMENT
            self.nbytes = self._offsets[name] + nbytes
        place = FILE, self._offsets[name], nbytes
        return protos.reference(name, tensor.data_type, tensor.shape, place)

    def array(self, name: str) -> NDArray[np.generic]:
        """Return the elements of a tensor, mapped from the model's file where possible.

        Raises
        ------
        WeightsUnavailableError
            If the payload is missing, forbidden, or of another size than declared.
        """
        return self._tensors[name].array()

    def pieces(self) -> Iterator[bytes]:
        """Yield the content of the common file, one tensor at a time."""
        end = 0
        for name, offset in self._offsets.items():
            array = self.array(name)
            little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
            yield bytes(offset - end)
            yield little.tobytes()
            end = offset + little.nbytes
