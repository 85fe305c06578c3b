"""Quantised operators and their twins in real numbers, which do not round.

Rows of a twin's Jacobian whose output onnxruntime saturates are zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from adjoint.jacobians import by_adjoint, central
from networks import session
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]


ROLL = np.random.default_rng(5)
U8, I8, F32 = np.uint8, np.int8, np.float32


def numbers(*shape: int, dtype: Any = U8) -> Array:
    """Return stored numbers of a quantised tensor."""
    least = 0 if dtype is U8 else -128
    return ROLL.integers(least, least + 256, shape).astype(dtype)


def scale(*values: float) -> Array:
    return np.array(values if len(values) > 1 else values[0], F32)


def zero(*values: int, dtype: Any = U8) -> Array:
    return np.array(values if len(values) > 1 else values[0], dtype)


def model(
    op_type: str,
    inputs: Sequence[Array | None],
    variable: Sequence[int],
    made: Sequence[Any],
    **attributes: Any,
) -> onnx.ModelProto:
    """Return a model of one operator whose tensors have types of their own."""
    domain, _, op_type = op_type.rpartition(".")
    names = ["" if value is None else f"i{slot}" for slot, value in enumerate(inputs)]
    outputs = [f"o{slot}" for slot in range(len(made))]
    declare, number = helper.make_tensor_value_info, helper.np_dtype_to_tensor_dtype
    pairs = [(slot, value) for slot, value in enumerate(inputs) if value is not None]
    graph = helper.make_graph(
        [helper.make_node(op_type, names, outputs, name="node", domain=domain, **attributes)],
        "single",
        [declare(f"i{s}", number(v.dtype), v.shape) for s, v in pairs if s in variable],
        [
            declare(name, number(np.dtype(kind)), None)
            for name, kind in zip(outputs, made, strict=True)
        ],
        [numpy_helper.from_array(v, f"i{s}") for s, v in pairs if s not in variable],
    )
    imports = [helper.make_opsetid("", 21), helper.make_opsetid(domain, 1)]
    return helper.make_model(graph, opset_imports=imports[: 2 if domain else 1], ir_version=10)


def check(
    op_type: str,
    inputs: Sequence[Array | None],
    twin: Callable[..., Array],
    variable: Sequence[int] = (0,),
    made: Any = U8,
    **attributes: Any,
) -> Array:
    """Compare the adjoint with differences of a twin of the variable inputs; return the output."""
    single = model(op_type, inputs, variable, [made], **attributes)
    feed = {f"i{slot}": inputs[slot] for slot in variable}
    found = by_adjoint(single, feed, "o0")  # type: ignore[arg-type]  # they are no None
    output: Array = session(single).run(None, feed)[0]
    expected = central(lambda fed: twin(*fed.values()), _real(feed))
    inside = np.ones(output.size, bool)
    if np.dtype(made).kind in "iu" and np.dtype(made).itemsize == 1:
        limits = np.iinfo(made)
        inside = ((output > limits.min) & (output < limits.max)).ravel()
        # The twin is the operator but for the rounding.
        real = np.clip(np.asarray(twin(*_real(feed).values())), limits.min, limits.max)
        assert np.abs(real.ravel() - output.ravel()).max() <= 1.5
    for name, jacobian in expected.items():
        wanted = jacobian * inside[:, None]
        wanted[np.abs(wanted) < 1e-7] = 0  # rounding of the differences
        np.testing.assert_array_equal(found[name] != 0, wanted != 0, err_msg=name)
        np.testing.assert_allclose(found[name], wanted, rtol=2e-4, atol=1e-6, err_msg=name)
    return output


def _real(feed: Any) -> dict[str, Array]:
    return {name: value.astype(np.float64) for name, value in feed.items()}


def reference(op_type: str, *inputs: Array, **attributes: Any) -> Array:
    """Run the operator in real numbers."""
    names = [f"i{slot}" for slot in range(len(inputs))]
    node = helper.make_node(op_type, names, ["o"], **attributes)
    declared = [
        helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, None) for name in names
    ]
    graph = helper.make_graph(
        [node], "g", declared, [helper.make_tensor_value_info("o", onnx.TensorProto.DOUBLE, None)]
    )
    run = ReferenceEvaluator(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]))
    feed = dict(zip(names, [np.asarray(value, np.float64) for value in inputs], strict=True))
    made: Any = run.run(None, feed)
    return np.asarray(made[0])


S, Z, T, N, Y, M = scale(0.05), zero(120), scale(0.03), zero(90), scale(0.06), zero(101)


def stands_for(q: Array, s: Array = S, z: Array = Z) -> Array:
    return (q - z.astype(np.float64)) * s


def stored(value: Array, s: Array = Y, z: Array = M) -> Array:
    found: Array = value / s.astype(np.float64) + z.astype(np.float64)
    return found
