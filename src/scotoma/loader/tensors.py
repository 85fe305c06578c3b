"""Stored tensors: name, type and shape at once, the payload only when it is asked for."""

from __future__ import annotations

import math
import mmap
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol

import numpy as np

from scotoma.errors import WeightsUnavailableError
from scotoma.loader import payload

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import TensorProto

MAX_DENSE_ELEMENTS = 1 << 20
"""Sparse tensors up to this many elements are made dense."""


class Location(Protocol):
    """Where the elements of a tensor are."""

    def read(self, data_type: int, shape: tuple[int, ...], /) -> NDArray[np.generic]:
        """Return the elements, in any shape, or raise `WeightsUnavailableError`."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredTensor:
    """An initializer or a tensor-valued attribute."""

    name: str
    dtype: np.dtype | None
    """Element type (of ml_dtypes where numpy has none of its own); None when there is no such."""
    shape: tuple[int, ...]
    """As declared; a file may lie in it."""
    nbytes: int | None
    """Bytes that the declared elements take when stored; None when the type has no fixed size."""
    location: Location
    data_type: int = 0
    """``TensorProto.DataType``."""

    @property
    def elements(self) -> int:
        """Declared number of elements."""
        return math.prod(self.shape)

    def array(self) -> NDArray[np.generic]:
        """Return the elements, read-only, mapped from the file wherever its encoding allows.

        Raises
        ------
        WeightsUnavailableError
            If the payload is missing, forbidden, or of another size than declared.
        """
        if min(self.shape, default=0) < 0:
            self._fail("a dimension is negative")
        try:
            array = self.location.read(self.data_type, self.shape)
            if array.size != self.elements:
                self._fail(f"{self.elements} elements declared, {array.size} there")
            array = array.reshape(self.shape)
        except WeightsUnavailableError as error:
            self._fail(str(error))
        except (ValueError, OverflowError) as error:
            self._fail(f"shape {self.shape} is impossible ({error})")
        array.flags.writeable = False
        return array

    def _fail(self, reason: str) -> NoReturn:
        raise WeightsUnavailableError(f"tensor {self.name!r} cannot be read: {reason}") from None


@dataclass(frozen=True, slots=True, eq=False)
class Unavailable:
    """Elements that cannot or must not be read."""

    reason: str

    def read(self, _data_type: int, _shape: tuple[int, ...], /) -> NDArray[np.generic]:
        """Raise `WeightsUnavailableError` with the reason."""
        raise WeightsUnavailableError(self.reason)


@dataclass(frozen=True, slots=True, eq=False)
class Inline:
    """Elements in the parsed protobuf message."""

    proto: TensorProto

    def read(self, data_type: int, shape: tuple[int, ...]) -> NDArray[np.generic]:
        """Decode the field that holds the elements."""
        proto, elements = self.proto, math.prod(shape)
        if data_type == payload.STRING:
            texts = [text.decode("utf-8", "replace") for text in proto.string_data]
            return np.array(texts, dtype=object)
        if proto.HasField("raw_data"):
            return payload.decode_raw(memoryview(proto.raw_data), data_type, elements)
        if proto.float_data:
            data = np.array(proto.float_data, "<f4").tobytes()
            return payload.decode_field(memoryview(data), "float_data", data_type, elements)
        if proto.double_data:
            data = np.array(proto.double_data, "<f8").tobytes()
            return payload.decode_field(memoryview(data), "double_data", data_type, elements)
        if proto.uint64_data:
            return payload.from_integers(
                np.array(proto.uint64_data, np.uint64), data_type, elements
            )
        integers = np.array(proto.int32_data or proto.int64_data, np.int64)
        return payload.from_integers(integers, data_type, elements)


@dataclass(frozen=True, slots=True, eq=False)
class InFile:
    """A byte range of the model file."""

    mapped: mmap.mmap | bytes
    field: str
    offset: int
    length: int

    def read(self, data_type: int, shape: tuple[int, ...]) -> NDArray[np.generic]:
        """View the range as elements."""
        if self.field == "string_data":
            raise WeightsUnavailableError("large string tensors are not read")
        view = memoryview(self.mapped)[self.offset : self.offset + self.length]
        elements = math.prod(shape)
        if self.field == "raw_data":
            return payload.decode_raw(view, data_type, elements)
        return payload.decode_field(view, self.field, data_type, elements)


@dataclass(slots=True, eq=False)
class ExternalFiles:
    """The folder that external data may lie in, with the files mapped so far."""

    folder: str | None
    """None: a model from standard input has no folder."""
    _mapped: dict[str, mmap.mmap] = field(default_factory=dict)

    def map(self, location: str) -> mmap.mmap:
        """Map a file inside the folder, at its first use.

        Raises
        ------
        WeightsUnavailableError
            If the file is missing, outside of the folder, or not a regular file.
        """
        if location not in self._mapped:
            try:
                self._mapped[location] = self._open(location)
            except (OSError, ValueError, RuntimeError) as error:
                reason = error.strerror if isinstance(error, OSError) else None
                raise WeightsUnavailableError(
                    f"external data {location!r}: {reason or error}"
                ) from None
        return self._mapped[location]

    def _open(self, location: str) -> mmap.mmap:
        if self.folder is None:
            raise ValueError("a model from standard input has no folder")
        if not location or Path(location).is_absolute():
            raise ValueError("the path must be relative to the model's folder")
        folder = Path(self.folder).resolve()
        path = (folder / location).resolve()
        if not path.is_relative_to(folder):
            raise ValueError("outside of the model's folder")
        # The path is free of symbolic links now; O_NOFOLLOW keeps it so, and O_NONBLOCK keeps a
        # named pipe from blocking.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError("not a regular file")
            return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True, eq=False)
class External:
    """A byte range of a file beside the model."""

    files: ExternalFiles
    location: str
    offset: str
    length: str
    """Offset and length as the file states them, ``""`` where it does not."""

    def read(self, data_type: int, shape: tuple[int, ...]) -> NDArray[np.generic]:
        """Map the range and view it as elements."""
        elements = math.prod(shape)
        expected = payload.stored_bytes(data_type, elements)
        if expected is None:
            raise WeightsUnavailableError(f"elements of type {data_type} are not understood")
        offset = self._number(self.offset, 0)
        length = self._number(self.length, expected)
        if length != expected:
            raise WeightsUnavailableError(f"{expected} bytes declared, {length} there")
        if length == 0:
            return payload.decode_raw(memoryview(b""), data_type, elements)
        mapped = self.files.map(self.location)
        if offset + length > len(mapped):
            raise WeightsUnavailableError(
                f"external data {self.location!r} ends at byte {len(mapped)}, "
                f"{offset + length} needed"
            )
        view = memoryview(mapped)[offset : offset + length]
        return payload.decode_raw(view, data_type, elements)

    @staticmethod
    def _number(text: str, default: int) -> int:
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise WeightsUnavailableError("offset or length of the external data is no number")
        return int(text)


@dataclass(frozen=True, slots=True, eq=False)
class Sparse:
    """Non-zero elements and their indices."""

    values: StoredTensor
    indices: StoredTensor

    def read(self, _data_type: int, shape: tuple[int, ...], /) -> NDArray[np.generic]:
        """Make the tensor dense, if it is small."""
        elements = math.prod(shape)
        if elements > MAX_DENSE_ELEMENTS:
            raise WeightsUnavailableError("a sparse tensor too large to be made dense")
        values, indices = self.values.array(), self.indices.array().astype(np.int64)
        if values.ndim != 1 or indices.shape not in {values.shape, (len(values), len(shape))}:
            raise WeightsUnavailableError("a malformed sparse tensor")
        bounds = np.array([elements] if indices.ndim == 1 else shape, np.int64)
        if (indices < 0).any() or (indices >= bounds).any():
            raise WeightsUnavailableError("a sparse index is out of range")
        flat = indices
        if indices.ndim == 2:
            flat = np.ravel_multi_index(tuple(indices.T), shape) if len(values) else indices[:, 0]
        dense = np.zeros(elements, values.dtype)
        dense[flat] = values
        return dense
