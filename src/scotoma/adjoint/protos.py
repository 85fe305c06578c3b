"""ONNX messages: the only importer of onnx in this package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import onnx
    from numpy.typing import NDArray

    Dims = Sequence[int | str | None]


def type_number(dtype: Any) -> int:
    """Return the TensorProto.DataType of a numpy type."""
    from onnx import helper  # noqa: PLC0415  slow to import

    number: int = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return number


def tensor(array: NDArray[Any], name: str = "") -> onnx.TensorProto:
    """Return an array as a message."""
    from onnx import numpy_helper  # noqa: PLC0415  slow to import

    # A contiguous copy of a scalar has one axis.
    return numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)


def reference(
    name: str, data_type: int, shape: Sequence[int], place: tuple[str, int, int]
) -> onnx.TensorProto:
    """Return a tensor whose elements lie in another file: its name, offset and length in bytes."""
    import onnx  # noqa: PLC0415  slow to import

    proto = onnx.TensorProto(name=name, data_type=data_type, dims=shape)
    proto.data_location = onnx.TensorProto.EXTERNAL
    for key, value in zip(("location", "offset", "length"), place, strict=True):
        proto.external_data.add(key=key, value=str(value))
    return proto


def referred(model: bytes) -> tuple[str, ...]:
    """Return the initializers of a serialized model that lie in another file."""
    import onnx  # noqa: PLC0415  slow to import

    initializers = onnx.ModelProto.FromString(model).graph.initializer
    external = onnx.TensorProto.EXTERNAL
    return tuple(proto.name for proto in initializers if proto.data_location == external)


def value_info(name: str, dtype: np.dtype[Any] | None, shape: Dims | None) -> onnx.ValueInfoProto:
    """Return the declaration of a tensor; without a type it is only named."""
    import onnx  # noqa: PLC0415  slow to import
    from onnx import helper  # noqa: PLC0415

    if dtype is None:
        return onnx.ValueInfoProto(name=name)
    return helper.make_tensor_value_info(name, type_number(dtype), shape)


def node(
    op_type: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    attributes: Iterable[onnx.AttributeProto] = (),
    *,
    name: str = "",
    domain: str = "",
) -> onnx.NodeProto:
    """Return a node."""
    import onnx  # noqa: PLC0415  slow to import

    return onnx.NodeProto(
        op_type=op_type,
        domain=domain,
        name=name,
        input=inputs,
        output=outputs,
        attribute=attributes,
    )


def reads(item: onnx.NodeProto) -> Iterator[str]:
    """Yield the inputs of a node, and of the nodes of its bodies."""
    yield from item.input
    for held in item.attribute:
        for inner in held.g.node:
            yield from reads(inner)


def attribute(name: str, value: object) -> onnx.AttributeProto:
    """Return an attribute; its type is the value's."""
    from onnx import helper  # noqa: PLC0415  slow to import

    plain: Any = value
    return helper.make_attribute(name, plain)


def empty_list(name: str, op_type: str, version: int, domain: str) -> onnx.AttributeProto | None:
    """Return an attribute that is an empty list, of the schema's type; None if there is none."""
    import onnx  # noqa: PLC0415  slow to import

    try:
        schema = onnx.defs.get_schema(op_type, version, domain)
        kind = int(schema.attributes[name].type)  # type: ignore[call-overload]  # an enumeration
    except (onnx.defs.SchemaError, KeyError):
        return None
    return onnx.AttributeProto(name=name, type=kind)


def since(op_type: str, version: int, domain: str) -> int | None:
    """Return the version that last changed an operator; None for unknown operators."""
    import onnx  # noqa: PLC0415  slow to import

    try:
        found: int = onnx.defs.get_schema(op_type, version, domain).since_version
    except onnx.defs.SchemaError:
        return None
    return found


def graph(
    name: str,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    initializers: Sequence[onnx.TensorProto],
) -> onnx.GraphProto:
    """Return a graph."""
    from onnx import helper  # noqa: PLC0415  slow to import

    return helper.make_graph(nodes, name, inputs, outputs, initializers)


def model(content: onnx.GraphProto, opsets: Mapping[str, int], ir_version: int) -> bytes:
    """Return a serialized model."""
    from onnx import helper  # noqa: PLC0415  slow to import

    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    proto = helper.make_model(
        content, opset_imports=imports, ir_version=ir_version, producer_name="scotoma"
    )
    data: bytes = proto.SerializeToString()
    return data
