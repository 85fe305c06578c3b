"""What one operator sees while it is resolved: the shapes, constants and attributes at its hand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from scotoma.errors import WeightsUnavailableError
from scotoma.loader.tensors import External

if TYPE_CHECKING:
    from scotoma.loader.model import Operator
    from scotoma.loader.tensors import StoredTensor
    from scotoma.resolve.window import Window

T = TypeVar("T")
Shape = tuple[int, ...]
Shapes = list["Shape | None"]
"""One entry per output of an operator; missing ones at the end are unknown."""

MAX_ELEMENTS = 2**20
"""An integer or boolean tensor with more elements is not folded."""
MAX_TOTAL = 2**25
"""So many elements are read or made by folding in all; beyond, constants stay unfolded."""
MAX_FLOATS = 4096
"""A floating-point tensor with more elements is not folded."""
NEWEST = 1 << 30
"""Stands for the opset version of a domain that the file does not import."""


class UnknownError(Exception):
    """Scotoma cannot tell what the operator yields; the text is the reason."""


class RefusedError(Exception):
    """The operator cannot run on the shapes it gets; the text is the reason."""


class FollowsError(Exception):
    """The operator cannot be resolved because an earlier one could not; not worth a line."""


def elements(shape: Shape) -> int:
    """Count the elements of a tensor (exact, whatever the shape claims)."""
    return math.prod(shape)


def limit(dtype: np.dtype | None) -> int:
    """Return how many elements of a type are still folded."""
    if dtype is None:
        return 0
    return MAX_ELEMENTS if dtype.kind in "iub" else MAX_FLOATS


class State:
    """Everything known so far about the tensors of a model, by name."""

    __slots__ = ("budget", "constants", "dtypes", "failed", "folded", "shapes", "stored", "windows")

    def __init__(self) -> None:
        self.shapes: dict[str, Shape | None] = {}
        self.dtypes: dict[str, np.dtype] = {}
        self.folded: dict[str, np.ndarray] = {}
        self.stored: dict[str, StoredTensor] = {}
        self.failed: set[str] = set()
        """Stored tensors that are too large or cannot be read."""
        self.constants: set[str] = set()
        self.budget = MAX_TOTAL
        self.windows: dict[str, tuple[Window, ...]] = {}

    def store(self, name: str, tensor: StoredTensor) -> None:
        """Take note of a tensor of the file without reading its payload."""
        self.stored[name] = tensor
        self.failed.discard(name)
        self.folded.pop(name, None)
        self.constants.add(name)
        shape = tuple(tensor.shape)
        self.shapes[name] = shape if all(size >= 0 for size in shape) else None
        if tensor.dtype is not None:
            self.dtypes[name] = tensor.dtype

    def overwrite(self, names: tuple[str, ...]) -> None:
        """Drop the constants of some names: an operator is about to write tensors so called."""
        for name in names:
            if name in self.constants:
                self.constants.discard(name)
                self.failed.discard(name)
                self.folded.pop(name, None)
                self.stored.pop(name, None)

    def value(self, name: str) -> np.ndarray | None:
        """Return the constant of that name; None if it is not constant, too large or unreadable."""
        found = self.folded.get(name)
        if found is not None or name not in self.stored or name in self.failed:
            return found
        found = read_small(self.stored[name])
        if found is None:
            self.failed.add(name)
        else:
            self.folded[name] = found
        return found


def read_small(tensor: StoredTensor) -> np.ndarray | None:
    """Read a stored tensor within the folding limits; None for all others."""
    shape = tuple(tensor.shape)
    if any(size < 0 for size in shape) or elements(shape) > limit(tensor.dtype):
        return None
    if tensor.dtype is not None and tensor.dtype.kind not in "iub" and is_external(tensor):
        return None
    try:
        return tensor.array()
    except WeightsUnavailableError:
        return None


def is_external(tensor: StoredTensor) -> bool:
    """Tell whether the payload lies in another file than the model."""
    return isinstance(tensor.location, External)


class Values(Mapping[str, np.ndarray]):
    """Constants by tensor name; those that the file stores are read when they are asked for."""

    __slots__ = ("_state",)

    def __init__(self, state: State) -> None:
        self._state = state

    def __getitem__(self, name: str) -> np.ndarray:
        found = self._state.value(name)
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._state.value(name) is not None

    def get(self, name: str, default: T | None = None) -> np.ndarray | T | None:  # type: ignore[override]
        """Return the constant of that name, without the detour of an error where it is none."""
        found = self._state.value(name)
        return default if found is None else found

    def __iter__(self) -> Iterator[str]:
        names = dict.fromkeys((*self._state.folded, *self._state.stored))
        return (name for name in names if self._state.value(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Step:
    """One operator in front of the state; raises one of the three errors above for what lacks."""

    __slots__ = ("attributes", "inputs", "op", "state", "version")

    def __init__(self, state: State) -> None:
        self.state = state

    def at(self, op: Operator) -> Step:
        """Move on to an operator."""
        self.op = op
        self.inputs = op.inputs
        self.attributes = op.attributes
        self.version = NEWEST if op.version is None else op.version
        return self

    def has(self, index: int) -> bool:
        """Tell whether an optional input is connected."""
        return index < len(self.inputs) and self.inputs[index] != ""

    def name(self, index: int) -> str:
        """Return the tensor at an input that must be there."""
        if not self.has(index):
            raise UnknownError(f"input {index} is missing")
        return self.inputs[index]

    def shape(self, index: int = 0) -> Shape:
        """Return the shape of an input."""
        name = self.name(index)
        shape = self.state.shapes.get(name)
        if shape is None:
            if name in self.state.shapes:
                raise FollowsError
            raise UnknownError(f"the shape of its input {name!r} is not known")
        return shape

    def dtype(self, index: int) -> np.dtype | None:
        """Return the element type of an input; None if it is not known."""
        return self.state.dtypes.get(self.inputs[index]) if self.has(index) else None

    def value(self, index: int) -> np.ndarray:
        """Return the constant at an input whose content decides the shape."""
        name = self.name(index)
        found = self.state.value(name)
        if found is not None:
            return found
        if self.state.shapes.get(name) is None:
            self.shape(index)
        if name in self.state.constants:
            raise UnknownError(f"the constant {name!r} is too large or cannot be read")
        raise UnknownError(f"{name!r}, which decides its shape, depends on the input's values")

    def whole(self, index: int) -> tuple[int, ...]:
        """Return the integers of a constant input, flattened."""
        found = self.value(index)
        if found.dtype.kind not in "iub":
            raise UnknownError(f"input {index} is not of an integer type")
        return tuple(found.ravel().tolist())

    def integer(self, name: str, default: int) -> int:
        """Return an integer attribute."""
        found = self.attributes.get(name, default)
        if not isinstance(found, int):
            raise UnknownError(f"attribute {name!r} is not an integer")
        return found

    def integers(self, name: str) -> tuple[int, ...] | None:
        """Return an attribute that is a list of integers; None if it is absent."""
        found = self.attributes.get(name)
        if found is None:
            return None
        if isinstance(found, tuple) and all(isinstance(number, int) for number in found):
            return found  # type: ignore[return-value]  # checked element by element
        raise UnknownError(f"attribute {name!r} is not a list of integers")

    def text(self, name: str, default: str) -> str:
        """Return a string attribute."""
        found = self.attributes.get(name, default)
        if isinstance(found, bytes):
            found = found.decode("utf-8", "replace")
        if not isinstance(found, str):
            raise UnknownError(f"attribute {name!r} is not a string")
        return found

    def axis(self, axis: int, rank: int, *, end: bool = False) -> int:
        """Count an axis from the front; with `end`, one past the last axis is allowed."""
        found = axis + rank if axis < 0 else axis
        if not 0 <= found < rank + end:
            raise RefusedError(f"axis {axis} of a tensor with {rank} axes")
        return found

    def axes(self, axes: tuple[int, ...], rank: int) -> tuple[int, ...]:
        """Count several axes from the front; none may come twice."""
        found = tuple(self.axis(axis, rank) for axis in axes)
        if len(set(found)) != len(found):
            raise RefusedError(f"axes {list(axes)} name one axis twice")
        return found


def broadcast(*shapes: Shape) -> Shape:
    """Return the common shape of tensors under numpy's rules, as ONNX has them since opset 7."""
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return first
    rank = max(len(shape) for shape in shapes)
    result = [1] * rank
    for shape in shapes:
        for axis, size in enumerate(shape, rank - len(shape)):
            if size != 1 and result[axis] != size:
                if result[axis] != 1:
                    raise RefusedError(f"shapes {text_of(shapes)} do not broadcast")
                result[axis] = size
    return tuple(result)


def text_of(shapes: tuple[Shape, ...]) -> str:
    """Write shapes for a person: ``1x64x56x56 and 1x64x55x55``."""
    return " and ".join(dims(shape) for shape in shapes)


def dims(shape: Shape) -> str:
    """Write one shape for a person; a scalar has none."""
    return "x".join(map(str, shape)) if shape else "scalar"
