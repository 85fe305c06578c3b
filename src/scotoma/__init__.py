"""Scotoma: a static auditor for ONNX vision models.

`lint`, `audit`, `trace`, `sizes`, `measure` and `diff` do what the commands of these names do. What
they need is imported when they are first used.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from os import PathLike

    from scotoma.api.audit import AuditResult, audit
    from scotoma.api.diff import DiffResult, diff
    from scotoma.api.lint import LintResult, lint
    from scotoma.api.measure import MeasureResult, measure
    from scotoma.api.sizes import SizesResult, sizes
    from scotoma.api.trace import TraceResult, trace
    from scotoma.loader.model import Model

__version__ = "0.1.0"
__all__ = [
    "AuditResult",
    "DiffResult",
    "LintResult",
    "MeasureResult",
    "SizesResult",
    "TraceResult",
    "__version__",
    "audit",
    "diff",
    "lint",
    "load",
    "measure",
    "sizes",
    "trace",
]

_LAZY = {
    "AuditResult": "audit",
    "DiffResult": "diff",
    "LintResult": "lint",
    "MeasureResult": "measure",
    "SizesResult": "sizes",
    "TraceResult": "trace",
    "audit": "audit",
    "diff": "diff",
    "lint": "lint",
    "measure": "measure",
    "sizes": "sizes",
    "trace": "trace",
}
"""Module of `scotoma.api` by what it holds."""


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


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'scotoma' has no attribute '{name}'")
    # By its name, so that the package does not depend on one of its highest layers.
    return getattr(importlib.import_module(f"scotoma.api.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """The package, in which functions stay what they are.

    Python sets every sub-package that is imported as an attribute of its parent, so that
    ``scotoma.trace`` would become the package of that name. ``from scotoma.trace import …`` finds
    it all the same.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _LAZY and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
