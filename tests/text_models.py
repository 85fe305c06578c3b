"""Facts of small models that stand in the tests as ONNX text."""

from __future__ import annotations

import tempfile
from pathlib import Path

from scotoma.facts import Facts
from scotoma.loader import load_model
from scotoma.testing import read_text_model


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
