"""The deliberate failures; the command line makes each one line and an exit status."""

from __future__ import annotations


class ScotomaError(Exception):
    """The base of every error that Scotoma raises on purpose; its text is one line for a person."""


class UsageError(ScotomaError):
    """The call was wrong: an unknown rule, a glob without a match, a size that does not fit."""


class UnfitError(UsageError):
    """An argument does not fit the model: a tensor that it does not have, a size it refuses."""


class ModelError(ScotomaError):
    """A model file could not be read.

    Parameters
    ----------
    kind
        One of ``missing``, ``empty``, ``truncated``, ``not-protobuf``, ``not-onnx``, ``cyclic``,
        ``too-large``, ``unreadable``.
    message
        What is wrong, in one line, without the path.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class WeightsUnavailableError(ScotomaError):
    """A stored tensor cannot be read: missing or forbidden external data, or a size that lies."""


class RuleLoadError(ScotomaError):
    """A rule module or plug-in could not be loaded, or two rules share a code or a name."""


class MeasurementError(ScotomaError):
    """onnxruntime could not run the model, or its answer is not what was asked for."""


class RefusedError(MeasurementError):
    """onnxruntime does not load the model, or fails on it."""


class OutputError(ScotomaError):
    """A document could not be written whole: the disk is full, or its device failed."""
