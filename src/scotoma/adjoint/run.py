"""Runs an adjoint in onnxruntime: one forward, then any number of cotangents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.adjoint.protos import referred
from scotoma.errors import MeasurementError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from scotoma.adjoint.result import Adjoint

UNFAITHFUL = ("EliminateDropout", "Pad_Fusion", "ConstantSharing")
"""Optimisations of onnxruntime that change what the file means."""


@dataclass(frozen=True, slots=True)
class Tape:
    """One forward: the targets, and the residuals for the backward as onnxruntime holds them."""

    targets: Mapping[str, NDArray[Any]]
    residuals: Mapping[str, Any]


class Runner:
    """Both models of an adjoint, loaded. They read the same memory for their weights.

    Parameters
    ----------
    adjoint
        What to run.
    threads
        Threads of each operator; 0: as many as there are cores.

    Raises
    ------
    MeasurementError
        If onnxruntime refuses a model.
    WeightsUnavailableError
        If a weight cannot be read.
    """

    def __init__(self, adjoint: Adjoint, *, threads: int = 0) -> None:
        self.adjoint = adjoint
        shared = _shared(adjoint)
        self._forward = _session(adjoint.forward, shared, threads)
        self._backward = (
            None if adjoint.backward is None else _session(adjoint.backward, shared, threads)
        )
        self._outputs = [value.name for value in self._forward.get_outputs()]
        self._inputs = {value.name for value in self._forward.get_inputs()}

    def forward(self, feed: Mapping[str, NDArray[Any]]) -> Tape:
        """Run the model.

        Parameters
        ----------
        feed
            The inputs by name, of the resolved shapes.

        Raises
        ------
        MeasurementError
            If onnxruntime fails.
        """
        from onnxruntime import OrtValue  # noqa: PLC0415  slow to import

        fed = {name: OrtValue.ortvalue_from_numpy(array) for name, array in feed.items()}
        inputs = {name: value for name, value in fed.items() if name in self._inputs}
        try:
            found = self._forward.run_with_ort_values(self._outputs, inputs)
        except Exception as error:  # its errors share no other base
            raise MeasurementError(f"onnxruntime cannot run the model: {_line(error)}") from error
        values = {**fed, **dict(zip(self._outputs, found, strict=True))}
        targets = {name: values[name].numpy() for name in self.adjoint.targets}
        return Tape(targets, {name: values[name] for name in self.adjoint.residuals})

    def backward(
        self, tape: Tape, cotangents: Mapping[str, NDArray[Any]]
    ) -> dict[str, NDArray[Any]]:
        """Return the gradients for several cotangents of one forward.

        They go through one after the other: on a CPU nothing is gained by running them at once,
        and the memory stays that of one.

        Parameters
        ----------
        tape
            The forward to go back over.
        cotangents
            By target, of shape (K, *target), in any floating point type; those that are left out
            count as zero.

        Returns
        -------
        dict
            By tensor, shape (K, *tensor). Tensors in `Adjoint.incomplete` are left out.

        Raises
        ------
        MeasurementError
            If onnxruntime fails.
        """
        counts = {len(cotangent) for cotangent in cotangents.values()}
        if len(counts) != 1:
            raise ValueError("cotangents of different numbers")
        (count,) = counts
        gradients: dict[str, NDArray[Any]] = {
            name: np.zeros((count, *shape), np.float32) for name, shape in self.adjoint.zero.items()
        }
        for index in range(count):
            one = {name: cotangent[index] for name, cotangent in cotangents.items()}
            for name, gradient in self._once(tape, one).items():
                if name not in gradients:
                    gradients[name] = np.empty((count, *gradient.shape), gradient.dtype)
                gradients[name][index] = gradient
        return gradients

    def _once(self, tape: Tape, cotangents: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        from onnxruntime import OrtValue  # noqa: PLC0415  slow to import

        if self._backward is None:
            return {}
        feed = dict(tape.residuals)
        for value in self._backward.get_inputs():
            if value.name in feed:
                continue
            dtype = np.float64 if value.type == "tensor(double)" else np.float32
            target = self._targets[value.name]
            given = cotangents.get(target)
            array = np.zeros(value.shape, dtype) if given is None else given
            feed[value.name] = OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array, dtype))
        names = list(self.adjoint.gradients.values())
        try:
            found = self._backward.run_with_ort_values(names, feed)
        except Exception as error:  # its errors share no other base
            raise MeasurementError(f"onnxruntime cannot run the adjoint: {_line(error)}") from error
        return {
            name: value.numpy() for name, value in zip(self.adjoint.gradients, found, strict=True)
        }

    @property
    def _targets(self) -> dict[str, str]:
        return {fed: target for target, fed in self.adjoint.cotangents.items()}


def _shared(adjoint: Adjoint) -> dict[str, Any]:
    """Return the weights as onnxruntime takes them, without a copy where that is possible."""
    from onnxruntime import OrtValue  # noqa: PLC0415  slow to import

    shared = {}
    for name in adjoint.weights:
        array = np.require(adjoint.weights.array(name), requirements=["C", "A"])
        shared[name] = OrtValue.ortvalue_from_numpy(array)
    return shared


def _session(model: bytes, shared: Mapping[str, Any], threads: int) -> Any:
    import onnxruntime  # noqa: PLC0415  slow to import

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    settings.intra_op_num_threads = threads
    # Threads that wait for more work would take the cores from the other model of the two.
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    settings.inter_op_num_threads = 1
    settings.enable_mem_pattern = False  # planned blocks are held beside those that are in use
    names = [name for name in referred(model) if name in shared]
    if names:
        settings.add_external_initializers(names, [shared[name] for name in names])
    try:
        return onnxruntime.InferenceSession(
            model,
            settings,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=list(UNFAITHFUL),
        )
    except Exception as error:  # its errors share no other base
        raise MeasurementError(f"onnxruntime cannot load the model: {_line(error)}") from error


def _line(error: Exception) -> str:
    """Return what onnxruntime says in one line."""
    text = " ".join(str(error).split())
    return text if len(text) <= 400 else text[:399] + "…"
