"""Runs a few operators of a model by themselves, with numbers of ours in place of its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.adjoint import protos
from scotoma.adjoint.forward import node_proto
from scotoma.errors import MeasurementError
from scotoma.measure.session import UNFAITHFUL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

    Array = npt.NDArray[Any]


class Alone:
    """A chain of operators in a session of its own, as the file writes them.

    Small constants (pads, sizes, scales) are those of the model. Weights are fed, so that which
    cells an operator reads does not depend on what was trained.

    Parameters
    ----------
    facts
        The model; onnxruntime has run it at these shapes, so that they are true.
    operators
        Each but the first reads the first output of the one before.

    Raises
    ------
    MeasurementError
        If a shape is not known, the numbers are no floats, or onnxruntime refuses the operators.
    """

    def __init__(self, facts: Facts, operators: Sequence[Operator]) -> None:
        import onnxruntime  # noqa: PLC0415  slow to import

        self.source, made = operators[0].inputs[0], operators[-1].outputs[0]
        outputs = {operator.outputs[0] for operator in operators}
        self.constants: dict[str, Array] = {}
        self._fed: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
        for name in dict.fromkeys(name for op in operators for name in op.inputs if name):
            if name in outputs:
                continue
            value = facts.value(name)
            if value is not None and (value.dtype.kind != "f" or _is_setting(operators, name)):
                self.constants[name] = value
            else:
                self._fed[name] = _floats(facts, name)
        nodes = [node_proto(operator, operator.outputs) for operator in operators]
        graph = protos.graph(
            "alone",
            nodes,
            [protos.value_info(name, dtype, shape) for name, (shape, dtype) in self._fed.items()],
            [protos.value_info(made, _floats(facts, made)[1], None)],
            [protos.tensor(value, name) for name, value in self.constants.items()],
        )
        data = protos.model(graph, facts.model.opsets, facts.model.ir_version)
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 4
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        try:
            self._session: Any = onnxruntime.InferenceSession(
                data,
                settings,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=list(UNFAITHFUL),
            )
        except Exception as error:  # its errors share no other base
            raise MeasurementError(f"by itself it does not load: {_line(error)}") from error
        random = np.random.default_rng(0)
        self.weights: dict[str, Array] = {
            name: random.uniform(0.5, 1.5, shape).astype(dtype)
            for name, (shape, dtype) in self._fed.items()
            if name != self.source
        }
        """What is fed beside the map: numbers above 0."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the map that is fed."""
        return self._fed[self.source][0]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type of the map that is fed."""
        return self._fed[self.source][1]

    def run(self, values: Array, weights: Mapping[str, Array] | None = None) -> Array:
        """Return what the last operator makes of a map.

        Parameters
        ----------
        weights
            Other ones than `weights`, by name.

        Raises
        ------
        MeasurementError
            If onnxruntime fails.
        """
        feed = {self.source: values, **self.weights, **(weights or {})}
        try:
            (made,) = self._session.run(None, feed)
        except Exception as error:  # its errors share no other base
            raise MeasurementError(f"by itself it does not run: {_line(error)}") from error
        return np.asarray(made)


def _line(error: Exception) -> str:
    """Return what onnxruntime says in one line."""
    return " ".join(str(error).split())[:400]


def _is_setting(operators: Sequence[Operator], name: str) -> bool:
    """Tell whether a constant of floats says how an operator works: scales, what a Pad fills in."""
    return any(
        operator.op_type in {"Pad", "Resize", "Upsample"} and name in operator.inputs[1:]
        for operator in operators
    )


def _floats(facts: Facts, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    shape, dtype = facts.shape(name), facts.resolution.dtypes.get(name)
    if shape is None or dtype is None:
        raise MeasurementError(f"the shape of '{name}' is not known")
    if dtype.kind != "f":
        raise MeasurementError("only operators on floats are run by themselves")
    return shape, dtype
