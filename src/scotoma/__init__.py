"""Scotoma: a static auditor for ONNX vision models."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike

    from scotoma.loader.model import Model

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def load(path: str | PathLike[str], *, weights: bool = True) -> Model:
    """Load an ONNX file into a graph, leaving its weights on disk.

    Parameters
    ----------
    path
        The ``.onnx`` file.
    weights
        False forbids every later access to a weight payload.

    Returns
    -------
    Model
        ``Model.graph`` is a ``networkx.MultiDiGraph`` of typed operators.

    Raises
    ------
    scotoma.errors.ModelError
        If the file cannot be read as an ONNX model.
    """
    from scotoma.loader import load_model  # noqa: PLC0415  onnx and networkx are slow to import

    return load_model(path, weights=weights)
