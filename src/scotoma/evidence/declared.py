"""Shapes that a file declares for its feature maps, against those that its operators make."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scotoma.evidence.auto_pad import automatic, declared_pads, is_dilated, narrow, same_pads
from scotoma.evidence.ceil_mode import has_ceil_mode

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator, Value

Dimension = int | str | None
_SPATIAL = frozenset(
    {"DepthToSpace", "GlobalAveragePool", "GlobalMaxPool", "GridSample", "Pad", "Resize",
     "SpaceToDepth", "Upsample"}
)  # fmt: skip
"""Operators without a window that change the size of a map."""
FIRST_CLEAR_OPSET = 22
"""From here on the specification of pools counts no window that starts in the end padding."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A tensor that is said to have another shape than it has."""

    operator: Operator
    tensor: str
    said: tuple[Dimension, ...]
    """A dimension that is left open is None or a name."""
    actual: tuple[int, ...]
    declared: bool
    """By the file; False: by onnx's shape inference."""


def disagreements(facts: Facts) -> Iterator[Disagreement]:
    """Yield the first disagreement on every path; what lies behind it only follows.

    Behind pools whose shape runtimes disagree on, for ceil mode or ``auto_pad``, nothing is
    yielded. Declarations count only where the model is examined at the shapes that it declares.
    """
    if facts.geometry is None:
        return
    open_axes = _open_axes(facts)
    main = facts.model.main
    values: dict[str, Value] = {**main.values, **{v.name: v for v in main.outputs}}
    explained: set[str] = set()
    for operator in facts.operators:
        if not explained.isdisjoint(operator.inputs) or _is_explained(facts, operator):
            explained.update(operator.outputs)
            continue
        found = _inferred(facts, operator)
        if found is None and open_axes is not None:
            found = _declared(facts, operator, values, everywhere=not open_axes)
        if found is not None:
            explained.update(operator.outputs)
            yield found


def declares_a_map(facts: Facts, operator: Operator) -> bool:
    """Tell whether the file alone says which shape a tensor has that may be a feature map."""
    examined, main = facts.resolution.examined, facts.model.main
    if examined is None or examined.shape is None or _open_axes(facts) is None:
        return False
    # Where nothing else tells the shape of a tensor, the declared one is believed.
    if all(facts.shape(name) is not None for name in operator.inputs if name):
        return False
    stated = [main.values.get(name) for name in operator.outputs]
    stated += [value for value in main.outputs if value.name in operator.outputs]
    shapes = [v.shape for v in stated if v is not None and v.shape is not None]
    return any(
        len(shape) == len(examined.shape) and any(isinstance(n, int) for n in shape[2:])
        for shape in shapes
    )


def _open_axes(facts: Facts) -> bool | None:
    """Tell whether the batch is left open; None where anything else is, or is examined otherwise.

    Only then do declared shapes say anything of the examined ones.
    """
    declared = {value.name: value.shape for value in facts.model.main.inputs}
    batch_open = False
    for entry in facts.resolution.inputs:
        shape = declared.get(entry.name)
        if entry.shape is None or shape is None or len(shape) != len(entry.shape):
            return None
        for axis, (there, here) in enumerate(zip(shape, entry.shape, strict=True)):
            if isinstance(there, int) and there == here:
                continue
            if isinstance(there, int) or axis > 0 or 0 in entry.spatial_axes:
                return None
            batch_open = True
    return batch_open


def _is_explained(facts: Facts, operator: Operator) -> bool:
    """Tell whether another rule speaks of an operator's size."""
    if has_ceil_mode(operator):
        windows = facts.windows(operator) or ()
        if any(w.phantom for w in windows if w.auto_pad == "NOTSET"):
            return True
    if not automatic(operator):
        return False
    doubtful = is_dilated(operator) or bool(declared_pads(operator))
    return doubtful or narrow(facts, operator) is not None


def _inferred(facts: Facts, operator: Operator) -> Disagreement | None:
    """Compare a ceil-mode pool with automatic padding with what onnx infers of it.

    Below opset 22 the inference adds a window for ceil mode to the ``ceil(n / s)`` of automatic
    padding where the stride is wider than the window.
    """
    mode = automatic(operator)
    if not has_ceil_mode(operator) or not mode.startswith("SAME"):
        return None
    windows = facts.windows(operator)
    if windows is None or operator.domain or (operator.version or 99) >= FIRST_CLEAR_OPSET:
        return None
    sizes = []
    for w in windows:
        pads = same_pads(w.size_in, w.extent, w.stride, lower=mode == "SAME_LOWER")
        sizes.append(-(-(w.size_in + sum(pads) - w.extent) // w.stride) + 1)
    actual = facts.shape(operator.outputs[0])
    if actual is None or all(n == w.size_out for n, w in zip(sizes, windows, strict=True)):
        return None
    said = (*actual[:2], *sizes)
    return Disagreement(operator, operator.outputs[0], said, actual, declared=False)


def _declared(
    facts: Facts, operator: Operator, values: dict[str, Value], *, everywhere: bool
) -> Disagreement | None:
    """Compare an operator's outputs with what the file declares for them.

    Parameters
    ----------
    everywhere
        Compare all axes; else those of the image only.
    """
    assert facts.geometry is not None
    if not any(tensor in values for tensor in operator.outputs):
        return None
    spatial = facts.windows(operator) is not None or operator.op_type in _SPATIAL
    for tensor in operator.outputs:
        value, actual = values.get(tensor), facts.shape(tensor)
        if value is None or value.shape is None or actual is None:
            continue
        axes = facts.geometry.spatial_axes(tensor)
        if not spatial and not axes:
            continue
        said = value.shape
        compared = range(len(actual)) if everywhere else axes or range(2, len(actual))
        if len(said) != len(actual) or any(
            isinstance(n := said[axis], int) and n > 0 and n != actual[axis] for axis in compared
        ):
            return Disagreement(operator, tensor, said, actual, declared=True)
    return None
