"""From an ONNX file to a networkx graph of typed operators, with the weights left on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scotoma.loader.find import find_models

if TYPE_CHECKING:
    from os import PathLike

    from scotoma.loader.model import Model

__all__ = ["find_models", "load_model"]


def load_model(
    path: str | PathLike[str], *, weights: bool = True, data: bytes | None = None
) -> Model:
    """Load an ONNX file into a graph, as `scotoma.loader.read.load_model` does."""
    from scotoma.loader import read  # noqa: PLC0415  numpy, onnx and networkx are slow to import

    return read.load_model(path, weights=weights, data=data)
