"""Facts of small models that stand in the tests as ONNX text, or were built there."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scotoma.facts import Facts
from scotoma.loader import load_model
from scotoma.testing import read_text_model

if TYPE_CHECKING:
    import onnx


def facts_of(text: str, folder: Path | None = None, opset: int = 17) -> Facts:
    """Load, resolve and trace a model.

    Parameters
    ----------
    text
        ONNX text without the header; tensors that are declared but not made become weights.
    folder
        Where the file is left; None: it is gone, and onnxruntime cannot run it.
    """
    header = f'<ir_version: 8, opset_import: ["" : {opset}, "com.microsoft" : 1, "local" : 1]>\n'
    data = read_text_model(header + text).SerializeToString()
    with tempfile.TemporaryDirectory() as passing:
        path = Path(folder or passing, "model.onnx")
        path.write_bytes(data)
        return Facts.of(load_model(path))


def facts_of_proto(model: onnx.ModelProto, folder: Path, **options: Any) -> Facts:
    """Save a model in a folder, where onnxruntime finds it, load, resolve and trace it."""
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return Facts.of(load_model(path), **options)
