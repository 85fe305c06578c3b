"""An ONNX file to a `Model`: map, slim, parse, build."""

from __future__ import annotations

import gc
import hashlib
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from scotoma.errors import ModelError
from scotoma.loader import source, wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx

    from scotoma.loader.model import Model


def load_model(
    path: str | os.PathLike[str], *, weights: bool = True, data: bytes | None = None
) -> Model:
    """Load an ONNX file into a graph, leaving its weights on disk.

    Parameters
    ----------
    path
        The file; ``-`` for standard input.
    weights
        False forbids every later access to a weight payload (tensors of up to
        `scotoma.loader.wire.THRESHOLD` bytes in the model file belong to the graph and stay
        readable).
    data
        The bytes of the file, where they were read already; `path` is its name alone then.

    Raises
    ------
    ModelError
        If the file cannot be read as an ONNX model.
    """
    name = os.fspath(path)
    mapped = source.open_model(name, data)
    slim = wire.slim(mapped)
    # Imported late, so that a file that is no model is refused without them.
    from scotoma.loader.build import Builder  # noqa: PLC0415
    from scotoma.loader.convert import TensorReader  # noqa: PLC0415
    from scotoma.loader.tensors import ExternalFiles  # noqa: PLC0415

    folder = None if name == source.STDIN else str(Path(name).parent)
    reader = TensorReader(mapped, slim.payloads, ExternalFiles(folder), weights)
    with _no_collection():
        builder = Builder(_parse(slim.data), reader)
        return builder.build(name, hashlib.sha256(slim.data).hexdigest())


@contextmanager
def _no_collection() -> Iterator[None]:
    """Pause the cyclic garbage collector, which doubles the time of building large graphs."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _parse(data: bytes) -> onnx.ModelProto:
    import onnx  # noqa: PLC0415
    from google.protobuf.message import (  # type: ignore[import-untyped]  # noqa: PLC0415
        DecodeError,
    )

    try:
        proto: onnx.ModelProto = onnx.ModelProto.FromString(data)
    except DecodeError:
        wire.slim(data, threshold=-1)  # looks at every message, so that it can say what is wrong
        raise ModelError("not-protobuf", "the protobuf parser refuses the file") from None
    graph = proto.graph
    if not (graph.node or graph.output):
        raise ModelError("not-onnx", "protobuf, but its graph has no operators and no outputs")
    return proto
