"""The onnxruntime session: the only importer of onnxruntime."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.errors import MeasurementError, RefusedError
from scotoma.measure import edit, freeze

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.loader.model import Value
    from scotoma.measure.target import Target
    from scotoma.resolve.resolution import Resolution

UNFAITHFUL = ("EliminateDropout", "Pad_Fusion", "ConstantSharing")
"""Optimisations of onnxruntime that change what the file means: they drop a dropout that is left
on, pad a max pooling with minus infinity instead of zero, and let a batch normalisation in
training mode overwrite its own scale."""

NUMPY_TYPES = {
    "tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16",
    "tensor(uint8)": "uint8", "tensor(int8)": "int8", "tensor(uint16)": "uint16",
    "tensor(int16)": "int16", "tensor(uint32)": "uint32", "tensor(int32)": "int32",
    "tensor(uint64)": "uint64", "tensor(int64)": "int64", "tensor(bool)": "bool",
}  # fmt: skip

LARGEST_EDIT = 2**31
"""Bytes; protobuf refuses a message of this size, so that an edited copy could not be read."""


class Session:
    """A model in onnxruntime that returns the target tensors, with the file's own semantics.

    One thread for each run, so that a cell which does not depend on a pixel is bit for bit the
    same when the pixel changes; several threads may call `run` at once. Only the optimisations
    that keep every rounding are on ("basic"), without those of `UNFAITHFUL`.

    Parameters
    ----------
    resolution
        The model at the shapes that it is to run at. Where its file fixes other sizes, they are
        taken out of a copy in memory.
    target
        The tensors to return.
    data
        The model file; None: it is opened by its path, so that external data is found beside it.
    frozen
        Run a copy in which `scotoma.measure.freeze` made random operators repeat themselves.

    Raises
    ------
    MeasurementError
        If onnxruntime refuses the model.
    """

    def __init__(
        self, resolution: Resolution, target: Target, data: bytes | None, *, frozen: bool = False
    ) -> None:
        import onnxruntime  # noqa: PLC0415  slow to import

        onnxruntime.set_default_logger_severity(4)
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 4
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        path = resolution.model.path
        if path == "-" and data is None:
            raise MeasurementError("the model came from standard input and its bytes are gone")
        if path != "-":
            settings.add_session_config_entry(
                "session.model_external_initializers_file_folder_path",
                str(Path(path).resolve().parent),
            )
        source = _edited(resolution, target, data, frozen=frozen)
        self._run_options = onnxruntime.RunOptions()
        self._run_options.log_severity_level = 4
        self._tensors = list(target.tensors)
        self._index = target.index
        self._checked = False
        try:
            self._session: Any = onnxruntime.InferenceSession(
                path if source is None else source,
                settings,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=list(UNFAITHFUL),
            )
        except Exception as error:  # its errors share no other base
            raise RefusedError(f"onnxruntime cannot load the model: {_line(error)}") from error

    @property
    def version(self) -> str:
        """Version of onnxruntime."""
        import onnxruntime  # noqa: PLC0415  slow to import

        return str(onnxruntime.__version__)

    def dtypes(self) -> dict[str, np.dtype[Any]]:
        """Return the element type of every input that must be fed.

        Raises
        ------
        MeasurementError
            If numpy has no such type.
        """
        types = {}
        for value in self._session.get_inputs():
            if value.type not in NUMPY_TYPES:
                raise MeasurementError(
                    f"input '{value.name}' holds {value.type}, which cannot be fed"
                )
            types[value.name] = np.dtype(NUMPY_TYPES[value.type])
        return types

    def run(self, feed: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Return the target tensors for these inputs.

        Raises
        ------
        MeasurementError
            If onnxruntime fails, or a value is no tensor of numbers.
        """
        try:
            values = self._session.run(self._tensors, feed, self._run_options)
        except Exception as error:  # its errors share no other base
            raise RefusedError(f"onnxruntime cannot run the model: {_line(error)}") from error
        if not self._checked:
            self._require_numbers(values)
        if self._index is None:
            return list(values)
        return [value[self._index] for value in values]

    def _require_numbers(self, values: Sequence[object]) -> None:
        """Refuse values of a kind or type that cannot be compared; the same in every run."""
        for name, value in zip(self._tensors, values, strict=True):
            if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
                raise MeasurementError(f"'{name}' is no tensor of numbers")
        self._checked = True


def _edited(
    resolution: Resolution, target: Target, data: bytes | None, *, frozen: bool
) -> bytes | None:
    """Return the model with the target tapped and the sizes freed; None: the file as it is."""
    declared = {value.name: value for value in resolution.model.main.inputs}
    ranks = {
        entry.name: len(entry.shape)
        for entry in resolution.inputs
        if entry.shape is not None
        and entry.name in declared
        and _forbids(declared[entry.name], entry.shape)
    }
    if not (ranks or target.tapped or frozen):
        return data
    data = data if data is not None else _read(Path(resolution.model.path))
    if frozen:
        data = freeze.frozen(data, resolution.dtypes)
    if ranks:
        data = edit.free(data, ranks)
    return edit.tap(data, sorted(target.tapped)) if target.tapped else data


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size >= LARGEST_EDIT:
            raise MeasurementError(
                "the file is larger than 2 GiB: only an output of its own, at the size that it"
                " declares, can be measured"
            )
        return path.read_bytes()
    except OSError as error:
        raise MeasurementError(f"the model cannot be read: {error.strerror}") from error


def _forbids(declared: Value, shape: Sequence[int]) -> bool:
    """Return whether the declared dimensions of an input do not allow the shape."""
    if declared.shape is None:
        return False
    return len(declared.shape) != len(shape) or any(
        isinstance(size, int) and size != wanted
        for size, wanted in zip(declared.shape, shape, strict=True)
    )


def _line(error: Exception) -> str:
    r"""Return what onnxruntime says in one line, without status code and path of the model.

    Examples
    --------
    >>> _line(Exception("[ONNXRuntimeError] : 1 : FAIL : no\n kernel"))
    'no kernel'
    """
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", " ".join(str(error).split()))
    text = re.sub(r"^Load model from .*? failed: ?", "", text)
    return text if len(text) <= 400 else text[:399] + "…"
