"""The ways to hand over a model: a path, the bytes of a file, or an ``onnx.ModelProto``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from scotoma import engine
from scotoma.errors import UsageError
from scotoma.loader.source import STDIN
from scotoma.report.escape import escape

if TYPE_CHECKING:
    from scotoma.facts import Facts


@runtime_checkable
class Proto(Protocol):
    """A message that can be written as a file: an ``onnx.ModelProto``."""

    def SerializeToString(self) -> bytes:  # noqa: N802  protobuf's name
        """Return the bytes of the file."""


ModelSource: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | Proto"


def opened(model: object, name: str = STDIN) -> tuple[str, bytes | None]:
    """Return the path of a model and, where it is no file, its bytes.

    Parameters
    ----------
    name
        The path of a model that is no file.

    Raises
    ------
    UsageError
        If it is nothing that a model can be.

    Examples
    --------
    >>> opened("model.onnx"), opened(b"...", name="model.onnx")
    (('model.onnx', None), ('model.onnx', b'...'))
    """
    if isinstance(model, str | os.PathLike):
        return os.fspath(model), None
    if isinstance(model, bytes | bytearray | memoryview):
        return name, bytes(model)
    if isinstance(model, Proto):
        return name, _serialised(model)
    kind = type(model).__name__
    raise UsageError(f"a model is a path, bytes or an onnx.ModelProto, not a {kind}")


def _serialised(model: Proto) -> bytes:
    try:
        return model.SerializeToString()
    except ValueError as error:  # protobuf writes no message beyond 2 GiB
        raise UsageError("the model is too large for one message; give its path") from error


def examined(
    model: ModelSource,
    *,
    name: str,
    size: Sequence[int] | None,
    input_shapes: Mapping[str, Sequence[int]] | None,
    input_name: str | None,
) -> Facts:
    """Examine a model; what goes wrong names it.

    Raises
    ------
    scotoma.errors.ModelError
        If the file cannot be read as an ONNX model.
    scotoma.errors.UsageError
        If the options do not fit its inputs.
    """
    path, data = opened(model, name)
    shapes = {key: sizes_of(key, shape) for key, shape in (input_shapes or {}).items()}
    options = engine.Options(
        size=None if size is None else sizes_of("size", size),
        input_shapes=shapes or None,
        input_name=input_name,
        data=data,
    )
    return engine.examine_one(path, options)


def brief(result: object, verdict: str, path: str | None = None) -> str:
    r"""Return what stands for a result at a prompt: its kind, its model and what it comes to.

    Examples
    --------
    >>> brief({}, "nothing got worse"), brief({}, "no image", "evil\x1b.onnx")
    ('<dict: nothing got worse>', "<dict of 'evil\\x1b.onnx': no image>")
    """
    of = "" if path is None else f" of '{escape(path)}'"
    return f"<{type(result).__name__}{of}: {verdict}>"


def sizes_of(what: str, sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the numbers of a size or a shape.

    Raises
    ------
    UsageError
        If one is no whole number above 0.

    Examples
    --------
    >>> sizes_of("size", [224, 224])
    (224, 224)
    """
    numbers: tuple[object, ...] = tuple(sizes)
    for number in numbers:
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise UsageError(f"{what}: {number!r:.40} is no whole number above 0")
    return tuple(sizes)
