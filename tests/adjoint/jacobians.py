"""Jacobians of small models: by their adjoint, by differences in float64, by linearity."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from networks import RefusedError, session
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from scotoma.adjoint import Adjoint, Runner, build
from scotoma.loader import load_model
from scotoma.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Jacobian = dict[str, Array]

STEP = 1e-6
"""Of central differences in float64: an error of about 1e-9 of a smooth function."""


class Single:
    """A model of one operator, some of whose inputs the gradient is taken of.

    Parameters
    ----------
    op_type
        The operator; ``domain.op_type`` for those of other domains.
    inputs
        Values by position; None for one that is left out.
    variable
        Positions of the inputs of the model; all others are initializers.
    """

    def __init__(
        self,
        op_type: str,
        inputs: Sequence[Array | None],
        variable: Sequence[int] = (0,),
        *,
        opset: int = 20,
        outputs: int = 1,
        **attributes: Any,
    ) -> None:
        domain, _, op_type = op_type.rpartition(".")
        names = ["" if value is None else f"i{slot}" for slot, value in enumerate(inputs)]
        made = [f"o{slot}" for slot in range(outputs)]
        self.node = helper.make_node(op_type, names, made, name="node", domain=domain, **attributes)
        self.imports = [helper.make_opsetid("", opset)]
        if domain:
            self.imports.append(helper.make_opsetid(domain, 1))
        pairs = [
            (slot, name, value)
            for slot, (name, value) in enumerate(zip(names, inputs, strict=True))
            if value is not None
        ]
        self.values = {name: value for slot, name, value in pairs if slot in variable}
        self.constants = {name: value for slot, name, value in pairs if slot not in variable}

    def model(self, dtype: type = np.float32) -> onnx.ModelProto:
        """Return the model with all its floating-point tensors of one type."""
        graph = helper.make_graph(
            [self.node],
            "single",
            [
                helper.make_tensor_value_info(
                    name, helper.np_dtype_to_tensor_dtype(_as(value, dtype).dtype), value.shape
                )
                for name, value in self.values.items()
            ],
            [
                helper.make_tensor_value_info(
                    name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), None
                )
                for name in self.node.output
                if name
            ],
            [
                numpy_helper.from_array(_as(value, dtype), name)
                for name, value in self.constants.items()
            ],
        )
        return helper.make_model(graph, opset_imports=self.imports, ir_version=9)

    def by_adjoint(self, dtype: type = np.float32) -> Jacobian:
        """Return the Jacobian of the first output by input: (outputs, inputs)."""
        feed = {name: _as(value, dtype) for name, value in self.values.items()}
        return by_adjoint(self.model(dtype), feed, self.node.output[0])

    def by_differences(self, function: Callable[..., Array] | None = None) -> Jacobian:
        """Return it by central differences in float64: of a function of the inputs that vary.

        By default, of onnx's reference implementation.
        """
        if function is not None:
            return central(lambda feed: function(*feed.values()), self.values)
        run = ReferenceEvaluator(self.model(np.float64))
        return central(lambda feed: next(iter(run.run(None, feed))), self.values)

    def by_double(self) -> Jacobian:
        """Return it by central differences in onnxruntime's float64 kernels."""
        run = _session(self.model(np.float64))
        return central(lambda feed: _run(run, feed), self.values)

    def by_linearity(self) -> Jacobian:
        """Return it exactly, for an operator that is affine in each input, from whole numbers."""
        run = _session(self.model())
        feed = {name: _as(value, np.float32) for name, value in self.values.items()}
        found = {}
        for name, value in feed.items():
            columns = []
            for sign in (0.0, 1.0):
                rows = []
                for index in range(value.size):
                    changed = value.copy()
                    changed.flat[index] += sign
                    rows.append(_run(run, {**feed, name: changed}).ravel())
                columns.append(np.stack(rows, 1))
            found[name] = columns[1].astype(np.float64) - columns[0]
        return found


def _as(value: Array, dtype: type) -> Array:
    return value.astype(dtype) if value.dtype.kind == "f" else value


def _session(model: onnx.ModelProto) -> Any:
    try:
        return session(model)
    except Exception as error:
        raise RefusedError(str(error)) from error


def _run(run: Any, feed: Mapping[str, Array]) -> Array:
    try:
        found: Array = run.run(None, dict(feed))[0]
    except Exception as error:
        raise RefusedError(str(error)) from error
    if not found.size:
        raise RefusedError("an output is empty")
    return found


def central(function: Any, values: Mapping[str, Array]) -> Jacobian:
    """Return the Jacobian of a function of named inputs by central differences in float64."""
    feed = {name: _as(value, np.float64) for name, value in values.items()}
    found = {}
    for name, value in feed.items():
        columns = []
        for index in range(value.size):
            ends = []
            for sign in (-STEP, STEP):
                changed = value.copy()
                changed.flat[index] += sign
                ends.append(np.asarray(function({**feed, name: changed}), np.float64).ravel())
            columns.append((ends[1] - ends[0]) / (2 * STEP))
        found[name] = np.stack(columns, 1)
    return found


def split(model: onnx.ModelProto, targets: Sequence[str], wanted: Sequence[str]) -> Adjoint:
    """Load a model from memory and build its adjoint."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        path.write_bytes(model.SerializeToString())
        return build(resolve(load_model(path)), targets, wanted)


def by_adjoint(
    model: onnx.ModelProto, feed: Mapping[str, Array], target: str, wanted: Sequence[str] = ()
) -> Jacobian:
    """Return the Jacobian of a tensor with one cotangent per element of it."""
    adjoint = split(model, [target], wanted or list(feed))
    assert adjoint.missing == ()
    runner = Runner(adjoint, threads=1)
    tape = runner.forward(feed)
    value = tape.targets[target]
    cotangents = np.eye(value.size).reshape(value.size, *value.shape)
    found = runner.backward(tape, {target: cotangents})
    return {name: rows.reshape(value.size, -1) for name, rows in found.items()}


def assert_equal(found: Jacobian, expected: Jacobian, tolerance: float = 1e-5) -> None:
    """Compare: the same elements are zero, all others differ by little."""
    assert found.keys() == expected.keys()
    for name, wanted in expected.items():
        gradient = found[name]
        assert gradient.shape == wanted.shape
        np.testing.assert_array_equal(gradient != 0, wanted != 0, err_msg=name)
        scale = np.abs(wanted).max(initial=1e-30)
        assert np.abs(gradient - wanted).max(initial=0) <= tolerance * scale, name
        error = np.abs(gradient - wanted)[wanted != 0] / np.abs(wanted)[wanted != 0]
        assert not error.size or np.median(error) < 1e-5, name
