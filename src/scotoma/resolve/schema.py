"""Shapes of operators that Scotoma has no function for, from onnx's schema of that one node."""

from __future__ import annotations

from typing import Any

from scotoma.resolve.step import FollowsError, Shapes, Step, UnknownError

SMALL = 1024
"""Constant inputs up to so many elements are shown to the shape function."""


def infer(step: Step) -> Shapes:
    """Ask onnx for the output shapes of a single node with concrete input shapes.

    Raises
    ------
    UnknownError
        If there is no schema, or it does not tell the shapes.
    FollowsError
        If a shape is missing only because an earlier operator could not be resolved.
    """
    operator = step.op
    shapes = [step.shape(index) if name else None for index, name in enumerate(step.inputs)]
    label = f"{operator.domain}:{operator.op_type}" if operator.domain else operator.op_type
    import onnx  # noqa: PLC0415  slow, and rarely needed
    from onnx import shape_inference  # noqa: PLC0415

    try:
        newest = onnx.defs.onnx_opset_version()
        version = operator.version if operator.version is not None else newest
        schema = onnx.defs.get_schema(operator.op_type, version, operator.domain)
    except Exception as error:  # onnx raises types of its own
        raise UnknownError(f"{label} is not known") from error
    try:
        node, types, data = describe(step, shapes)
        found = shape_inference.infer_node_outputs(schema, node, types, data)
        return [shape_of(found.get(name)) for name in operator.outputs]
    except FollowsError:
        raise
    except Exception as error:  # anything, from a compiled shape function on hostile input
        raise UnknownError(f"onnx's shape function of {label} fails on it") from error


def describe(step: Step, shapes: list[tuple[int, ...] | None]) -> tuple[Any, Any, Any]:
    """Build the node, input types and constant inputs that onnx's function takes."""
    import onnx  # noqa: PLC0415
    from onnx import helper, numpy_helper  # noqa: PLC0415

    plain: dict[str, Any] = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in step.attributes.items()
        if isinstance(value, int | float | str | bytes | tuple)
    }
    operator = step.op
    node = helper.make_node(
        operator.op_type, operator.inputs, operator.outputs, domain=operator.domain, **plain
    )
    types, data = {}, {}
    for index, name in enumerate(operator.inputs):
        shape = shapes[index]
        if not name or shape is None:
            continue
        dtype = step.dtype(index)
        code = onnx.TensorProto.FLOAT if dtype is None else helper.np_dtype_to_tensor_dtype(dtype)
        types[name] = helper.make_tensor_type_proto(code, shape)
        value = step.state.value(name)
        if value is not None and value.size <= SMALL:
            data[name] = numpy_helper.from_array(value)
    return node, types, data


def shape_of(type_proto: Any) -> tuple[int, ...] | None:
    """Return the static shape of a type; None if any of it is missing."""
    if type_proto is None or not type_proto.HasField("tensor_type"):
        return None
    tensor = type_proto.tensor_type
    if not tensor.HasField("shape"):
        return None
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
    if any(size is None or size < 0 for size in sizes):
        return None
    return tuple(size for size in sizes if size is not None)
