"""From an ONNX file to a networkx graph of typed operators, with the weights left on disk."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

from scotoma.load.find import find_models

if TYPE_CHECKING:
    from os import PathLike

    from scotoma.load.model import Model

__all__ = ["find_models", "load_model"]


def load_model(path: str | PathLike[str], *, weights: bool = True) -> Model:
    """Load an ONNX file into a graph, as `scotoma.load.read.load_model` does."""
    from scotoma.load import read  # noqa: PLC0415  numpy, onnx and networkx are slow to import

    return read.load_model(path, weights=weights)


class _CallableModule(ModuleType):
    """Keeps ``scotoma.load(path)`` working once this package has taken that function's place."""

    def __call__(self, path: str | PathLike[str], *, weights: bool = True) -> Model:
        """Load an ONNX file, as `scotoma.load`."""
        return load_model(path, weights=weights)


sys.modules[__name__].__class__ = _CallableModule
