"""Element types of ONNX tensors, and their stored bytes as numpy arrays."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from scotoma.errors import WeightsUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

STRING = 8
# Numbers of TensorProto.DataType.
_NUMPY: Mapping[int, str] = {
    1: "<f4",
    2: "u1",
    3: "i1",
    4: "<u2",
    5: "<i2",
    6: "<i4",
    7: "<i8",
    9: "?",
    10: "<f2",
    11: "<f8",
    12: "<u4",
    13: "<u8",
    14: "<c8",
    15: "<c16",
    STRING: "O",
}
_ML_DTYPES: Mapping[int, str] = {
    16: "bfloat16",
    17: "float8_e4m3fn",
    18: "float8_e4m3fnuz",
    19: "float8_e5m2",
    20: "float8_e5m2fnuz",
    21: "uint4",
    22: "int4",
    23: "float4_e2m1fn",
    24: "float8_e8m0fnu",
    25: "uint2",
    26: "int2",
}
_BITS: Mapping[int, int] = {21: 4, 22: 4, 23: 4, 25: 2, 26: 2}
"""Bits of the types of which several share a byte, the first in the lowest bits."""

# Element type of the packed bytes of each field; None: varints.
_FIELD_DTYPE: Mapping[str, str | None] = {
    "float_data": "<f4",
    "double_data": "<f8",
    "int32_data": None,
    "int64_data": None,
    "uint64_data": None,
}
_FIELD_TYPES: Mapping[str, frozenset[int]] = {
    "float_data": frozenset({1, 14}),
    "double_data": frozenset({11, 15}),
    "int32_data": frozenset({2, 3, 4, 5, 6, 9, 10, *range(16, 27)}),
    "int64_data": frozenset({7}),
    "uint64_data": frozenset({12, 13}),
}
_MAX_VARINT_BYTES = 10


@cache
def numpy_dtype(data_type: int) -> np.dtype | None:
    """Return the numpy type of a TensorProto.DataType; None when there is none."""
    if data_type in _NUMPY:
        return np.dtype(_NUMPY[data_type]).newbyteorder("=")
    if data_type in _ML_DTYPES:
        import ml_dtypes  # noqa: PLC0415  only few models need it

        scalar = getattr(ml_dtypes, _ML_DTYPES[data_type], None)
        return None if scalar is None else np.dtype(scalar)
    return None


def stored_bytes(data_type: int, elements: int) -> int | None:
    """Return how many bytes of ``raw_data`` that many elements take; None when unknown."""
    if data_type in _BITS:
        return -(-elements * _BITS[data_type] // 8)
    dtype = numpy_dtype(data_type)
    return None if dtype is None or data_type == STRING else elements * dtype.itemsize


def decode_raw(buffer: memoryview, data_type: int, elements: int) -> NDArray[np.generic]:
    """Return the elements in ``raw_data``; a view of the buffer wherever the type allows.

    Raises
    ------
    WeightsUnavailableError
        If the buffer does not hold exactly that many elements.
    """
    dtype = numpy_dtype(data_type)
    expected = stored_bytes(data_type, elements)
    if dtype is None or expected is None:
        raise WeightsUnavailableError(f"elements of type {data_type} are not understood")
    if len(buffer) != expected:
        raise WeightsUnavailableError(f"{expected} bytes declared, {len(buffer)} there")
    if data_type in _BITS:
        return _unpack(np.frombuffer(buffer, np.uint8), data_type, elements)
    stored = dtype.newbyteorder("<") if dtype.kind in "iufc" else dtype
    array: NDArray[np.generic] = np.frombuffer(buffer, stored)
    return array


def decode_field(
    buffer: memoryview, field: str, data_type: int, elements: int
) -> NDArray[np.generic]:
    """Return the elements of a packed typed field such as ``float_data``.

    Raises
    ------
    WeightsUnavailableError
        If the field does not hold exactly that many elements, or is not the type's.
    """
    if field not in _FIELD_TYPES or data_type not in _FIELD_TYPES[field]:
        raise WeightsUnavailableError(f"elements of type {data_type} cannot be in {field}")
    stored = _FIELD_DTYPE[field]
    if stored is None:
        return from_integers(_varints(np.frombuffer(buffer, np.uint8)), data_type, elements)
    return decode_raw(buffer, data_type, elements)


def from_integers(
    values: NDArray[np.int64] | NDArray[np.uint64], data_type: int, elements: int
) -> NDArray[np.generic]:
    """Return elements from the integers by which ``int32_data`` and its like store them."""
    dtype = numpy_dtype(data_type)
    if dtype is None:
        raise WeightsUnavailableError(f"elements of type {data_type} are not understood")
    bits = _BITS.get(data_type)
    wanted = elements if bits is None else -(-elements * bits // 8)
    if len(values) != wanted:
        raise WeightsUnavailableError(f"{wanted} numbers declared, {len(values)} there")
    if bits is not None:
        return _unpack(values.astype(np.uint8), data_type, elements)
    if dtype.kind in "iu":
        return values.astype(dtype)
    if dtype.kind == "b":
        return np.not_equal(values, 0)
    # The other types are stored as the integer with their bit pattern.
    return values.astype(np.dtype(f"u{dtype.itemsize}")).view(dtype)


def _unpack(packed: NDArray[np.uint8], data_type: int, elements: int) -> NDArray[np.generic]:
    bits = _BITS[data_type]
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    parts = ((packed[:, None] >> shifts) & ((1 << bits) - 1)).reshape(-1)[:elements]
    dtype = numpy_dtype(data_type)
    if dtype is None:
        raise WeightsUnavailableError(f"elements of type {data_type} are not understood")
    if _ML_DTYPES[data_type].startswith("int"):
        sign = 1 << (bits - 1)
        return ((parts ^ sign).astype(np.int8) - np.int8(sign)).astype(dtype)
    if _ML_DTYPES[data_type].startswith("uint"):
        return parts.astype(dtype)
    return parts.view(dtype)


def _varints(data: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Decode packed protobuf varints; negative numbers come out modulo 2**64."""
    ends = np.flatnonzero(data < 0x80)
    if len(data) and (len(ends) == 0 or ends[-1] != len(data) - 1):
        raise WeightsUnavailableError("the packed numbers are cut short")
    starts = np.concatenate([np.zeros(1, np.intp), ends + 1])[: len(ends)]
    lengths = ends - starts + 1
    longest = int(lengths.max(initial=0))
    if longest > _MAX_VARINT_BYTES:
        raise WeightsUnavailableError("the packed numbers are not varints")
    values = np.zeros(len(ends), np.uint64)
    for index in range(longest):
        longer = lengths > index
        septets = (data[starts[longer] + index] & 0x7F).astype(np.uint64)
        values[longer] |= septets << np.uint64(7 * index)
    return values
