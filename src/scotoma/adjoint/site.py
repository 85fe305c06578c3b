"""What an adjoint rule sees: one operator, its shapes and constants, and the graph it writes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from scotoma.adjoint import protos
from scotoma.adjoint.loop import scan
from scotoma.adjoint.packing import DOMAIN, UNPACK
from scotoma.adjoint.registry import NoAdjointError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from scotoma.adjoint.builder import GraphBuilder
    from scotoma.adjoint.loop import Step
    from scotoma.loader.model import Operator
    from scotoma.resolve.resolution import Resolution
    from scotoma.resolve.window import Window

Shape = tuple[int, ...]


class Values(Protocol):
    """Where the backward graph gets tensors of the model from."""

    packed: frozenset[str]
    """Tensors whose channels are packed in blocks."""

    def value(self, name: str) -> str:
        """Return the name by which the backward graph knows a tensor of the model."""

    def extra(self, operator: Operator, slot: int, dtype: np.dtype[Any], shape: Shape) -> str:
        """Return an output that the operator can make and the file leaves out."""


def work_type(dtype: np.dtype[Any] | None) -> np.dtype[Any]:
    """Return the type of a tensor's gradient: float64 for float64, float32 for all others."""
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


class Site:
    """One operator in front of its adjoint rule.

    Parameters
    ----------
    operator
        The operator.
    grads
        The gradient of each of its outputs; None where nothing depends on one.
    wanted
        For each input, whether its gradient is asked for.
    """

    def __init__(
        self,
        operator: Operator,
        grads: Sequence[str | None],
        wanted: Sequence[bool],
        context: tuple[Resolution, GraphBuilder, Values],
    ) -> None:
        self.op = operator
        self.unread = {slot for slot, grad in enumerate(grads) if grad is not None}
        """Output slots whose gradient the rule has not looked at yet."""
        self._grads = grads
        self._wanted = wanted
        self._resolution, self._builder, self._values = context

    # What the operator is.

    @property
    def version(self) -> int:
        """Version of the operator set."""
        return 1 << 30 if self.op.version is None else self.op.version

    def has(self, slot: int) -> bool:
        """Tell whether an optional input is connected."""
        return slot < len(self.op.inputs) and self.op.inputs[slot] != ""

    def is_packed(self, slot: int = 0) -> bool:
        """Tell whether the channels of an input are packed in blocks."""
        return self.op.inputs[slot] in self._values.packed

    def wants(self, slot: int) -> bool:
        """Tell whether the gradient of an input is asked for."""
        return slot < len(self._wanted) and self._wanted[slot]

    def only(self, *slots: int) -> None:
        """Refuse gradients of other inputs than these.

        Raises
        ------
        NoAdjointError
            If another input depends on what the gradient is taken of.
        """
        for slot in range(len(self._wanted)):
            if self._wanted[slot] and slot not in slots:
                raise NoAdjointError(f"its parameter {self.op.inputs[slot]!r} is not constant")

    def integer(self, name: str, default: int) -> int:
        """Return an integer attribute."""
        found = self.op.attributes.get(name, default)
        if not isinstance(found, int):
            raise NoAdjointError(f"attribute {name!r} is not an integer")
        return found

    def integers(self, name: str) -> tuple[int, ...] | None:
        """Return an attribute that is a list of integers; None if it is absent."""
        found = self.op.attributes.get(name)
        if found is None:
            return None
        if isinstance(found, tuple) and all(isinstance(number, int) for number in found):
            return found  # type: ignore[return-value]  # checked element by element
        raise NoAdjointError(f"attribute {name!r} is not a list of integers")

    def real(self, name: str, default: float) -> float:
        """Return a number that an attribute holds."""
        found = self.op.attributes.get(name, default)
        if not isinstance(found, (int, float)):
            raise NoAdjointError(f"attribute {name!r} is not a number")
        return float(found)

    def text(self, name: str, default: str) -> str:
        """Return a string attribute."""
        found = self.op.attributes.get(name, default)
        if isinstance(found, bytes):
            found = found.decode("utf-8", "replace")
        if not isinstance(found, str):
            raise NoAdjointError(f"attribute {name!r} is not a string")
        return found

    def axis(self, axis: int, rank: int) -> int:
        """Count an axis from the front."""
        if not -rank <= axis < rank:
            raise NoAdjointError(f"it has no axis {axis}")
        return axis % rank

    @property
    def windows(self) -> tuple[Window, ...]:
        """The window along every spatial axis."""
        found = self._resolution.windows.get(self.op.name)
        if found is None:
            raise NoAdjointError("its windows are not known")
        return found

    def shape(self, slot: int = 0) -> Shape:
        """Return the shape of an input."""
        return self._shape(self.op.inputs[slot])

    def out_shape(self, slot: int = 0) -> Shape:
        """Return the shape of an output."""
        return self._shape(self.op.outputs[slot])

    def _shape(self, name: str) -> Shape:
        found = self._resolution.shapes.get(name)
        if found is None:
            raise NoAdjointError(f"the shape of {name!r} is not known")
        return found

    def dtype(self, slot: int = 0) -> np.dtype[Any] | None:
        """Return the element type of an input; None if it is not known."""
        return self._resolution.dtypes.get(self.op.inputs[slot])

    def made(self, slot: int = 0) -> np.dtype[Any] | None:
        """Return the element type of an output; None if it is not known."""
        return self._resolution.dtypes.get(self.op.outputs[slot])

    @property
    def work(self) -> np.dtype[Any]:
        """The type of the first output's gradient, in which the rule computes."""
        return work_type(self._resolution.dtypes.get(self.op.outputs[0]))

    def known(self, slot: int) -> NDArray[Any]:
        """Return the content of a constant input.

        Raises
        ------
        NoAdjointError
            If it depends on the model's inputs, or is too large.
        """
        found = self._resolution.values.get(self.op.inputs[slot])
        if found is None:
            raise NoAdjointError(f"its parameter {self.op.inputs[slot]!r} is not a known constant")
        return found

    # What the backward graph can read.

    def grad(self, slot: int = 0) -> str:
        """Return the gradient of an output.

        Raises
        ------
        NoAdjointError
            If nothing depends on that output, so that only others have gradients.
        """
        found = self._grads[slot]
        if found is None:
            raise NoAdjointError("only a side output of it is followed")
        self.unread.discard(slot)
        return found

    def grad_or_none(self, slot: int) -> str | None:
        """Return the gradient of an output; None where nothing depends on it."""
        self.unread.discard(slot)
        return self._grads[slot] if slot < len(self._grads) else None

    def input(self, slot: int = 0) -> str:
        """Return an input's value in the backward graph, in the type of the gradients.

        Numbers that are stored as integers are converted as they are; truth values stay such.
        """
        return self._read(self.op.inputs[slot])

    def raw(self, slot: int = 0) -> str:
        """Return an input's value in the backward graph in its own type: indices, counts."""
        return self._values.value(self.op.inputs[slot])

    def output(self, slot: int = 0) -> str:
        """Return an output's value in the backward graph, in the type of the gradients."""
        return self._read(self.op.outputs[slot])

    def extra(self, slot: int, dtype: Any, shape: Sequence[int]) -> str:
        """Return an output that the file may leave out, such as the indices of a max pool."""
        if slot < len(self.op.outputs) and self.op.outputs[slot]:
            return self._values.value(self.op.outputs[slot])
        return self._values.extra(self.op, slot, np.dtype(dtype), tuple(shape))

    def _read(self, name: str) -> str:
        found = self._values.value(name)
        dtype = self._resolution.dtypes.get(name)
        if dtype is None or dtype == self.work or dtype.kind == "b":
            return found
        return self.cast(found, self.work)

    # What a rule writes.

    def emit(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Append a node to the backward graph and return its output."""
        return self._builder.emit(op_type, inputs, attributes)[0]

    def unpack(self, tensor: str, channels: int) -> str:
        """Bring the channels of a tensor that onnxruntime packed in blocks into plain order."""
        attributes = {"channels": channels}
        return self._builder.emit(UNPACK, [tensor], attributes, domain=DOMAIN)[0]

    def emit_many(self, count: int, op_type: str, *inputs: str, **attributes: Any) -> list[str]:
        """Append a node with several outputs and return them."""
        return list(self._builder.emit(op_type, inputs, attributes, count))

    def scan(self, step: Step, *sources: str, backwards: bool) -> tuple[str, ...]:
        """Repeat a step along the first axis of sequences; see `scotoma.adjoint.loop`."""
        return scan(self._builder, step, sources, self.work, backwards=backwards)

    def number(self, value: object) -> str:
        """Return a constant in the type of the gradients."""
        return self._builder.constant(value, self.work)

    def ints(self, values: Sequence[int]) -> str:
        """Return a list of integers as a constant."""
        return self._builder.constant(list(values), np.int64)

    def constant(self, value: object, dtype: Any) -> str:
        """Return a constant of any type."""
        return self._builder.constant(value, dtype)

    def cast(self, tensor: str, dtype: Any) -> str:
        """Convert a tensor."""
        return self.emit("Cast", tensor, to=protos.type_number(dtype))

    def mask(self, condition: str) -> str:
        """Turn a boolean tensor into zeros and ones; to multiply by them is quicker than Where."""
        return self.cast(condition, self.work)

    def reshape(self, tensor: str, shape: Sequence[int]) -> str:
        """Give a tensor another shape."""
        # allowzero: an axis of length 0 is meant as such.
        return self.emit("Reshape", tensor, self.ints(shape), allowzero=int(0 in shape))

    def zeros(self, shape: Sequence[int]) -> str:
        """Return zeros of a shape; they take no room in the file."""
        value = protos.tensor(np.zeros(1, self.work))
        return self.emit("ConstantOfShape", self.ints(shape), value=value)

    def sum_to(self, tensor: str, shape: Sequence[int], wanted: Sequence[int]) -> str:
        """Undo a broadcast: sum a tensor of one shape over the axes that `wanted` has not.

        Examples
        --------
        A bias of shape (64, 1, 1) that was added to (1, 64, 56, 56) gets the sum over axes 0, 2
        and 3.
        """
        shape, wanted = tuple(shape), tuple(wanted)
        if shape == wanted:
            return tensor
        aligned = (1,) * (len(shape) - len(wanted)) + wanted
        axes = [
            axis
            for axis, (size, kept) in enumerate(zip(shape, aligned, strict=True))
            if size != kept
        ]
        if axes:
            tensor = self.emit("ReduceSum", tensor, self.ints(axes), keepdims=1)
        return tensor if aligned == wanted else self.reshape(tensor, wanted)

    def pad(
        self,
        tensor: str,
        begins: Sequence[int],
        ends: Sequence[int],
        axes: Sequence[int],
        rank: int,
    ) -> str:
        """Surround a tensor with zeros along axes; negative numbers cut off."""
        if not any(begins) and not any(ends):
            return tensor
        if max(*begins, *ends) <= 0:
            # A slice is quicker than a negative pad.
            stops = [end if end < 0 else np.iinfo(np.int64).max for end in ends]
            starts = [-begin for begin in begins]
            return self.emit("Slice", tensor, self.ints(starts), self.ints(stops), self.ints(axes))
        # All axes are listed: beside a Transpose, onnxruntime's optimiser permutes the pads as if
        # there were no input `axes`.
        pads = [0] * (2 * rank)
        for axis, begin, end in zip(axes, begins, ends, strict=True):
            pads[axis], pads[rank + axis] = begin, end
        return self.emit("Pad", tensor, self.ints(pads), self.number(0))

    def spread(self, tensor: str, shape: Sequence[int], steps: Sequence[int]) -> tuple[str, Shape]:
        """Put ``step - 1`` zeros behind every cell along each axis.

        Returns
        -------
        tuple
            The tensor, and its shape: every size times its step.
        """
        if all(step == 1 for step in steps):
            return tensor, tuple(shape)
        apart = [size for pair in zip(shape, [1] * len(shape), strict=True) for size in pair]
        tensor = self.reshape(tensor, apart)
        axes = [2 * axis + 1 for axis, step in enumerate(steps) if step > 1]
        ends = [step - 1 for step in steps if step > 1]
        tensor = self.pad(tensor, [0] * len(axes), ends, axes, len(apart))
        wide = tuple(size * step for size, step in zip(shape, steps, strict=True))
        return self.reshape(tensor, wide), wide

    def expand(self, tensor: str, shape: Sequence[int]) -> str:
        """Broadcast a tensor to a shape."""
        return self.emit("Expand", tensor, self.ints(shape))

    def elements(self, shape: Sequence[int]) -> int:
        """Count the elements of a shape."""
        return math.prod(shape)
